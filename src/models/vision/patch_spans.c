#include "models/vision/patch_spans.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>

enum { QUERIES_A_SPAN = 256 }; /* fixed runs, so that more threads than heads have work */

pfm_status pfm_patch_spans_create(int64_t pictures, int64_t tokens, pfm_patch_spans *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int32_t whole = (int32_t)tokens, each = (whole + QUERIES_A_SPAN - 1) / QUERIES_A_SPAN;
    *out = (pfm_patch_spans){0};
    PFM_TRY(pfm_allocate((size_t)(pictures * each), sizeof *out->spans, &out->spans, err));
    PFM_TRY(pfm_allocate((size_t)pictures + 1, sizeof *out->roots, &out->roots, err));
    for (int32_t p = 0; p < pictures; p++) {
        out->roots[p + 1] = (p + 1) * each;
        for (int32_t i = 0; i < each; i++) {
            const int32_t begin = i * QUERIES_A_SPAN, end = whole - begin < QUERIES_A_SPAN ? whole : begin + QUERIES_A_SPAN;
            out->spans[p * each + i] = (pfm_attention_span){.q_begin = p * whole + begin,
                                                            .q_end = p * whole + end,
                                                            .own_begin = p * whole,
                                                            .own_past = whole - (end - begin),
                                                            .root = p,
                                                            .whole = true};
        }
    }
done:
    return status;
}

void pfm_patch_spans_free(pfm_patch_spans *spans)
{
    free(spans->spans);
    free(spans->roots);
    *spans = (pfm_patch_spans){0};
}

pfm_attention_set pfm_patch_spans_of(const pfm_patch_spans *spans, int64_t pictures)
{
    return (pfm_attention_set){
        .spans = spans->spans, .span_count = spans->roots[pictures], .roots = spans->roots, .root_count = (int32_t)pictures};
}
