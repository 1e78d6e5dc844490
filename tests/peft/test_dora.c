/* DoRA against Hugging Face PEFT, its dropout against sums in double, what it costs in a run, and LoRA+ and QLoRA, which are
 * settings of what is here. */
#include "peft_case.h"

#include "base/expand_blocks.h"
#include "formats/safetensors.h"
#include "train/optimiser.h"

#include <math.h>

static peft_case case_llama(void)
{
    return (peft_case){.name = "dora_llama",
                       .language = PEFT_LLAMA,
                       .sets = {"peft.method=dora", "peft.rank=3", "peft.alpha=5",
                                "peft.targets=[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]"},
                       .set_count = 4};
}

/* Conv1D layers with biases, rsLoRA's scale. */
static peft_case case_gpt2(void)
{
    return (peft_case){
        .name = "dora_gpt2",
        .language = peft_write_model(NULL, "gpt2"),
        .sets = {"peft.method=dora", "peft.rank=2", "peft.alpha=3", "peft.rslora=true", "peft.targets=[c_attn, mlp.c_proj]"},
        .set_count = 5};
}

/* The base's biases train beside it, and one layer has another rank. */
static peft_case case_bias(void)
{
    return (peft_case){.name = "dora_bias",
                       .language = peft_write_model(NULL, "gpt2"),
                       .sets = {"peft.method=dora", "peft.rank=2", "peft.alpha=3", "peft.bias=all",
                                "peft.rank_pattern=h.1.attn.c_attn=3", "peft.targets=[c_attn]"},
                       .set_count = 6};
}

static pfm_precision precision_at_hand;

static void compare_both(const char *level)
{
    const peft_case llama_case = case_llama(), gpt2 = case_gpt2(), bias = case_bias();
    peft_case_compare(&llama_case, level, precision_at_hand, 2 + 3 * 7 * 2);
    if (precision_at_hand == PFM_PRECISION_F32) {
        peft_case_compare(&gpt2, level, precision_at_hand, 2 + 3 * 2 * 2);
        peft_case_compare(&bias, level, precision_at_hand, 2 + 3 * 2 + 6 * 2 + 1);
    }
}

static void f32_is_what_peft_computes(void **state)
{
    (void)state;
    precision_at_hand = PFM_PRECISION_F32;
    tiny_each_level(compare_both);
}

static void bf16_is_as_near_as_autocast(void **state)
{
    (void)state;
    precision_at_hand = PFM_PRECISION_BF16;
    tiny_each_level(compare_both);
}

static void merged_weights_compute_the_same(void **state)
{
    (void)state;
    const peft_case llama_case = case_llama(), gpt2 = case_gpt2(), bias = case_bias();
    peft_case_merge(&llama_case);
    peft_case_merge(&gpt2);
    peft_case_merge(&bias);
}

static void what_is_saved_is_loaded_and_is_pefts(void **state)
{
    (void)state;
    const peft_case cases[] = {case_llama(), case_gpt2(), case_bias()};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peft_case_save(&cases[i]);
        peft_case_forward(&cases[i]);
    }
}

static void what_trains_changes_and_nothing_else(void **state)
{
    (void)state;
    static const char *const sets[] = {"peft.method=dora", "peft.dropout=0.1"};
    peft_check_training(sets, 2, 3 * 7 * 2 + 2);
}

/* ---- the lengths of rows ---- */

