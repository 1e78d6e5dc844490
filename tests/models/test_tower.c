/* A vision encoder in the training graph, against torch and PEFT (script/vectors/vit_training.py), and what must hold of it:
 * the deepest frozen state is where it begins, pictures do not see each other, nothing depends on threads, recomputation or the
 * place of a picture. */
#include "models/tiny.h"
#include "models/vit_fixture.h"
#include "train/run.h"

#include <string.h>

enum { SIZE = 42, VISUAL = 9, PICTURES = 2, ROWS = 3, TOKENS = VISUAL + 11, ANSWER = VISUAL + 8, ALL_ANSWERS = 9 };

typedef struct seeing_system {
    pfm_context *context;
    pfm_session *session;
    pfm_model_graph graph;
    pfm_executor *executor;
    float *states; /* of the pictures, as the graph reads them */
    int32_t ids[ROWS][TOKENS];
    pfm_sequence rows[ROWS];
    pfm_pack pack;
} seeing_system;

static const char every_layer[] = "[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, fc1]";

static pfm_status open_session(pfm_context *context, const char *vision, const char *layers, const char *targets,
                               const char *parts, double dropout, pfm_session **out, pfm_error *err)
{
    char text[2048];
    pfm_recipe *recipe = NULL;
    (void)snprintf(text, sizeof text,
                   "model: {vision: '%s', image_size: %d, layers: %s, merge: 2, aligner: concat-linear, language: '%s'}\n"
                   "peft: {method: lora, rank: 4, alpha: 6, dropout: %g, targets: %s, parts: %s}\n"
                   "data: {dataset: phantom}\n",
                   vision, SIZE, layers, tiny_path("llama"), dropout, targets, parts);
    pfm_status status = pfm_recipe_parse(text, strlen(text), "tower.yaml", NULL, 0, &recipe, err);
    return status != PFM_OK ? status : pfm_session_create(context, recipe, true, out, err);
}

static void set_spread(pfm_model *model, const char *name, uint32_t seed, float scale)
{
    const int id = pfm_parameters_find(model->parameters, name);
    const pfm_parameter *p = pfm_parameters_get(model->parameters, id);
    float *values = calloc((size_t)(p->n * p->k), sizeof *values);
    assert_non_null(values);
    tiny_spread(seed, (size_t)(p->n * p->k), values);
    for (int64_t i = 0; i < p->n * p->k; i++)
        values[i] *= scale;
    pfm_parameters_set(model->parameters, id, values);
    free(values);
}

/* The script's weights; of the vision encoder's factors those that the targets name. */
static void set_weights(pfm_session *session)
{
    pfm_model *model = session->model;
    set_spread(model, "aligner.proj.weight", 21, 0.1f);
    set_spread(model, "aligner.proj.bias", 22, 0.1f);
    const size_t width = (size_t)model->visual_width;
    tiny_spread(23, width, model->mean);
    tiny_spread(24, width, model->std);
    for (size_t i = 0; i < width; i++) {
        model->mean[i] *= 0.125f;
        model->std[i] = model->std[i] * 0.25f + 0.5f;
    }
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *factors = NULL;
    assert_ok(pfm_weights_open(tiny_path("vit_clip_adapter/adapter_model.safetensors"), &factors, &err));
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        char *name = NULL;
        if (p->part != PFM_PART_PEFT || !pfm_tower_owns(p))
            continue;
        float *values = calloc((size_t)(p->n * p->k), sizeof *values);
        assert_ok(pfm_run_tensor_name(session->peft, p, &name, &err));
        assert_ok(pfm_peft_read_tensor(factors, name, p->n, p->k, values, &err));
        pfm_parameters_set(model->parameters, i, values);
        free(values);
        free(name);
    }
    pfm_weights_close(factors);
}

