/* pefomed forward of a vision encoder in which something was learned, against PEFT (script/vectors/vit_training.py). */
#include "formats/adapter.h"
#include "formats/safetensors.h"
#include "models/tiny.h"
#include "models/vit_fixture.h"
#include "pefomed/infer.h"

#include <math.h>
#include <sys/stat.h>

enum { SIZE = 28, TOKENS = 17, WIDTH = 24, FACTORS = 16 };

/* What a test of the class token does with it: it is there, its gradient is zero, or it is left out. */
typedef enum class_token { WITH_IT, WITHOUT_ITS_GRADIENT, WITHOUT_IT } class_token;

static void write_input(const char *path, class_token how)
{
    pfm_error err = PFM_ERROR_INIT;
    float *pixels = vit_pixels(SIZE), grad_out[TOKENS * WIDTH];
    const int left_out = how == WITHOUT_IT ? 1 : 0;
    for (int i = 0; i < TOKENS * WIDTH; i++)
        grad_out[i] = how == WITHOUT_ITS_GRADIENT && i < WIDTH ? 0 : (float)(sin(.37 * i) + .5 * cos(.0113 * i * (i % 7 + 1)));
    const pfm_weight tensors[] = {{.name = "grad_out",
                                   .dtype = PFM_DTYPE_F32,
                                   .rank = 2,
                                   .shape = {TOKENS - left_out, WIDTH},
                                   .data = grad_out + left_out * WIDTH,
                                   .bytes = (size_t)(TOKENS - left_out) * WIDTH * sizeof *grad_out},
                                  {.name = "pixel_values",
                                   .dtype = PFM_DTYPE_F32,
                                   .rank = 3,
                                   .shape = {3, SIZE, SIZE},
                                   .data = pixels,
                                   .bytes = 3 * (size_t)SIZE * SIZE * sizeof *pixels}};
    assert_ok(pfm_safetensors_write(path, tensors, 2, NULL, 0, &err));
    free(pixels);
}

static pfm_status forward_in(pfm_precision precision, const char *level, const char *model, const char *adapter, bool grad,
                             class_token how, pfm_weights **out, pfm_error *err)
{
    const char *in = test_path(test_scratch_folder(), "in.safetensors"),
               *to = test_path(test_scratch_folder(), "out.safetensors");
    pfm_context *context = tiny_context(level, 2, precision);
    const pfm_forward_options options = {
        .model = model, .input = in, .output = to, .adapter = adapter, .grad = grad, .patches = how == WITHOUT_IT};
    write_input(in, how);
    pfm_status status = pfm_forward(context, &options, err);
    if (status == PFM_OK)
        status = pfm_weights_open(to, out, err);
    pfm_context_free(context);
    return status;
}

static pfm_status forward(const char *level, const char *model, const char *adapter, bool grad, pfm_weights **out,
                          pfm_error *err)
{
    return forward_in(PFM_PRECISION_F32, level, model, adapter, grad, WITH_IT, out, err);
}

/* system: which of the golden adapters made it. */
static void check_tensor(const pfm_weights *out, const char *system, const char *name, double bound)
{
    char full[256];
    const pfm_weight *made = pfm_weights_find(out, name);
    if (made == NULL)
        fail_msg("there is no tensor %s", name);
    (void)snprintf(full, sizeof full, "%s.%s", system, name);
    float *wanted = tiny_golden("vit_training", full, pfm_weight_values(made));
    assert_near(name, made->data, wanted, pfm_weight_values(made), bound);
    free(wanted);
}

static void as_peft_at(const char *level)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *out = NULL;
    int factors = 0;
    assert_ok(forward(level, vit_network("clip"), tiny_path("vit_clip_adapter"), true, &out, &err));
    check_tensor(out, "encoder", "features", 1e-4);
    check_tensor(out, "encoder", "grad_in", 1e-4);
    for (size_t i = 0; i < pfm_weights_count(out); i++) {
        const char *name = pfm_weights_at(out, i)->name;
        if (strstr(name, ".lora_") == NULL)
            continue;
        check_tensor(out, "encoder", name, 1e-4);
        factors++;
    }
    assert_int_equal(factors, FACTORS);
    pfm_weights_close(out);
    assert_ok(forward(level, vit_network("clip"), tiny_path("vit_clip_adapter"), false, &out, &err));
    check_tensor(out, "encoder", "features", 1e-4);
    assert_int_equal(pfm_weights_count(out), 1);
    pfm_weights_close(out);
}

static void an_adapter_of_peft(void **state)
{
    (void)state;
    tiny_each_level(as_peft_at);
}

/* VeRA's projections are those of the file, or of the seed that it names. */
static void an_adapter_of_pefts_vera(void **state)
{
    (void)state;
    static const char *const systems[] = {"vera", "vera_seed"};
    for (size_t s = 0; s < sizeof systems / sizeof *systems; s++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_weights *out = NULL;
        char folder[64];
        (void)snprintf(folder, sizeof folder, "vit_clip_%s", systems[s]);
        assert_ok(forward(NULL, vit_network("clip"), tiny_path(folder), true, &out, &err));
        assert_int_equal(pfm_weights_count(out), FACTORS + 2); /* two vectors of eight layers */
        for (size_t i = 0; i < pfm_weights_count(out); i++)
            check_tensor(out, systems[s], pfm_weights_at(out, i)->name, 1e-4);
        pfm_weights_close(out);
    }
}

