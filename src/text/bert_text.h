/* BERT's characters, inside of tokenizers. */
#ifndef PFM_TEXT_BERT_TEXT_H
#define PFM_TEXT_BERT_TEXT_H

#include "base/memory.h"

#include <stdbool.h>

typedef struct pfm_bert_normal {
    bool clean;   /* no control characters, and every white space a space */
    bool chinese; /* spaces around Chinese characters */
    bool strip;   /* no accents */
    bool lower;
} pfm_bert_normal;

/* Appends the text, valid UTF-8, as BertNormalizer leaves it. */
pfm_status pfm_bert_normalise(const pfm_bert_normal *how, const char *text, size_t size, pfm_buffer *out,
                              pfm_error *err) PFM_MUST_CHECK;
/* Whether a character is a word by itself. */
bool pfm_bert_is_punctuation(uint32_t code);

/* Appends a text, valid UTF-8, in the form that utf8proc's options say. */
pfm_status pfm_unicode_form(const char *text, size_t size, int options, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
