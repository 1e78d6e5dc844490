/* LayerNorm tuning (Zhao et al. 2024, arXiv 2312.11420): the norms' weights and biases train, from what the base has; nothing
 * is added. As in Hugging Face PEFT the whole norm is learned, and targets may name some of the norms. */
#include "peft/peft_methods.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/try.h"

#include <string.h>

static bool trains(const pfm_peft *peft, const pfm_model_place *place, const char *parameter)
{
    (void)peft, (void)parameter;
    return place->kind == PFM_PLACE_NORM;
}

/* PEFT keeps a copy of the norm inside of its own module: "....input_layernorm.ln_tuning_layers.weight". */
static pfm_status file_name(const pfm_parameter *parameter, char **out, pfm_error *err)
{
    const char *end = strrchr(parameter->name, '.');
    return pfm_string_format(out, err, "%.*s.ln_tuning_layers%s", (int)(end - parameter->name), parameter->name, end);
}

/* There is nothing to say beside target_modules. */
static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    (void)peft;
    return pfm_json_take(config, "modules_to_save", json_null(), err);
}

static pfm_status read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    static const char *const unknown[] = {"modules_to_save", "exclude_modules"};
    (void)options;
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        const json_t *value = json_object_get(config, unknown[i]);
        if (value != NULL && !json_is_null(value) && !(json_is_array(value) && json_array_size(value) == 0))
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "the adapter uses \"%s\", which is not read with LN_TUNING",
                                 unknown[i]);
    }
    return PFM_OK;
}

const pfm_peft_method pfm_peft_ln_tuning = {.name = "ln_tuning",
                                            .targets = "",
                                            .needs = "norms",
                                            .trains = trains,
                                            .merge = pfm_peft_merge_nothing,
                                            .type = "LN_TUNING",
                                            .write_config = write_config,
                                            .read_config = read_config,
                                            .file_name = file_name};
