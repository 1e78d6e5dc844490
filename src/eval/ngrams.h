/* Runs of n words or characters, counted and compared; what BLEU, ROUGE, CIDEr and chrF are made of. */
#ifndef PFM_EVAL_NGRAMS_H
#define PFM_EVAL_NGRAMS_H

#include "eval/answer_set.h"
#include "eval/text_store.h"
#include "eval/vqa_text.h"

enum { PFM_NGRAM_MAX_ORDER = 6 };

/* A text as numbers, never 0: equal numbers are equal words (or characters). Start with {0}. */
typedef struct pfm_ngram_text {
    uint32_t *ids;
    size_t count, capacity;
} pfm_ngram_text;

/* n numbers, zeros behind them. */
typedef struct pfm_ngram {
    uint32_t ids[PFM_NGRAM_MAX_ORDER];
} pfm_ngram;
typedef struct pfm_ngram_list {
    pfm_ngram *items;
    size_t count, capacity;
} pfm_ngram_list;

/* Numbers words, and holds what comparing needs, so that rows after the first allocate nothing. Start with {0}. */
typedef struct pfm_ngram_space {
    pfm_intern words;
    pfm_word_list list;
    pfm_ngram_list a, b;
    pfm_buffer text; /* for cutting */
    uint32_t *row;
    size_t row_capacity;
} pfm_ngram_space;
void pfm_ngram_space_free(pfm_ngram_space *space);
void pfm_ngram_text_free(pfm_ngram_text *tokens);

/* Appends one word. */
pfm_status pfm_ngram_text_add_word(pfm_ngram_space *space, const char *word, size_t length, pfm_ngram_text *out,
                                   pfm_error *err) PFM_MUST_CHECK;
/* *out = the words of a text, split at white space (vqa_text.h). */
pfm_status pfm_ngram_text_split(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the characters of a text without its white space. Bytes that are no UTF-8 are left out. */
pfm_status pfm_ngram_text_characters(pfm_ngram_space *space, const char *text, pfm_ngram_text *out,
                                     pfm_error *err) PFM_MUST_CHECK;

/* How a metric cuts a text, as the two above do, and what numbers [columns] a row's two texts give. */
typedef pfm_status (*pfm_ngram_cut)(pfm_ngram_space *space, const char *text, pfm_ngram_text *out, pfm_error *err);
typedef pfm_status (*pfm_ngram_measure)(pfm_ngram_space *space, const pfm_ngram_text *reference,
                                        const pfm_ngram_text *prediction, const void *user, double *numbers, pfm_error *err);
/* numbers [rows of the set, columns]: each row's answer and prediction cut and measured. */
pfm_status pfm_ngram_measure_rows(pfm_ngram_space *space, const pfm_answer_set *set, pfm_ngram_cut cut,
                                  pfm_ngram_measure measure, const void *user, size_t columns, double *numbers,
                                  pfm_error *err) PFM_MUST_CHECK;

/* How many n-grams of this order (1..PFM_NGRAM_MAX_ORDER) a text has. */
static inline size_t pfm_ngram_count(const pfm_ngram_text *tokens, size_t order)
{
    return tokens->count < order ? 0 : tokens->count - order + 1;
}
/* *out = the text's n-grams, sorted, so that equal ones are neighbours. */
pfm_status pfm_ngram_list_make(const pfm_ngram_text *tokens, size_t order, pfm_ngram_list *out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the size of what the two multisets of n-grams have in common. */
pfm_status pfm_ngram_matches(pfm_ngram_space *space, const pfm_ngram_text *a, const pfm_ngram_text *b, size_t order,
                             size_t *out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the length of the longest common subsequence. */
pfm_status pfm_ngram_text_lcs(pfm_ngram_space *space, const pfm_ngram_text *a, const pfm_ngram_text *b, size_t *out,
                              pfm_error *err) PFM_MUST_CHECK;

#endif
