/* What every PEFT method must keep, each method of the list by the same tests: what trains is said and nothing else changes;
 * its gradients are the slope of the loss, also on a base in 4 bits, and do not depend on packing, threads or recomputing; what
 * is saved is read to the same bits; a run that was broken off goes on to the same bits; a stage that does not train it leaves
 * it as it is; merged it computes what it computed, or merging is refused.
 *
 * A new method needs a line in the table. */
#include "../train/whole_training.h"

#include "formats/safetensors.h"
#include "peft/peft_methods.h"
#include "pefomed/infer.h"
#include "pefomed/train.h"
#include "train/optimiser.h"

#include <math.h>

/* Of the tiny models. */
enum { LAYERS = 2, HIDDEN = TINY_HIDDEN, INNER = 48, KEYS = 16, UNTIED_HIDDEN = 16 };

typedef struct method_case {
    const char *method, *peft; /* the recipe's section */
    const char *model;         /* "llama", "llama_untied", or "biased": llama with biases */
    bool merges;
    bool has_constants; /* some of what it computes counts as constant in the gradient, which is not the slope then */
    int64_t trained;    /* how many numbers */
} method_case;

static const method_case cases[] = {
    {.method = "bitfit",
     .peft = "{method: bitfit}",
     .model = "biased",
     .merges = true,
     .trained = LAYERS * (3 * HIDDEN + 2 * KEYS + 2 * INNER)},
    {.method = "full",
     .peft = "{method: full, targets: [layers.1.mlp.down_proj, model.norm, embed_tokens]}",
     .model = "llama",
     .merges = true,
     .trained = INNER * HIDDEN + HIDDEN + TINY_VOCABULARY * HIDDEN},
    {.method = "full",
     .peft = "{method: full, targets: [o_proj]}",
     .model = "biased",
     .merges = true,
     .trained = LAYERS * (HIDDEN * HIDDEN + HIDDEN)},
    {.method = "full",
     .peft = "{method: full, targets: [lm_head]}",
     .model = "llama_untied",
     .merges = true,
     .trained = TINY_VOCABULARY * UNTIED_HIDDEN},
    {.method = "ln_tuning",
     .peft = "{method: ln_tuning}",
     .model = "llama",
     .merges = true,
     .trained = (2 * LAYERS + 1) * HIDDEN},
    {.method = "lora",
     .peft = "{method: lora, rank: 4, alpha: 8, dropout: 0.3, targets: [q_proj, up_proj]}",
     .model = "llama",
     .merges = true,
     .trained = LAYERS * 4 * (HIDDEN + HIDDEN + HIDDEN + INNER)},
    {.method = "dora",
     .peft = "{method: dora, rank: 4, alpha: 8, dropout: 0.3, targets: [q_proj, up_proj]}",
     .model = "llama",
     .merges = true,
     .has_constants = true,
     .trained = LAYERS * (4 * (HIDDEN + HIDDEN + HIDDEN + INNER) + HIDDEN + INNER)},
    {.method = "vera",
     .peft = "{method: vera, rank: 4, d_initial: 1, dropout: 0.3, targets: [q_proj, up_proj]}",
     .model = "llama",
     .merges = true,
     .trained = LAYERS * (4 + HIDDEN + 4 + INNER)},
    {.method = "vera",
     .peft = "{method: vera, rank: 6, d_initial: 1, projection_seed: 5, save_projection: false, targets: [k_proj, down_proj]}",
     .model = "biased",
     .merges = true,
     .trained = LAYERS * (6 + KEYS + 6 + HIDDEN)},
    {.method = "ia3",
     .peft = "{method: ia3, targets: [k_proj, down_proj], feedforward: [down_proj]}",
     .model = "biased",
     .merges = true,
     .trained = LAYERS * (KEYS + INNER)},
    {.method = "prompt_tuning", .peft = "{method: prompt_tuning, virtual_tokens: 3}", .model = "llama", .trained = 3 * HIDDEN},
    {.method = "p_tuning",
     .peft = "{method: p_tuning, virtual_tokens: 3, encoder_hidden: 8}",
     .model = "llama",
     .trained = 3 * HIDDEN + HIDDEN * 8 + 8 + 8 * 8 + 8 + 8 * HIDDEN + HIDDEN},
    {.method = "prefix_tuning",
     .peft = "{method: prefix_tuning, virtual_tokens: 3}",
     .model = "llama",
     .trained = 3 * LAYERS * 2 * KEYS},
    {.method = "parallel",
     .peft = "{method: parallel, bottleneck: 6, activation: gelu, adapter_scale: 4, sublayers: mlp, dropout: 0.3}",
     .model = "llama",
     .trained = LAYERS * (6 * HIDDEN + 6 + HIDDEN * 6 + HIDDEN)},
    {.method = "serial",
     .peft = "{method: serial, bottleneck: 6, dropout: 0.3}",
     .model = "biased",
     .trained = LAYERS * 2 * (6 * HIDDEN + 6 + HIDDEN * 6 + HIDDEN)},
};
enum { CASES = sizeof cases / sizeof *cases };

