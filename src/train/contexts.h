/* Experts chosen by what the data say of a row: the values of one column (peft.context), each with an expert of its own in the
 * order of peft.contexts. A context is counted from 1; 0 stands for a value that was not learned, or none. */
#ifndef PFM_TRAIN_CONTEXTS_H
#define PFM_TRAIN_CONTEXTS_H

#include "train/recipe.h"

/* Fills peft.contexts of every stage, unless it says so itself, with the values in the rows of all stages that learn what peft
 * adds, sorted by their bytes. Stages whose data are not at hand (`data` as --data) are passed over. USAGE names a column that
 * no row has. */
pfm_status pfm_contexts_find(pfm_recipe *recipe, const char *data, pfm_error *err) PFM_MUST_CHECK;

/* Whether a method's experts are chosen so. NULL: there is no method. */
bool pfm_context_chooses(const pfm_peft_options *method);
/* *out = the context of a row; 0 too where experts are not chosen so. FORMAT names a row whose column holds neither text nor
 * number. */
pfm_status pfm_context_of_row(const pfm_peft_options *method, const pfm_row *row, int32_t *out, pfm_error *err) PFM_MUST_CHECK;
/* Puts rows [count] in the order of their contexts, contexts[row % all] of each; those of one stay in their order. */
void pfm_contexts_order(const int32_t *contexts, size_t all, size_t *rows, size_t count);
/* *out = the context that a person names, as "modality=CT", to a method that chooses so. USAGE where the column or the value is
 * not the method's. */
pfm_status pfm_context_parse(const pfm_peft_options *method, const char *text, int32_t *out, pfm_error *err) PFM_MUST_CHECK;

#endif