static void make_rows(seeing_system *s)
{
    for (int row = 0; row < ROWS; row++) {
        int32_t *next = s->ids[row];
        const int32_t picture = row / 2;
        *next++ = 10;
        *next++ = 11;
        for (int i = 0; i < VISUAL; i++)
            *next++ = -1 - i - picture * VISUAL;
        *next++ = 12;
        *next++ = 13;
        for (int i = 0; i < 4; i++)
            *next++ = (37 * row + 5 * i + 15) % 300;
        for (int i = 0; i < 3; i++)
            *next++ = (53 * row + 7 * i + 20) % 300;
        s->rows[row] = (pfm_sequence){.ids = s->ids[row], .count = TOKENS, .answer = ANSWER, .group = picture, .number = row};
    }
}

static void read_pictures(seeing_system *s)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_model *model = s->session->model;
    const size_t values = pfm_model_feature_values(model);
    float *features = calloc(values, sizeof *features), *pixels = vit_pixels(SIZE);
    s->states = calloc(PICTURES, pfm_model_image_bytes(model));
    assert_true(features != NULL && s->states != NULL);
    assert_ok(pfm_session_load_vision(s->session, &err));
    for (int picture = 0; picture < PICTURES; picture++) {
        for (int i = 0; picture > 0 && i < 3 * SIZE * SIZE; i++)
            pixels[i] = 0.5f - 2 * pixels[i];
        assert_ok(pfm_vision_encode(s->session->vision, pixels, 1, features, &err));
        assert_ok(
            pfm_model_read_image(model, 0, features, (char *)s->states + (size_t)picture * pfm_model_image_bytes(model), &err));
    }
    free(pixels);
    free(features);
}

/* parts with language: the golden adapter is there. */
static void open_system(pfm_context *context, const char *layers, const char *targets, const char *parts, double dropout,
                        bool recompute, seeing_system *s)
{
    pfm_error err = PFM_ERROR_INIT;
    *s = (seeing_system){.context = context};
    assert_ok(open_session(context, vit_network("clip"), layers, targets, parts, dropout, &s->session, &err));
    pfm_model *model = s->session->model;
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = ROWS * TOKENS, [PFM_DIM_ANSWERS] = ALL_ANSWERS, [PFM_DIM_VISUAL] = PICTURES * VISUAL};
    assert_ok(pfm_model_build(model, capacity, true, false, &s->graph, &err));
    s->graph.graph->recompute = recompute;
    assert_ok(pfm_session_load_weights(s->session, &err));
    set_weights(s->session);
    if (strstr(parts, "language") != NULL)
        assert_ok(pfm_run_load_adapter(tiny_path("llama/adapter"), model, s->session->peft, &err));
    const pfm_op_environment env = {.context = context,
                                    .kernels = context->kernels,
                                    .act = model->act,
                                    .training = true,
                                    .dropout_key = 77,
                                    .loss_scale = 1.0f / ALL_ANSWERS,
                                    .most_keys = ROWS * TOKENS};
    assert_ok(pfm_executor_create(s->graph.graph, &env, s->graph.language.loss, &s->executor, &err));
    make_rows(s);
    read_pictures(s);
}

static void close_system(seeing_system *s)
{
    pfm_pack_free(&s->pack);
    pfm_executor_free(s->executor);
    pfm_model_graph_free(&s->graph);
    pfm_session_free(s->session);
    pfm_context_free(s->context);
    free(s->states);
}

/* The mean loss over the answers of these rows, and its gradients. */
static double run_rows(seeing_system *s, const pfm_sequence *rows, size_t count, const float *states, const int32_t *numbers,
                       bool share)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_model *model = s->session->model;
    const pfm_pack_options options = {.share = share};
    double sum = 0;
    pfm_parameters_zero_gradients(model->parameters);
    assert_ok(pfm_pack_rows(&s->pack, rows, count, &options, &err));
    assert_ok(pfm_model_bind(model, &s->graph, s->executor, &s->pack, PICTURES * VISUAL, &err));
    const pfm_tower_pictures pictures = {.count = PICTURES, .numbers = numbers};
    assert_ok(pfm_model_bind_images(model, &s->graph, s->executor, states, &pictures, &err));
    pfm_executor_forward(s->executor);
    const float *losses = pfm_executor_data(s->executor, s->graph.language.loss);
    float *seed = pfm_executor_gradient(s->executor, s->graph.language.loss);
    for (size_t a = 0; a < s->pack.answers; a++) {
        sum += (double)losses[a];
        seed[a] = 1;
    }
    pfm_executor_backward(s->executor);
    return sum / ALL_ANSWERS;
}

