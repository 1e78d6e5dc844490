/* P-tuning (Liu et al. 2021, arXiv 2103.10385) as Hugging Face PEFT computes it: the embeddings of virtual tokens, which stand
 * before every input, are what an MLP makes of an embedding; both are learned:
 * W4 relu(W2 relu(W0 e + b0) + b2) + b4, e [tokens, hidden] from the normal distribution, the layers as torch draws them.
 * PEFT's other encoder, an LSTM, is not learned here; what one has made is read like any table. */
#include "peft/peft_methods.h"
#include "peft/prompts.h"

#include "base/json.h"
#include "base/try.h"

static const pfm_prompt_encoder encoder = {.layers = "mlp_head", .depth = 3};

static pfm_status check(const pfm_peft_options *options, pfm_error *err)
{
    if (options->prompt_text != NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "peft.prompt_text is of prompt_tuning; p_tuning has an encoder, which starts from nothing");
    return pfm_prompts_check(options, err);
}

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    (void)peft;
    return place->kind == PFM_PLACE_EMBEDDING ? PFM_TOUCH_REPLACES : PFM_TOUCH_NOTHING;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    const pfm_peft_options *options = pfm_peft_get_options(peft);
    const int inner = options->encoder_hidden;
    const pfm_prompts shape = {.encoder = inner != 0 ? &encoder : NULL,
                               .tokens = pfm_prompts_count(options),
                               .width = place->n,
                               .embedded = place->n,
                               .inner = inner == PFM_ENCODER_DEFAULT ? place->n : inner};
    pfm_value table;
    pfm_status status = pfm_prompts_table(peft, builder, &shape, &table, err);
    return status != PFM_OK ? status : pfm_prompts_replace(builder, table, 0, output, err);
}

/* The encoder is not in PEFT's file, and what it was means nothing for its use. */
static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    const pfm_prompts *shape = pfm_peft_get_state(peft);
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_prompts_write_config(peft, config, err));
    PFM_TRY(pfm_json_take(config, "encoder_reparameterization_type", json_string("MLP"), err));
    PFM_TRY(
        pfm_json_take(config, "encoder_hidden_size", shape->encoder != NULL ? json_integer(shape->inner) : json_null(), err));
    PFM_TRY(pfm_json_take(config, "encoder_num_layers", json_integer(2), err));
    PFM_TRY(pfm_json_take(config, "encoder_dropout", json_real(0), err));
done:
    return status;
}

const pfm_peft_method pfm_peft_p_tuning = {.name = "p_tuning",
                                           .keys = "virtual_tokens encoder_hidden",
                                           .check = check,
                                           .state_bytes = sizeof(pfm_prompts),
                                           .touches = touches,
                                           .apply = apply,
                                           .virtual_tokens = pfm_prompts_count,
                                           .not_in_vision = PFM_PROMPTS_NOT_IN_VISION,
                                           .start = pfm_prompts_start,
                                           .type = "P_TUNING",
                                           .write_config = write_config,
                                           .read_config = pfm_prompts_read_config,
                                           .save = pfm_prompts_save,
                                           .load = pfm_prompts_load};
