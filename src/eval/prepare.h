/* What a profile does to texts before they are scored: steps, each of which gets the text of the one before. A step is a
 * function and a line in prepare_list.h. */
#ifndef PFM_EVAL_PREPARE_H
#define PFM_EVAL_PREPARE_H

#include "eval/answer_set.h"
#include "eval/text_store.h"

typedef struct pfm_prepare_step pfm_prepare_step;

typedef struct pfm_prepare_kind {
    const char *name;
    bool takes_number; /* in a profile `name: number`, else `name` */
    bool learns;       /* needs the words of the training reports */
    /* Replaces what `out` holds; out->data may stay NULL for an empty text. */
    pfm_status (*apply)(const pfm_prepare_step *step, const char *text, pfm_buffer *out, pfm_error *err);
} pfm_prepare_kind;
extern const pfm_prepare_kind *const pfm_prepare_kinds[]; /* ended by NULL */

/* How often words occur. Start with {0}. */
typedef struct pfm_word_counts {
    pfm_intern words;
    size_t *counts, capacity;
    bool given; /* there is something to learn from */
} pfm_word_counts;

struct pfm_prepare_step {
    const pfm_prepare_kind *kind;
    size_t number;
    pfm_word_counts learned;
};

enum { PFM_PREPARE_MAX_STEPS = 16 };

/* Start with {0}. */
typedef struct pfm_preparation {
    pfm_prepare_step steps[PFM_PREPARE_MAX_STEPS];
    size_t count;
    pfm_buffer text, scratch;
} pfm_preparation;
void pfm_preparation_free(pfm_preparation *preparation);

/* *out = the prepared text, borrowed until the next call; the given one where there are no steps. */
pfm_status pfm_prepare(pfm_preparation *preparation, const char *text, const char **out, pfm_error *err) PFM_MUST_CHECK;
/* Whether a step learns. */
bool pfm_preparation_learns(const pfm_preparation *preparation);
/* Counts a training report's words for the steps that learn, as the steps before them leave it. */
pfm_status pfm_preparation_learn(pfm_preparation *preparation, const char *text, pfm_error *err) PFM_MUST_CHECK;
/* Appends the steps for a signature: "lower,first_words:60"; of a step that learned nothing, "rare_words:none". */
pfm_status pfm_preparation_describe(const pfm_preparation *preparation, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* Prepares all texts of a set and judges its rows again. */
pfm_status pfm_prepare_set(pfm_preparation *references, pfm_preparation *predictions, pfm_answer_set *set,
                           pfm_error *err) PFM_MUST_CHECK;

#endif
