/* Full fine-tuning of a chosen part: the weights and biases of the linear layers, norms and embeddings that peft.targets names
 * train, from what the base has; nothing is added. In a base of few bits they alone are kept in full. To Hugging Face PEFT it
 * is a LORA that adapts no layer and saves these modules whole (modules_to_save). */
#include "peft/peft_methods.h"

static bool trains(const pfm_peft *peft, const pfm_model_place *place, const char *parameter)
{
    (void)peft, (void)parameter;
    return place->kind == PFM_PLACE_LINEAR || place->kind == PFM_PLACE_NORM || place->kind == PFM_PLACE_EMBEDDING;
}

const pfm_peft_method pfm_peft_full = {.name = "full",
                                       .targets = "q_proj,v_proj",
                                       .needs = "linear layers, norms and embeddings",
                                       .trains = trains,
                                       .merge = pfm_peft_merge_nothing,
                                       .whole = true,
                                       .type = "LORA",
                                       .write_config = pfm_peft_write_no_lora};
