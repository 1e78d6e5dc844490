/* mteval's tokenizer 13a as sacreBLEU has it: blanks put around ASCII punctuation, so that splitting at white space gives the
 * tokens. The entities &quot; &amp; &lt; &gt; are read, <skipped> and a hyphen before a line's end are removed. */
#ifndef PFM_EVAL_CUT_13A_H
#define PFM_EVAL_CUT_13A_H

#include "base/memory.h"

/* Replaces what `out` holds by the cut text. */
pfm_status pfm_cut_13a(const char *text, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* The same as sacreBLEU's tokenizer zh: each Chinese character is a token, entities and line ends stay as they are. What counts
 * as Chinese is what counts there, which is also most of U+2001 to U+2A6D (its two ranges beyond U+FFFF are read as something
 * else). */
pfm_status pfm_cut_zh(const char *text, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
