/* pefomed forward of a vision encoder: as its file has it, or with what was learned in it. */
#include "infer/forward_part.h"

#include "base/file.h"
#include "base/try.h"
#include "pefomed/weights.h"
#include "train/run.h"

#include <stdlib.h>
#include <string.h>

typedef struct seeing {
    pfm_forward_part *part;
    pfm_recipe *recipe;        /* NULL: the bare encoder */
    const pfm_recipe *stage;   /* its last, or NULL */
    pfm_vision_options frozen; /* the encoder as its file has it */
    char *path;
    float *pixels, *grad_out, *grad_pixels;
    /* What was learned in it. */
    char *adapter; /* NULL: nothing */
    pfm_peft *peft;
    pfm_parameters *parameters;
    pfm_tower *tower;
    pfm_graph *graph;
    pfm_tower_inputs inputs;
    pfm_value features;
    pfm_executor *executor;
} seeing;

/* The encoder and adapter of a run, or those that the options name. */
static pfm_status find_encoder(seeing *s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_forward_options *options = s->part->options;
    char *recipe_file = NULL;
    PFM_TRY(pfm_path_join(options->model, "recipe.yaml", &recipe_file, err));
    const bool is_run = pfm_path_exists(recipe_file);
    if (is_run) {
        PFM_TRY(pfm_recipe_load(recipe_file, NULL, 0, &s->recipe, err));
        if (!pfm_recipe_sees(s->recipe))
            PFM_FAIL(PFM_ERROR_USAGE, "%s has no vision encoder (model.vision: none); give input_ids or inputs_embeds",
                     options->model);
        if (options->adapter != NULL)
            PFM_TRY(pfm_session_replace_vision_adapter(s->recipe, options->adapter, err));
    } else if (options->adapter != NULL) {
        PFM_TRY(pfm_forward_make_recipe(s->part, true, &s->recipe, err));
    }
    if (s->recipe != NULL)
        s->stage = pfm_recipe_get_stage(s->recipe, pfm_recipe_count_stages(s->recipe) - 1);
    s->frozen.kind = is_run ? s->stage->model.vision : options->model;
    PFM_TRY(pfm_model_path(s->part->context, s->frozen.kind, &s->path, err));
    s->frozen.path = s->path;
    if (is_run)
        PFM_TRY(pfm_session_vision_layers(s->stage, &s->frozen.layers, err));
    else
        s->frozen.layers.whole = true;
    if (s->stage != NULL && pfm_recipe_adapts(s->stage, "vision"))
        PFM_TRY(pfm_string_copy(options->adapter != NULL ? options->adapter : options->model, &s->adapter, err));
done:
    free(recipe_file);
    return status;
}

static pfm_status read_pixels(seeing *s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_forward_options *options = s->part->options;
    const pfm_weight *tensor = NULL;
    const int64_t shape[3] = {3, 0, 0};
    PFM_TRY(pfm_forward_get(s->part, "pixel_values", 3, shape, &s->pixels, &tensor, err));
    if (tensor->shape[1] != tensor->shape[2] || tensor->shape[1] > 4096)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: pixel_values is not a square picture of at most 4096 pixels a side", options->input);
    s->frozen.image_size = (int)tensor->shape[1];
    s->frozen.gradients = options->grad;
    if (options->patches)
        s->frozen.layers.class_token = s->frozen.layers.whole = false;
    if (options->has_layer) {
        s->frozen.layers.count = 1;
        s->frozen.layers.layer[0] = options->layer;
    }
    if (options->grad)
        PFM_TRY(pfm_allocate((size_t)(3 * tensor->shape[1] * tensor->shape[2]), sizeof *s->grad_pixels, &s->grad_pixels, err));
done:
    return status;
}

