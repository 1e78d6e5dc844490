/* BitFit (Ben Zaken, Goldberg and Ravfogel 2022, arXiv 2106.10199): every bias of linear layers, norms and the head trains,
 * from what the base has; nothing is added. To Hugging Face PEFT it is a LORA that adapts no layer, with bias "all". */
#include "peft/lora.h"
#include "peft/peft_methods.h"
#include "peft/targets.h"

#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static bool trains(const pfm_peft *peft, const pfm_model_place *place, const char *parameter)
{
    (void)peft, (void)place;
    return strcmp(parameter, "bias") == 0;
}

static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_lora_write_config(peft, config, err));
    PFM_TRY(pfm_json_take(config, "bias", json_string("all"), err));
    PFM_TRY(pfm_json_take(config, "target_modules", json_string(PFM_TARGET_NONE), err));
done:
    return status;
}

static bool is_config(const json_t *config)
{
    const char *targets = json_string_value(json_object_get(config, "target_modules")),
               *bias = json_string_value(json_object_get(config, "bias"));
    return targets != NULL && strcmp(targets, PFM_TARGET_NONE) == 0 && bias != NULL && strcmp(bias, "all") == 0;
}

/* That all biases train is what the method is. */
static pfm_status read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    pfm_status status = pfm_lora_read_config(config, options, err);
    free(options->bias);
    options->bias = NULL;
    return status;
}

const pfm_peft_method pfm_peft_bitfit = {.name = "bitfit",
                                         .keys = "",
                                         .needs = "biases",
                                         .trains = trains,
                                         .of_base = true,
                                         .type = "LORA",
                                         .write_config = write_config,
                                         .read_config = read_config,
                                         .is_config = is_config};
