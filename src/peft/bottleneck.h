/* A bottleneck: two linear layers with a narrow state between them, which adapters are made of. Inside this folder. */
#ifndef PFM_PEFT_BOTTLENECK_H
#define PFM_PEFT_BOTTLENECK_H

#include "peft/peft.h"

/* What the recipe says of adapters (peft.bottleneck, .activation, .adapter_scale, .dropout), USAGE where it cannot be. */
pfm_status pfm_bottleneck_check(const pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;
/* true where peft.sublayers names the sublayer of this place. */
bool pfm_bottleneck_acts(const pfm_peft_options *options, const pfm_model_place *place);

/* *y = addend + s W2 d(f(W1 x + b1)) + b2, kept as the addend is; x act [rows, width], addend [rows, width], PFM_NO_VALUE: none
 * (y f32). f: the activation, s: the scale, d: dropout. The parameters are MODULE.adapter_down.weight [bottleneck, width],
 * .bias, MODULE.adapter_up.weight [width, bottleneck] and .bias; W1 is drawn uniformly from +-1/sqrt(width), all others begin
 * at zero, so that y begins as the addend (He et al. 2022; Houlsby et al. 2019 draw small numbers instead). */
pfm_status pfm_bottleneck_build(pfm_peft *peft, pfm_builder *builder, const char *module, pfm_value x, pfm_value addend,
                                pfm_value *y, pfm_error *err) PFM_MUST_CHECK;

/* The keys of adapter_config.json that speak of it, and the options from them. */
pfm_status pfm_bottleneck_write_config(const pfm_peft *peft, json_t *config, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_bottleneck_read_config(const json_t *config, pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;

#endif