static void check_golden_gradients(const seeing_system *s)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_parameters *parameters = s->session->model->parameters;
    int vision = 0;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        char *name = NULL, full[256];
        if (p->gradient == NULL)
            continue;
        assert_ok(pfm_run_tensor_name(s->session->peft, p, &name, &err));
        (void)snprintf(full, sizeof full, "system.%s.grad", name);
        float *wanted = tiny_golden("vit_training", full, (size_t)(p->n * p->k));
        assert_near(full, p->gradient, wanted, (size_t)(p->n * p->k), 1e-4);
        vision += pfm_tower_owns(p);
        free(wanted);
        free(name);
    }
    assert_int_equal(vision, 16);
}

static void as_torch_at(const char *level)
{
    for (int pass = 0; pass < 2; pass++) {
        seeing_system s;
        open_system(tiny_context(level, 2, PFM_PRECISION_F32), "[1, -1]", every_layer, "[language, vision]", 0, pass == 1, &s);
        float *loss = tiny_golden("vit_training", "system.loss", 1);
        assert_int_equal(s.session->model->tower->first, 0);
        assert_float_equal(run_rows(&s, s.rows, ROWS, s.states, NULL, pass == 0), loss[0], 1e-4);
        check_golden_gradients(&s);
        free(loss);
        close_system(&s);
    }
}

static void gradients_are_those_of_torch_and_peft(void **state)
{
    (void)state;
    tiny_each_level(as_torch_at);
}

/* ---- where it begins ---- */

static int first_of(const char *layers, const char *targets)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_session *session = NULL;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    assert_ok(open_session(context, vit_network("clip"), layers, targets, "[vision]", 0, &session, &err));
    const int first = session->model->tower->first;
    const pfm_vision_layers input = pfm_model_vision_layers(session->model);
    assert_true(input.count == 1 && input.layer[0] == first && input.every_token);
    pfm_session_free(session);
    pfm_context_free(context);
    return first;
}

static void it_begins_at_the_deepest_frozen_state(void **state)
{
    (void)state;
    assert_int_equal(first_of("[-1]", "[fc1]"), 0);
    assert_int_equal(first_of("[-1]", "[layers.1.mlp.fc1]"), 1);
    assert_int_equal(first_of("[1, -1]", "[layers.1.mlp.fc1]"), 1);
    assert_int_equal(first_of("[0, -1]", "[layers.1.mlp.fc1]"), 0); /* whose layer 0 is read */
    assert_int_equal(first_of("[normed]", "[layers.1.self_attn.out_proj]"), 1);
}

/* The gradients of the last block's factors are the same whether the block before it is in the graph, with factors that
 * change nothing, or outside. */
