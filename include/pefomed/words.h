/* Names that people mistype: how far two are apart, and which of several is meant. For messages; thread-safe, no allocation. */
#ifndef PEFOMED_WORDS_H
#define PEFOMED_WORDS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many insertions, deletions, substitutions and swaps of neighbours turn the first word into the second (optimal string
 * alignment distance, in bytes). Only the first 63 bytes of each are looked at. The words need no NUL. */
size_t pfm_words_distance(const char *a, size_t a_length, const char *b, size_t b_length);

/* Which of `count` words is so near to `word` that it was probably meant (at most a third of its letters differ), the first of
 * equals; NULL when none is. Borrowed from `words`, in which NULLs are skipped. */
const char *pfm_words_nearest(const char *word, const char *const *words, size_t count);

#ifdef __cplusplus
}
#endif
#endif
