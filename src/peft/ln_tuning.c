/* LayerNorm tuning (Zhao et al. 2024, arXiv 2312.11420): the norms' weights and biases train, from what the base has; nothing
 * is added. As in Hugging Face PEFT the whole norm is learned. */
#include "peft/peft_methods.h"

#include "base/json.h"
#include "base/memory.h"

#include <string.h>

/* PEFT's mapping; what it does not know has LLaMA's. */
static const pfm_peft_family families[] = {{.model_type = "gpt2", .targets = "ln_1,ln_2,ln_f"},
                                           {.model_type = "phi", .targets = "input_layernorm,final_layernorm"},
                                           {0}};

static bool trains(const pfm_peft *peft, const pfm_model_place *place, const char *parameter)
{
    (void)peft, (void)place, (void)parameter;
    return true; /* the norm is a target */
}

static pfm_status check(const pfm_peft_options *options, pfm_error *err)
{
    if (options->module_to_save_count > 0)
        return pfm_error_set(
            err, PFM_ERROR_USAGE,
            "peft.modules_to_save does not go with ln_tuning; with peft.method: full they and the norms train");
    return PFM_OK;
}

/* PEFT keeps a copy of the norm inside of its own module: "....input_layernorm.ln_tuning_layers.weight". */
static pfm_status file_name(const pfm_parameter *parameter, char **out, pfm_error *err)
{
    const char *end = strrchr(parameter->name, '.');
    return pfm_string_format(out, err, "%.*s.ln_tuning_layers%s", (int)(end - parameter->name), parameter->name, end);
}

/* Beside the modules there is nothing to say. */
static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    (void)peft;
    return pfm_json_take(config, "modules_to_save", json_null(), err);
}

static pfm_status read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    (void)config, (void)options, (void)err;
    return PFM_OK;
}

const pfm_peft_method pfm_peft_ln_tuning = {.name = "ln_tuning",
                                            .keys = PFM_KEYS_OF_TARGETS,
                                            .targets = "input_layernorm,post_attention_layernorm,norm",
                                            .families = families,
                                            .norms = true,
                                            .check = check,
                                            .trains = trains,
                                            .of_base = true,
                                            .type = "LN_TUNING",
                                            .write_config = write_config,
                                            .read_config = read_config,
                                            .file_name = file_name};
