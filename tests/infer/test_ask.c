/* A question to a picture file, from the recipe of an untrained model to the answer; `forward` on an aligner and an encoder. */
#include "train/tiny_training.h"

#include "base/file.h"
#include "base/json.h"
#include "formats/safetensors.h"
#include "pefomed/infer.h"
#include "train/run.h"

#include <math.h>

static void collect(void *user, const char *text, size_t length)
{
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_buffer_append(user, text, length, &err));
}

static pfm_status ask(const char *run, const char *image, pfm_buffer *streamed, char **json, pfm_error *err)
{
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    const pfm_ask_options options = {.run = run,
                                     .images = &image,
                                     .image_count = 1,
                                     .question = "Is the lung normal?",
                                     .max_tokens = 12,
                                     .write = streamed != NULL ? collect : NULL,
                                     .user = streamed};
    pfm_status status = pfm_ask(context, &options, json, err);
    pfm_context_free(context);
    return status;
}

static void an_answer_is_streamed_and_told(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    make_training();
    pfm_buffer streamed = {0};
    char *json = NULL, *again = NULL;
    assert_ok(ask(training_recipe(), test_path(test_scratch_folder(), "p1.png"), &streamed, &json, &err));
    json_t *document = json_loads(json, 0, NULL);
    assert_non_null(document);
    const char *answer = json_string_value(json_object_get(document, "answer"));
    assert_non_null(answer);
    assert_true(strlen(answer) > 0);
    assert_int_equal(streamed.size, strlen(answer));
    assert_memory_equal(streamed.data, answer, streamed.size);
    assert_string_equal(
        json_string_value(json_object_get(document, "prompt")),
        "<|im_start|>user\n<image>\nLook at the image and answer: Is the lung normal?<|im_end|>\n<|im_start|>assistant\n");
    assert_in_range(json_integer_value(json_object_get(document, "tokens")), 1, 12);
    double probability = json_number_value(json_object_get(document, "probability"));
    assert_true(probability > 0 && probability < 1);
    assert_ok(ask(training_recipe(), test_path(test_scratch_folder(), "p1.png"), NULL, &again, &err));
    json_t *same = json_loads(again, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(same, "answer")), answer);
    json_decref(document);
    json_decref(same);
    free(json);
    free(again);
    pfm_buffer_free(&streamed);
}

static void what_cannot_be_asked_is_named(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *json = NULL;
    make_training();
    assert_error(ask(training_recipe(), test_path(test_scratch_folder(), "nowhere.png"), NULL, &json, &err), PFM_ERROR_IO,
                 "nowhere.png");
    pfm_status status = ask(training_recipe(), training_data(), NULL, &json, &err); /* an image that is text */
    assert_true(status == PFM_ERROR_FORMAT || status == PFM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "table.jsonl"));
    err = (pfm_error)PFM_ERROR_INIT;
    assert_error(ask(test_scratch_folder(), test_path(test_scratch_folder(), "p1.png"), NULL, &json, &err), PFM_ERROR_IO,
                 "is not a run");
    assert_null(json);
}

static pfm_status forward(const char *model, const char *input, bool grad, pfm_weights **out, pfm_error *err)
{
    pfm_context *context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/forward.out", test_scratch_folder());
    const pfm_forward_options options = {.model = model, .input = input, .output = path, .grad = grad};
    pfm_status status = pfm_forward(context, &options, err);
    pfm_context_free(context);
    return status == PFM_OK ? pfm_weights_open(path, out, err) : status;
}

static float *values_of(const pfm_weights *weights, const char *name, size_t count)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_weight *weight = pfm_weights_find(weights, name);
    if (weight == NULL)
        fail_msg("there is no %s", name);
    assert_int_equal(pfm_weight_values(weight), count);
    float *out = calloc(count, sizeof *out);
    assert_non_null(out);
    assert_ok(pfm_weight_expand(weight, out, &err));
    return out;
}

/* The golden system as a run's folder; its dropout is not to be seen in a forward. */
static const char *make_run(void)
{
    static char folder[256];
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"peft.dropout=0.5"};
    tiny_system system;
    (void)snprintf(folder, sizeof folder, "%s/golden_run", test_scratch_folder());
    tiny_system_create(tiny_context(NULL, 1, PFM_PRECISION_F32), true, sets, 1, &system);
    assert_ok(pfm_run_save(folder, "llama", system.session->model, system.session->peft, &err));
    assert_ok(pfm_recipe_save(system.session->recipe, test_path(folder, "recipe.yaml"), &err));
    tiny_system_free(&system);
    return folder;
}

