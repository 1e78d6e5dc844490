/* Words as the Penn Treebank's, cut as coco's caption evaluation has them cut: by Stanford's PTBTokenizer 3.4.1 with lower
 * case, then without punctuation. Written from how that program behaves; what it does with telephone numbers, mail addresses,
 * links, smileys and spaces within fractions is left out (docs/score.md says how often the two differ). */
#ifndef PFM_EVAL_CUT_PTB_H
#define PFM_EVAL_CUT_PTB_H

#include "base/memory.h"

/* Replaces what `out` holds by the words, one blank between two of them; out->data may stay NULL where there are none. */
pfm_status pfm_cut_ptb(const char *text, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
