/* The answers that one is chosen among where a recipe says eval.choices: those in a row's column `choices`, a list of texts or
 * one text with "|" between them, or all of the training split. What is learned as the same text is there once, as it came
 * first. */
#ifndef PFM_EVAL_ROW_CHOICES_H
#define PFM_EVAL_ROW_CHOICES_H

#include "infer/generate.h"

typedef struct pfm_row_choices {
    pfm_choices *lists; /* [list_count] one a row, or one for all; none: answers are free */
    size_t list_count;
    char **texts; /* [text_count] that the lists hold */
    size_t text_count, text_capacity;
} pfm_row_choices;

/* training: NULL where the data have no such split. USAGE names the row without choices, or the split that is not there. */
pfm_status pfm_row_choices_create(const pfm_recipe *recipe, const pfm_dataset *dataset, const pfm_dataset *training,
                                  pfm_row_choices *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_row_choices_free(pfm_row_choices *choices);
/* Of a row, borrowed; NULL where its answer is free. */
const pfm_choices *pfm_row_choices_of(const pfm_row_choices *choices, size_t row);

#endif
