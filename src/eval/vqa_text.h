/* When an answer counts as right: the normalised texts are equal.
 *
 * Normalised: Unicode NFC; lower case, character by character; every character removed that is neither a letter or digit
 * (general categories L and N), underscore, white space, comma nor slash; each run of white space made one blank, none left at
 * either end. White space is Unicode's White_Space and U+001C..U+001F. Bytes that are no UTF-8 are removed. */
#ifndef PFM_EVAL_VQA_TEXT_H
#define PFM_EVAL_VQA_TEXT_H

#include "base/memory.h"

#include <stdbool.h>

/* Replaces what `out` holds (start with {0}) by the normalised text. out->data may stay NULL for an empty result. */
pfm_status pfm_vqa_normalise(const char *text, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* *out = whether the prediction counts as right. */
pfm_status pfm_vqa_correct(const char *prediction, const char *answer, bool *out, pfm_error *err) PFM_MUST_CHECK;

/* The bytes of the white space character (as above) with which a text begins; 0 where it begins with another. */
size_t pfm_space_length_of_any(const char *text);
static inline size_t pfm_space_length(const char *text)
{
    return *text > ' ' && *text < 0x7F ? 0 : pfm_space_length_of_any(text); /* most characters are printed ASCII */
}

/* The words of a text, split at white space. Start with {0}. */
typedef struct pfm_word {
    const char *text; /* borrowed from the text that was split; no NUL behind it */
    size_t length;
} pfm_word;
typedef struct pfm_word_list {
    pfm_word *items;
    size_t count, capacity;
} pfm_word_list;

/* Replaces what `words` holds by the words of text, in their order. NULL text: none. */
pfm_status pfm_word_list_split(pfm_word_list *words, const char *text, pfm_error *err) PFM_MUST_CHECK;
/* Sorts bytewise, so that equal words are neighbours. */
void pfm_word_list_sort(pfm_word_list *words);
/* Order of two words: <0, 0, >0. */
int pfm_word_compare(const pfm_word *a, const pfm_word *b);
void pfm_word_list_free(pfm_word_list *words);

/* The share (0..1) of the distinct words of `answer` that `prediction` has, both sorted. An answer without words: 1 where the
 * prediction has none either, else 0. */
double pfm_word_list_recall(const pfm_word_list *answer, const pfm_word_list *prediction);
/* F1 (0..1) of the two multisets of words, both sorted: 2 * common / (number in a + number in b); 1 where both are empty. */
double pfm_word_list_f1(const pfm_word_list *a, const pfm_word_list *b);

#endif