static void the_aligner_of_a_run_is_checked_alone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    enum { FEATURES = 16 * 1280, OUT = TINY_VISUAL * TINY_HIDDEN };
    static float features[FEATURES], gradient[OUT];
    char input[256];
    (void)snprintf(input, sizeof input, "%s/aligner.in", test_scratch_folder());
    tiny_features(1, features);
    tiny_spread(5, OUT, gradient);
    const pfm_weight tensors[] = {
        {.name = "image_features", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {16, 1280}, .data = features},
        {.name = "grad_out", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {TINY_VISUAL, TINY_HIDDEN}, .data = gradient}};
    assert_ok(pfm_safetensors_write(input, tensors, 2, NULL, 0, &err));
    pfm_weights *made = NULL, *aligner = NULL;
    const char *run = make_run();
    assert_ok(forward(run, input, true, &made, &err));
    float *golden = tiny_golden("system", "visual1", OUT), *out = values_of(made, "features", OUT);
    assert_near("features", out, golden, OUT, 1e-5);
    /* d(sum out g)/d(feature f): shift one feature by 1 and see what the linear map adds */
    assert_ok(pfm_weights_open(test_path(run, "aligner.safetensors"), &aligner, &err));
    float *weight = values_of(aligner, "proj.weight", TINY_HIDDEN * 5120), *std = values_of(aligner, "norm.std", 5120);
    float *grad_in = values_of(made, "grad_in", FEATURES), *bias = values_of(made, "proj.bias.grad", TINY_HIDDEN);
    for (int f = 0; f < FEATURES; f += 977) {
        int y = f / 1280 / 4, x = f / 1280 % 4, token = y / 2 * 2 + x / 2, column = (y % 2 * 2 + x % 2) * 1280 + f % 1280;
        double sum = 0;
        for (int j = 0; j < TINY_HIDDEN; j++)
            sum += (double)gradient[token * TINY_HIDDEN + j] * weight[j * 5120 + column] / std[column];
        assert_true(fabs(sum - grad_in[f]) < 1e-5);
    }
    for (int j = 0; j < TINY_HIDDEN; j++) {
        float sum = 0;
        for (int t = 0; t < TINY_VISUAL; t++)
            sum += gradient[t * TINY_HIDDEN + j];
        assert_true(fabsf(sum - bias[j]) < 1e-5f);
    }
    float *const all[] = {golden, out, weight, std, grad_in, bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    pfm_weights_close(made);
    pfm_weights_close(aligner);
}

static void the_language_model_of_a_run_is_checked_alone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    enum { TOKENS = 18 };
    float embeds[TOKENS * TINY_HIDDEN];
    char input[256];
    (void)snprintf(input, sizeof input, "%s/language.in", test_scratch_folder());
    tiny_spread(1, TOKENS * TINY_HIDDEN, embeds);
    const pfm_weight tensor = {
        .name = "inputs_embeds", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {TOKENS, TINY_HIDDEN}, .data = embeds};
    assert_ok(pfm_safetensors_write(input, &tensor, 1, NULL, 0, &err));
    pfm_weights *made = NULL;
    assert_ok(forward(make_run(), input, false, &made, &err));
    float *logits = values_of(made, "logits", TOKENS * TINY_VOCABULARY),
          *golden = tiny_golden("llama", "logits", TOKENS * TINY_VOCABULARY);
    assert_near("logits", logits, golden, TOKENS * TINY_VOCABULARY, 1e-5);
    free(logits);
    free(golden);
    pfm_weights_close(made);
    assert_error(forward(make_run(), input, true, &made, &err), PFM_ERROR_USAGE, "lacks grad_out");
}

static void inputs_that_fit_nothing_are_named(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *made = NULL;
    static float values[4096];
    char input[256];
    (void)snprintf(input, sizeof input, "%s/bad.in", test_scratch_folder());
    pfm_weight tensor = {.name = "pixels", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {4, 31}, .data = values};
    assert_ok(pfm_safetensors_write(input, &tensor, 1, NULL, 0, &err));
    assert_error(forward(tiny_path("llama"), input, false, &made, &err), PFM_ERROR_USAGE, "names no part of a model");
    tensor.name = "inputs_embeds";
    assert_ok(pfm_safetensors_write(input, &tensor, 1, NULL, 0, &err));
    assert_error(forward(tiny_path("llama"), input, false, &made, &err), PFM_ERROR_FORMAT, "inputs_embeds");
    tensor = (pfm_weight){.name = "input_ids", .dtype = PFM_DTYPE_F32, .rank = 1, .shape = {513}, .data = values};
    assert_ok(pfm_safetensors_write(input, &tensor, 1, NULL, 0, &err));
    assert_error(forward(tiny_path("llama"), input, false, &made, &err), PFM_ERROR_USAGE, "context of 512");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_streamed_and_told),        cmocka_unit_test(what_cannot_be_asked_is_named),
        cmocka_unit_test(the_aligner_of_a_run_is_checked_alone), cmocka_unit_test(the_language_model_of_a_run_is_checked_alone),
        cmocka_unit_test(inputs_that_fit_nothing_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
