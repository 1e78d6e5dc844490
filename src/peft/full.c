/* Full fine-tuning of a chosen part: the linear layers, norms and embeddings that peft.targets names train whole, from what the
 * base has; nothing is added. It is peft.modules_to_save as a method of its own, and so Hugging Face PEFT reads it: a LORA that
 * adapts no layer. In a base of few bits these modules alone are kept in full. */
#include "peft/peft_methods.h"
#include "peft/targets.h"

static pfm_status check(const pfm_peft_options *options, pfm_error *err)
{
    if (options->exclude_count > 0 || options->layer_count > 0 || options->layers_pattern_count > 0)
        return pfm_error_set(
            err, PFM_ERROR_USAGE,
            "peft.exclude, layers and layers_pattern are not of peft.method: full; name ends of modules in targets");
    for (size_t i = 0; i < options->target_count; i++) {
        if (!pfm_targets_is_plain(options->targets[i]))
            return pfm_error_set(err, PFM_ERROR_USAGE, "peft.targets cannot be '%.100s' with full; name ends of modules",
                                 options->targets[i]);
    }
    return PFM_OK;
}

const pfm_peft_method pfm_peft_full = {
    .name = "full", .keys = PFM_KEYS_OF_TARGETS, .targets = "q_proj,v_proj", .whole = true, .check = check, .type = "LORA"};
