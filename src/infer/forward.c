/* pefomed forward: a language model, an aligner or a vision encoder on given tensors, forward and backward. */
#include "infer/forward_part.h"

#include "base/file.h"
#include "base/try.h"
#include "pefomed/weights.h"
#include "train/run.h"

#include <stdlib.h>
#include <string.h>

typedef pfm_forward_part part;

pfm_status pfm_forward_put(part *p, const char *name, const float *values, int rank, const int64_t *shape, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *copy = NULL;
    float *data = NULL;
    size_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= (size_t)shape[i];
    PFM_TRY(pfm_array_reserve(&p->out, &p->out_capacity, p->out_count + 1, sizeof *p->out, err));
    PFM_TRY(pfm_string_copy(name, &copy, err));
    PFM_TRY(pfm_allocate(count, sizeof *data, &data, err));
    memcpy(data, values, count * sizeof *data);
    pfm_weight *weight = &p->out[p->out_count++];
    *weight = (pfm_weight){.name = copy, .dtype = PFM_DTYPE_F32, .rank = rank, .data = data, .bytes = count * sizeof *data};
    memcpy(weight->shape, shape, (size_t)rank * sizeof *shape);
    copy = NULL;
done:
    free(copy);
    return status;
}

pfm_status pfm_forward_put_matrix(part *p, const char *name, const float *values, int64_t rows, int64_t columns, pfm_error *err)
{
    const int64_t shape[2] = {rows, columns};
    return pfm_forward_put(p, name, values, 2, shape, err);
}

pfm_status pfm_forward_get(const part *p, const char *name, int rank, const int64_t *shape, float **out,
                           const pfm_weight **tensor, pfm_error *err)
{
    const pfm_weight *weight = pfm_weights_find(p->input, name);
    if (tensor != NULL)
        *tensor = weight;
    *out = NULL;
    if (weight == NULL)
        return PFM_OK;
    bool fits = weight->rank == rank;
    for (int i = 0; fits && i < rank; i++)
        fits = weight->shape[i] > 0 && (shape[i] == 0 || weight->shape[i] == shape[i]);
    if (!fits)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %s has not the shape that this model needs", p->options->input, name);
    pfm_status status = pfm_allocate(pfm_weight_values(weight), sizeof **out, out, err);
    return status == PFM_OK ? pfm_weight_expand(weight, *out, err) : status;
}

pfm_status pfm_forward_make_recipe(const part *p, bool vision, pfm_recipe **out, pfm_error *err)
{
    const char *adapter = p->options->adapter;
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_buffer_append_format(&text, err,
                                     "model: {vision: '%s', image_size: 448, aligner: concat-linear, language: '%s'}\n"
                                     "data: {dataset: phantom}\n"
                                     "peft: {method: none}\n",
                                     vision ? p->options->model : "efficientnet-lite0",
                                     vision ? "smollm2-135m-instruct" : p->options->model));
    PFM_TRY(pfm_recipe_parse(text.data, text.size, "the model's settings", NULL, 0, out, err));
    if (adapter != NULL)
        PFM_TRY(vision ? pfm_session_replace_vision_adapter(*out, adapter, err)
                       : pfm_session_replace_adapter(*out, adapter, err));
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status open_session(part *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *recipe_file = NULL;
    pfm_recipe *recipe = NULL;
    const char *adapter = p->options->adapter;
    PFM_TRY(pfm_path_join(p->options->model, "recipe.yaml", &recipe_file, err));
    if (pfm_path_exists(recipe_file)) {
        PFM_TRY(pfm_session_open_with(p->context, p->options->model, adapter, p->options->grad, &p->session, err));
        goto done;
    }
    PFM_TRY(pfm_forward_make_recipe(p, false, &recipe, err));
    status = pfm_session_create_for_tensors(p->context, recipe, p->options->grad, &p->session, err);
    recipe = NULL; /* taken */
    if (status == PFM_OK && adapter != NULL)
        PFM_TRY(pfm_string_copy(adapter, &p->session->adapter, err));
done:
    pfm_recipe_free(recipe);
    free(recipe_file);
    return status;
}

