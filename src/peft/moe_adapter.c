/* A mixture of parallel bottleneck adapters: beside each attention and each MLP, which read x and make y, y becomes
 * y + s sum_e g_e(x) W2_e f(W1_e x + b1_e) + b2, the gates g as src/ops/route.c says, of a shared expert 1. How it begins and
 * how its parameters stand side by side: bottleneck.h and experts.h; the shared one comes last. */
#include "peft/bottleneck.h"
#include "peft/experts.h"
#include "peft/peft_methods.h"

#include "base/try.h"

static pfm_status check(const pfm_peft_options *options, pfm_error *err)
{
    pfm_status status = pfm_bottleneck_check(options, err);
    return status != PFM_OK ? status : pfm_experts_check(options, err);
}

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    return pfm_bottleneck_acts(pfm_peft_get_options(peft), place) ? PFM_TOUCH_ADDS : PFM_TOUCH_NOTHING;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_value gates;
    pfm_status status = pfm_experts_route(peft, builder, place->name, place->input, &gates, err);
    return status != PFM_OK ? status
                            : pfm_bottleneck_build_several(peft, builder, place->name, place->input, *output,
                                                           pfm_experts_count(pfm_peft_get_options(peft)), gates, output, err);
}

static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    pfm_status status = pfm_bottleneck_write_config(peft, config, err);
    return status != PFM_OK ? status : pfm_experts_write_config(pfm_peft_get_options(peft), config, err);
}

static pfm_status read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    pfm_status status = pfm_bottleneck_read_config(config, options, err);
    return status != PFM_OK ? status : pfm_experts_read_config(config, options, err);
}

const pfm_peft_method pfm_peft_moe_adapter = {.name = "moe_adapter",
                                              .needs = "attentions and MLPs",
                                              .keys = PFM_KEYS_OF_BOTTLENECKS PFM_KEYS_OF_EXPERTS,
                                              .check = check,
                                              .touches = touches,
                                              .apply = apply,
                                              .type = "MOE_ADAPTER",
                                              .write_config = write_config,
                                              .read_config = read_config};
