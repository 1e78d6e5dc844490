/* Prefix tuning (Li and Liang 2021, arXiv 2101.00190) as Hugging Face PEFT computes it: in every attention the keys and values
 * of virtual tokens, which stand before every input, are learned; keys are not rotated. prompt_embeddings [tokens, layers * 2 *
 * kv heads * head_dim] holds a token's keys of the first layer, its values there, its keys of the second layer, and so on. They
 * start from the normal distribution. With peft.encoder_hidden they are W2 tanh(W0 e + b0) + b2 while learning, e [tokens, kv
 * heads * head_dim].
 *
 * The virtual tokens stand in the sequence like others, so that packing, shared beginnings and stored keys hold for them.
 * Nobody sees what the layers make of them: that is work for nothing, once for rows that share their beginning, and none after
 * the first token of an answer. */
#include "peft/peft_methods.h"
#include "peft/prompts.h"

#include "base/json.h"
#include "base/try.h"

static const pfm_prompt_encoder encoder = {.layers = "transform", .depth = 2, .bends_by_tanh = true};

static pfm_status check(const pfm_peft_options *options, pfm_error *err)
{
    if (options->prompt_text != NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.prompt_text is of prompt_tuning; keys and values are no text");
    return pfm_prompts_check(options, err);
}

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    (void)peft;
    return place->kind == PFM_PLACE_KEYS || place->kind == PFM_PLACE_VALUES ? PFM_TOUCH_REPLACES : PFM_TOUCH_NOTHING;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    const pfm_peft_options *options = pfm_peft_get_options(peft);
    const int inner = options->encoder_hidden;
    const pfm_prompts shape = {.encoder = inner > 0 ? &encoder : NULL,
                               .tokens = pfm_prompts_count(options),
                               .width = builder->block_count * 2 * place->n,
                               .embedded = place->n,
                               .inner = inner};
    pfm_status status = PFM_OK;
    if (builder->made == PFM_NO_VALUE)
        status = pfm_prompts_table(peft, builder, &shape, &builder->made, err);
    const int64_t first = (2 * place->block + (place->kind == PFM_PLACE_VALUES)) * place->n;
    return status != PFM_OK ? status : pfm_prompts_replace(builder, builder->made, first, output, err);
}

static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    const pfm_prompts *shape = pfm_peft_get_state(peft);
    const bool encodes = shape->encoder != NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_prompts_write_config(peft, config, err));
    PFM_TRY(pfm_json_take(config, "prefix_projection", json_boolean(encodes), err));
    PFM_TRY(pfm_json_take(config, "encoder_hidden_size", encodes ? json_integer(shape->inner) : json_null(), err));
done:
    return status;
}

const pfm_peft_method pfm_peft_prefix_tuning = {.name = "prefix_tuning",
                                                .keys = "virtual_tokens encoder_hidden",
                                                .check = check,
                                                .state_bytes = sizeof(pfm_prompts),
                                                .touches = touches,
                                                .apply = apply,
                                                .virtual_tokens = pfm_prompts_count,
                                                .not_in_vision = PFM_PROMPTS_NOT_IN_VISION,
                                                .start = pfm_prompts_start,
                                                .type = "PREFIX_TUNING",
                                                .write_config = write_config,
                                                .read_config = pfm_prompts_read_config,
                                                .save = pfm_prompts_save,
                                                .load = pfm_prompts_load};
