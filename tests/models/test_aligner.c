/* Each aligner against torch and transformers (script/vectors/aligners.py): visual tokens, gradients of features and weights;
 * several images at once against each alone; the numbers of parameters that papers name. */
#include "models/aligner/aligner.h"
#include "tiny.h"

#include <math.h>

enum { IMAGES = 2, GRID = 4, CHANNELS = 12, HIDDEN = 10, QUERIES = 5, IMAGE = GRID * GRID * CHANNELS };

static const pfm_aligner_shape small = {
    .grid = GRID,
    .channels = CHANNELS,
    .merge_rows = 1,
    .merge_columns = 1,
    .inner = 14,
    .hidden = HIDDEN,
    .qformer = {.layers = 3, .heads = 2, .queries = QUERIES, .cross_every = 2, .hidden = 16, .intermediate = 24}};

/* An aligner alone, with gradients. */
typedef struct fixture {
    pfm_context *context;
    const pfm_aligner *aligner;
    pfm_parameters *parameters;
    pfm_graph *graph;
    pfm_executor *executor;
    pfm_aligner_inputs inputs;
    pfm_value in, out;
    int64_t tokens;
} fixture;

/* The script's `linear`. */
static void set_linear(pfm_parameters *parameters)
{
    static const char *const names[] = {"aligner.proj.weight",   "aligner.proj.bias",       "aligner.linear_1.weight",
                                        "aligner.linear_1.bias", "aligner.linear_2.weight", "aligner.linear_2.bias"};
    static const uint32_t seeds[] = {500, 501, 500, 501, 502, 503};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const int id = pfm_parameters_find(parameters, names[i]);
        if (id < 0)
            continue;
        const pfm_parameter *p = pfm_parameters_get(parameters, id);
        size_t count = (size_t)(p->n * p->k);
        float *values = calloc(count, sizeof *values);
        assert_non_null(values);
        tiny_spread(seeds[i], count, values);
        for (size_t j = 0; j < count; j++)
            values[j] *= 0.25f;
        pfm_parameters_set(parameters, id, values);
        free(values);
    }
}

static void open_aligner(const char *level, pfm_precision precision, const char *name, pfm_aligner_shape shape, int64_t images,
                         fixture *f)
{
    pfm_error err = PFM_ERROR_INIT;
    *f = (fixture){.context = tiny_context(level, 2, precision)};
    assert_ok(pfm_aligner_find(name, &f->aligner, &err));
    shape.pretrained = f->aligner->queries;
    if (strcmp(name, "concat-linear") == 0)
        shape.merge_columns = 4;
    assert_ok(pfm_aligner_check(f->aligner, &shape, &err));
    f->tokens = pfm_aligner_tokens(f->aligner, &shape);
    const pfm_act_type act = precision == PFM_PRECISION_F32 ? PFM_ACT_F32 : PFM_ACT_BF16;
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_VISUAL] = images * f->tokens, [PFM_DIM_FEATURES] = images * pfm_aligner_rows(&shape)};
    assert_ok(pfm_parameters_create(f->context, act, true, &f->parameters, &err));
    assert_ok(pfm_graph_create(f->parameters, capacity, &f->graph, &err));
    assert_ok(pfm_graph_input(f->graph, PFM_DIM_FEATURES, 0, pfm_aligner_width(&shape), PFM_STORAGE_ACT, true, &f->in, &err));
    const pfm_builder builder = {.graph = f->graph, .token_keys = PFM_NO_VALUE};
    assert_ok(pfm_aligner_build(f->aligner, &builder, &shape, f->in, &f->inputs, &f->out, &err));
    pfm_graph_keep(f->graph, f->out);
    assert_ok(pfm_parameters_allocate(f->parameters, &err));
    set_linear(f->parameters);
    if (f->aligner->queries)
        assert_ok(pfm_aligner_load(f->aligner, tiny_path("qformer.safetensors"), false, f->parameters, &err));
    const pfm_op_environment env = {.context = f->context, .kernels = f->context->kernels, .act = act};
    assert_ok(pfm_executor_create(f->graph, &env, f->out, &f->executor, &err));
}

static void close_aligner(fixture *f)
{
    pfm_executor_free(f->executor);
    pfm_graph_free(f->graph);
    pfm_aligner_inputs_free(&f->inputs);
    pfm_parameters_free(f->parameters);
    pfm_context_free(f->context);
}

