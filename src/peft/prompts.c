#include "peft/prompts.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/try.h"
#include "nn/executor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char table_name[] = "prompt_embeddings", embedding_name[] = "prompt_encoder.embedding.weight",
                  encoder_begin[] = "prompt_encoder.";

pfm_status pfm_prompts_check(const pfm_peft_options *options, pfm_error *err)
{
    if (options->virtual_tokens < 1 || options->virtual_tokens > PFM_MOST_VIRTUAL_TOKENS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "peft.virtual_tokens cannot be %d; it is from 1 to %d",
                             options->virtual_tokens, PFM_MOST_VIRTUAL_TOKENS);
    return PFM_OK;
}

int pfm_prompts_count(const pfm_peft_options *options) { return options->virtual_tokens; }

/* ---- the graph ---- */

static pfm_status declare(pfm_peft *peft, pfm_builder *builder, const char *name, int64_t n, int64_t k, unsigned uses,
                          pfm_initial initial, double scale, int *id, pfm_error *err)
{
    const pfm_parameter parameter = {.n = n, .k = k, .uses = uses, .decays = k > 1, .initial = initial, .initial_scale = scale};
    return pfm_peft_declare(peft, builder, "", name, &parameter, id, err);
}

/* NULL where it is not there. */
static const pfm_parameter *find_table(const pfm_peft *peft, const pfm_parameters *parameters)
{
    const pfm_parameter *found = NULL;
    return pfm_peft_find(peft, parameters, "", table_name, &found, NULL) == PFM_OK ? found : NULL;
}

/* *y = a parameter, drawn as PEFT draws embeddings: from the normal distribution. */
static pfm_status add_table(pfm_peft *peft, pfm_builder *builder, const char *name, int64_t n, int64_t k, pfm_initial initial,
                            pfm_value *y, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_parameter);
    pfm_status status = declare(peft, builder, name, n, k, PFM_USE_VALUES, initial, 1, &node.operand[0], err);
    return status != PFM_OK ? status : pfm_graph_add(builder->graph, &node, y, err);
}

/* Layer i of the encoder; weight and bias are drawn from +-1/sqrt(k), as torch draws those of a linear layer. */
static pfm_status add_layer(pfm_peft *peft, pfm_builder *builder, const pfm_prompts *shape, int i, pfm_value *x, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char name[64];
    const bool last = i + 1 == shape->encoder->depth;
    const int64_t k = builder->graph->values[*x].shape.columns, n = last ? shape->width : shape->inner;
    const double bound = 1 / sqrt((double)k);
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_linear);
    (void)snprintf(name, sizeof name, "%s%s.%d.weight", encoder_begin, shape->encoder->layers, 2 * i);
    PFM_TRY(declare(peft, builder, name, n, k, PFM_USE_FORWARD | PFM_USE_BACKWARD, PFM_INITIAL_UNIFORM, bound, &node.operand[0],
                    err));
    (void)snprintf(name, sizeof name, "%s%s.%d.bias", encoder_begin, shape->encoder->layers, 2 * i);
    PFM_TRY(declare(peft, builder, name, n, 1, PFM_USE_VALUES, PFM_INITIAL_UNIFORM, bound, &node.operand[1], err));
    node.in[0] = *x;
    node.attributes = (pfm_op_attributes){.alpha = 1, .output = last ? PFM_STORAGE_F32 : PFM_STORAGE_ACT};
    PFM_TRY(pfm_graph_add(builder->graph, &node, x, err));
done:
    return status;
}

static pfm_status bend(pfm_builder *builder, const pfm_prompt_encoder *encoder, pfm_value *x, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_tanh);
    if (!encoder->bends_by_tanh)
        return pfm_build_activation(builder, PFM_ACTIVATION_RELU, *x, x, err);
    node.in[0] = *x;
    return pfm_graph_add(builder->graph, &node, x, err);
}

static pfm_status encode(pfm_peft *peft, pfm_builder *builder, const pfm_prompts *shape, pfm_value *table, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_value x;
    PFM_TRY(add_table(peft, builder, embedding_name, shape->tokens, shape->embedded, PFM_INITIAL_NORMAL, &x, err));
    PFM_TRY(pfm_build_act(builder, x, &x, err));
    for (int i = 0; i < shape->encoder->depth; i++) {
        if (i > 0)
            PFM_TRY(bend(builder, shape->encoder, &x, err));
        PFM_TRY(add_layer(peft, builder, shape, i, &x, err));
    }
    *table = x;
done:
    return status;
}

