#include "eval/cut_ptb.h"
#include "eval/prepare.h"

static pfm_status apply(const pfm_prepare_step *step, const char *text, pfm_buffer *out, pfm_error *err)
{
    (void)step;
    return pfm_cut_ptb(text, out, err);
}
const pfm_prepare_kind pfm_prepare_ptb = {.name = "ptb", .apply = apply};
