/* A mixture of LoRA experts (Liu et al., MOELoRA, arXiv 2310.18339; Jiang et al., Med-MoE, arXiv 2404.10237):
 * y = W x + scale * sum_e g_e(x) B_e A_e dropout(x), the gates g as src/ops/route.c says, of a shared expert 1. lora_A.weight
 * [experts * rank, k] and lora_B.weight [n, experts * rank] hold them side by side, the shared one last, drawn as LoRA's: A
 * uniformly from +-1/sqrt(k), B zero. router.weight [experts, k] is drawn small, so that gates begin nearly even; it sees x
 * without dropout. */
#include "peft/experts.h"
#include "peft/lora.h"
#include "peft/peft_methods.h"

#include "base/json.h"
#include "base/try.h"

static pfm_status check(const pfm_peft_options *options, pfm_error *err)
{
    pfm_status status = pfm_peft_check_low_rank(options, err);
    return status != PFM_OK ? status : pfm_experts_check(options, err);
}

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    (void)peft;
    return place->kind == PFM_PLACE_LINEAR ? PFM_TOUCH_ADDS : PFM_TOUCH_NOTHING;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    const pfm_peft_options *options = pfm_peft_get_options(peft);
    pfm_status status = PFM_OK;
    pfm_value u, gates;
    pfm_graph_node down = pfm_graph_node_of(&pfm_op_linear), up = down;
    int factors[2];
    PFM_TRY(pfm_experts_route(peft, builder, place->name, place->input, &gates, err));
    PFM_TRY(pfm_lora_declare(peft, builder, place, pfm_experts_count(options) * options->rank, factors, err));
    PFM_TRY(pfm_peft_dropout(peft, builder, place->name, place->input, &down.in[0], err));
    down.operand[0] = factors[0];
    down.attributes = (pfm_op_attributes){.alpha = 1, .output = PFM_STORAGE_ACT};
    PFM_TRY(pfm_graph_add(builder->graph, &down, &u, err));
    PFM_TRY(pfm_experts_weigh(builder, u, gates, &up.in[0], err));
    up.in[1] = *output;
    up.operand[0] = factors[1];
    up.attributes = (pfm_op_attributes){.alpha = (float)pfm_peft_scale(peft, place->name),
                                        .output = builder->graph->values[*output].shape.storage};
    PFM_TRY(pfm_graph_add(builder->graph, &up, output, err));
done:
    return status;
}

static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    const pfm_peft_options *options = pfm_peft_get_options(peft);
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_json_take(config, "r", json_integer(options->rank), err));
    PFM_TRY(pfm_json_take(config, "lora_alpha", pfm_peft_number(options->alpha), err));
    PFM_TRY(pfm_json_take(config, "lora_dropout", json_real(options->dropout), err));
    PFM_TRY(pfm_json_take(config, "use_rslora", json_boolean(options->rslora), err));
    PFM_TRY(pfm_experts_write_config(options, config, err));
done:
    return status;
}

static pfm_status read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_peft_read_integer(config, "r", 0, 1, PFM_PEFT_MOST_RANK, &options->rank, err));
    PFM_TRY(pfm_peft_read_number(config, "lora_alpha", 0, 0, 1e6, &options->alpha, err));
    PFM_TRY(pfm_peft_read_number(config, "lora_dropout", 0, 0, 0.99, &options->dropout, err));
    PFM_TRY(pfm_peft_read_flag(config, "use_rslora", false, &options->rslora, err));
    PFM_TRY(pfm_experts_read_config(config, options, err));
    PFM_TRY(check(options, err));
done:
    return status;
}

/* Hugging Face PEFT has no such method. It cannot be merged: what it adds depends on the token. */
const pfm_peft_method pfm_peft_moe_lora = {.name = "moe_lora",
                                           .targets = "q_proj,v_proj",
                                           .families = pfm_lora_families,
                                           .keys = PFM_KEYS_OF_LORA PFM_KEYS_OF_EXPERTS,
                                           .check = check,
                                           .touches = touches,
                                           .apply = apply,
                                           .type = "MOE_LORA",
                                           .write_config = write_config,
                                           .read_config = read_config};
