/* Adapters added, subtracted and merged into one: what Hugging Face PEFT's add_weighted_adapter makes of the same files
 * (tests/peft/golden, made by script/vectors/exchange.py). */
#include "models/tiny.h"

#include "base/file.h"
#include "formats/adapter.h"
#include "pefomed/infer.h"

#include <math.h>

enum { MOST = 3 };

static const char *golden_path(const char *name)
{
    static char paths[MOST][512];
    static int next;
    char *path = paths[next++ % MOST];
    (void)snprintf(path, sizeof *paths, "%s/tests/peft/golden/%s", PFM_SOURCE_DIR, name);
    return path;
}

static pfm_status combine(const char *const adapters[MOST], const double *factors, const char *by, int rank, json_t **said,
                          pfm_error *err)
{
    char *json = NULL;
    size_t count = 0;
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    while (count < MOST && adapters[count] != NULL)
        count++;
    const pfm_combine_options options = {.out = test_path(test_scratch_folder(), "combined"),
                                         .adapters = adapters,
                                         .factors = factors,
                                         .count = count,
                                         .by = by,
                                         .rank = rank};
    pfm_status status = pfm_combine_adapters(context, &options, &json, err);
    if (status == PFM_OK && said != NULL)
        *said = json_loads(json, 0, NULL);
    free(json);
    pfm_context_free(context);
    return status;
}

static float *expand(const pfm_weights *weights, const char *name, int64_t shape[2])
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_weight *weight = pfm_weights_find(weights, name);
    if (weight == NULL)
        fail_msg("there is no %s", name);
    float *values = calloc(pfm_weight_values(weight), sizeof *values);
    assert_non_null(values);
    assert_ok(pfm_weight_expand(weight, values, &err));
    shape[0] = weight->shape[0];
    shape[1] = weight->shape[1];
    return values;
}

/* What MODULE.delta of the golden file says, made from the factors. */
static void compare_delta(const char *name, const float *golden, const pfm_weights *made, const char *module)
{
    int64_t a_shape[2], b_shape[2];
    char tensor[300];
    (void)snprintf(tensor, sizeof tensor, "base_model.model.%s.lora_A.weight", module);
    float *a = expand(made, tensor, a_shape);
    (void)snprintf(tensor, sizeof tensor, "base_model.model.%s.lora_B.weight", module);
    float *b = expand(made, tensor, b_shape);
    float *delta = calloc((size_t)(b_shape[0] * a_shape[1]), sizeof *delta);
    assert_non_null(delta);
    for (int64_t i = 0; i < b_shape[0]; i++)
        for (int64_t p = 0; p < a_shape[0]; p++)
            for (int64_t j = 0; j < a_shape[1]; j++)
                delta[i * a_shape[1] + j] += b[i * a_shape[0] + p] * a[p * a_shape[1] + j];
    assert_near(name, delta, golden, (size_t)(b_shape[0] * a_shape[1]), 1e-5);
    free(a);
    free(b);
    free(delta);
}

static void compare(const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *golden = NULL, *made = NULL;
    char folder[300];
    size_t compared = 0, expected = 0;
    (void)snprintf(folder, sizeof folder, "%s", test_path(test_scratch_folder(), "combined"));
    assert_ok(pfm_weights_open(golden_path("combined.safetensors"), &golden, &err));
    assert_ok(pfm_weights_open(test_path(folder, "adapter_model.safetensors"), &made, &err));
    for (size_t i = 0; i < pfm_weights_count(golden); i++) {
        const char *full = pfm_weights_at(golden, i)->name, *end = strstr(full, ".delta");
        int64_t shape[2], wanted[2];
        if (strncmp(full, name, strlen(name)) != 0 || full[strlen(name)] != '.')
            continue;
        char tensor[200];
        float *values = expand(golden, full, wanted);
        const char *rest = full + strlen(name) + 1;
        (void)snprintf(tensor, sizeof tensor, "%s%.*s", end == NULL ? "base_model.model." : "",
                       (int)(end == NULL ? strlen(rest) : (size_t)(end - rest)), rest);
        if (end != NULL) {
            compare_delta(full, values, made, tensor);
        } else {
            float *ours = expand(made, tensor, shape);
            assert_true(shape[0] == wanted[0] && shape[1] == wanted[1]);
            assert_near(full, ours, values, (size_t)(shape[0] * shape[1]), 1e-5);
            free(ours);
        }
        free(values);
        compared++;
        expected += end == NULL ? 1 : 2;
    }
    assert_true(compared > 0);
    assert_int_equal(pfm_weights_count(made), expected);
    pfm_weights_close(golden);
    pfm_weights_close(made);
}