/* Forward and backward of `count` of the script's images from `first` on. In a row, neighbours lie side by side already. */
static void run_images(fixture *f, int first, int64_t count)
{
    static float features[IMAGES * IMAGE];
    static pfm_bf16 rounded[IMAGES * IMAGE];
    pfm_error err = PFM_ERROR_INIT;
    for (int i = 0; i < count; i++)
        tiny_spread(600 + (uint32_t)(first + i), IMAGE, features + i * IMAGE);
    f->context->kernels->bf16_from_f32(features, rounded, (size_t)(count * IMAGE));
    const int64_t rows = f->graph->values[f->in].shape.rows;
    pfm_executor_bind(f->executor, f->in,
                      pfm_executor_environment(f->executor)->act == PFM_ACT_F32 ? (void *)features : rounded);
    assert_ok(pfm_executor_resize(f->executor, PFM_DIM_FEATURES,
                                  count * (rows / (f->graph->capacity[PFM_DIM_VISUAL] / f->tokens)), &err));
    assert_ok(pfm_executor_resize(f->executor, PFM_DIM_VISUAL, count * f->tokens, &err));
    pfm_aligner_bind(&f->inputs, f->executor, count);
    pfm_executor_forward(f->executor);
    float *all = calloc((size_t)(IMAGES * f->tokens * HIDDEN), sizeof *all);
    assert_non_null(all);
    tiny_spread(700, (size_t)(IMAGES * f->tokens * HIDDEN), all);
    memcpy(pfm_executor_gradient(f->executor, f->out), all + first * f->tokens * HIDDEN,
           (size_t)(count * f->tokens * HIDDEN) * sizeof *all);
    pfm_parameters_zero_gradients(f->parameters);
    pfm_executor_backward(f->executor);
    free(all);
}

static double norm_of(const float *x, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum);
}

static void compare_gradients(const fixture *f)
{
    for (int i = 0; i < pfm_parameters_count(f->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(f->parameters, i);
        const char *name = pfm_aligner_name_of(p);
        size_t count = (size_t)(p->n * p->k), length = strlen(name);
        char full[256];
        assert_true(p->trainable);
        if (f->aligner == &pfm_aligner_qformer_double_linear &&
            (strncmp(name, "qformer.", 8) == 0 || strcmp(name, "query_tokens") == 0))
            continue;                                                   /* the same as behind a single layer */
        if (length > 8 && strcmp(name + length - 8, "key.bias") == 0) { /* moves all scores of a query alike: nothing changes */
            assert_true(norm_of(p->gradient, count) < 1e-5);
            continue;
        }
        (void)snprintf(full, sizeof full, "%s.%s.grad", f->aligner->name, name);
        float *golden = tiny_golden("aligners", full, count);
        assert_near(full, p->gradient, golden, count, 1e-4);
        free(golden);
    }
}

static const char *const names[] = {"concat-linear", "linear",  "mlp2x_gelu",
                                    "double-linear", "qformer", "qformer-double-linear"};
enum { KINDS = sizeof names / sizeof *names };

static void compare_level(const char *level)
{
    for (int k = 0; k < KINDS; k++) {
        fixture f;
        char full[64];
        open_aligner(level, PFM_PRECISION_F32, names[k], small, IMAGES, &f);
        run_images(&f, 0, IMAGES);
        (void)snprintf(full, sizeof full, "%s.visual", names[k]);
        size_t count = (size_t)(IMAGES * f.tokens * HIDDEN);
        float *golden = tiny_golden("aligners", full, count);
        assert_near(full, pfm_executor_data(f.executor, f.out), golden, count, 1e-4);
        free(golden);
        (void)snprintf(full, sizeof full, "%s.grad_in", names[k]);
        golden = tiny_golden("aligners", full, IMAGES * IMAGE);
        assert_near(full, pfm_executor_gradient(f.executor, f.in), golden, IMAGES * IMAGE, 1e-4);
        free(golden);
        compare_gradients(&f);
        close_aligner(&f);
    }
}

static void values_and_gradients_are_those_of_torch(void **state)
{
    (void)state;
    tiny_each_level(compare_level);
}

static void bf16_is_near(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        fixture f;
        char full[64];
        open_aligner(NULL, PFM_PRECISION_BF16, names[k], small, IMAGES, &f);
        run_images(&f, 0, IMAGES);
        (void)snprintf(full, sizeof full, "%s.visual", names[k]);
        size_t count = (size_t)(IMAGES * f.tokens * HIDDEN);
        float *golden = tiny_golden("aligners", full, count);
        assert_near(full, pfm_executor_data(f.executor, f.out), golden, count, 0.03);
        free(golden);
        close_aligner(&f);
    }
}