#define METHOD_NAME(name) #name,
static void every_method_has_a_case(void **state)
{
    (void)state;
    static const char *const names[] = {PFM_PEFT_METHOD_LIST(METHOD_NAME)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool found = false;
        for (size_t c = 0; c < CASES; c++)
            found |= strcmp(cases[c].method, names[i]) == 0;
        if (!found)
            fail_msg("the method %s has no case here", names[i]);
    }
}

/* ---- a case at work ---- */

/* Borrowed until the next. */
static const char *language_of(const method_case *c)
{
    static char folder[256];
    (void)snprintf(folder, sizeof folder, "%s/%s", test_scratch_folder(), c->model);
    if (strcmp(c->model, "biased") == 0)
        tiny_biased_model(folder);
    else
        tiny_copy_model(c->model, folder);
    return folder;
}

/* The recipe of a case, written at its first use; borrowed. */
static const char *recipe_of(const method_case *c, bool staged)
{
    static char paths[2][CASES][256];
    char *path = paths[staged][c - cases];
    if (path[0] == '\0') {
        (void)snprintf(path, sizeof paths[0][0], "%s/%s%zu.yaml", test_scratch_folder(), staged ? "staged" : "plain",
                       (size_t)(c - cases));
        (staged ? write_staged_recipe : write_training_recipe)(path, language_of(c), c->peft);
    }
    return path;
}

static pfm_parameters *parameters_of(const pfm_trainer *trainer) { return trainer->session->model->parameters; }

/* Gives what trains other values, so that no gradient is zero because a factor beside it is. */
static void stir(pfm_parameters *parameters)
{
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const size_t count = (size_t)(p->n * p->k);
        if (!p->trainable || p->part != PFM_PART_PEFT)
            continue;
        float *noise = calloc(count, sizeof *noise);
        assert_non_null(noise);
        tiny_spread(500 + (uint32_t)i, count, noise);
        for (size_t j = 0; j < count; j++)
            p->values[j] += 0.2f * noise[j];
        free(noise);
    }
    pfm_parameters_repack(parameters);
}

static pfm_trainer *open_case(pfm_context *context, const method_case *c, const char *const *sets, int set_count)
{
    pfm_trainer *trainer = open_trainer_of(recipe_of(c, false), context, sets, set_count);
    stir(parameters_of(trainer));
    return trainer;
}

static double gradients_of(pfm_trainer *trainer, int64_t step)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_step_result result;
    assert_ok(pfm_trainer_gradients(trainer, step, &result, &err));
    return result.loss;
}

static void each_case(void (*body)(pfm_context *context, const method_case *c))
{
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    for (size_t c = 0; c < CASES; c++)
        body(context, &cases[c]);
    pfm_context_free(context);
}

/* ---- what trains ---- */

/* Everything that the kernels and the files take from a parameter, side by side. */
static size_t parameter_bytes(const pfm_context *context, const pfm_parameter *p, unsigned char *out)
{
    const struct {
        const void *data;
        size_t bytes;
    } parts[] = {{p->values, (size_t)(p->n * p->k) * sizeof(float)},
                 {p->rows, (size_t)(p->n * p->k) * sizeof(float)},
                 {p->packed_forward, context->kernels->gemm_pack_size[PFM_ACT_F32]((size_t)p->n, (size_t)p->k)},
                 {p->packed_backward, context->kernels->gemm_pack_size[PFM_ACT_F32]((size_t)p->k, (size_t)p->n)}};
    size_t used = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].data == NULL)
            continue;
        if (out != NULL)
            memcpy(out + used, parts[i].data, parts[i].bytes);
        used += parts[i].bytes;
    }
    return used;
}