/* A fresh adapter changes nothing, whatever the base is kept in: lengths are of the weights as they are multiplied. */
static void it_starts_at_the_base(void **state)
{
    (void)state;
    static const char *const weights[] = {"bf16", "q8_0", "q4_0", "q4_1", "nf4"};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        peft_case dora = case_llama(),
                  bare = {.language = PEFT_LLAMA, .sets = {"peft.method=none", "trainable=[aligner]"}, .set_count = 2};
        peft_model a, b;
        char set[64];
        (void)snprintf(set, sizeof set, "model.weights=%s", weights[i]);
        dora.sets[dora.set_count++] = bare.sets[bare.set_count++] = set;
        peft_model_create(tiny_context(NULL, 2, PFM_PRECISION_F32), &dora, true, NULL, &a);
        peft_model_create(tiny_context(NULL, 2, PFM_PRECISION_F32), &bare, true, NULL, &b);
        const float *logits = peft_model_run(&b);
        assert_near(weights[i], peft_model_run(&a), logits, peft_model_logits(&b), 1e-5);
        const pfm_parameters *parameters = a.session->model->parameters;
        for (int p = 0; p < pfm_parameters_count(parameters); p++) { /* a length that decays would take the base with it */
            const pfm_parameter *parameter = pfm_parameters_get(parameters, p);
            assert_false(parameter->initial == PFM_INITIAL_NORMS && parameter->decays);
        }
        peft_model_free(&a);
        peft_model_free(&b);
    }
}

/* The golden LLaMA with its linear layers rounded to blocks and written in f32. */
static const char *make_rounded(pfm_dtype type)
{
    static char folder[256];
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    pfm_weight tensors[32];
    (void)snprintf(folder, sizeof folder, "%s/rounded", test_scratch_folder());
    tiny_copy_model("llama", folder);
    assert_ok(pfm_weights_open(PEFT_LLAMA "/model.safetensors", &weights, &err));
    const size_t count = pfm_weights_count(weights);
    assert_true(count <= 32);
    for (size_t i = 0; i < count; i++) {
        tensors[i] = *pfm_weights_at(weights, i);
        const size_t values = pfm_weight_values(&tensors[i]), k = (size_t)tensors[i].shape[1];
        float *expanded = calloc(values, sizeof *expanded);
        assert_non_null(expanded);
        assert_ok(pfm_weight_expand(&tensors[i], expanded, &err));
        for (size_t row = 0; strstr(tensors[i].name, "_proj.weight") != NULL && row < values / k; row++)
            pfm_round_to_blocks(type, expanded + row * k, k, expanded + row * k);
        tensors[i].dtype = PFM_DTYPE_F32;
        tensors[i].data = expanded;
        tensors[i].bytes = values * sizeof *expanded;
    }
    assert_ok(pfm_safetensors_write(test_path(folder, "model.safetensors"), tensors, count, NULL, 0, &err));
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)tensors[i].data);
    pfm_weights_close(weights);
    return folder;
}

/* In blocks the base is what its blocks say: a learned adapter computes the same on a file that holds just that. */
static void a_base_in_blocks_is_what_they_say(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        pfm_dtype type;
    } cases[] = {{"model.weights=q4_0", PFM_DTYPE_Q4_0}, {"model.weights=nf4", PFM_DTYPE_NF4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        peft_case kept = case_llama(), rounded = case_llama();
        peft_model a, b;
        kept.sets[kept.set_count++] = cases[i].set;
        rounded.language = make_rounded(cases[i].type);
        peft_model_create(tiny_context(NULL, 2, PFM_PRECISION_F32), &kept, true, peft_path(kept.name), &a);
        peft_model_create(tiny_context(NULL, 2, PFM_PRECISION_F32), &rounded, true, peft_path(kept.name), &b);
        const float *logits = peft_model_run(&b);
        assert_near(cases[i].set, peft_model_run(&a), logits, peft_model_logits(&b), 1e-5);
        peft_model_free(&a);
        peft_model_free(&b);
    }
}

static int64_t calls_of(const peft_model *m, const char *op)
{
    size_t count;
    const pfm_profile *profile = pfm_executor_profile(m->executor, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(profile[i].op, op) == 0 && !profile[i].backward)
            return profile[i].calls;
    }
    return 0;
}

