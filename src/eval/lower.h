/* Lower case as Python's str.lower has it, which the packages of text metrics use: Unicode's full mapping, in which I with a
 * dot above becomes two characters and a capital sigma at the end of a word the final one. */
#ifndef PFM_EVAL_LOWER_H
#define PFM_EVAL_LOWER_H

#include "base/memory.h"

/* Replaces what `out` holds (start with {0}) by the text in lower case; bytes that are no UTF-8 stay. out->data may stay NULL
 * for an empty text. */
pfm_status pfm_text_lower(const char *text, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
