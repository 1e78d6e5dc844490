/* What methods with several experts share: the router, and gates that weigh the experts' columns side by side.
 *
 * All experts of a place are one pair of products, their rows (on the way down) and columns (on the way up) stacked; in between
 * each is weighed by its gate, zero where a token does not take it. Experts are narrow, so that this is cheaper than to gather
 * each one's tokens: every expert is computed for every token. */
#ifndef PFM_PEFT_EXPERTS_H
#define PFM_PEFT_EXPERTS_H

#include "peft/peft.h"

/* How many stand side by side: the shared one comes last. */
int64_t pfm_experts_count(const pfm_peft_options *options);
/* USAGE for options of experts that it cannot take. */
pfm_status pfm_experts_check(const pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;
/* *gates f32 [tokens, experts] at a place that reads x act [tokens, k]: by a router MODULE.router.weight [experts, k] that
 * trains, or by the tokens' contexts. UNSUPPORTED where a builder does not know whose tokens these are. */
pfm_status pfm_experts_route(pfm_peft *peft, pfm_builder *builder, const char *module, pfm_value x, pfm_value *gates,
                             pfm_error *err) PFM_MUST_CHECK;
/* *y = u act [tokens, experts * columns of one], each expert's columns times its gate. */
pfm_status pfm_experts_weigh(pfm_builder *builder, pfm_value u, pfm_value gates, pfm_value *y, pfm_error *err) PFM_MUST_CHECK;
/* The keys of adapter_config.json that speak of experts and their router. */
pfm_status pfm_experts_write_config(const pfm_peft_options *options, json_t *config, pfm_error *err) PFM_MUST_CHECK;
/* The options from them. FORMAT names the key that is wrong, USAGE what does not go together. */
pfm_status pfm_experts_read_config(const json_t *config, pfm_peft_options *options, pfm_error *err) PFM_MUST_CHECK;

#endif
