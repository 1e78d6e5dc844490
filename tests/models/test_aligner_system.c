/* Each aligner in a whole system: packed rows against each alone, a run's file, a Q-Former from its own file, frozen. */
#include "formats/safetensors.h"
#include "tiny.h"
#include "train/run.h"

#include <math.h>

static const char *const names[] = {"linear", "mlp2x_gelu", "double-linear", "qformer", "qformer-double-linear"};
enum { KINDS = sizeof names / sizeof *names };

enum { MOST_SETS = 12 };

/* Overrides that put an aligner of four tokens an image into the tiny system. */
static int system_sets(const char *name, const char *sets[MOST_SETS])
{
    static char aligner[64], inner[] = "model.aligner_inner=24";
    int count = 0;
    (void)snprintf(aligner, sizeof aligner, "model.aligner=%s", name);
    sets[count++] = aligner;
    sets[count++] = "model.normalise=false";
    sets[count++] = inner;
    if (strncmp(name, "qformer", 7) != 0) {
        sets[count++] = "model.merge=2";
        return count;
    }
    static const char *const sizes[] = {"qformer.layers=2", "qformer.heads=2", "qformer.queries=4", "qformer.hidden=16",
                                        "qformer.intermediate=24"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        sets[count++] = sizes[i];
    return count;
}

static void a_packed_group_equals_its_rows(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        const char *sets[MOST_SETS];
        int count = system_sets(names[k], sets);
        tiny_system system;
        pfm_sequence rows[TINY_ROWS];
        const pfm_pack_options together = {.share = true}, apart = {.share = false};
        tiny_system_create(tiny_context(NULL, 2, PFM_PRECISION_F32), true, sets, count, &system);
        tiny_rows(rows);
        pfm_parameters *parameters = system.session->model->parameters;
        pfm_parameters_zero_gradients(parameters);
        double sum = tiny_run(&system, rows, TINY_ROWS, &together, 1), alone = 0;
        float *packed = tiny_copy_gradients(parameters);
        pfm_parameters_zero_gradients(parameters);
        for (int i = 0; i < TINY_ROWS; i++)
            alone += tiny_run(&system, rows + i, 1, &apart, 1);
        assert_true(fabs(sum - alone) < 1e-4 * alone);
        const float *next = packed;
        for (int i = 0; i < pfm_parameters_count(parameters); i++) {
            const pfm_parameter *p = pfm_parameters_get(parameters, i);
            const size_t size = p->trainable ? (size_t)(p->n * p->k) : 0, length = strlen(p->name);
            if (size > 0 && strcmp(p->name + length - 8, "key.bias") != 0)
                assert_near(p->name, p->gradient, next, size, 1e-4);
            next += size;
        }
        free(packed);
        tiny_rows_free(rows);
        tiny_system_free(&system);
    }
}

/* A run's file holds what trains; what its own file holds comes from there again. */
static void a_saved_aligner_comes_back_to_the_bit(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    for (int k = 0; k < KINDS; k++) {
        const char *sets[MOST_SETS], *folder = test_path(test_scratch_folder(), names[k]);
        int count = system_sets(names[k], sets);
        tiny_system saved, loaded;
        tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, sets, count, &saved);
        const pfm_parameters *from = saved.session->model->parameters;
        assert_ok(pfm_run_save(folder, "base", saved.session->model, saved.session->peft, &err));
        pfm_context *other = tiny_context(NULL, 1, PFM_PRECISION_F32);
        other->seed = 7;
        tiny_system_create(other, true, sets, count, &loaded);
        pfm_parameters *to = loaded.session->model->parameters;
        const int w = pfm_parameters_find(to, k == 0 || k == 3 ? "aligner.proj.weight" : "aligner.linear_2.weight");
        const pfm_parameter *a = pfm_parameters_get(from, w), *b = pfm_parameters_get(to, w);
        assert_memory_not_equal(a->values, b->values, (size_t)(a->n * a->k) * sizeof *a->values); /* another seed's */
        assert_ok(pfm_run_load(folder, NULL, loaded.session->model, loaded.session->peft, &err));
        for (int i = 0; i < pfm_parameters_count(to); i++) {
            a = pfm_parameters_get(from, i);
            b = pfm_parameters_get(to, i);
            if (a->trainable)
                assert_memory_equal(a->values, b->values, (size_t)(a->n * a->k) * sizeof *a->values);
        }
        char path[512];
        pfm_weights *weights;
        (void)snprintf(path, sizeof path, "%s", test_path(folder, "aligner.safetensors"));
        assert_ok(pfm_weights_open(path, &weights, &err));
        assert_null(pfm_weights_find(weights, "norm.mean")); /* features are taken as they are */
        pfm_weights_close(weights);
        tiny_system_free(&saved);
        tiny_system_free(&loaded);
    }
}

