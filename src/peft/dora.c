/* DoRA (Liu et al. 2024, arXiv 2402.09353) as Hugging Face PEFT computes it: LoRA's update, the length of each row of the
 * updated weight learned apart: y = g (W x + scale * B A x) + bias, g = m / |W + scale * B A| row by row, where the gradient
 * takes the lengths for constants. m [n], lora_magnitude_vector, starts at |W|, so that training starts at the base. Where
 * dropout draws, y = W x + bias + (g - 1) W dropout(x) + g scale * B A dropout(x), which takes the frozen product twice.
 *
 * W is never expanded: the lengths of its own rows are found when it is loaded, and the others follow from the products of A
 * (ops/row_norms.c), once for each state of the parameters. m learns as fast as B (peft.rate_ratio), as PEFT has it, and does
 * not decay, as norms do not: decay would pull the base's own weights to nothing. */
#include "peft/lora.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/try.h"
#include "peft/peft_methods.h"

#include <math.h>
#include <stdlib.h>

static const char magnitude_name[] = "lora_magnitude_vector";

static pfm_touch touches(const pfm_peft *peft, const pfm_model_place *place)
{
    (void)peft;
    return place->kind == PFM_PLACE_LINEAR ? PFM_TOUCH_REPLACES : PFM_TOUCH_NOTHING;
}

/* *y = alpha x W^T (+ addend). */
static pfm_status build_product(pfm_builder *builder, pfm_value x, int weight, double alpha, pfm_value addend,
                                pfm_storage output, pfm_value *y, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_linear);
    node.in[0] = x;
    node.in[1] = addend;
    node.operand[0] = weight;
    node.attributes = (pfm_op_attributes){.alpha = (float)alpha, .output = output};
    return pfm_graph_add(builder->graph, &node, y, err);
}

/* *norms f32 [1,n] = |W + scale B A| row by row. */
static pfm_status build_norms(pfm_builder *builder, int weight, const int factors[2], double scale, pfm_value *norms,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_value a, products, inner;
    pfm_graph_node rows = pfm_graph_node_of(&pfm_op_parameter), lengths = pfm_graph_node_of(&pfm_op_row_norms);
    pfm_parameters_use(builder->graph->parameters, weight, PFM_USE_NORMS);
    rows.operand[0] = factors[0];
    PFM_TRY(pfm_graph_add(builder->graph, &rows, &a, err));
    PFM_TRY(pfm_build_act(builder, a, &a, err));
    PFM_TRY(build_product(builder, a, weight, 2, PFM_NO_VALUE, PFM_STORAGE_F32, &products, err));
    PFM_TRY(build_product(builder, a, factors[0], 1, PFM_NO_VALUE, PFM_STORAGE_ACT, &inner, err));
    PFM_TRY(build_product(builder, inner, factors[1], scale, products, PFM_STORAGE_F32, &lengths.in[0], err));
    lengths.operand[0] = weight;
    lengths.operand[1] = factors[1];
    lengths.attributes.alpha = (float)scale;
    PFM_TRY(pfm_graph_add(builder->graph, &lengths, norms, err));
done:
    return status;
}

/* *id = the bias of the layer, -1 where it has none. */
static pfm_status find_bias(const pfm_builder *builder, const char *module, int *id, pfm_error *err)
{
    char *name = NULL;
    pfm_status status = pfm_string_format(&name, err, "%s.bias", module);
    if (status == PFM_OK)
        *id = pfm_parameters_find(builder->graph->parameters, name);
    free(name);
    return status;
}

static pfm_status apply(pfm_peft *peft, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int factors[2];
    pfm_value x;
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_magnitude);
    const pfm_storage storage = builder->graph->values[*output].shape.storage;
    const pfm_parameter magnitude = {.n = place->n,
                                     .k = 1,
                                     .uses = PFM_USE_VALUES,
                                     .rate = pfm_peft_get_options(peft)->rate_ratio,
                                     .initial = PFM_INITIAL_NORMS,
                                     .initial_of = place->weight};
    PFM_TRY(pfm_peft_dropout(peft, builder, place->name, place->input, &x, err));
    if (x == place->input) {
        node.in[0] = *output;
        PFM_TRY(find_bias(builder, place->name, &node.operand[1], err));
    } else {
        node.in[3] = *output;
        PFM_TRY(build_product(builder, x, place->weight, 1, PFM_NO_VALUE, storage, &node.in[0], err));
    }
    PFM_TRY(pfm_lora_build(peft, builder, place, x, PFM_NO_VALUE, storage, factors, &node.in[2], err));
    PFM_TRY(build_norms(builder, place->weight, factors, pfm_peft_scale(peft, place->name), &node.in[1], err));
    PFM_TRY(pfm_peft_declare(peft, builder, place->name, magnitude_name, &magnitude, &node.operand[0], err));
    PFM_TRY(pfm_graph_add(builder->graph, &node, output, err));
done:
    return status;
}

static pfm_status merge(const pfm_peft *peft, const pfm_parameters *parameters, const char *module, int64_t n, int64_t k,
                        float *values, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_parameter *m = NULL;
    PFM_TRY(pfm_lora_merge(peft, parameters, module, n, k, values, err));
    PFM_TRY(pfm_peft_find(peft, parameters, module, magnitude_name, &m, err));
    for (int64_t i = 0; i < n; i++) {
        double squares = 1e-30; /* a row of zeros stays one */
        for (int64_t j = 0; j < k; j++)
            squares += (double)values[i * k + j] * values[i * k + j];
        const double factor = m->values[i] / sqrt(squares);
        for (int64_t j = 0; j < k; j++)
            values[i * k + j] = (float)(factor * values[i * k + j]);
    }
done:
    return status;
}

static pfm_status write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    pfm_status status = pfm_lora_write_config(peft, config, err);
    return status != PFM_OK ? status : pfm_json_take(config, "use_dora", json_true(), err);
}

static bool is_config(const json_t *config) { return json_is_true(json_object_get(config, "use_dora")); }

const pfm_peft_method pfm_peft_dora = {.name = "dora",
                                       .targets = "q_proj,v_proj",
                                       .families = pfm_lora_families,
                                       .keys = PFM_KEYS_OF_LORA "rank_pattern alpha_pattern bias",
                                       .check = pfm_peft_check_low_rank,
                                       .touches = touches,
                                       .apply = apply,
                                       .merge = merge,
                                       .type = "LORA",
                                       .write_config = write_config,
                                       .read_config = pfm_lora_read_config,
                                       .is_config = is_config};
