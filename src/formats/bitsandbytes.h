/* NF4 as bitsandbytes lays it out in safetensors: for a weight NAME the halves (NAME, U8), NAME.absmax, NAME.quant_map, with
 * double quantisation NAME.nested_absmax and NAME.nested_quant_map, and a JSON text in NAME.quant_state.bitsandbytes__nf4. */
#ifndef PFM_FORMATS_BITSANDBYTES_H
#define PFM_FORMATS_BITSANDBYTES_H

#include "base/quantise.h"
#include "formats/weights_internal.h"

/* Where the parts of one weight lie. A block's largest magnitude is absmax[i], or codebook[codes[i]] * nested[i / nested_block]
 * + offset. */
struct pfm_weight_parts {
    const uint8_t *halves; /* the upper one of a byte is the earlier value */
    const float *absmax;   /* NULL where they are quantised too */
    const uint8_t *codes;
    const float *codebook, *nested;
    size_t nested_block, blocks;
    float offset;
};

/* Block i of such a weight as PFM_DTYPE_NF4 has it. */
void pfm_weight_join_block(const struct pfm_weight_parts *parts, size_t i, uint8_t out[PFM_NF4_BYTES]);

/* Makes one tensor of type nf4 of the parts of each. FORMAT and UNSUPPORTED name the tensor and what is wrong with it. */
pfm_status pfm_weights_join_nf4(pfm_weights *weights, pfm_error *err) PFM_MUST_CHECK;

#endif