/* With halves of the bits no further from f32 than one and a half times torch's autocast. */
static void as_autocast_at(const char *level)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *out = NULL;
    assert_ok(
        forward_in(PFM_PRECISION_BF16, level, vit_network("clip"), tiny_path("vit_clip_adapter"), true, WITH_IT, &out, &err));
    assert_int_equal(pfm_weights_count(out), FACTORS + 2);
    for (size_t i = 0; i < pfm_weights_count(out); i++) {
        const pfm_weight *made = pfm_weights_at(out, i);
        char full[256];
        double error = 0;
        (void)snprintf(full, sizeof full, "encoder.%s", made->name);
        float *exact = tiny_golden("vit_training", full, pfm_weight_values(made));
        (void)snprintf(full, sizeof full, "error.%s", made->name);
        float *allowed = tiny_golden("vit_training", full, 1);
        for (size_t j = 0; j < pfm_weight_values(made); j++)
            error += pow((double)((const float *)made->data)[j] - (double)exact[j], 2);
        if (!(sqrt(error) <= 1.5 * (double)allowed[0]))
            fail_msg("%s: %s is off by %g, autocast by %g", level, made->name, sqrt(error), (double)allowed[0]);
        free(exact);
        free(allowed);
    }
    pfm_weights_close(out);
}

static void no_further_than_autocast(void **state)
{
    (void)state;
    tiny_each_level(as_autocast_at);
}

/* Of a class token that is left out the gradient is zero. */
static void a_class_token_may_be_left_out(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *zero = NULL, *none = NULL;
    const char *folder = tiny_path("vit_clip_adapter");
    assert_ok(forward_in(PFM_PRECISION_F32, NULL, vit_network("clip"), folder, true, WITHOUT_ITS_GRADIENT, &zero, &err));
    static float kept[FACTORS + 2][3 * SIZE * SIZE]; /* the file is written again */
    for (size_t i = 0; i < pfm_weights_count(zero); i++)
        memcpy(kept[i], pfm_weights_at(zero, i)->data, pfm_weights_at(zero, i)->bytes);
    const size_t count = pfm_weights_count(zero);
    pfm_weights_close(zero);
    assert_ok(forward_in(PFM_PRECISION_F32, NULL, vit_network("clip"), folder, true, WITHOUT_IT, &none, &err));
    assert_int_equal(pfm_weights_count(none), count);
    for (size_t i = 0; i < count; i++) {
        const pfm_weight *made = pfm_weights_at(none, i);
        const bool features = strcmp(made->name, "features") == 0;
        assert_memory_equal(made->data, kept[i] + (features ? WIDTH : 0), made->bytes);
    }
    pfm_weights_close(none);
}

/* The same adapter under the names that transformers 4 gave the modules. */
static void older_names(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char begin[] = "base_model.model.";
    const char *folder = test_path(test_scratch_folder(), "older");
    pfm_adapter_config config = {0};
    pfm_weights *factors = NULL, *out = NULL;
    pfm_weight tensors[FACTORS];
    char names[FACTORS][128];
    assert_ok(pfm_adapter_config_load(tiny_path("vit_clip_adapter"), &config, &err));
    assert_ok(pfm_weights_open(tiny_path("vit_clip_adapter/adapter_model.safetensors"), &factors, &err));
    assert_int_equal(pfm_weights_count(factors), FACTORS);
    for (size_t i = 0; i < FACTORS; i++) {
        tensors[i] = *pfm_weights_at(factors, i);
        (void)snprintf(names[i], sizeof names[i], "%svision_model.%s", begin, tensors[i].name + strlen(begin));
        tensors[i].name = names[i];
    }
    assert_ok(pfm_adapter_write(folder, &config, tensors, FACTORS, NULL, NULL, &err));
    assert_ok(forward(NULL, vit_network("clip"), folder, false, &out, &err));
    check_tensor(out, "encoder", "features", 1e-4);
    pfm_weights_close(out);
    pfm_weights_close(factors);
    pfm_adapter_config_free(&config);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *out = NULL;
    assert_error(forward(NULL, vit_network("clip"), tiny_path("llama/adapter"), false, &out, &err), PFM_ERROR_USAGE,
                 "matches no layer");
    assert_error(forward(NULL, vit_network("timm"), tiny_path("vit_clip_adapter"), false, &out, &err), PFM_ERROR_MISMATCH,
                 "is not 4 x 64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_adapter_of_peft),
        cmocka_unit_test(an_adapter_of_pefts_vera),
        cmocka_unit_test(no_further_than_autocast),
        cmocka_unit_test(a_class_token_may_be_left_out),
        cmocka_unit_test(older_names),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