static pfm_status read_grad_out(seeing *s, const pfm_vision_shape *shape, pfm_error *err)
{
    const int64_t sizes[2] = {(int64_t)pfm_vision_shape_tokens(shape), shape->channels};
    if (!s->part->options->grad)
        return PFM_OK;
    pfm_status status = pfm_forward_get(s->part, "grad_out", 2, sizes, &s->grad_out, NULL, err);
    if (status == PFM_OK && s->grad_out == NULL)
        status = pfm_error_set(err, PFM_ERROR_USAGE, "%s lacks grad_out, which --grad needs", s->part->options->input);
    return status;
}

static pfm_status put_results(seeing *s, const pfm_vision_shape *shape, const float *features, pfm_error *err)
{
    const int64_t side = s->frozen.image_size;
    pfm_status status = PFM_OK;
    if (s->part->options->grad)
        PFM_TRY(pfm_forward_put(s->part, "grad_in", s->grad_pixels, 3, (const int64_t[]){3, side, side}, err));
    PFM_TRY(
        pfm_forward_put_matrix(s->part, "features", features, (int64_t)pfm_vision_shape_tokens(shape), shape->channels, err));
done:
    return status;
}

static pfm_status run_frozen(seeing *s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision *vision = NULL;
    float *features = NULL;
    PFM_TRY(pfm_vision_load(s->part->context, &s->frozen, &vision, err));
    const pfm_vision_shape shape = pfm_vision_get_shape(vision);
    PFM_TRY(pfm_allocate(pfm_vision_shape_values(&shape), sizeof *features, &features, err));
    PFM_TRY(read_grad_out(s, &shape, err));
    if (s->grad_out != NULL)
        PFM_TRY(pfm_vision_gradient(vision, s->pixels, s->grad_out, features, s->grad_pixels, err));
    else
        PFM_TRY(pfm_vision_encode(vision, s->pixels, 1, features, err));
    PFM_TRY(put_results(s, &shape, features, err));
done:
    pfm_vision_free(vision);
    free(features);
    return status;
}

/* ---- with what was learned ---- */

/* The part of the encoder in which something was learned, with its weights. */
static pfm_status build_tower(seeing *s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_context *context = s->part->context;
    const bool grad = s->part->options->grad;
    const pfm_act_type act = context->precision == PFM_PRECISION_F32 ? PFM_ACT_F32 : PFM_ACT_BF16;
    PFM_TRY(pfm_session_create_peft(s->stage, &s->peft, err));
    const pfm_tower_options options = {.kind = s->frozen.kind,
                                       .path = s->path,
                                       .image_size = s->frozen.image_size,
                                       .layers = s->frozen.layers,
                                       .hook = pfm_peft_hook(s->peft)};
    PFM_TRY(pfm_tower_create(context, &options, &s->tower, err));
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_PATCHES] = s->tower->tokens};
    PFM_TRY(pfm_parameters_create(context, act, grad, &s->parameters, err));
    pfm_parameters_freeze(s->parameters, (unsigned)!pfm_recipe_trains(s->stage, "peft") << PFM_PART_PEFT);
    PFM_TRY(pfm_graph_create(s->parameters, capacity, &s->graph, err));
    PFM_TRY(pfm_tower_build(s->tower, s->graph, grad, &s->inputs, &s->features, err));
    pfm_graph_keep(s->graph, s->features);
    if (!pfm_recipe_adapts(s->stage, "language")) /* whose layers some of the names mean, and are not here */
        PFM_TRY(pfm_peft_check_targets(s->peft, err));
    PFM_TRY(pfm_parameters_allocate(s->parameters, err));
    PFM_TRY(pfm_tower_load(s->tower, s->parameters, err));
    PFM_TRY(pfm_run_load_vision_adapter(s->adapter, s->parameters, s->peft, err));
    const pfm_op_environment env = {.context = context, .kernels = context->kernels, .act = act};
    PFM_TRY(pfm_executor_create(s->graph, &env, grad ? s->features : PFM_NO_VALUE, &s->executor, err));
done:
    return status;
}

