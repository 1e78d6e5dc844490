/* Changes of a text in memory, as Python's methods of strings make them. */
#ifndef PFM_EVAL_TEXT_EDIT_H
#define PFM_EVAL_TEXT_EDIT_H

#include "base/memory.h"

/* Replaces each `what` by `with`, from left to right, not looking again at what was written. `scratch` (start with {0}) is for
 * its use. */
pfm_status pfm_text_replace(pfm_buffer *text, pfm_buffer *scratch, const char *what, const char *with,
                            pfm_error *err) PFM_MUST_CHECK;

/* The length of a text without the white space (vqa_text.h) at its end. */
size_t pfm_text_trimmed(const char *text, size_t length);

#endif
