/* Prompt tuning (Lester et al. 2021, arXiv 2104.08691) as Hugging Face PEFT computes it: the embeddings of virtual tokens,
 * which stand before every input, are learned: prompt_embeddings [tokens, hidden]. They start from the normal distribution, or
 * as the embeddings of peft.prompt_text, repeated. */
#include "peft/peft_methods.h"
#include "peft/prompts.h"

#include "base/json.h"
#include "base/try.h"

static pfm_status check(const pfm_peft_options *options, pfm_error *err)
{
    if (options->encoder_hidden > 0)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "peft.encoder_hidden is not of prompt_tuning; p_tuning learns such tokens behind an encoder");
    return pfm_prompts_check(options, err);
}

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    (void)peft;
    return place->kind == PFM_PLACE_EMBEDDING ? PFM_TOUCH_REPLACES : PFM_TOUCH_NOTHING;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    const pfm_prompts shape = {.tokens = pfm_prompts_count(pfm_peft_get_options(peft)), .width = place->n};
    pfm_value table;
    pfm_status status = pfm_prompts_table(peft, builder, &shape, &table, err);
    return status != PFM_OK ? status : pfm_prompts_replace(builder, table, 0, output, err);
}

/* How PEFT would start to learn; for what is learned it means nothing. */
static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    static const char *const unused[] = {"prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs"};
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_prompts_write_config(peft, config, err));
    PFM_TRY(pfm_json_take(config, "prompt_tuning_init", json_string("RANDOM"), err));
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
        PFM_TRY(pfm_json_take(config, unused[i], json_null(), err));
done:
    return status;
}

const pfm_peft_method pfm_peft_prompt_tuning = {.name = "prompt_tuning",
                                                .keys = "virtual_tokens prompt_text",
                                                .check = check,
                                                .state_bytes = sizeof(pfm_prompts),
                                                .touches = touches,
                                                .apply = apply,
                                                .virtual_tokens = pfm_prompts_count,
                                                .not_in_vision = PFM_PROMPTS_NOT_IN_VISION,
                                                .start = pfm_prompts_start,
                                                .type = "PROMPT_TUNING",
                                                .write_config = write_config,
                                                .read_config = pfm_prompts_read_config,
                                                .save = pfm_prompts_save,
                                                .load = pfm_prompts_load};