static void combinations_are_those_of_peft(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char first[512], second[512], third[512];
    (void)snprintf(first, sizeof first, "%s", golden_path("exchange/first"));
    (void)snprintf(second, sizeof second, "%s", golden_path("exchange/second"));
    (void)snprintf(third, sizeof third, "%s", golden_path("exchange/third"));
    const char *const all[MOST] = {first, second, third}, *const two[MOST] = {first, second},
                      *const last[MOST] = {second, third};
    json_t *said = NULL;
    assert_ok(combine(two, (const double[]){0.7, -0.4}, "linear", 0, &said, &err));
    compare("linear");
    assert_int_equal(json_integer_value(json_object_get(said, "rank")), 4);
    assert_int_equal(json_integer_value(json_object_get(said, "layers")), 6);
    json_decref(said);
    assert_ok(combine(all, (const double[]){1, 0.5, -1.5}, "cat", 0, &said, &err));
    compare("cat");
    assert_int_equal(json_integer_value(json_object_get(said, "rank")), 11);
    assert_null(json_object_get(said, "relative_error"));
    json_decref(said);
    assert_ok(combine(all, (const double[]){0.5, 1, -1}, "svd", 0, &said, &err));
    compare("svd");
    json_decref(said);
    assert_ok(combine(last, NULL, "svd", 2, &said, &err));
    compare("svd_rank");
    assert_int_equal(json_integer_value(json_object_get(said, "rank")), 2);
    const double lost = json_number_value(json_object_get(said, "relative_error"));
    assert_true(lost > 0.01 && lost < 1);
    json_decref(said);
}

/* An adapter less itself is nothing. */
static void subtracting_takes_away(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char first[512];
    pfm_weights *made = NULL;
    int64_t shape[2];
    (void)snprintf(first, sizeof first, "%s", golden_path("exchange/first"));
    const char *const twice[MOST] = {first, first};
    assert_ok(combine(twice, (const double[]){1, -1}, "svd", 0, NULL, &err));
    assert_ok(
        pfm_weights_open(test_path(test_path(test_scratch_folder(), "combined"), "adapter_model.safetensors"), &made, &err));
    float *b = expand(made, "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight", shape);
    for (int64_t i = 0; i < shape[0] * shape[1]; i++)
        assert_true(fabsf(b[i]) < 1e-6f);
    free(b);
    pfm_weights_close(made);
}

static void what_cannot_be_combined_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        const char *adapters[MOST], *by;
        int rank;
        pfm_status status;
        const char *part;
    } cases[] = {{{"exchange/first", "exchange/third"}, "linear", 0, PFM_ERROR_USAGE, "must be of one rank"},
                 {{"exchange/first", "exchange/head"}, "cat", 0, PFM_ERROR_UNSUPPORTED, "modules_to_save"},
                 {{"exchange/biases"}, "cat", 0, PFM_ERROR_UNSUPPORTED, "biases of the base"},
                 {{"exchange/factor_bias"}, "svd", 0, PFM_ERROR_UNSUPPORTED, "biases of its factors"},
                 {{"exchange/first", "../../models/golden/llama/adapter"},
                  "svd",
                  0,
                  PFM_ERROR_MISMATCH,
                  "is a layer of 32 x 32, and of"},
                 {{"exchange/first"}, "cat", 3, PFM_ERROR_USAGE, "by svd only"},
                 {{"exchange/first"}, "ties", 0, PFM_ERROR_USAGE, "cannot be combined by 'ties'"},
                 {{"exchange"}, "cat", 0, PFM_ERROR_IO, "holds no adapter"},
                 {{NULL}, "cat", 0, PFM_ERROR_USAGE, "at least one"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char paths[MOST][512];
        const char *adapters[MOST] = {NULL};
        for (size_t j = 0; j < MOST && cases[i].adapters[j] != NULL; j++) {
            (void)snprintf(paths[j], sizeof paths[j], "%s", golden_path(cases[i].adapters[j]));
            adapters[j] = paths[j];
        }
        assert_error(combine(adapters, NULL, cases[i].by, cases[i].rank, NULL, &err), cases[i].status, cases[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(combinations_are_those_of_peft),
                                       cmocka_unit_test(subtracting_takes_away),
                                       cmocka_unit_test(what_cannot_be_combined_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
