/* What every PEFT method must keep, each method of the list by the same tests: what trains is said and nothing else changes;
 * its gradients are the slope of the loss, also on a base in 4 bits, and do not depend on packing, threads or recomputing; what
 * is saved is read to the same bits; a run that was broken off goes on to the same bits; a stage that does not train it leaves
 * it as it is; merged it computes what it computed, or merging is refused.
 *
 * A new method needs lines in the table, for the language model and the vision encoder. */
#include "../train/whole_training.h"
#include "method_cases.h"

#include "formats/safetensors.h"
#include "peft/peft_methods.h"
#include "pefomed/infer.h"
#include "pefomed/train.h"
#include "train/optimiser.h"

#include <math.h>

enum { MOST_SETS = 8, TOKENS = 18, LOGITS = TOKENS * TINY_VOCABULARY };
/* Of the golden CLIP. */
enum { SIDE = 35, LAYER = -1, FEATURES = 5 * 5 * 24 };

static bool in_language(const method_case *c) { return c->parts == NULL || strstr(c->parts, "language") != NULL; }

static bool in_vision(const method_case *c) { return c->parts != NULL && strstr(c->parts, "vision") != NULL; }

/* In the vision encoder those alone have none that say why they cannot act there. */
static void every_method_has_a_case(void **state)
{
    (void)state;
    const pfm_peft_method *method;
    for (size_t i = 0; (method = pfm_peft_method_at(i)) != NULL; i++) {
        bool language = false, vision = method->not_in_vision != NULL;
        for (size_t c = 0; c < METHOD_CASES; c++) {
            const bool same = strcmp(method_cases[c].method, method->name) == 0;
            language |= same && method_cases[c].parts == NULL;
            vision |= same && in_vision(&method_cases[c]);
        }
        if (!language || !vision)
            fail_msg("the method %s has no case for %s", method->name, language ? "the vision encoder" : "the language model");
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
    static char paths[2][METHOD_CASES][256];
    char *path = paths[staged][c - method_cases];
    if (path[0] == '\0') {
        (void)snprintf(path, sizeof paths[0][0], "%s/%s%zu.yaml", test_scratch_folder(), staged ? "staged" : "plain",
                       (size_t)(c - method_cases));
        (staged ? write_staged_recipe : write_training_recipe)(path, language_of(c), c->peft);
    }
    return path;
}

/* The overrides of a case, behind those given. */
static int sets_of(const method_case *c, const char *const *sets, int count, const char *out[MOST_SETS])
{
    static char vision[300], parts[64];
    for (int i = 0; i < count; i++)
        out[i] = sets[i];
    if (c->parts == NULL)
        return count;
    (void)snprintf(vision, sizeof vision, "model.vision=%s", tiny_path("vit_clip"));
    (void)snprintf(parts, sizeof parts, "peft.parts=%s", c->parts);
    const char *const own[] = {vision, parts, "model.image_size=35", "model.layers=[-1]", "model.aligner=mlp2x_gelu"};
    memcpy(out + count, own, sizeof own);
    return count + (int)(sizeof own / sizeof *own);
}

static pfm_status train_case(const method_case *c, bool staged, const char *out, int threads, int stop, const char *const *sets,
                             int count, pfm_error *err)
{
    const char *all[MOST_SETS];
    stopper s = {.left = stop};
    count = sets_of(c, sets, count, all);
    return train_recipe(recipe_of(c, staged), out, threads, &s, all, count, false, err);
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

/* As learning begins. */
static pfm_trainer *open_fresh(pfm_context *context, const method_case *c, const char *const *sets, int count)
{
    const char *all[MOST_SETS];
    count = sets_of(c, sets, count, all);
    return open_trainer_of(recipe_of(c, false), context, all, count);
}

static pfm_trainer *open_case(pfm_context *context, const method_case *c, const char *const *sets, int count)
{
    pfm_trainer *trainer = open_fresh(context, c, sets, count);
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
    for (size_t c = 0; c < METHOD_CASES; c++)
        body(context, &method_cases[c]);
    pfm_context_free(context);
}

/* ---- what trains ---- */

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
        before[i] = tiny_copy_parameter(context, pfm_parameters_get(parameters, i));
    assert_ok(pfm_trainer_step(trainer, 0, &result, &err));
    for (int i = 0; i < count; i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        unsigned char *after = tiny_copy_parameter(context, p);
        if ((memcmp(before[i], after, tiny_parameter_bytes(context, p)) != 0) != p->trainable)
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

/* The loss along the gradient rises by its square. */
static void check_slope(pfm_context *context, const method_case *c, const char *weights)
{
    const char *const sets[] = {"trainable=[peft]", weights};
    pfm_trainer *trainer = open_case(context, c, sets, 2);
    pfm_parameters *parameters = parameters_of(trainer);
    (void)gradients_of(trainer, 1);
    float *direction = tiny_copy_gradients(parameters), *start = tiny_copy_values(parameters);
    double squares = 0, loss[2];
    for (int64_t j = 0; j < pfm_parameters_trainable(parameters); j++)
        squares += (double)direction[j] * direction[j];
    const double width = 1e-3 / sqrt(squares); /* so near that no token takes another expert */
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

/* A bias of keys shifts all scores of a query alike: in a vision encoder, which rotates nothing, its gradient is rounding. */
static bool is_rounding(const method_case *c, const pfm_parameter *p)
{
    return in_vision(c) && pfm_tower_owns(p) && strstr(p->name, "k_proj.bias") != NULL;
}

static void assert_same_gradients(const method_case *c, const pfm_parameters *parameters, const float *gradients, double bound)
{
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!p->trainable)
            continue;
        if (!is_rounding(c, p))
            assert_near(p->name, p->gradient, gradients, (size_t)(p->n * p->k), bound);
        gradients += p->n * p->k;
    }
}

/* The same gradients of step 3, which crosses the end of an epoch; bound 0: to the bit. */
static void compare_gradients(const method_case *c, const pfm_trainer *plain, const float *gradients, pfm_context *context,
                              const char *set, double bound)
{
    pfm_trainer *trainer = open_case(context, c, &set, 1);
    (void)gradients_of(trainer, 3);
    if (bound > 0) {
        assert_same_gradients(c, parameters_of(trainer), gradients, bound);
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
    compare_gradients(c, trainer, gradients, context, "train.micro_batch=1", 1e-5);
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
    pfm_trainer *a = open_case(context, c, NULL, 0), *b = open_fresh(context, c, NULL, 0);
    assert_ok(pfm_run_save(saved, "base", a->session->model, a->session->peft, &err));
    assert_ok(pfm_run_load(saved, NULL, b->session->model, b->session->peft, &err));
    for (int i = 0; i < pfm_parameters_count(parameters_of(a)); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters_of(a), i), *q = pfm_parameters_get(parameters_of(b), i);
        unsigned char *x = tiny_copy_parameter(context, p), *y = tiny_copy_parameter(context, q);
        if (strcmp(p->name, q->name) != 0 || memcmp(x, y, tiny_parameter_bytes(context, p)) != 0)
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
    static char folders[METHOD_CASES][256];
    pfm_error err = PFM_ERROR_INIT;
    char *folder = folders[c - method_cases];
    if (folder[0] == '\0') {
        (void)snprintf(folder, sizeof folders[0], "%s/run%zu", test_scratch_folder(), (size_t)(c - method_cases));
        assert_ok(train_case(c, false, folder, 2, STOP_NEVER, NULL, 0, &err));
    }
    return folder;
}

static void assert_same_adapters(const method_case *c, const char *a, const char *b)
{
    if (in_language(c)) {
        assert_same_file(a, b, "adapter/adapter_model.safetensors");
        assert_same_file(a, b, "adapter/adapter_config.json");
    }
    if (in_vision(c)) {
        assert_same_file(a, b, "adapter-vision/adapter_model.safetensors");
        assert_same_file(a, b, "adapter-vision/adapter_config.json");
    }
}

static void check_resuming(pfm_context *context, const method_case *c)
{
    (void)context;
    pfm_error err = PFM_ERROR_INIT;
    char stopped[256];
    (void)snprintf(stopped, sizeof stopped, "%s/stopped%zu", test_scratch_folder(), (size_t)(c - method_cases));
    assert_error(train_case(c, false, stopped, 1, 4, NULL, 0, &err), PFM_ERROR_INTERRUPTED, "step 4");
    assert_ok(train_case(c, false, stopped, 2, STOP_NEVER, NULL, 0, &err));
    assert_same_adapters(c, stopped, run_of(c));
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
    (void)snprintf(run, sizeof run, "%s/staged%zu", test_scratch_folder(), (size_t)(c - method_cases));
    (void)snprintf(first, sizeof first, "%s/stages/captions", run);
    assert_ok(train_case(c, true, run, 2, STOP_NEVER, sets, 2, &err));
    assert_same_adapters(c, run, first);
}

static void a_stage_that_does_not_train_it_leaves_it(void **state)
{
    (void)state;
    each_case(check_stages);
}

/* ---- merging ---- */

/* The logits behind some ids, or of a case in the vision encoder its features of a picture; the caller frees. */
static float *forward(pfm_context *context, const method_case *c, const char *model, bool is_run)
{
    static float pixels[3 * SIDE * SIDE];
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *made = NULL;
    int64_t ids[TOKENS];
    char in[256], out[256];
    (void)snprintf(in, sizeof in, "%s/in.safetensors", test_scratch_folder());
    (void)snprintf(out, sizeof out, "%s/out.safetensors", test_scratch_folder());
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (i * 37 + 5) % TINY_VOCABULARY;
    tiny_spread(31, 3 * SIDE * SIDE, pixels);
    const pfm_weight text = {.name = "input_ids", .dtype = PFM_DTYPE_I64, .rank = 1, .shape = {TOKENS}, .data = ids},
                     picture = {
                         .name = "pixel_values", .dtype = PFM_DTYPE_F32, .rank = 3, .shape = {3, SIDE, SIDE}, .data = pixels};
    assert_ok(pfm_safetensors_write(in, in_vision(c) ? &picture : &text, 1, NULL, 0, &err));
    const bool layer = in_vision(c) && !is_run; /* a run knows which it learned from */
    const pfm_forward_options options = {
        .model = model, .input = in, .output = out, .has_layer = layer, .layer = LAYER, .patches = layer};
    assert_ok(pfm_forward(context, &options, &err));
    assert_ok(pfm_weights_open(out, &made, &err));
    const size_t count = in_vision(c) ? FEATURES : LOGITS;
    const pfm_weight *tensor = pfm_weights_find(made, in_vision(c) ? "features" : "logits");
    float *values = calloc(count, sizeof *values);
    assert_non_null(values);
    assert_int_equal(pfm_weight_values(tensor), count);
    assert_ok(pfm_weight_expand(tensor, values, &err));
    pfm_weights_close(made);
    return values;
}

static void check_merging(pfm_context *context, const method_case *c)
{
    pfm_error err = PFM_ERROR_INIT;
    char merged[256];
    (void)snprintf(merged, sizeof merged, "%s/merged%zu", test_scratch_folder(), (size_t)(c - method_cases));
    const pfm_export_options options = {.run = run_of(c), .out = merged, .merge = true};
    const size_t count = in_vision(c) ? FEATURES : LOGITS;
    float *base = forward(context, c, in_vision(c) ? tiny_path("vit_clip") : language_of(c), false),
          *adapted = forward(context, c, run_of(c), true);
    if (!(tiny_distance(adapted, base, count) > 1e-3))
        fail_msg("%s: the run computes what the base computes", c->method);
    if (c->merges) {
        assert_ok(pfm_export(context, &options, &err));
        float *joined = forward(context, c, merged, false);
        assert_near(c->method, joined, adapted, count, 1e-5);
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

/* ---- what cannot be ---- */

static void check_refused(const method_case *c, const char *parts, const char *say)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *sets[MOST_SETS];
    method_case elsewhere = *c;
    stopper never = {.left = STOP_NEVER};
    elsewhere.parts = parts;
    const int count = sets_of(&elsewhere, NULL, 0, sets);
    assert_error(train_recipe(recipe_of(c, false), folder_of("refused"), 1, &never, sets, count, false, &err), PFM_ERROR_USAGE,
                 say);
}

static void what_cannot_act_in_the_vision_encoder_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    int refused = 0;
    for (size_t i = 0; i < METHOD_CASES; i++) {
        const pfm_peft_method *method = NULL;
        assert_ok(pfm_peft_find_method(method_cases[i].method, &method, &err));
        if (method->not_in_vision == NULL)
            continue;
        check_refused(&method_cases[i], "[vision]", method->not_in_vision);
        check_refused(&method_cases[i], "[language, vision]", method->not_in_vision);
        refused++;
    }
    assert_true(refused > 0);
}

/* A LLaMA has no biases, nor layers of the encoder's names: its part would be no adapter. */
static void a_part_without_anything_to_learn_is_refused(void **state)
{
    (void)state;
    int refused = 0;
    for (size_t i = 0; i < METHOD_CASES; i++) {
        const method_case *c = &method_cases[i];
        const bool none = strcmp(c->method, "bitfit") == 0 || strcmp(c->method, "full") == 0;
        if (!none || in_language(c))
            continue;
        check_refused(c, "[language, vision]", "nothing of peft acts in the language model");
        refused++;
    }
    assert_int_equal(refused, 2);
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
        cmocka_unit_test(what_cannot_act_in_the_vision_encoder_is_refused),
        cmocka_unit_test(a_part_without_anything_to_learn_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