/* As the file has the parameter. */
static pfm_status put_gradient(part *p, const char *name, const pfm_parameter *parameter, pfm_error *err)
{
    const int64_t n = parameter->n, k = parameter->k;
    float *transposed = NULL;
    if (!parameter->transposed)
        return pfm_forward_put_matrix(p, name, parameter->gradient, n, k, err);
    pfm_status status = pfm_allocate((size_t)(n * k), sizeof *transposed, &transposed, err);
    if (status != PFM_OK)
        return status;
    pfm_weight_transpose(parameter->gradient, n, k, transposed);
    status = pfm_forward_put_matrix(p, name, transposed, k, n, err);
    free(transposed);
    return status;
}

static pfm_status put_parameter_gradients(part *p, bool aligner, pfm_error *err)
{
    const pfm_parameters *parameters = p->session->model->parameters;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *parameter = pfm_parameters_get(parameters, i);
        char *name = NULL, *full = NULL;
        if (parameter->gradient == NULL || pfm_aligner_owns(parameter) != aligner)
            continue;
        pfm_status status = pfm_run_tensor_name(p->session->peft, parameter, &name, err);
        if (status == PFM_OK)
            status = pfm_string_format(&full, err, "%s.grad", name);
        if (status == PFM_OK)
            status = put_gradient(p, full, parameter, err);
        free(name);
        free(full);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

/* Runs an executor forward, and backward from grad_out [rows, columns] where asked. */
static pfm_status run_graph(part *p, pfm_executor *executor, pfm_value out, const char *out_name, int64_t rows, int64_t columns,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    float *grad = NULL;
    const int64_t shape[2] = {rows, columns};
    pfm_executor_forward(executor);
    PFM_TRY(pfm_forward_put_matrix(p, out_name, pfm_executor_data(executor, out), rows, columns, err));
    if (!p->options->grad)
        goto done;
    PFM_TRY(pfm_forward_get(p, "grad_out", 2, shape, &grad, NULL, err));
    if (grad == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "%s lacks grad_out, which --grad needs", p->options->input);
    memcpy(pfm_executor_gradient(executor, out), grad, (size_t)(rows * columns) * sizeof *grad);
    pfm_executor_backward(executor);
done:
    free(grad);
    return status;
}

static pfm_status check_ids(const part *p, const float *ids, int64_t count, int64_t vocabulary, pfm_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        if (!(ids[i] >= 0 && ids[i] < (float)vocabulary))
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: input_ids[%lld] is %g; the vocabulary has %lld tokens",
                                 p->options->input, (long long)i, (double)ids[i], (long long)vocabulary);
    }
    return PFM_OK;
}

