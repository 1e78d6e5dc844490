/* mteval's tokenizer 13a as sacreBLEU has it: blanks put around ASCII punctuation, so that splitting at white space gives the
 * tokens. The entities &quot; &amp; &lt; &gt; are read, <skipped> and a hyphen before a line's end are removed. */
#ifndef PFM_EVAL_CUT_13A_H
#define PFM_EVAL_CUT_13A_H

#include "base/memory.h"

/* Replaces what `out` holds by the cut text. */
pfm_status pfm_cut_13a(const char *text, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