/* To the bit: an image sees nothing of another one, and rows without work are none. */
static void images_at_once_are_those_alone(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        fixture both, one;
        open_aligner(NULL, PFM_PRECISION_F32, names[k], small, IMAGES, &both);
        open_aligner(NULL, PFM_PRECISION_F32, names[k], small, 1, &one);
        run_images(&both, 0, IMAGES);
        size_t count = (size_t)(both.tokens * HIDDEN);
        for (int i = 0; i < IMAGES; i++) {
            run_images(&one, i, 1);
            assert_memory_equal(pfm_executor_data(one.executor, one.out),
                                (const float *)pfm_executor_data(both.executor, both.out) + (size_t)i * count,
                                count * sizeof(float));
            assert_memory_equal(pfm_executor_gradient(one.executor, one.in),
                                (const float *)pfm_executor_gradient(both.executor, both.in) + i * IMAGE,
                                IMAGE * sizeof(float));
        }
        run_images(&both, 1, 1); /* fewer than there is room for */
        assert_memory_equal(pfm_executor_data(both.executor, both.out), pfm_executor_data(one.executor, one.out),
                            count * sizeof(float));
        close_aligner(&both);
        close_aligner(&one);
    }
}

/* Gradients go through it to the features, none is kept for it. */
static void a_frozen_qformer_trains_only_what_follows(void **state)
{
    (void)state;
    pfm_aligner_shape shape = small;
    fixture f;
    shape.qformer.frozen = true;
    open_aligner(NULL, PFM_PRECISION_F32, "qformer", shape, IMAGES, &f);
    assert_int_equal(pfm_parameters_trainable(f.parameters), 16 * HIDDEN + HIDDEN);
    run_images(&f, 0, IMAGES);
    float *golden = tiny_golden("aligners", "qformer.grad_in", IMAGES * IMAGE);
    assert_near("grad_in", pfm_executor_gradient(f.executor, f.in), golden, IMAGES * IMAGE, 1e-4);
    free(golden);
    close_aligner(&f);
}

typedef struct published {
    const char *name;
    pfm_aligner_shape shape;
    int64_t tokens, trained, all;
} published;

/* The numbers that the systems' code and papers have. */
static const published systems[] = {
    {"concat-linear", /* PeFoMed: with LoRA on q_proj and v_proj, 33,554,432, this makes 56,627,200 */
     {.grid = 32, .channels = 1408, .merge_rows = 1, .merge_columns = 4, .hidden = 4096},
     256,
     5632 * 4096 + 4096,
     5632 * 4096 + 4096},
    {"linear", {.grid = 24, .channels = 1024, .merge_rows = 1, .merge_columns = 1, .hidden = 4096}, 576, 4198400, 4198400},
    {"mlp2x_gelu", /* LLaVA-Rad */
     {.grid = 37, .channels = 768, .merge_rows = 1, .merge_columns = 1, .hidden = 4096},
     1369,
     19931136,
     19931136},
    {"qformer-double-linear", /* TinyGPT-V */
     {.grid = 16,
      .channels = 1408,
      .merge_rows = 1,
      .merge_columns = 1,
      .inner = 4096,
      .hidden = 2560,
      .qformer = {12, 12, 32, 2, 768, 3072, true},
      .pretrained = true},
     32,
     13638144,
     13638144 + 105162240},
};

static void check_size(const published *system)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    const pfm_aligner_shape *shape = &system->shape;
    const pfm_aligner *aligner;
    pfm_parameters *parameters;
    pfm_graph *graph;
    pfm_aligner_inputs inputs;
    pfm_value in, out;
    assert_ok(pfm_aligner_find(system->name, &aligner, &err));
    assert_ok(pfm_aligner_check(aligner, shape, &err));
    assert_int_equal(pfm_aligner_tokens(aligner, shape), system->tokens);
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_VISUAL] = system->tokens, [PFM_DIM_FEATURES] = pfm_aligner_rows(shape)};
    assert_ok(pfm_parameters_create(context, PFM_ACT_F32, true, &parameters, &err));
    assert_ok(pfm_graph_create(parameters, capacity, &graph, &err));
    const pfm_builder builder = {.graph = graph, .token_keys = PFM_NO_VALUE};
    assert_ok(pfm_graph_input(graph, PFM_DIM_FEATURES, 0, pfm_aligner_width(shape), PFM_STORAGE_ACT, false, &in, &err));
    assert_ok(pfm_aligner_build(aligner, &builder, shape, in, &inputs, &out, &err));
    assert_int_equal(graph->values[out].shape.columns, shape->hidden);
    assert_int_equal(graph->values[out].shape.rows, system->tokens);
    assert_int_equal(pfm_parameters_trainable(parameters), system->trained);
    assert_int_equal(pfm_parameters_total(parameters), system->all);
    pfm_aligner_inputs_free(&inputs);
    pfm_graph_free(graph);
    pfm_parameters_free(parameters);
    pfm_context_free(context);
}