static unsigned char *copy_parameter(const pfm_context *context, const pfm_parameter *p)
{
    unsigned char *copy = malloc(parameter_bytes(context, p, NULL) + 1);
    assert_non_null(copy);
    (void)parameter_bytes(context, p, copy);
    return copy;
}

static void check_what_changes(pfm_context *context, const method_case *c)
{
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"trainable=[peft]"};
    pfm_step_result result;
    pfm_trainer *trainer = open_case(context, c, sets, 1);
    const pfm_parameters *parameters = parameters_of(trainer);
    const int count = pfm_parameters_count(parameters);
    unsigned char **before = calloc((size_t)count, sizeof *before);
    assert_non_null(before);
    assert_int_equal(pfm_parameters_trainable(parameters), c->trained);
    for (int i = 0; i < count; i++)
        before[i] = copy_parameter(context, pfm_parameters_get(parameters, i));
    assert_ok(pfm_trainer_step(trainer, 0, &result, &err));
    for (int i = 0; i < count; i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        unsigned char *after = copy_parameter(context, p);
        if ((memcmp(before[i], after, parameter_bytes(context, p, NULL)) != 0) != p->trainable)
            fail_msg("%s: %s %s", c->method, p->name, p->trainable ? "trains, but did not change" : "is frozen, but changed");
        assert_true(!p->trainable || p->part == PFM_PART_PEFT);
        free(before[i]);
        free(after);
    }
    free(before);
    close_trainer(trainer);
}

static void what_trains_changes_and_nothing_else(void **state)
{
    (void)state;
    each_case(check_what_changes);
}

/* ---- gradients ---- */

/* Moves what trains along its gradient, by a length. */
static void move(pfm_parameters *parameters, const float *start, const float *direction, double factor)
{
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!p->trainable)
            continue;
        for (int64_t j = 0; j < p->n * p->k; j++)
            p->values[j] = (float)(start[j] + factor * direction[j]);
        start += p->n * p->k;
        direction += p->n * p->k;
    }
    pfm_parameters_repack(parameters);
}

static float *copy_values(const pfm_parameters *parameters)
{
    float *out = calloc((size_t)pfm_parameters_trainable(parameters), sizeof *out), *next = out;
    assert_non_null(out);
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!p->trainable)
            continue;
        memcpy(next, p->values, (size_t)(p->n * p->k) * sizeof *next);
        next += p->n * p->k;
    }
    return out;
}

/* The loss along the gradient rises by its square. */
static void check_slope(pfm_context *context, const method_case *c, const char *weights)
{
    const char *const sets[] = {"trainable=[peft]", weights};
    pfm_trainer *trainer = open_case(context, c, sets, 2);
    pfm_parameters *parameters = parameters_of(trainer);
    (void)gradients_of(trainer, 1);
    float *direction = tiny_copy_gradients(parameters), *start = copy_values(parameters);
    double squares = 0, loss[2];
    for (int64_t j = 0; j < pfm_parameters_trainable(parameters); j++)
        squares += (double)direction[j] * direction[j];
    const double width = 4e-3 / sqrt(squares);
    for (int side = 0; side < 2; side++) {
        move(parameters, start, direction, side == 0 ? -width : width);
        loss[side] = gradients_of(trainer, 1);
    }
    const double measured = (loss[1] - loss[0]) / (2 * width);
    if (!(squares > 1e-8 && fabs(measured - squares) <= 2e-2 * squares))
        fail_msg("%s, %s: the slope is %g, the gradient says %g", c->method, weights, measured, squares);
    free(direction);
    free(start);
    close_trainer(trainer);
}

static void check_both_bases(pfm_context *context, const method_case *c)
{
    if (c->has_constants)
        return;
    check_slope(context, c, "model.weights=bf16"); /* the precision, f32 here */
    check_slope(context, c, "model.weights=q4_0");
}

static void gradients_are_the_slope_of_the_loss(void **state)
{
    (void)state;
    each_case(check_both_bases);
}

