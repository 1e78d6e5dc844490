/* The stem of an English word (Porter, An algorithm for suffix stripping, 1980) with the changes of nltk's PorterStemmer in its
 * default mode, NLTK_EXTENSIONS. */
#ifndef PFM_EVAL_PORTER_H
#define PFM_EVAL_PORTER_H

#include <stddef.h>
#include <stdint.h>

/* Makes a word [length], in lower case, its stem in place; returns the stem's length, which is never larger. Whatever is not
 * one of a, e, i, o, u and y counts as a consonant. */
size_t pfm_porter_stem(uint32_t *word, size_t length);

#endif
