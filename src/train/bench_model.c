/* pefomed bench step, growth, base, decode: the whole small model, or layers of a large one, at work on random weights and
 * tokens, so that nothing has to be fetched. */
#include "kernels/bench.h"

#include "base/process.h"
#include "base/try.h"
#include "models/model.h"
#include "peft/peft.h"
#include "train/optimiser.h"
#include "train/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIXELS_A_TOKEN = 64, SHARED_TEXT = 24, OWN_TEXT = 14, ANSWER = 3, STEPS = 5, DECODED = 16, PAST = 96 };

/* What is computed at once: questions about images, with shared text, own text and answer. */
typedef struct bench_work {
    int images, questions; /* questions about each image */
    int image_size;        /* pixels a side; a visual token stands for PIXELS_A_TOKEN x PIXELS_A_TOKEN of them */
    int more_text;         /* tokens beside OWN_TEXT */
    bool large;            /* layers of the shape of LLaMA-2-7B; otherwise the small model */
    int layers;            /* how many of them; 0: one of the large model, all of the small one */
    pfm_dtype weights;     /* of the frozen layers: a block type, or the precision */
    bool recompute;
} bench_work;

static const bench_work slake_step = {.images = 4, .questions = 4, .image_size = 448};

/* LLaMA-2-7B (Touvron et al. 2023). */
static const pfm_language_config large_model = {.family = &pfm_language_llama,
                                                .vocabulary = 32000,
                                                .hidden = 4096,
                                                .intermediate = 11008,
                                                .layers = 1,
                                                .context = 4096,
                                                .heads = 32,
                                                .kv_heads = 32,
                                                .head_dim = 128,
                                                .epsilon = 1e-5,
                                                .rope_theta = 10000};

typedef struct bench_model {
    pfm_context *context; /* borrowed */
    bench_work work;
    pfm_peft *peft;
    pfm_model *model;
    pfm_model_graph graph;
    pfm_executor *executor;
    pfm_pack pack;
    int32_t *ids;
    pfm_sequence *rows;
    void *features;
} bench_model;

/* A model holds the context that it was made with, and changes nothing in it. */
static bench_model begin(const pfm_context *context, const bench_work *work)
{
    return (bench_model){.context = (pfm_context *)(uintptr_t)context, .work = *work};
}

static pfm_status create_model(bench_model *b, bool training, pfm_error *err)
{
    char lora[] = "lora", q_proj[] = "q_proj", v_proj[] = "v_proj", *targets[] = {q_proj, v_proj};
    pfm_status status = PFM_OK;
    pfm_language_config config;
    pfm_peft_options peft = {.method = lora, .rank = 64, .alpha = 128, .dropout = 0.05, .targets = targets, .target_count = 2};
    PFM_TRY(pfm_peft_create(&peft, &b->peft, err));
    PFM_TRY(pfm_language_known("smollm2-135m-instruct", &config, err));
    if (b->work.large)
        config = large_model;
    if (b->work.layers > 0)
        config.layers = b->work.layers;
    pfm_model_options options = {.vision = "efficientnet-lite0",
                                 .image_size = b->work.image_size,
                                 .aligner = "concat-linear",
                                 .merge = "2",
                                 .normalise = true,
                                 .config = &config,
                                 .instruction = "{question}",
                                 .image_text = "<image>\n",
                                 .training = training,
                                 .precision = b->context->precision,
                                 .weights = b->work.weights,
                                 .hook = pfm_peft_hook(b->peft)};
    PFM_TRY(pfm_model_create(b->context, &options, &b->model, err));
    PFM_TRY(pfm_language_rope_table(&b->model->language, b->model->language.context, &b->model->rope, err));
done:
    return status;
}