static void what_stands_before_changes_nothing(void **state)
{
    (void)state;
    seeing_system cut, whole;
    open_system(tiny_context(NULL, 2, PFM_PRECISION_F32), "[-1]", "[layers.1.self_attn.q_proj, layers.1.mlp.fc1]", "[vision]",
                0, false, &cut);
    open_system(tiny_context(NULL, 2, PFM_PRECISION_F32), "[-1]", "[self_attn.q_proj, mlp.fc1]", "[vision]", 0, false, &whole);
    pfm_parameters *a = cut.session->model->parameters, *b = whole.session->model->parameters;
    int compared = 0;
    for (int i = 0; i < pfm_parameters_count(b); i++) {
        const pfm_parameter *p = pfm_parameters_get(b, i);
        if (strstr(p->name, "layers.0.") != NULL && strstr(p->name, "lora_B") != NULL)
            set_spread(whole.session->model, p->name, 1, 0);
    }
    assert_float_equal(run_rows(&cut, cut.rows, ROWS, cut.states, NULL, true),
                       run_rows(&whole, whole.rows, ROWS, whole.states, NULL, true), 1e-6);
    for (int i = 0; i < pfm_parameters_count(a); i++) {
        const pfm_parameter *p = pfm_parameters_get(a, i), *q;
        if (p->gradient == NULL)
            continue;
        q = pfm_parameters_get(b, pfm_parameters_find(b, p->name));
        assert_near(p->name, p->gradient, q->gradient, (size_t)(p->n * p->k), 1e-5);
        compared++;
    }
    assert_int_equal(compared, 6); /* four factors and the aligner's two */
    close_system(&cut);
    close_system(&whole);
}

/* ---- what it does not depend on ---- */

static float *gradients_with(int threads, bool recompute, double *loss, size_t *count)
{
    static const int32_t numbers[PICTURES] = {5, 9};
    seeing_system s;
    open_system(tiny_context(NULL, threads, PFM_PRECISION_F32), "[1, -1]", every_layer, "[language, vision]", 0.3, recompute,
                &s);
    *loss = run_rows(&s, s.rows, ROWS, s.states, numbers, true);
    float *out = tiny_copy_gradients(s.session->model->parameters);
    *count = (size_t)pfm_parameters_trainable(s.session->model->parameters);
    close_system(&s);
    return out;
}

static void threads_and_recomputation_change_no_bit(void **state)
{
    (void)state;
    double loss, other;
    size_t count, same;
    float *one = gradients_with(1, false, &loss, &count), *three = gradients_with(3, false, &other, &same);
    assert_true(loss == other && count == same);
    assert_memory_equal(one, three, count * sizeof *one);
    free(three);
    float *again = gradients_with(2, true, &other, &same);
    assert_true(loss == other);
    assert_memory_equal(one, again, count * sizeof *one);
    free(again);
    free(one);
}

/* Dropout is drawn by picture and place: packed or not, first or second, in another micro-batch. */
static void dropout_goes_with_the_picture(void **state)
{
    (void)state;
    static const int32_t numbers[PICTURES] = {5, 9}, swapped_numbers[PICTURES] = {9, 5}, others[PICTURES] = {5, 8};
    seeing_system s;
    open_system(tiny_context(NULL, 2, PFM_PRECISION_F32), "[1, -1]", every_layer, "[language, vision]", 0.3, false, &s);
    const pfm_parameters *parameters = s.session->model->parameters;
    const double loss = run_rows(&s, s.rows, ROWS, s.states, numbers, true);
    float *gradients = tiny_copy_gradients(parameters);
    assert_float_equal(run_rows(&s, s.rows, ROWS, s.states, numbers, false), loss, 1e-5);
    assert_gradients_near(parameters, gradients, 1e-5);

    const size_t picture = pfm_model_image_bytes(s.session->model);
    float *swapped = malloc(PICTURES * picture);
    memcpy(swapped, (char *)s.states + picture, picture);
    memcpy((char *)swapped + picture, s.states, picture);
    for (int row = 0; row < ROWS; row++)
        for (int t = 0; t < TOKENS; t++)
            if (s.ids[row][t] < 0)
                s.ids[row][t] += row / 2 == 0 ? -VISUAL : VISUAL;
    assert_float_equal(run_rows(&s, s.rows, ROWS, swapped, swapped_numbers, true), loss, 1e-5);
    assert_gradients_near(parameters, gradients, 1e-5);
    assert_true(fabs(run_rows(&s, s.rows, ROWS, swapped, others, true) - loss) > 1e-4);
    free(swapped);
    free(gradients);
    close_system(&s);
}