pfm_status pfm_prompts_table(pfm_peft *peft, pfm_builder *builder, const pfm_prompts *shape, pfm_value *table, pfm_error *err)
{
    *(pfm_prompts *)pfm_peft_get_state(peft) = *shape;
    if (shape->encoder != NULL && pfm_parameters_keep_gradients(builder->graph->parameters))
        return encode(peft, builder, shape, table, err);
    const pfm_initial initial = shape->encoder != NULL ? PFM_INITIAL_ZERO : PFM_INITIAL_NORMAL;
    return add_table(peft, builder, table_name, shape->tokens, shape->width, initial, table, err);
}

pfm_status pfm_prompts_replace(pfm_builder *builder, pfm_value table, int64_t first, pfm_value *output, pfm_error *err)
{
    pfm_graph_node node = pfm_graph_node_of(&pfm_op_virtual_rows);
    node.in[0] = *output;
    node.in[1] = builder->ids;
    node.in[2] = table;
    node.attributes.first = (int32_t)first;
    return pfm_graph_add(builder->graph, &node, output, err);
}

/* ---- what the encoder makes ---- */

/* out f32 [tokens, width] = what the encoder among the parameters makes; draws: they are declared, allocated and drawn first.
 */
static pfm_status compute(pfm_peft *peft, const pfm_prompts *shape, pfm_parameters *parameters, bool draws, float *out,
                          pfm_error *err)
{
    const int64_t none[PFM_DIM_COUNT] = {0};
    const pfm_op_environment *env = pfm_parameters_environment(parameters);
    pfm_status status = PFM_OK;
    pfm_builder builder = {.token_keys = PFM_NO_VALUE};
    pfm_executor *executor = NULL;
    pfm_value table;
    PFM_TRY(pfm_graph_create(parameters, none, &builder.graph, err));
    PFM_TRY(encode(peft, &builder, shape, &table, err));
    pfm_graph_keep(builder.graph, table);
    if (draws) {
        PFM_TRY(pfm_parameters_allocate(parameters, err));
        PFM_TRY(pfm_parameters_initialise(parameters, env->context->seed, true, err));
    }
    PFM_TRY(pfm_executor_create(builder.graph, env, PFM_NO_VALUE, &executor, err));
    pfm_executor_forward(executor);
    memcpy(out, pfm_executor_data(executor, table), (size_t)(shape->tokens * shape->width) * sizeof *out);
done:
    pfm_executor_free(executor);
    pfm_graph_free(builder.graph);
    return status;
}

/* The same of an encoder that is not among the parameters: as learning would draw it. */
static pfm_status draw(pfm_peft *peft, const pfm_prompts *shape, const pfm_parameters *parameters, float *out, pfm_error *err)
{
    const pfm_op_environment *env = pfm_parameters_environment(parameters);
    pfm_parameters *own = NULL;
    pfm_status status = pfm_parameters_create(env->context, env->act, false, &own, err);
    if (status == PFM_OK)
        status = compute(peft, shape, own, true, out, err);
    pfm_parameters_free(own);
    return status;
}

static void repeat_text(const pfm_peft_text *text, const pfm_prompts *shape, float *out)
{
    for (int64_t v = 0; v < shape->tokens; v++)
        memcpy(out + v * shape->width, text->rows + v % text->count * text->width, (size_t)shape->width * sizeof *out);
}

pfm_status pfm_prompts_start(const pfm_peft *peft, const pfm_peft_text *text, pfm_parameters *parameters, pfm_error *err)
{
    const pfm_prompts *shape = pfm_peft_get_state(peft);
    const pfm_parameter *table = find_table(peft, parameters);
    pfm_status status = PFM_OK;
    float *values = NULL;
    if (table == NULL || (shape->encoder == NULL && text->count == 0))
        return PFM_OK;
    PFM_TRY(pfm_allocate((size_t)(shape->tokens * shape->width), sizeof *values, &values, err));
    if (shape->encoder != NULL)
        PFM_TRY(draw((pfm_peft *)(uintptr_t)peft, shape, parameters, values, err)); /* it is read alone */
    else
        repeat_text(text, shape, values);
    pfm_parameters_set(parameters, pfm_parameters_find(parameters, table->name), values);
done:
    free(values);
    return status;
}

/* ---- files ---- */

