/* (IA)3 (Liu et al. 2022, arXiv 2205.05638) as Hugging Face PEFT computes it: a learned vector scales what a layer makes, its
 * bias too, y = l (W x + bias), or of the feedforward layers what it reads, y = W (l x) + bias. ia3_l, [n,1] there and [1,k]
 * here, starts at one. transformers' Trainer would let it decay, since its name is none of a norm; here it does not, as norms
 * do not: decay would pull the base's own values to nothing. */
#include "peft/peft_methods.h"

#include "base/json.h"
#include "base/try.h"
#include "peft/targets.h"

#include <string.h>

static const char vector_name[] = "ia3_l";

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    if (place->kind != PFM_PLACE_INPUT && place->kind != PFM_PLACE_LINEAR)
        return PFM_TOUCH_NOTHING;
    return pfm_peft_is_feedforward(peft, place->name) == (place->kind == PFM_PLACE_INPUT) ? PFM_TOUCH_REPLACES
                                                                                          : PFM_TOUCH_NOTHING;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool reads = place->kind == PFM_PLACE_INPUT;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_scale);
    const pfm_parameter vector = {.n = reads ? 1 : place->n,
                                  .k = reads ? place->k : 1,
                                  .uses = PFM_USE_VALUES,
                                  .column = true,
                                  .initial = PFM_INITIAL_ONE};
    PFM_TRY(pfm_peft_declare(peft, builder, place->name, vector_name, &vector, &node.operand[0], err));
    node.in[0] = *output;
    PFM_TRY(pfm_graph_add(builder->graph, &node, output, err));
done:
    return status;
}

static pfm_status find_vector(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t length,
                              const pfm_parameter **out, pfm_error *err)
{
    pfm_status status = pfm_peft_find(peft, parameters, module, vector_name, out, err);
    if (status == PFM_OK && (*out)->n * (*out)->k != length)
        status = pfm_error_set(err, PFM_ERROR_MISMATCH, "the vector of %s has %lld numbers, its layer wants %lld", module,
                               (long long)((*out)->n * (*out)->k), (long long)length);
    return status;
}

static pfm_status merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                        float *values, pfm_error *err)
{
    const bool reads = pfm_peft_is_feedforward(peft, module);
    const pfm_parameter *vector = NULL;
    pfm_status status = find_vector(peft, parameters, module, reads ? k : n, &vector, err);
    for (int64_t i = 0; status == PFM_OK && i < n * k; i++)
        values[i] *= vector->values[reads ? i % k : i / k];
    return status;
}

static pfm_status merge_bias(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n,
                             float *values, pfm_error *err)
{
    const pfm_parameter *vector = NULL;
    if (pfm_peft_is_feedforward(peft, module))
        return PFM_OK;
    pfm_status status = find_vector(peft, parameters, module, n, &vector, err);
    for (int64_t i = 0; status == PFM_OK && i < n; i++)
        values[i] *= vector->values[i];
    return status;
}

static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    (void)peft;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_json_take(config, "fan_in_fan_out", json_false(), err));
    PFM_TRY(pfm_json_take(config, "init_ia3_weights", json_true(), err));
    PFM_TRY(pfm_json_take(config, "modules_to_save", json_null(), err));
done:
    return status;
}

/* What names layers is read with the targets; older versions of PEFT left the rest to the model. */
static pfm_status read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    (void)options;
    const json_t *names = json_object_get(config, "feedforward_modules");
    if (names == NULL || json_is_null(names))
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "the adapter's \"feedforward_modules\" does not say which layers' inputs it scales; write them "
                             "there, as in [\"down_proj\"], or [] for none");
    return PFM_OK;
}

/* As PEFT has it, a list names its feedforward layers among the targets; and it knows no numbers of blocks here. */
static pfm_status check(const pfm_peft_options *o, pfm_error *err)
{
    bool plain = true;
    for (size_t t = 0; t < o->target_count; t++)
        plain &= pfm_targets_is_plain(o->targets[t]);
    if (o->layer_count > 0)
        return pfm_error_set(
            err, PFM_ERROR_USAGE,
            "peft.layers is not of peft.method: ia3; name blocks in peft.targets, as in layers.0.mlp.down_proj");
    for (size_t i = 0; plain && i < o->feedforward_count; i++) {
        bool found = !pfm_targets_is_plain(o->feedforward[i]);
        for (size_t t = 0; t < o->target_count; t++)
            found |= strcmp(o->targets[t], o->feedforward[i]) == 0;
        if (!found)
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "peft.feedforward: '%.100s' is not one of peft.targets; name it there too", o->feedforward[i]);
    }
    return PFM_OK;
}

static const pfm_peft_family families[] = {
    {.model_type = "gpt2", .targets = "c_attn,mlp.c_proj", .feedforward = "mlp.c_proj"},
    {.model_type = "phi", .targets = "q_proj,v_proj,fc2", .feedforward = "fc2"},
    {.model_type = "qwen2", .targets = "q_proj,v_proj,down_proj", .feedforward = "down_proj"},
    {0}};

const pfm_peft_method pfm_peft_ia3 = {.name = "ia3",
                                      .keys = PFM_KEYS_OF_TARGETS "feedforward",
                                      .targets = "k_proj,v_proj,down_proj",
                                      .feedforward = "down_proj",
                                      .families = families,
                                      .check = check,
                                      .touches = touches,
                                      .apply = apply,
                                      .merge = merge,
                                      .merge_bias = merge_bias,
                                      .type = "IA3",
                                      .write_config = write_config,
                                      .read_config = read_config};
