/* Parallel bottleneck adapters (He et al. 2022, arXiv 2110.04366): beside each attention and each MLP, which read x and make y,
 * y becomes y + s W2 f(W1 x + b1) + b2. How it begins: bottleneck.h. */
#include "peft/bottleneck.h"
#include "peft/peft_methods.h"

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    return pfm_bottleneck_acts(pfm_peft_get_options(peft), place) ? PFM_TOUCH_ADDS : PFM_TOUCH_NOTHING;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    return pfm_bottleneck_build(peft, builder, place->name, place->input, *output, output, err);
}

const pfm_peft_method pfm_peft_parallel = {.name = "parallel",
                                           .keys = PFM_KEYS_OF_BOTTLENECKS,
                                           .needs = "attentions and MLPs",
                                           .check = pfm_bottleneck_check,
                                           .touches = touches,
                                           .apply = apply,
                                           .type = "PARALLEL_ADAPTER",
                                           .write_config = pfm_bottleneck_write_config,
                                           .read_config = pfm_bottleneck_read_config};