/* The same gradients of step 3, which crosses the end of an epoch; bound 0: to the bit. */
static void compare_gradients(const method_case *c, const pfm_trainer *plain, const float *gradients, pfm_context *context,
                              const char *set, double bound)
{
    pfm_trainer *trainer = open_case(context, c, &set, 1);
    (void)gradients_of(trainer, 3);
    if (bound > 0) {
        assert_gradients_near(parameters_of(trainer), gradients, bound);
    } else {
        float *copy = tiny_copy_gradients(parameters_of(trainer));
        const size_t bytes = (size_t)pfm_parameters_trainable(parameters_of(plain)) * sizeof *copy;
        if (memcmp(copy, gradients, bytes) != 0)
            fail_msg("%s: %s changes the gradients", c->method, set);
        free(copy);
    }
    close_trainer(trainer);
}

static void check_ways(pfm_context *context, const method_case *c)
{
    pfm_context *one = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_trainer *trainer = open_case(context, c, NULL, 0);
    (void)gradients_of(trainer, 3);
    float *gradients = tiny_copy_gradients(parameters_of(trainer));
    compare_gradients(c, trainer, gradients, context, "train.pack=false", 1e-5);
    compare_gradients(c, trainer, gradients, context, "train.recompute=true", 0);
    compare_gradients(c, trainer, gradients, one, "train.recompute=false", 0);
    free(gradients);
    close_trainer(trainer);
    pfm_context_free(one);
}

static void packing_recomputing_and_threads_change_nothing(void **state)
{
    (void)state;
    each_case(check_ways);
}

/* ---- saving ---- */

static void check_saving(pfm_context *context, const method_case *c)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = test_path(test_scratch_folder(), "saved");
    char saved[256];
    (void)snprintf(saved, sizeof saved, "%s", folder);
    pfm_trainer *a = open_case(context, c, NULL, 0), *b = open_trainer_of(recipe_of(c, false), context, NULL, 0);
    assert_ok(pfm_run_save(saved, "base", a->session->model, a->session->peft, &err));
    assert_ok(pfm_run_load(saved, NULL, b->session->model, b->session->peft, &err));
    for (int i = 0; i < pfm_parameters_count(parameters_of(a)); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters_of(a), i), *q = pfm_parameters_get(parameters_of(b), i);
        unsigned char *x = copy_parameter(context, p), *y = copy_parameter(context, q);
        if (strcmp(p->name, q->name) != 0 || memcmp(x, y, parameter_bytes(context, p, NULL)) != 0)
            fail_msg("%s: %s was saved and is another when loaded", c->method, p->name);
        free(x);
        free(y);
    }
    (void)gradients_of(a, 0);
    (void)gradients_of(b, 0);
    float *x = tiny_copy_gradients(parameters_of(a)), *y = tiny_copy_gradients(parameters_of(b));
    assert_memory_equal(x, y, (size_t)pfm_parameters_trainable(parameters_of(a)) * sizeof *x);
    free(x);
    free(y);
    close_trainer(a);
    close_trainer(b);
}

static void what_is_saved_is_read_to_the_same_bits(void **state)
{
    (void)state;
    each_case(check_saving);
}

/* ---- whole runs ---- */

/* The run of a case that nothing disturbs, made once. */
static const char *run_of(const method_case *c)
{
    static char folders[CASES][256];
    pfm_error err = PFM_ERROR_INIT;
    char *folder = folders[c - cases];
    stopper s = {.left = STOP_NEVER};
    if (folder[0] == '\0') {
        (void)snprintf(folder, sizeof folders[0], "%s/run%zu", test_scratch_folder(), (size_t)(c - cases));
        assert_ok(train_recipe(recipe_of(c, false), folder, 2, &s, NULL, 0, false, &err));
    }
    return folder;
}

static void check_resuming(pfm_context *context, const method_case *c)
{
    (void)context;
    pfm_error err = PFM_ERROR_INIT;
    char stopped[256];
    (void)snprintf(stopped, sizeof stopped, "%s/stopped%zu", test_scratch_folder(), (size_t)(c - cases));
    stopper s = {.left = 4};
    assert_error(train_recipe(recipe_of(c, false), stopped, 1, &s, NULL, 0, false, &err), PFM_ERROR_INTERRUPTED, "step 4");
    s = (stopper){.left = STOP_NEVER};
    assert_ok(train_recipe(recipe_of(c, false), stopped, 2, &s, NULL, 0, false, &err));
    assert_same_file(stopped, run_of(c), "adapter/adapter_model.safetensors");
    assert_same_file(stopped, run_of(c), "adapter/adapter_config.json");
    assert_same_file(stopped, run_of(c), "aligner.safetensors");
    assert_same_tensors(stopped, run_of(c), "checkpoint/state.safetensors");
    assert_same_log(stopped, run_of(c), TRAINING_STEPS);
}