/* A large matrix repeats its first rows. */
static pfm_status fill_parameters(bench_model *b, pfm_error *err)
{
    pfm_parameters *parameters = b->model->parameters;
    pfm_status status = pfm_parameters_allocate(parameters, err);
    for (int i = 0; status == PFM_OK && i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const int64_t once = pfm_parameters_rows_at_once(parameters, i);
        float *values = NULL;
        status = pfm_bench_numbers(PFM_ACT_F32, (size_t)(once * p->k), &values, err);
        for (int64_t j = 0; status == PFM_OK && j < once * p->k; j++)
            values[j] = p->k == 1 ? 1 : 0.03f * values[j];
        for (int64_t row = 0; status == PFM_OK && row < p->n; row += once)
            pfm_parameters_set_rows(parameters, i, row, p->n - row < once ? p->n - row : once, values);
        free(values);
    }
    return status;
}

/* Rows of a group begin alike; each ends in its own text. */
static pfm_status make_rows(bench_model *b, bool training, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int32_t visual = (int32_t)b->model->visual_tokens, questions = b->work.questions, rows = b->work.images * questions;
    size_t prompt = (size_t)visual + SHARED_TEXT + OWN_TEXT + (size_t)b->work.more_text,
           length = prompt + (training ? ANSWER : 0);
    PFM_TRY(pfm_allocate((size_t)rows * length, sizeof *b->ids, &b->ids, err));
    PFM_TRY(pfm_allocate((size_t)rows, sizeof *b->rows, &b->rows, err));
    for (int32_t r = 0; r < rows; r++) {
        int32_t *ids = b->ids + (size_t)r * length, group = r / questions;
        for (size_t t = 0; t < length; t++) {
            if (t < (size_t)visual)
                ids[t] = -1 - (group * visual + (int32_t)t);
            else
                ids[t] = t < (size_t)visual + SHARED_TEXT ? (int32_t)t : 1000 * (r + 1) + (int32_t)t;
        }
        b->rows[r] = (pfm_sequence){.ids = ids, .count = length, .answer = prompt, .group = group, .number = r};
    }
    pfm_pack_options options = {.share = true, .inference = !training, .reserve = DECODED};
    PFM_TRY(pfm_pack_rows(&b->pack, b->rows, (size_t)rows, &options, err));
done:
    return status;
}

static pfm_status prepare(bench_model *b, bool training, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(create_model(b, training, err));
    PFM_TRY(make_rows(b, training, err));
    int64_t visual = b->work.images * b->model->visual_tokens;
    int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = (int64_t)b->pack.tokens, [PFM_DIM_ANSWERS] = (int64_t)b->pack.answers, [PFM_DIM_VISUAL] = visual};
    PFM_TRY(pfm_model_build(b->model, capacity, training, false, &b->graph, err));
    b->graph.graph->recompute = b->work.recompute;
    PFM_TRY(fill_parameters(b, err));
    pfm_op_environment env = {.context = b->context,
                              .kernels = b->context->kernels,
                              .act = b->model->act,
                              .training = training,
                              .dropout_key = 1,
                              .most_keys = b->pack.key_row_count};
    PFM_TRY(pfm_executor_create(b->graph.graph, &env, training ? b->graph.language.loss : PFM_NO_VALUE, &b->executor, err));
    PFM_TRY(pfm_bench_numbers(b->model->act, (size_t)(visual * b->model->visual_width), &b->features, err));
    PFM_TRY(pfm_model_bind(b->model, &b->graph, b->executor, &b->pack, visual, err));
    const pfm_tower_pictures shown = {.count = b->work.images};
    PFM_TRY(pfm_model_bind_images(b->model, &b->graph, b->executor, b->features, &shown, err));
done:
    return status;
}

static void release(bench_model *b)
{
    pfm_executor_free(b->executor);
    pfm_model_graph_free(&b->graph);
    pfm_model_free(b->model);
    pfm_peft_free(b->peft);
    pfm_pack_free(&b->pack);
    free(b->ids);
    free(b->rows);
    free(b->features);
}