static void published_sizes_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++)
        check_size(&systems[i]);
}

/* Token t of 1x4 is patches 4t .. 4t + 3, as torch's view(bs, n / 4, 4 c) has them; 2x3 goes through blocks row by row. */
static void neighbours_are_joined_in_order(void **state)
{
    (void)state;
    float features[6 * 6 * 2], rows[6 * 6 * 2];
    for (int i = 0; i < 72; i++)
        features[i] = (float)i;
    pfm_aligner_shape shape = {.grid = 6, .channels = 2, .merge_rows = 1, .merge_columns = 3};
    pfm_aligner_arrange(&shape, features, rows);
    assert_memory_equal(rows, features, sizeof rows);
    shape.merge_rows = 2;
    pfm_aligner_arrange(&shape, features, rows);
    for (int t = 0; t < 6; t++)
        for (int j = 0; j < 12; j++) {
            int y = t / 2 * 2 + j / 6, x = t % 2 * 3 + j % 6 / 2;
            assert_true(rows[t * 12 + j] == (float)((y * 6 + x) * 2 + j % 2));
        }
}

/* A class token stays in front, a row of its own. */
static void a_class_token_is_a_row_before_the_grid(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    float features[17 * 2], rows[17 * 2];
    for (int i = 0; i < 34; i++)
        features[i] = (float)i;
    pfm_aligner_shape shape = {
        .grid = 4, .channels = 2, .extra = 1, .merge_rows = 1, .merge_columns = 1, .qformer = small.qformer};
    assert_int_equal(pfm_aligner_positions(&shape), 17);
    assert_int_equal(pfm_aligner_rows(&shape), 17);
    assert_int_equal(pfm_aligner_tokens(&pfm_aligner_linear, &shape), 17);
    assert_int_equal(pfm_aligner_tokens(&pfm_aligner_qformer, &shape), QUERIES);
    pfm_aligner_arrange(&shape, features, rows);
    assert_memory_equal(rows, features, sizeof rows);
    assert_ok(pfm_aligner_check(&pfm_aligner_linear, &shape, &err));
    shape.merge_columns = 4;
    assert_error(pfm_aligner_check(&pfm_aligner_concat_linear, &shape, &err), PFM_ERROR_USAGE, "a class token has no place");
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const pfm_aligner *aligner;
    pfm_aligner_shape shape = small;
    assert_error(pfm_aligner_find("mlp", &aligner, &err), PFM_ERROR_USAGE, "known are concat-linear, linear, mlp2x_gelu");
    assert_ok(pfm_aligner_find("qformer", &aligner, &err));
    shape.merge_columns = 3;
    assert_error(pfm_aligner_check(aligner, &shape, &err), PFM_ERROR_USAGE, "1x3 does not divide the encoder's grid of 4");
    shape = small;
    shape.qformer.heads = 3;
    assert_error(pfm_aligner_check(aligner, &shape, &err), PFM_ERROR_USAGE, "qformer.hidden 16 is not a multiple");
    shape = small;
    shape.qformer.frozen = true;
    assert_error(pfm_aligner_check(aligner, &shape, &err), PFM_ERROR_USAGE, "model.aligner_weights");
    shape = small;
    shape.pretrained = true;
    assert_error(pfm_aligner_check(&pfm_aligner_gated_cross_attention, &shape, &err), PFM_ERROR_USAGE,
                 "no file is known that the aligner gated-cross-attention could start from");
    int rows, columns;
    assert_ok(pfm_aligner_parse_merge("1x4", &rows, &columns, &err));
    assert_true(rows == 1 && columns == 4);
    assert_ok(pfm_aligner_parse_merge("16", &rows, &columns, &err));
    assert_true(rows == 16 && columns == 16);
    static const char *const bad[] = {"", "0", "17", "x4", "4x", "1x0", "1x17", "2x2x2", "2 ", "-1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error(pfm_aligner_parse_merge(bad[i], &rows, &columns, &err), PFM_ERROR_USAGE, "model.merge cannot be");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_gradients_are_those_of_torch),
        cmocka_unit_test(bf16_is_near),
        cmocka_unit_test(images_at_once_are_those_alone),
        cmocka_unit_test(a_frozen_qformer_trains_only_what_follows),
        cmocka_unit_test(published_sizes_are_exact),
        cmocka_unit_test(neighbours_are_joined_in_order),
        cmocka_unit_test(a_class_token_is_a_row_before_the_grid),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