static void a_stopped_run_goes_on_to_the_same_bits(void **state)
{
    (void)state;
    each_case(check_resuming);
}

/* First the method alone trains, then the aligner alone. */
static void check_stages(pfm_context *context, const method_case *c)
{
    (void)context;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"stages.0.trainable=[peft]", "stages.1.trainable=[aligner]"};
    char run[256], first[300];
    (void)snprintf(run, sizeof run, "%s/staged%zu", test_scratch_folder(), (size_t)(c - cases));
    (void)snprintf(first, sizeof first, "%s/stages/captions", run);
    stopper s = {.left = STOP_NEVER};
    assert_ok(train_recipe(recipe_of(c, true), run, 2, &s, sets, 2, false, &err));
    assert_same_file(run, first, "adapter/adapter_model.safetensors");
    assert_same_file(run, first, "adapter/adapter_config.json");
}

static void a_stage_that_does_not_train_it_leaves_it(void **state)
{
    (void)state;
    each_case(check_stages);
}

/* ---- merging ---- */

/* The logits behind some ids; the caller frees. */
static float *forward(pfm_context *context, const char *model)
{
    enum { TOKENS = 18 };
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *made = NULL;
    int64_t ids[TOKENS];
    char in[256], out[256];
    (void)snprintf(in, sizeof in, "%s/in.safetensors", test_scratch_folder());
    (void)snprintf(out, sizeof out, "%s/out.safetensors", test_scratch_folder());
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (i * 37 + 5) % TINY_VOCABULARY;
    const pfm_weight tensor = {.name = "input_ids", .dtype = PFM_DTYPE_I64, .rank = 1, .shape = {TOKENS}, .data = ids};
    assert_ok(pfm_safetensors_write(in, &tensor, 1, NULL, 0, &err));
    const pfm_forward_options options = {.model = model, .input = in, .output = out};
    assert_ok(pfm_forward(context, &options, &err));
    assert_ok(pfm_weights_open(out, &made, &err));
    float *logits = calloc(TOKENS * TINY_VOCABULARY, sizeof *logits);
    assert_non_null(logits);
    assert_int_equal(pfm_weight_values(pfm_weights_find(made, "logits")), TOKENS * TINY_VOCABULARY);
    assert_ok(pfm_weight_expand(pfm_weights_find(made, "logits"), logits, &err));
    pfm_weights_close(made);
    return logits;
}

static void check_merging(pfm_context *context, const method_case *c)
{
    enum { LOGITS = 18 * TINY_VOCABULARY };
    pfm_error err = PFM_ERROR_INIT;
    char merged[256];
    (void)snprintf(merged, sizeof merged, "%s/merged%zu", test_scratch_folder(), (size_t)(c - cases));
    const pfm_export_options options = {.run = run_of(c), .out = merged, .merge = true};
    float *base = forward(context, language_of(c)), *adapted = forward(context, run_of(c));
    if (!(tiny_distance(adapted, base, LOGITS) > 1e-3))
        fail_msg("%s: the run computes what the base computes", c->method);
    if (c->merges) {
        assert_ok(pfm_export(context, &options, &err));
        float *joined = forward(context, merged);
        assert_near(c->method, joined, adapted, LOGITS, 1e-5);
        free(joined);
    } else {
        assert_error(pfm_export(context, &options, &err), PFM_ERROR_UNSUPPORTED, "cannot be merged");
    }
    free(base);
    free(adapted);
}

static void merged_it_computes_the_same_or_is_refused(void **state)
{
    (void)state;
    each_case(check_merging);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_a_case),
        cmocka_unit_test(what_trains_changes_and_nothing_else),
        cmocka_unit_test(gradients_are_the_slope_of_the_loss),
        cmocka_unit_test(packing_recomputing_and_threads_change_nothing),
        cmocka_unit_test(what_is_saved_is_read_to_the_same_bits),
        cmocka_unit_test(a_stopped_run_goes_on_to_the_same_bits),
        cmocka_unit_test(a_stage_that_does_not_train_it_leaves_it),
        cmocka_unit_test(merged_it_computes_the_same_or_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
