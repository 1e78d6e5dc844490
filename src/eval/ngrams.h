/* Runs of n words or characters, counted and compared; what BLEU, ROUGE, CIDEr and chrF are made of. */
#ifndef PFM_EVAL_NGRAMS_H
#define PFM_EVAL_NGRAMS_H

#include "eval/answer_set.h"
#include "eval/pair_map.h"
#include "eval/text_store.h"
#include "eval/vqa_text.h"

/* A text as numbers, never 0: equal numbers are equal words (or characters). Start with {0}. */
typedef struct pfm_ngram_text {
    uint32_t *ids;
    size_t count, capacity;
} pfm_ngram_text;

/* A row's texts, cut: at least one reference. */
typedef struct pfm_ngram_row {
    const pfm_ngram_text *prediction, *references;
    const double *weights; /* of the references */
    size_t reference_count;
} pfm_ngram_row;

/* Numbers words, and holds what comparing needs, so that rows after the first allocate nothing. Start with {0}. */
typedef struct pfm_ngram_space {
    pfm_intern words;
    pfm_word_list list;
    pfm_buffer text, lowered; /* for cutting */
    pfm_pair_map pairs;       /* of the n-grams counted now: what they begin with, and their last number */
    uint32_t *kinds;          /* of each n-gram of the row's texts, one text behind the other; equal ones are one kind */
    uint32_t *predicted;      /* [kinds] how often the prediction has each */
    uint32_t *wanted;         /* [kinds] for one reference, or the most of all */
    uint32_t *lengths;        /* for the longest common subsequence */
    double *numbers;          /* for a metric */
    size_t kind_capacity, predicted_capacity, wanted_capacity, length_capacity, number_capacity;
} pfm_ngram_space;
void pfm_ngram_space_free(pfm_ngram_space *space);
void pfm_ngram_text_free(pfm_ngram_text *tokens);

/* Appends one word. */
pfm_status pfm_ngram_text_add_word(pfm_ngram_space *space, const char *word, size_t length, pfm_ngram_text *out,
                                   pfm_error *err) PFM_MUST_CHECK;
/* *out = the words of a text (NULL: none), split at white space (vqa_text.h). */
pfm_status pfm_ngram_text_split(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the characters of a text without its white space. Bytes that are no UTF-8 are left out. */
pfm_status pfm_ngram_text_characters(pfm_ngram_space *space, const char *text, pfm_ngram_text *out,
                                     pfm_error *err) PFM_MUST_CHECK;
/* *out = what mteval's tokenizer 13a makes of a text (cut_13a.h). */
pfm_status pfm_ngram_text_13a(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err) PFM_MUST_CHECK;

/* How a metric cuts a text, as those above do, and what numbers [columns] a row's texts give. */
typedef pfm_status (*pfm_ngram_cut)(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err);
typedef pfm_status (*pfm_ngram_measure)(pfm_ngram_space *space, const pfm_ngram_row *row, const void *user, double *numbers,
                                        pfm_error *err);
typedef struct pfm_ngram_plan {
    pfm_ngram_cut cut, cut_prediction; /* cut_prediction NULL: as the references */
    pfm_ngram_measure measure;
    const void *user;
    size_t columns;
} pfm_ngram_plan;
/* numbers [rows of the set, columns]: each row's references and prediction cut and measured. */
pfm_status pfm_ngram_measure_rows(pfm_ngram_space *space, const pfm_answer_set *set, const pfm_ngram_plan *plan,
                                  double *numbers, pfm_error *err) PFM_MUST_CHECK;

/* How many n-grams of this order (from 1) a text has. */
static inline size_t pfm_ngram_count(const pfm_ngram_text *tokens, size_t order)
{
    return tokens->count < order ? 0 : tokens->count - order + 1;
}
/* Finds the kinds of a row's n-grams of this order: for a row first of order 1, then of 2 and so on. Counts the prediction's.
 */
pfm_status pfm_ngram_step(pfm_ngram_space *space, const pfm_ngram_row *row, size_t order, pfm_error *err) PFM_MUST_CHECK;
/* After a step: the kinds [pfm_ngram_count] of a reference's n-grams; borrowed until the next step. */
const uint32_t *pfm_ngram_reference_kinds(const pfm_ngram_space *space, const pfm_ngram_row *row, size_t reference);
/* After a step: wanted = how often this reference has each kind. */
void pfm_ngram_count_reference(pfm_ngram_space *space, const pfm_ngram_row *row, size_t reference, size_t order);
/* After a step: wanted = how often the reference that has most of a kind has it. */
pfm_status pfm_ngram_count_most(pfm_ngram_space *space, const pfm_ngram_row *row, size_t order, pfm_error *err) PFM_MUST_CHECK;
/* The size of what the prediction's multiset of n-grams has in common with what is wanted. */
size_t pfm_ngram_matches(const pfm_ngram_space *space);

/* *out = the length of the longest common subsequence. */
pfm_status pfm_ngram_text_lcs(pfm_ngram_space *space, const pfm_ngram_text *a, const pfm_ngram_text *b, size_t *out,
                              pfm_error *err) PFM_MUST_CHECK;
/* The length of the reference that is nearest to the prediction's, of two as near the shorter. */
size_t pfm_ngram_closest_length(const pfm_ngram_row *row);

#endif