/* The frozen encoder's features are what the graph makes of its state while nothing has been learned. */
static void begins_with_the_frozen_features(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    seeing_system s;
    open_system(tiny_context(NULL, 2, PFM_PRECISION_F32), "[1, -1]", "[q_proj, fc1]", "[vision]", 0, false, &s);
    pfm_model *model = s.session->model;
    pfm_graph_keep(s.graph.graph, s.graph.features);
    pfm_executor_free(s.executor);
    const pfm_op_environment env = {
        .context = s.context, .kernels = s.context->kernels, .act = model->act, .most_keys = ROWS * TOKENS};
    assert_ok(pfm_executor_create(s.graph.graph, &env, s.graph.language.loss, &s.executor, &err));
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++)
        if (strstr(pfm_parameters_get(model->parameters, i)->name, "lora_B") != NULL)
            set_spread(model, pfm_parameters_get(model->parameters, i)->name, 1, 0);
    (void)run_rows(&s, s.rows, ROWS, s.states, NULL, true);

    pfm_vision *frozen = NULL;
    const size_t values = pfm_model_image_values(model);
    float *pixels = vit_pixels(SIZE), *features = calloc(pfm_model_frozen_values(model), sizeof *features),
          *rows = calloc(values, sizeof *rows);
    assert_ok(pfm_session_load_frozen_vision(s.session, &frozen, &err));
    assert_ok(pfm_vision_encode(frozen, pixels, 1, features, &err));
    assert_ok(pfm_model_arrange(model, features, rows, &err));
    assert_near("features", pfm_executor_data(s.executor, s.graph.features), rows, values, 1e-6);
    free(pixels);
    free(features);
    free(rows);
    pfm_vision_free(frozen);
    close_system(&s);
}

/* ---- every family ---- */

typedef struct lone_tower {
    pfm_peft *peft;
    pfm_tower *tower;
    pfm_parameters *parameters;
    pfm_graph *graph;
    pfm_tower_inputs inputs;
    pfm_value features;
    pfm_executor *executor;
} lone_tower;

static void open_tower(pfm_context *context, const pfm_vision_options *of, char *target, lone_tower *t)
{
    pfm_error err = PFM_ERROR_INIT;
    char name[] = "lora", *targets[] = {target};
    const pfm_peft_options peft = {.method = name, .rank = 2, .alpha = 2, .targets = targets, .target_count = 1};
    *t = (lone_tower){0};
    assert_ok(pfm_peft_create(&peft, &t->peft, &err));
    const pfm_tower_options options = {
        .kind = of->kind, .path = of->path, .image_size = of->image_size, .layers = of->layers, .hook = pfm_peft_hook(t->peft)};
    assert_ok(pfm_tower_create(context, &options, &t->tower, &err));
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_PATCHES] = PICTURES * t->tower->tokens};
    assert_ok(pfm_parameters_create(context, PFM_ACT_F32, true, &t->parameters, &err));
    assert_ok(pfm_graph_create(t->parameters, capacity, &t->graph, &err));
    assert_ok(pfm_tower_build(t->tower, t->graph, false, &t->inputs, &t->features, &err));
    pfm_graph_keep(t->graph, t->features);
    assert_ok(pfm_parameters_allocate(t->parameters, &err));
    assert_ok(pfm_tower_load(t->tower, t->parameters, &err));
    assert_ok(pfm_parameters_initialise(t->parameters, 1, true, &err)); /* B is zero: nothing has been learned */
    const pfm_op_environment env = {.context = context, .kernels = context->kernels, .act = PFM_ACT_F32};
    assert_ok(pfm_executor_create(t->graph, &env, t->features, &t->executor, &err));
}

static void close_tower(lone_tower *t)
{
    pfm_executor_free(t->executor);
    pfm_tower_inputs_free(&t->inputs);
    pfm_graph_free(t->graph);
    pfm_parameters_free(t->parameters);
    pfm_tower_free(t->tower);
    pfm_peft_free(t->peft);
}