/* Answering finds the lengths once, however many tokens it makes; learning once a step. */
static void lengths_are_found_once_for_each_state_of_the_parameters(void **state)
{
    (void)state;
    peft_model m;
    const peft_case c = case_llama();
    peft_model_create(tiny_context(NULL, 2, PFM_PRECISION_F32), &c, true, peft_path(c.name), &m);
    const size_t bytes = peft_model_logits(&m) * sizeof(float);
    float *first = malloc(bytes);
    assert_non_null(first);
    for (int run = 0; run < 3; run++) {
        const float *logits = peft_model_run(&m);
        if (run == 0)
            memcpy(first, logits, bytes);
        assert_memory_equal(logits, first, bytes);
        pfm_executor_backward(m.executor);
        assert_int_equal(calls_of(&m, "row_norms"), 7 * 2);
    }
    peft_randomise(m.session->model->parameters, 3);
    assert_memory_not_equal(peft_model_run(&m), first, bytes);
    assert_int_equal(calls_of(&m, "row_norms"), 2 * 7 * 2);
    free(first);
    peft_model_free(&m);
}

/* ---- dropout ---- */

enum { N = 6, K = 10, R = 2, T = 5 };

/* One layer with DoRA in a graph of its own; what it computes, and the same by sums in double. */
typedef struct layer {
    pfm_context *context;
    pfm_peft *peft;
    pfm_parameters *parameters;
    pfm_graph *graph;
    pfm_executor *executor;
    pfm_value x, dropped, y;
    float w[N * K], bias[N], a[R * K], b[N * R], m[N], in[T * K], seed[T * N];
    double scale, g[N], norm[N], z[T][N]; /* z: W and the update, of the dropped input */
} layer;

static void set_parameter(layer *l, const char *name, uint32_t seed, size_t count, float offset, float *values)
{
    const int id = pfm_parameters_find(l->parameters, name);
    assert_true(id >= 0);
    tiny_spread(seed, count, values);
    for (size_t i = 0; i < count; i++)
        values[i] += offset;
    pfm_parameters_set(l->parameters, id, values);
}

static void build_layer(layer *l)
{
    pfm_error err = PFM_ERROR_INIT;
    char dora[] = "dora", target[] = "layer", *targets[] = {target};
    const pfm_peft_options options = {
        .method = dora, .rank = R, .alpha = 3, .dropout = 0.5, .targets = targets, .target_count = 1};
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = T};
    const pfm_linear_options linear = {
        .n = N, .k = K, .bias = true, .addend = PFM_NO_VALUE, .output = PFM_STORAGE_F32, .initial = PFM_INITIAL_ZERO};
    static const int64_t keys[T] = {3, 1, 4, 1, 5};
    pfm_value token_keys;
    l->context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    assert_ok(pfm_peft_create(&options, &l->peft, &err));
    assert_ok(pfm_parameters_create(l->context, PFM_ACT_F32, true, &l->parameters, &err));
    assert_ok(pfm_graph_create(l->parameters, capacity, &l->graph, &err));
    assert_ok(pfm_graph_input(l->graph, PFM_DIM_TOKENS, 0, 1, PFM_STORAGE_I64, false, &token_keys, &err));
    assert_ok(pfm_graph_input(l->graph, PFM_DIM_TOKENS, 0, K, PFM_STORAGE_ACT, true, &l->x, &err));
    pfm_builder builder = {.graph = l->graph, .hook = pfm_peft_hook(l->peft), .token_keys = token_keys};
    assert_ok(pfm_build_linear(&builder, l->x, "layer", &linear, &l->y, &err));
    for (size_t n = 0; n < l->graph->node_count; n++) {
        if (l->graph->nodes[n].op == &pfm_op_dropout)
            l->dropped = l->graph->nodes[n].out[0];
    }
    pfm_graph_keep(l->graph, l->dropped);
    assert_ok(pfm_parameters_allocate(l->parameters, &err));
    set_parameter(l, "layer.weight", 1, N * K, 0, l->w);
    set_parameter(l, "layer.bias", 2, N, 0.5f, l->bias);
    set_parameter(l, "layer.lora_A.weight", 3, R * K, 0, l->a);
    set_parameter(l, "layer.lora_B.weight", 4, N * R, 0, l->b);
    set_parameter(l, "layer.lora_magnitude_vector", 5, N, 2, l->m);
    pfm_op_environment env = {
        .context = l->context, .kernels = l->context->kernels, .act = PFM_ACT_F32, .training = true, .dropout_key = 9};
    assert_ok(pfm_executor_create(l->graph, &env, l->y, &l->executor, &err));
    tiny_spread(6, T * K, l->in);
    tiny_spread(7, T * N, l->seed);
    pfm_executor_bind(l->executor, token_keys, keys);
    pfm_executor_bind(l->executor, l->x, l->in);
    l->scale = 3.0 / R;
}

