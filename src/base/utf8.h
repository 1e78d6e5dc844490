/* UTF-8 as RFC 3629 defines it: checking, decoding, and the repair that Python's errors="replace" makes, where each maximal
 * part of an ill-formed sequence becomes one U+FFFD (Unicode 15, section 3.9). */
#ifndef PFM_BASE_UTF8_H
#define PFM_BASE_UTF8_H

#include "base/memory.h"

#include <stdbool.h>

#define PFM_UTF8_INVALID 0xffffffffu

/* The code point at `text` (at least one byte), or PFM_UTF8_INVALID; *length = the bytes it, or the ill-formed part, takes. */
uint32_t pfm_utf8_decode(const char *text, size_t size, size_t *length);
/* Writes 1..4 bytes and returns how many; the code point must be a scalar value. */
size_t pfm_utf8_encode(uint32_t code, char out[4]);
bool pfm_utf8_valid(const char *text, size_t size);
/* How many bytes at the end begin a sequence that more bytes could complete: 0..3. */
size_t pfm_utf8_pending(const char *text, size_t size);
/* Appends the text with every ill-formed part replaced by U+FFFD. */
pfm_status pfm_utf8_append_repaired(pfm_buffer *out, const char *text, size_t size, pfm_error *err) PFM_MUST_CHECK;

/* General categories, as of the Unicode version of utf8proc. */
bool pfm_utf8_is_numeric(uint32_t code); /* Nd, Nl, No */
bool pfm_utf8_is_space(uint32_t code);   /* White_Space */
bool pfm_utf8_is_word(uint32_t code);    /* letters, marks, numbers, connectors, joiners: what \w means to Unicode */

#endif