static pfm_status run_language(part *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_model *model = p->session->model;
    pfm_model_graph graph = {0};
    pfm_executor *executor = NULL;
    pfm_pack pack = {0};
    float *ids = NULL, *embeds = NULL;
    int32_t *sequence = NULL, *index = NULL;
    const pfm_weight *tensor = NULL;
    const int64_t ids_shape[1] = {0}, embeds_shape[2] = {0, model->language.hidden};
    PFM_TRY(pfm_forward_get(p, "inputs_embeds", 2, embeds_shape, &embeds, &tensor, err));
    if (embeds == NULL)
        PFM_TRY(pfm_forward_get(p, "input_ids", 1, ids_shape, &ids, &tensor, err));
    const int64_t count = tensor->shape[0], before = model->virtual_tokens, all = before + count;
    if (all > model->language.context)
        PFM_FAIL(PFM_ERROR_USAGE, "%s: %lld tokens are more than the model's context of %lld", p->options->input,
                 (long long)all, (long long)model->language.context);
    if (ids != NULL)
        PFM_TRY(check_ids(p, ids, count, model->language.vocabulary, err));
    PFM_TRY(pfm_allocate((size_t)all, sizeof *sequence, &sequence, err));
    PFM_TRY(pfm_allocate((size_t)count, sizeof *index, &index, err));
    for (int64_t t = 0; t < before; t++)
        sequence[t] = PFM_FIRST_VIRTUAL - (int32_t)t;
    for (int64_t t = 0; t < count; t++) {
        sequence[before + t] = ids != NULL ? (int32_t)ids[t] : -1 - (int32_t)t;
        index[t] = (int32_t)(before + t);
    }
    int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = all, [PFM_DIM_ANSWERS] = count, [PFM_DIM_VISUAL] = count};
    PFM_TRY(pfm_model_build(model, capacity, false, true, &graph, err));
    PFM_TRY(pfm_session_load_weights(p->session, err));
    pfm_op_environment env = {
        .context = p->context, .kernels = p->context->kernels, .act = model->act, .most_keys = (int32_t)all};
    PFM_TRY(pfm_executor_create(graph.graph, &env, p->options->grad ? graph.language.logits : PFM_NO_VALUE, &executor, err));
    pfm_sequence row = {.ids = sequence, .count = (size_t)all, .answer = (size_t)all};
    pfm_pack_options pack_options = {.share = true, .inference = true};
    PFM_TRY(pfm_pack_rows(&pack, &row, 1, &pack_options, err));
    PFM_TRY(pfm_model_bind(model, &graph, executor, &pack, embeds != NULL ? count : 0, err));
    PFM_TRY(pfm_executor_resize(executor, PFM_DIM_ANSWERS, count, err));
    pfm_executor_bind(executor, graph.language.index, index);
    pfm_executor_bind(executor, graph.language.visual, embeds);
    PFM_TRY(run_graph(p, executor, graph.language.logits, "logits", count, model->language.vocabulary, err));
    if (p->options->grad && embeds != NULL)
        PFM_TRY(pfm_forward_put_matrix(p, "grad_in", pfm_executor_gradient(executor, graph.language.visual), count,
                                       model->language.hidden, err));
    if (p->options->grad)
        PFM_TRY(put_parameter_gradients(p, false, err));
done:
    pfm_pack_free(&pack);
    pfm_executor_free(executor);
    pfm_model_graph_free(&graph);
    free(ids);
    free(embeds);
    free(sequence);
    free(index);
    return status;
}

/* The gradient of the raw features from that of the arranged, normalised rows. arrange moves values, so that arranging their
 * numbers tells where each came from (exact below 2^24 values). */
static pfm_status put_feature_gradient(part *p, const pfm_model *model, const void *row_gradient, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t positions = pfm_aligner_positions(&model->shape);
    size_t count = (size_t)(positions * model->shape.channels), width = (size_t)model->visual_width;
    float *numbers = NULL, *from = NULL, *gradient = NULL;
    PFM_TRY(pfm_allocate(count, sizeof *numbers, &numbers, err));
    PFM_TRY(pfm_allocate(count, sizeof *from, &from, err));
    PFM_TRY(pfm_allocate(count, sizeof *gradient, &gradient, err));
    for (size_t i = 0; i < count; i++)
        numbers[i] = (float)i;
    pfm_aligner_arrange(&model->shape, numbers, from);
    for (size_t i = 0; i < count; i++) {
        float g =
            model->act == PFM_ACT_F32 ? ((const float *)row_gradient)[i] : pfm_bf16_to_f32(((const pfm_bf16 *)row_gradient)[i]);
        gradient[(size_t)from[i]] += g / model->std[i % width];
    }
    PFM_TRY(pfm_forward_put_matrix(p, "grad_in", gradient, positions, model->shape.channels, err));
done:
    free(numbers);
    free(from);
    free(gradient);
    return status;
}