static double updated(const layer *l, int i, int j)
{
    double sum = l->w[i * K + j];
    for (int r = 0; r < R; r++)
        sum += l->scale * l->b[i * R + r] * l->a[r * K + j];
    return sum;
}

static void expect_forward(layer *l, const float *dropped, float y[T * N])
{
    for (int i = 0; i < N; i++) {
        double squares = 0;
        for (int j = 0; j < K; j++)
            squares += updated(l, i, j) * updated(l, i, j);
        l->norm[i] = sqrt(squares);
        l->g[i] = l->m[i] / l->norm[i];
    }
    for (int t = 0; t < T; t++)
        for (int i = 0; i < N; i++) {
            double whole = l->bias[i], base = 0, update = 0;
            for (int j = 0; j < K; j++) {
                whole += (double)l->w[i * K + j] * l->in[t * K + j];
                base += (double)l->w[i * K + j] * dropped[t * K + j];
                update += (updated(l, i, j) - l->w[i * K + j]) * dropped[t * K + j];
            }
            l->z[t][i] = base + update;
            y[t * N + i] = (float)(whole + (l->g[i] - 1) * base + l->g[i] * update);
        }
}

/* Of the sum of seed y, the lengths constant. */
static void expect_backward(const layer *l, const float *dropped, float dm[N], float da[R * K], float db[N * R],
                            float dx[T * K])
{
    double a[R * K] = {0}, b[N * R] = {0}, m[N] = {0};
    for (int t = 0; t < T; t++)
        for (int i = 0; i < N; i++) {
            const double dy = l->seed[t * N + i], dz = dy * l->g[i] * l->scale;
            m[i] += dy * l->z[t][i] / l->norm[i];
            for (int r = 0; r < R; r++)
                for (int j = 0; j < K; j++) {
                    b[i * R + r] += dz * l->a[r * K + j] * dropped[t * K + j];
                    a[r * K + j] += dz * l->b[i * R + r] * dropped[t * K + j];
                }
        }
    for (int t = 0; t < T; t++)
        for (int j = 0; j < K; j++) {
            double sum = 0, kept = dropped[t * K + j] / l->in[t * K + j];
            for (int i = 0; i < N; i++)
                sum += l->seed[t * N + i] * (l->w[i * K + j] + kept * (l->g[i] * updated(l, i, j) - l->w[i * K + j]));
            dx[t * K + j] = (float)sum;
        }
    for (int i = 0; i < R * K; i++)
        da[i] = (float)a[i];
    for (int i = 0; i < N * R; i++)
        db[i] = (float)b[i];
    for (int i = 0; i < N; i++)
        dm[i] = (float)m[i];
}

static const float *gradient_of(const layer *l, const char *name)
{
    return pfm_parameters_get(l->parameters, pfm_parameters_find(l->parameters, name))->gradient;
}

/* y = W x + bias + (g - 1) W dropout(x) + g scale B A dropout(x). */
static void dropout_is_pefts(void **state)
{
    (void)state;
    layer l = {0};
    float y[T * N], dm[N], da[R * K], db[N * R], dx[T * K], dropped[T * K];
    int zeros = 0;
    build_layer(&l);
    pfm_executor_forward(l.executor);
    memcpy(dropped, pfm_executor_data(l.executor, l.dropped), sizeof dropped);
    for (int i = 0; i < T * K; i++)
        zeros += dropped[i] == 0;
    assert_in_range(zeros, 10, 40);
    expect_forward(&l, dropped, y);
    assert_near("y", pfm_executor_data(l.executor, l.y), y, T * N, 1e-6);
    memcpy(pfm_executor_gradient(l.executor, l.y), l.seed, sizeof l.seed);
    pfm_executor_backward(l.executor);
    expect_backward(&l, dropped, dm, da, db, dx);
    assert_near("dm", gradient_of(&l, "layer.lora_magnitude_vector"), dm, N, 1e-6);
    assert_near("dA", gradient_of(&l, "layer.lora_A.weight"), da, R * K, 1e-6);
    assert_near("dB", gradient_of(&l, "layer.lora_B.weight"), db, N * R, 1e-6);
    assert_near("dx", pfm_executor_gradient(l.executor, l.x), dx, T * K, 1e-6);
    pfm_executor_free(l.executor);
    pfm_graph_free(l.graph);
    pfm_parameters_free(l.parameters);
    pfm_peft_free(l.peft);
    pfm_context_free(l.context);
}