static void encode(pfm_context *context, const pfm_vision_options *options, const float *pixels, size_t values, float *out)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_vision *vision = NULL;
    assert_ok(pfm_vision_load(context, options, &vision, &err));
    const pfm_vision_shape shape = pfm_vision_get_shape(vision);
    assert_int_equal(pfm_vision_shape_values(&shape), values);
    assert_ok(pfm_vision_encode(vision, pixels, PICTURES, out, &err));
    pfm_vision_free(vision);
}

/* Two pictures: what the graph makes of the state, row by row, are the encoder's own features, to the bit. */
static void check_family(const char *network, int size, char *target)
{
    pfm_error err = PFM_ERROR_INIT;
    lone_tower t;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    pfm_vision_options options = {
        .kind = vit_network(network), .path = vit_network(network), .image_size = size, .layers = {.whole = true}};
    open_tower(context, &options, target, &t);
    const size_t picture = 3 * (size_t)size * (size_t)size, state_values = pfm_vision_shape_values(&t.tower->state),
                 values = pfm_vision_shape_values(&t.tower->shape), width = (size_t)t.tower->shape.channels;
    float *one = vit_pixels(size), *pixels = calloc(PICTURES * picture, sizeof *pixels),
          *states = calloc(PICTURES * state_values, sizeof *states), *wanted = calloc(PICTURES * values, sizeof *wanted);
    assert_true(pixels != NULL && states != NULL && wanted != NULL);
    for (size_t i = 0; i < picture; i++) {
        pixels[i] = one[i];
        pixels[picture + i] = 0.25f - one[i];
    }
    encode(context, &options, pixels, values, wanted);
    options.layers = pfm_tower_input(t.tower);
    encode(context, &options, pixels, state_values, states);
    assert_ok(pfm_tower_bind(t.tower, &t.inputs, t.executor, states, &(pfm_tower_pictures){.count = PICTURES}, &err));
    pfm_executor_forward(t.executor);
    const float *made = pfm_executor_data(t.executor, t.features);
    for (size_t row = 0; row < PICTURES * values / width; row++) {
        const int64_t rows = (int64_t)(values / width), from = (int64_t)row / rows * t.tower->tokens,
                      at = from + pfm_tower_row(t.tower, (int64_t)row % rows);
        if (memcmp(wanted + row * width, made + (size_t)at * width, width * sizeof *made) != 0)
            fail_msg("%s: row %zu of the features is another", network, row);
    }
    free(one);
    free(pixels);
    free(states);
    free(wanted);
    close_tower(&t);
    pfm_context_free(context);
}

static void every_family_learns(void **state)
{
    (void)state;
    static const struct {
        const char *network;
        int size;
        const char *target;
    } cases[] = {{"clip", 28, "fc1"},
                 {"siglip", 28, "v_proj"},
                 {"blip2", 28, "fc2"},
                 {"dinov2", 28, "out_proj"},
                 {"dinov2_swiglu", 28, "up_proj"},
                 {"dinov2_registers", 28, "q_proj"},
                 {"open_clip", 28, "k_proj"},
                 {"timm", 12, "fc2"},
                 {"eva", 12, "layers.0.mlp.fc1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char target[32];
        (void)snprintf(target, sizeof target, "%s", cases[i].target);
        check_family(cases[i].network, cases[i].size, target);
    }
}

/* The encoder's weights are counted once, be they in the graph or outside. */
static void parameters_are_counted_once(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    seeing_system s;
    pfm_session *frozen = NULL;
    open_system(tiny_context(NULL, 1, PFM_PRECISION_F32), "[-1]", "[fc1]", "[vision]", 0, false, &s);
    pfm_model_graph graph = {0};
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = VISUAL};
    assert_ok(open_session(s.context, vit_network("clip"), "[-1]", "[up_proj]", "[language]", 0, &frozen, &err));
    assert_ok(pfm_model_build(frozen->model, capacity, true, false, &graph, &err));
    assert_null(frozen->model->tower);
    const int64_t factors = 2 * 4 * (24 + 40), others = 2 * 4 * (32 + 48);
    assert_int_equal(pfm_model_count_parameters(s.session->model) - factors,
                     pfm_model_count_parameters(frozen->model) - others);
    pfm_model_graph_free(&graph);
    pfm_session_free(frozen);
    close_system(&s);
}