/* What a saved run holds of its Q-Former, without what stands behind it. */
static void cut_qformer(const char *folder, const char *path)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights;
    pfm_weight list[100];
    size_t count = 0;
    assert_ok(pfm_weights_open(test_path(folder, "aligner.safetensors"), &weights, &err));
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        if (strncmp(pfm_weights_at(weights, i)->name, "proj.", 5) != 0)
            list[count++] = *pfm_weights_at(weights, i);
    }
    assert_ok(pfm_safetensors_write(path, list, count, NULL, 0, &err));
    pfm_weights_close(weights);
}

static double loss_of(tiny_system *system)
{
    pfm_sequence rows[TINY_ROWS];
    const pfm_pack_options together = {.share = true};
    tiny_rows(rows);
    double sum = tiny_run(system, rows, TINY_ROWS, &together, 1);
    tiny_rows_free(rows);
    return sum;
}

/* Its loss is that of the same values trained; its run holds only what trains, and reads the rest from the file again. */
static void a_frozen_qformer_comes_from_its_file(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *sets[MOST_SETS];
    int count = system_sets("qformer", sets);
    char folder[256], frozen_folder[256], file[256], weights_set[300], path[300];
    tiny_system whole, frozen, again;
    (void)snprintf(folder, sizeof folder, "%s/whole", test_scratch_folder());
    (void)snprintf(frozen_folder, sizeof frozen_folder, "%s/frozen", test_scratch_folder());
    (void)snprintf(file, sizeof file, "%s/q.safetensors", test_scratch_folder());
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, sets, count, &whole);
    assert_ok(pfm_run_save(folder, "base", whole.session->model, whole.session->peft, &err));
    cut_qformer(folder, file);
    (void)snprintf(weights_set, sizeof weights_set, "model.aligner_weights=%s", file);
    sets[count++] = weights_set;
    sets[count++] = "qformer.frozen=true";
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, sets, count, &frozen);
    double loss = loss_of(&frozen); /* the same seed draws the same layer behind it */
    assert_true(loss == loss_of(&whole));
    assert_true(pfm_parameters_trainable(frozen.session->model->parameters) <
                pfm_parameters_trainable(whole.session->model->parameters));
    assert_ok(pfm_run_save(frozen_folder, "base", frozen.session->model, frozen.session->peft, &err));
    (void)snprintf(path, sizeof path, "%s/aligner.safetensors", frozen_folder);
    pfm_weights *weights;
    assert_ok(pfm_weights_open(path, &weights, &err));
    assert_int_equal(pfm_weights_count(weights), 2);
    assert_non_null(pfm_weights_find(weights, "proj.weight"));
    pfm_weights_close(weights);
    pfm_context *other = tiny_context(NULL, 1, PFM_PRECISION_F32);
    other->seed = 7;
    tiny_system_create(other, true, sets, count, &again);
    assert_true(loss != loss_of(&again));
    assert_ok(pfm_run_load(frozen_folder, NULL, again.session->model, again.session->peft, &err));
    assert_true(loss == loss_of(&again));
    tiny_system_free(&whole);
    tiny_system_free(&frozen);
    tiny_system_free(&again);
}

static void what_is_set_in_vain_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        const char *set, *message;
    } cases[] = {{"qformer.frozen=true", "name its file in model.aligner_weights"},
                 {"model.aligner_weights=x.safetensors", "set model.normalise: false"},
                 {"model.merge=3", "model.merge 3x3 does not divide the encoder's grid of 4"},
                 {"qformer.heads=5", "qformer.hidden 768 is not a multiple of qformer.heads 5"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
        pfm_recipe *recipe = NULL;
        pfm_session *session = NULL;
        char text[1024];
        int length = snprintf(text, sizeof text,
                              "model: {vision: efficientnet-lite0, image_size: 128, aligner: qformer, language: '%s'}\n"
                              "data: {dataset: phantom}\n",
                              tiny_path("llama"));
        assert_ok(pfm_recipe_parse(text, (size_t)length, "r.yaml", &cases[i].set, 1, &recipe, &err));
        assert_error(pfm_session_create(context, recipe, false, &session, &err), PFM_ERROR_USAGE, cases[i].message);
        pfm_context_free(context);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packed_group_equals_its_rows), cmocka_unit_test(a_saved_aligner_comes_back_to_the_bit),
        cmocka_unit_test(a_frozen_qformer_comes_from_its_file), cmocka_unit_test(what_is_set_in_vain_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