/* ---- settings ---- */

/* Three steps of the script's gradients; afterwards the parameters are PEFT's create_loraplus_optimizer's. */
static void check_rates(const char *golden, const char *method, const char *decay, int wanted)
{
    peft_model m;
    const peft_case c = {
        .language = PEFT_LLAMA,
        .sets = {method, decay, "peft.rate_ratio=16", "peft.rank=2", "peft.targets=[layers.0.self_attn.q_proj]"},
        .set_count = 5};
    int compared = 0;
    peft_model_create(tiny_context(NULL, 1, PFM_PRECISION_F32), &c, true, NULL, &m);
    pfm_parameters *parameters = m.session->model->parameters;
    for (int step = -1; step < 3; step++) {
        for (int i = 0; i < pfm_parameters_count(parameters); i++) {
            const pfm_parameter *p = pfm_parameters_get(parameters, i);
            if (p->part == PFM_PART_PEFT)
                tiny_spread(step < 0 ? 21 : 30 + (uint32_t)step, (size_t)(p->n * p->k), step < 0 ? p->values : p->gradient);
        }
        if (step >= 0)
            pfm_adamw_step(parameters, m.context, m.session->recipe, step, 1e-2, 1);
    }
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        char name[200];
        if (p->part != PFM_PART_PEFT)
            continue;
        (void)snprintf(name, sizeof name, "%s.base_model.model.%s", golden, p->name);
        float *values = peft_golden(name, NULL);
        assert_near(name, p->values, values, (size_t)(p->n * p->k), 1e-5);
        free(values);
        compared++;
    }
    assert_int_equal(compared, wanted);
    peft_model_free(&m);
}

static void lora_plus_steps_as_pefts_optimizer(void **state)
{
    (void)state;
    check_rates("rates", "peft.method=lora", "train.weight_decay=0.1", 2);
    check_rates("rates_dora", "peft.method=dora", "train.weight_decay=0", 3);
}

/* LoRA on a base in NF4, as bitsandbytes rounds it and PEFT learns on it. */
static void qlora_is_lora_on_nf4(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *list = NULL;
    assert_ok(pfm_json_load(peft_path("qlora.json"), &list, &err));
    const peft_case c = {.name = "qlora",
                         .language = peft_write_model(list, "qlora"),
                         .sets = {"peft.method=lora", "model.weights=nf4", "peft.rank=2", "peft.alpha=4",
                                  "peft.targets=[q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]"},
                         .set_count = 5};
    peft_case_compare(&c, NULL, PFM_PRECISION_F32, 2 + 2 * 7);
    peft_case_save(&c);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_is_what_peft_computes),
        cmocka_unit_test(bf16_is_as_near_as_autocast),
        cmocka_unit_test(merged_weights_compute_the_same),
        cmocka_unit_test(what_is_saved_is_loaded_and_is_pefts),
        cmocka_unit_test(what_trains_changes_and_nothing_else),
        cmocka_unit_test(it_starts_at_the_base),
        cmocka_unit_test(a_base_in_blocks_is_what_they_say),
        cmocka_unit_test(lengths_are_found_once_for_each_state_of_the_parameters),
        cmocka_unit_test(dropout_is_pefts),
        cmocka_unit_test(lora_plus_steps_as_pefts_optimizer),
        cmocka_unit_test(qlora_is_lora_on_nf4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