static pfm_status run_aligner(part *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_model *model = p->session->model;
    pfm_model_graph whole = {0};
    pfm_graph *graph = NULL;
    pfm_executor *executor = NULL;
    pfm_aligner_inputs inputs = {0};
    float *features = NULL;
    void *rows = NULL;
    pfm_value in, out;
    const int64_t shape[2] = {pfm_aligner_positions(&model->shape), model->shape.channels};
    const int64_t one[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1,
                                        [PFM_DIM_ANSWERS] = 1,
                                        [PFM_DIM_VISUAL] = model->visual_tokens,
                                        [PFM_DIM_FEATURES] = model->feature_rows};
    if (!pfm_model_sees(model))
        PFM_FAIL(PFM_ERROR_USAGE, "%s has no aligner (model.vision: none); give input_ids or inputs_embeds", p->options->model);
    PFM_TRY(pfm_forward_get(p, "image_features", 2, shape, &features, NULL, err));
    PFM_TRY(pfm_model_build(model, one, false, false, &whole, err)); /* declares every parameter, as loading a run expects */
    PFM_TRY(pfm_graph_create(model->parameters, one, &graph, err));
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_FEATURES, 0, model->visual_width, PFM_STORAGE_ACT, p->options->grad, &in, err));
    pfm_builder builder = {.graph = graph, .token_keys = PFM_NO_VALUE};
    PFM_TRY(pfm_aligner_build(model->aligner, &builder, &model->shape, in, &inputs, &out, err));
    pfm_graph_keep(graph, out);
    PFM_TRY(pfm_session_load_weights(p->session, err));
    pfm_op_environment env = {.context = p->context, .kernels = p->context->kernels, .act = model->act};
    PFM_TRY(pfm_executor_create(graph, &env, p->options->grad ? out : PFM_NO_VALUE, &executor, err));
    PFM_TRY(pfm_allocate(pfm_model_image_values(model), sizeof(float), &rows, err));
    PFM_TRY(pfm_model_arrange(model, features, rows, err));
    pfm_executor_bind(executor, in, rows);
    pfm_aligner_bind(&inputs, executor, 1);
    PFM_TRY(run_graph(p, executor, out, "features", model->visual_tokens, model->language.hidden, err));
    if (p->options->grad) {
        PFM_TRY(put_feature_gradient(p, model, pfm_executor_gradient(executor, in), err));
        PFM_TRY(put_parameter_gradients(p, true, err));
    }
done:
    pfm_executor_free(executor);
    pfm_graph_free(graph);
    pfm_aligner_inputs_free(&inputs);
    pfm_model_graph_free(&whole);
    free(features);
    free(rows);
    return status;
}

static pfm_status choose_part(part *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (pfm_weights_find(p->input, "pixel_values") != NULL)
        return pfm_forward_vision(p, err);
    bool aligner = pfm_weights_find(p->input, "image_features") != NULL;
    bool language = pfm_weights_find(p->input, "input_ids") != NULL || pfm_weights_find(p->input, "inputs_embeds") != NULL;
    if (!aligner && !language)
        PFM_FAIL(PFM_ERROR_USAGE, "%s names no part of a model: give input_ids, inputs_embeds, pixel_values or image_features",
                 p->options->input);
    if (p->options->has_layer || p->options->patches)
        PFM_FAIL(PFM_ERROR_USAGE, "--layer and --patches are for a vision encoder");
    PFM_TRY(open_session(p, err));
    status = aligner ? run_aligner(p, err) : run_language(p, err);
done:
    return status;
}

pfm_status pfm_forward(pfm_context *context, const pfm_forward_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    part p = {.context = context, .options = options};
    PFM_TRY(pfm_weights_open(options->input, &p.input, err));
    PFM_TRY(choose_part(&p, err));
    PFM_TRY(pfm_safetensors_write(options->output, p.out, p.out_count, NULL, 0, err));
done:
    for (size_t i = 0; i < p.out_count; i++) {
        free((void *)(uintptr_t)p.out[i].name);
        free((void *)(uintptr_t)p.out[i].data);
    }
    free(p.out);
    pfm_weights_close(p.input);
    pfm_session_free(p.session);
    return status;
}