static void run_step(bench_model *b, const pfm_recipe *recipe, int64_t step)
{
    pfm_op_environment *env = pfm_executor_environment(b->executor);
    env->loss_scale = 1.0f / (float)b->pack.answers;
    pfm_parameters_zero_gradients(b->model->parameters);
    pfm_executor_forward(b->executor);
    float *seed = pfm_executor_gradient(b->executor, b->graph.language.loss);
    for (size_t a = 0; a < b->pack.answers; a++)
        seed[a] = 1;
    pfm_executor_backward(b->executor);
    (void)pfm_gradient_norm(b->model->parameters, b->context);
    pfm_adamw_step(b->model->parameters, b->context, recipe, step, 1e-4, 1);
    pfm_parameters_repack(b->model->parameters);
}

static pfm_status add_profile(pfm_bench *bench, const bench_model *b, const char *shape, int steps, pfm_error *err)
{
    size_t count;
    const pfm_profile *profile = pfm_executor_profile(b->executor, &count);
    for (size_t i = 0; i < count; i++) {
        char name[64];
        if (profile[i].calls == 0)
            continue;
        (void)snprintf(name, sizeof name, "  %s%s", profile[i].op, profile[i].backward ? " backward" : "");
        pfm_bench_row row = {.name = name,
                             .shape = shape,
                             .type = (int)b->model->act,
                             .threads = pfm_context_threads(b->context),
                             .flops = profile[i].operations / steps,
                             .seconds = profile[i].seconds / steps};
        pfm_status status = pfm_bench_add(bench, &row, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

/* One more step, recorded. */
static pfm_status write_trace(bench_model *b, const pfm_recipe *recipe, const char *path, pfm_error *err)
{
    pfm_trace trace = {0};
    pfm_trace_begin(&trace, b->executor);
    run_step(b, recipe, STEPS + 1);
    pfm_status status = pfm_trace_end(&trace, b->executor, path, err);
    pfm_trace_free(&trace);
    return status;
}

/* A row of the time of a training step, and what the options ask for beside it. */
static pfm_status measure_step(pfm_bench *bench, bench_model *b, const char *name, const pfm_bench_options *options,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *recipe = NULL;
    static const char text[] = "data: {dataset: phantom}\n";
    char shape[64];
    size_t count;
    double flops = 0, begun;
    PFM_TRY(pfm_recipe_parse(text, sizeof text - 1, "bench", NULL, 0, &recipe, err));
    PFM_TRY(prepare(b, true, err));
    const int steps = b->work.large && b->work.layers > 4 ? 1 : STEPS; /* a step of the whole large model takes a minute */
    if (steps > 1)
        run_step(b, recipe, 0);
    pfm_executor_profile_reset(b->executor);
    begun = pfm_process_clock();
    for (int s = 1; s <= steps; s++)
        run_step(b, recipe, s);
    double seconds = (pfm_process_clock() - begun) / steps;
    const pfm_profile *profile = pfm_executor_profile(b->executor, &count);
    for (size_t i = 0; i < count; i++)
        flops += profile[i].operations / steps;
    (void)snprintf(shape, sizeof shape, "%d rows, %zu tokens", b->work.images * b->work.questions, b->pack.tokens);
    pfm_bench_row whole = {.name = name,
                           .shape = shape,
                           .type = (int)b->model->act,
                           .threads = pfm_context_threads(b->context),
                           .flops = flops,
                           .seconds = seconds};
    PFM_TRY(pfm_bench_add(bench, &whole, err));
    if (options->profile)
        PFM_TRY(add_profile(bench, b, "", steps, err));
    if (options->trace != NULL)
        PFM_TRY(write_trace(b, recipe, options->trace, err));
done:
    pfm_recipe_free(recipe);
    return status;
}

/* The rows of a step of its own model. */
static pfm_status measure_work(pfm_bench *bench, const pfm_context *context, const bench_work *work, const char *name,
                               const pfm_bench_options *options, pfm_error *err)
{
    bench_model b = begin(context, work);
    pfm_status status = measure_step(bench, &b, name, options, err);
    release(&b);
    return status;
}

pfm_status pfm_bench_step(const pfm_context *context, const pfm_bench_options *options, char **json_out, pfm_error *err)
{
    pfm_bench bench;
    bench_work work = slake_step;
    char name[64] = "training step";
    work.layers = options->layers;
    if (work.layers > 0)
        (void)snprintf(name, sizeof name, "training step, layers: %d", work.layers);
    pfm_status status = pfm_bench_begin(context, "step", &bench, err);
    if (status == PFM_OK)
        status = measure_work(&bench, context, &work, name, options, err);
    return pfm_bench_end(&bench, status, json_out, err);
}

static pfm_status measure_named(pfm_bench *bench, const pfm_context *context, const bench_work *work, pfm_error *err)
{
    const pfm_bench_options nothing_else = {0};
    const int side = work->image_size / PIXELS_A_TOKEN;
    char name[64];
    (void)snprintf(name, sizeof name, "%d x %d visual, %d each", work->images, side * side, work->questions);
    return measure_work(bench, context, work, name, &nothing_else, err);
}

/* The usual step in a context of its own with so many threads. */
static pfm_status measure_threads(pfm_bench *bench, int threads, pfm_error *err)
{
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = threads,
                                         .seed = pfm_context_seed(bench->context),
                                         .precision = pfm_context_precision(bench->context),
                                         .cpu_level = pfm_context_cpu_level(bench->context)};
    pfm_status status = pfm_context_create(&options, &context, err);
    if (status == PFM_OK)
        status = measure_named(bench, context, &slake_step, err);
    pfm_context_free(context);
    return status;
}

/* Steps that grow in one respect each: images a step, questions about an image, visual tokens of an image, threads. */
pfm_status pfm_bench_growth(const pfm_context *context, const pfm_bench_options *options, char **json_out, pfm_error *err)
{
    static const bench_work works[] = {{1, 4, 448}, {2, 4, 448}, {4, 4, 448},  {8, 4, 448}, {16, 4, 448}, {4, 1, 448},
                                       {4, 2, 448}, {4, 8, 448}, {4, 16, 448}, {4, 4, 256}, {4, 4, 640},  {4, 4, 1024}};
    (void)options;
    pfm_bench bench;
    pfm_status status = pfm_bench_begin(context, "growth", &bench, err);
    for (size_t i = 0; status == PFM_OK && i < sizeof works / sizeof *works; i++)
        status = measure_named(&bench, context, &works[i], err);
    for (int threads = 1; status == PFM_OK && threads < pfm_context_threads(context); threads *= 2)
        status = measure_threads(&bench, threads, err);
    return pfm_bench_end(&bench, status, json_out, err);
}

/* A LoRA step on layers of the shape of LLaMA-2-7B, 1,280 tokens: in the precision, and on a base in blocks. */
pfm_status pfm_bench_base(const pfm_context *context, const pfm_bench_options *options, char **json_out, pfm_error *err)
{
    static const struct {
        const char *name;
        pfm_dtype weights;
        bool recompute;
    } cases[] = {{"in the precision", PFM_DTYPE_BF16, false}, {"base in q8_0", PFM_DTYPE_Q8_0, false},
                 {"base in q4_0", PFM_DTYPE_Q4_0, false},     {"base in q4_k", PFM_DTYPE_Q4_K, false},
                 {"base in nf4", PFM_DTYPE_NF4, false},       {"q4_0, blocks again", PFM_DTYPE_Q4_0, true}};
    pfm_bench bench;
    pfm_status status = pfm_bench_begin(context, "base", &bench, err);
    for (size_t i = 0; status == PFM_OK && i < sizeof cases / sizeof *cases; i++) {
        if (options->only != NULL && strstr(cases[i].name, options->only) == NULL)
            continue;
        const bench_work work = {.images = 4,
                                 .questions = 2,
                                 .image_size = 1024,
                                 .more_text = 4,
                                 .large = true,
                                 .layers = options->layers,
                                 .weights = cases[i].weights,
                                 .recompute = cases[i].recompute};
        status = measure_work(&bench, context, &work, cases[i].name, options, err);
    }
    return pfm_bench_end(&bench, status, json_out, err);
}

/* `rows` rows that each read their newest token and see PAST keys of their own. */
static void pack_decoding(bench_model *b, int rows)
{
    pfm_pack *pack = &b->pack;
    pack->tokens = pack->answers = pack->span_count = pack->root_count = (size_t)rows;
    pack->most_keys = PAST + 1;
    for (int32_t r = 0; r < rows; r++) {
        pack->ids[r] = 100 + r;
        pack->positions[r] = PAST;
        pack->key_rows[r] = r * (PAST + 1) + PAST;
        pack->index[r] = pack->roots[r] = r;
        pack->spans[r] =
            (pfm_attention_span){.q_begin = r, .q_end = r + 1, .own_begin = r * (PAST + 1), .own_past = PAST, .root = r};
    }
    pack->roots[rows] = rows;
}

static double weight_bytes(const bench_model *b)
{
    double bytes = 0;
    for (int i = 0; i < pfm_parameters_count(b->model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(b->model->parameters, i);
        if ((p->uses & PFM_USE_FORWARD) == 0 || pfm_aligner_owns(p))
            continue;
        size_t n = (size_t)p->n, k = (size_t)p->k;
        bytes += p->quantised != NULL ? (double)b->context->kernels->quant_pack_size(p->operand.quant_format, n, k)
                                      : (double)(n * k * pfm_act_size(b->model->act));
    }
    return bytes;
}

static pfm_status measure_decoding(pfm_bench *bench, bench_model *b, pfm_error *err)
{
    const int most = b->work.images * b->work.questions, counts[] = {1, 4, most};
    pfm_status status = PFM_OK;
    pfm_block memory = {0};
    static const pfm_tower_pictures none = {0};
    PFM_TRY(prepare(b, false, err));
    const pfm_language_config *c = &b->model->language;
    size_t columns = (size_t)c->kv_heads * (size_t)c->head_dim, stride = (size_t)most * (PAST + 1) * columns,
           size = pfm_act_size(b->model->act);
    PFM_TRY(pfm_block_create(2 * (size_t)c->layers * stride * size, &memory, err));
    pfm_kv_store kv = {.keys = memory.data,
                       .values = (char *)memory.data + (size_t)c->layers * stride * size,
                       .layer_stride = stride,
                       .columns = columns};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char shape[40];
        pack_decoding(b, counts[i]);
        PFM_TRY(pfm_model_bind(b->model, &b->graph, b->executor, &b->pack, 0, err));
        PFM_TRY(pfm_model_bind_images(b->model, &b->graph, b->executor, b->features, &none, err));
        kv.rows = b->pack.key_rows;
        pfm_executor_environment(b->executor)->kv = &kv;
        pfm_executor_forward(b->executor);
        double begun = pfm_process_clock();
        for (int s = 0; s < DECODED; s++)
            pfm_executor_forward(b->executor);
        (void)snprintf(shape, sizeof shape, "%d rows, past %d", counts[i], PAST);
        pfm_bench_row row = {.name = "decoding, a token a row",
                             .shape = shape,
                             .type = -1,
                             .threads = pfm_context_threads(b->context),
                             .bytes = weight_bytes(b),
                             .seconds = (pfm_process_clock() - begun) / DECODED};
        PFM_TRY(pfm_bench_add(bench, &row, err));
    }
done:
    pfm_block_free(&memory);
    return status;
}

pfm_status pfm_bench_decode(const pfm_context *context, const pfm_bench_options *options, char **json_out, pfm_error *err)
{
    (void)options;
    pfm_bench bench;
    bench_model b = begin(context, &slake_step);
    pfm_status status = pfm_bench_begin(context, "decode", &bench, err);
    if (status == PFM_OK)
        status = measure_decoding(&bench, &b, err);
    release(&b);
    return pfm_bench_end(&bench, status, json_out, err);
}