/* Answering in fewer bits leaves the encoder's weights as they are, so that its features do not depend on it. */
static void its_weights_stay_in_full(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    seeing_system s;
    open_system(tiny_context(NULL, 1, PFM_PRECISION_F32), "[-1]", "[fc1]", "[vision]", 0, false, &s);
    pfm_session *answering = NULL;
    pfm_recipe *recipe = NULL;
    pfm_model_graph graph = {0};
    pfm_dtype format;
    bool rows;
    int vision = 0, language = 0;
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = VISUAL};
    s.context->weights = PFM_WEIGHTS_Q8_0;
    assert_ok(pfm_recipe_copy(s.session->whole, SIZE_MAX, &recipe, &err));
    assert_ok(pfm_session_create(s.context, recipe, false, &answering, &err));
    assert_ok(pfm_model_build(answering->model, capacity, false, false, &graph, &err));
    const pfm_parameters *parameters = answering->model->parameters;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const bool is_vision = pfm_tower_owns(pfm_parameters_get(parameters, i)),
                   quantised = pfm_parameters_quantises(parameters, i, &format, &rows);
        assert_false(is_vision && quantised);
        vision += is_vision;
        language += quantised;
    }
    assert_true(vision > 0 && language > 0);
    pfm_model_graph_free(&graph);
    pfm_session_free(answering);
    close_system(&s);
}

/* What names a block's layers is known as soon as there is a tower: a graph of the language model alone has none of it. */
static void every_block_is_seen_without_a_graph(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = NULL;
    assert_ok(open_session(context, vit_network("clip"), "[-1]", "[layers.0.mlp.fc1, layers.1.mlp.fc2]", "[vision]", 0,
                           &session, &err));
    assert_int_equal(session->model->tower->first, 0);
    assert_ok(pfm_peft_check_targets(session->peft, &err));
    pfm_session_free(session);
    pfm_context_free(context);
}

static void what_cannot_learn_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_tower *tower = NULL;
    pfm_session *session = NULL;
    pfm_tower_options options = {.kind = "efficientnet-lite0", .image_size = 64};
    assert_error(pfm_tower_create(context, &options, &tower, &err), PFM_ERROR_USAGE, "network of convolutions");
    assert_error(open_session(context, vit_network("clip"), "[-1]", "[gate_proj]", "[language, vision]", 0, &session, &err),
                 PFM_ERROR_USAGE, "nothing of peft acts in the blocks of clip");
    assert_error(open_session(context, vit_network("clip"), "[1]", "[layers.1.mlp.fc1]", "[vision]", 0, &session, &err),
                 PFM_ERROR_USAGE, "nothing of peft acts in the blocks of clip"); /* the block behind the features' layer */
    assert_error(open_session(context, vit_network("clip"), "[1]", "[fc1]", "[aligner]", 0, &session, &err), PFM_ERROR_USAGE,
                 "peft.parts");
    assert_error(open_session(context, vit_network("clip"), "[1]", "[fc1]", "[]", 0, &session, &err), PFM_ERROR_USAGE,
                 "at least one part");
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_torch_and_peft),
        cmocka_unit_test(it_begins_at_the_deepest_frozen_state),
        cmocka_unit_test(what_stands_before_changes_nothing),
        cmocka_unit_test(threads_and_recomputation_change_no_bit),
        cmocka_unit_test(dropout_goes_with_the_picture),
        cmocka_unit_test(begins_with_the_frozen_features),
        cmocka_unit_test(every_family_learns),
        cmocka_unit_test(parameters_are_counted_once),
        cmocka_unit_test(its_weights_stay_in_full),
        cmocka_unit_test(every_block_is_seen_without_a_graph),
        cmocka_unit_test(what_cannot_learn_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