pfm_status pfm_prompts_save(const pfm_peft *peft, const pfm_peft_network *network, const pfm_parameters *parameters,
                            pfm_peft_tensors *out, pfm_error *err)
{
    (void)network;
    const pfm_prompts *shape = pfm_peft_get_state(peft);
    pfm_status status = PFM_OK;
    float *values = NULL;
    if (find_table(peft, parameters) == NULL) {
        PFM_TRY(pfm_allocate((size_t)(shape->tokens * shape->width), sizeof *values, &values, err));
        PFM_TRY(compute((pfm_peft *)(uintptr_t)peft, shape, (pfm_parameters *)(uintptr_t)parameters, false, values,
                        err)); /* they are read alone */
        float *given = values;
        values = NULL; /* the list owns it now */
        PFM_TRY(pfm_peft_tensors_add(out, "", table_name, shape->tokens, shape->width, given, true, err));
    }
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const char *name = pfm_peft_own_name(peft, p);
        if (p->part == PFM_PART_PEFT && name != NULL)
            PFM_TRY(pfm_peft_tensors_add(out, "", name, p->n, p->k, p->values, false, err));
    }
done:
    free(values);
    return status;
}

static pfm_status load_one(const pfm_peft *peft, const pfm_weights *weights, pfm_parameters *parameters, int id, pfm_error *err)
{
    const pfm_parameter *p = pfm_parameters_get(parameters, id);
    float *values = NULL;
    pfm_status status = pfm_allocate((size_t)(p->n * p->k), sizeof *values, &values, err);
    if (status == PFM_OK)
        status = pfm_peft_read_tensor(weights, pfm_peft_own_name(peft, p), p->n, p->k, values, err);
    if (status == PFM_OK)
        pfm_parameters_set(parameters, id, values);
    free(values);
    return status;
}

static size_t count_encoder(const pfm_weights *weights)
{
    size_t count = 0;
    for (size_t i = 0; i < pfm_weights_count(weights); i++)
        count += strncmp(pfm_weights_at(weights, i)->name, encoder_begin, sizeof encoder_begin - 1) == 0;
    return count;
}

pfm_status pfm_prompts_load(const pfm_peft *peft, const pfm_peft_network *network, const pfm_weights *weights,
                            pfm_parameters *parameters, size_t *read, pfm_error *err)
{
    (void)network;
    pfm_status status = PFM_OK;
    const bool encodes = find_table(peft, parameters) == NULL;
    if (encodes && count_encoder(weights) == 0)
        PFM_FAIL(PFM_ERROR_MISMATCH,
                 "%s holds what an encoder made of virtual tokens and not the encoder, as PEFT writes it; with "
                 "peft.encoder_hidden: 0 learning can go on with them",
                 pfm_weights_path(weights));
    *read = encodes ? pfm_weights_find(weights, table_name) != NULL : count_encoder(weights);
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (p->part != PFM_PART_PEFT || pfm_peft_own_name(peft, p) == NULL)
            continue;
        PFM_TRY(load_one(peft, weights, parameters, i, err));
        (*read)++;
    }
done:
    return status;
}

pfm_status pfm_prompts_write_config(const pfm_peft *peft, json_t *config, pfm_error *err)
{
    /* PEFT takes these from the model that it loads the adapter onto. */
    static const char *const unknown[] = {"token_dim", "num_layers", "num_attention_heads", "modules_to_save"};
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_json_take(config, "num_virtual_tokens", json_integer(pfm_peft_get_options(peft)->virtual_tokens), err));
    PFM_TRY(pfm_json_take(config, "num_transformer_submodules", json_integer(1), err));
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        PFM_TRY(pfm_json_take(config, unknown[i], json_null(), err));
done:
    return status;
}

pfm_status pfm_prompts_read_config(const json_t *config, pfm_peft_options *options, pfm_error *err)
{
    const json_t *count = json_object_get(config, "num_virtual_tokens"),
                 *parts = json_object_get(config, "num_transformer_submodules");
    const json_int_t tokens = json_integer_value(count);
    if (!json_is_integer(count) || tokens < 1 || tokens > PFM_MOST_VIRTUAL_TOKENS)
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "the adapter's settings: \"num_virtual_tokens\" must be a whole number from 1 to %d",
                             PFM_MOST_VIRTUAL_TOKENS);
    if (parts != NULL && !json_is_null(parts) && json_integer_value(parts) != 1)
        return pfm_error_set(
            err, PFM_ERROR_UNSUPPORTED,
            "the adapter is of a model with an encoder and a decoder (\"num_transformer_submodules\"), which is "
            "not read here");
    free(options->prompt_text); /* what is learned does not start */
    options->prompt_text = NULL;
    options->virtual_tokens = (int)tokens;
    options->encoder_hidden = 0;
    return PFM_OK;
}
