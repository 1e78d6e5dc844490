/* Serial bottleneck adapters (Houlsby et al. 2019, arXiv 1902.00751): behind each attention and each MLP, before what they made
 * is added to the hidden state, y becomes y + s W2 f(W1 y + b1) + b2. How it begins: bottleneck.h. */
#include "peft/bottleneck.h"
#include "peft/peft_methods.h"

#include "base/try.h"

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    return pfm_bottleneck_acts(pfm_peft_get_options(peft), place) ? PFM_TOUCH_REPLACES : PFM_TOUCH_NOTHING;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_value x;
    pfm_status status = pfm_build_act(builder, *output, &x, err);
    return status != PFM_OK ? status : pfm_bottleneck_build(peft, builder, place->name, x, *output, output, err);
}

const pfm_peft_method pfm_peft_serial = {.name = "serial",
                                         .keys = PFM_KEYS_OF_BOTTLENECKS,
                                         .needs = "attentions and MLPs",
                                         .check = pfm_bottleneck_check,
                                         .touches = touches,
                                         .apply = apply,
                                         .type = "SERIAL_ADAPTER",
                                         .write_config = pfm_bottleneck_write_config,
                                         .read_config = pfm_bottleneck_read_config};