/* The rows of the features among those of every token, in one direction or the other. */
static void move_rows(const pfm_tower *tower, float *features, float *tokens, bool take)
{
    const size_t width = (size_t)tower->shape.channels, rows = pfm_vision_shape_tokens(&tower->shape);
    for (size_t row = 0; row < rows; row++) {
        float *mine = features + row * width, *theirs = tokens + (size_t)pfm_tower_row(tower, (int64_t)row) * width;
        memcpy(take ? mine : theirs, take ? theirs : mine, width * sizeof *mine);
    }
}

static pfm_status put_gradients(seeing *s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *name = NULL, *full = NULL;
    for (int i = 0; i < pfm_parameters_count(s->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(s->parameters, i);
        if (p->gradient == NULL)
            continue;
        free(name);
        free(full);
        name = full = NULL;
        PFM_TRY(pfm_run_tensor_name(s->peft, p, &name, err));
        PFM_TRY(pfm_string_format(&full, err, "%s.grad", name));
        PFM_TRY(pfm_forward_put_matrix(s->part, full, p->gradient, p->n, p->k, err));
    }
done:
    free(name);
    free(full);
    return status;
}

/* The gradient of the features goes through the tower to the state that enters it, and from there to the pixels. */
static pfm_status run_backward(seeing *s, pfm_vision *vision, float *state, pfm_error *err)
{
    pfm_status status = PFM_OK;
    float *seed = pfm_executor_gradient(s->executor, s->features);
    memset(seed, 0, (size_t)(s->tower->tokens * s->tower->shape.channels) * sizeof *seed);
    move_rows(s->tower, s->grad_out, seed, false);
    pfm_executor_backward(s->executor);
    PFM_TRY(pfm_vision_gradient(vision, s->pixels, pfm_executor_gradient(s->executor, s->inputs.state), state, s->grad_pixels,
                                err));
    PFM_TRY(put_gradients(s, err));
done:
    return status;
}

static pfm_status run_adapted(seeing *s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision *vision = NULL;
    float *state = NULL, *features = NULL;
    static const pfm_tower_pictures one = {.count = 1}; /* of which nothing is known */
    PFM_TRY(build_tower(s, err));
    pfm_vision_options before = s->frozen;
    before.layers = pfm_tower_input(s->tower);
    PFM_TRY(pfm_vision_load(s->part->context, &before, &vision, err));
    PFM_TRY(pfm_allocate(pfm_vision_shape_values(&s->tower->state), sizeof *state, &state, err));
    PFM_TRY(pfm_allocate(pfm_vision_shape_values(&s->tower->shape), sizeof *features, &features, err));
    PFM_TRY(read_grad_out(s, &s->tower->shape, err));
    PFM_TRY(pfm_vision_encode(vision, s->pixels, 1, state, err));
    PFM_TRY(pfm_tower_bind(s->tower, &s->inputs, s->executor, state, &one, err));
    pfm_executor_forward(s->executor);
    move_rows(s->tower, features, pfm_executor_data(s->executor, s->features), true);
    if (s->grad_out != NULL)
        PFM_TRY(run_backward(s, vision, state, err));
    PFM_TRY(put_results(s, &s->tower->shape, features, err));
done:
    pfm_vision_free(vision);
    free(state);
    free(features);
    return status;
}

pfm_status pfm_forward_vision(pfm_forward_part *p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    seeing s = {.part = p};
    PFM_TRY(find_encoder(&s, err));
    PFM_TRY(read_pixels(&s, err));
    PFM_TRY(s.adapter != NULL ? run_adapted(&s, err) : run_frozen(&s, err));
done:
    pfm_executor_free(s.executor);
    pfm_graph_free(s.graph);
    pfm_tower_inputs_free(&s.inputs);
    pfm_parameters_free(s.parameters);
    pfm_tower_free(s.tower);
    pfm_peft_free(s.peft);
    pfm_recipe_free(s.recipe);
    free(s.adapter);
    free(s.path);
    free(s.pixels);
    free(s.grad_out);
    free(s.grad_pixels);
    return status;
}
