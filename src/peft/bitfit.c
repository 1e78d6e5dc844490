/* BitFit (Ben Zaken, Goldberg and Ravfogel 2022, arXiv 2106.10199): every bias of linear layers, norms and the head trains,
 * from what the base has; nothing is added. To Hugging Face PEFT it is a LORA that adapts no layer, with bias "all". */
#include "peft/peft_methods.h"

#include "base/json.h"
#include "base/try.h"
#include "formats/adapter.h"

#include <string.h>

static bool trains(const pfm_peft *peft, const pfm_model_place *place, const char *parameter)
{
    (void)peft, (void)place;
    return strcmp(parameter, "bias") == 0;
}

static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    pfm_status status = pfm_peft_write_no_lora(peft, config, err);
    return status != PFM_OK ? status : pfm_json_take(config, "bias", json_string("all"), err);
}

static pfm_status read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    const char *targets = json_string_value(json_object_get(config, "target_modules")),
               *bias = json_string_value(json_object_get(config, "bias"));
    (void)options;
    if (targets == NULL || strcmp(targets, PFM_ADAPTER_NO_TARGETS) != 0 || bias == NULL || strcmp(bias, "all") != 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "the adapter is no bitfit, which is a LORA with target_modules \"" PFM_ADAPTER_NO_TARGETS
                             "\" and bias \"all\"");
    return PFM_OK;
}

const pfm_peft_method pfm_peft_bitfit = {.name = "bitfit",
                                         .needs = "biases",
                                         .trains = trains,
                                         .merge = pfm_peft_merge_nothing,
                                         .type = "LORA",
                                         .write_config = write_config,
                                         .read_config = read_config};
