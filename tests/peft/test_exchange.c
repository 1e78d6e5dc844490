/* Adapters that Hugging Face PEFT wrote, with the odd targets of its users and the files of its older versions
 * (golden/exchange, made by script/vectors/exchange.py), compute here what they compute there; what is written again says the
 * same. */
#include "models/grid.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include "pefomed/infer.h"
#include "train/run.h"

#include <math.h>

enum { TOKENS = GRID_TOKENS };

static struct {
    json_t *list, *cases; /* the grid of models; exchange.json */
    pfm_weights *golden;
    pfm_context *context;
} shared;

static const char *golden_path(const char *name)
{
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/tests/peft/golden/%s", PFM_SOURCE_DIR, name);
    return path;
}

static const char *text_of(const json_t *one, const char *key) { return json_string_value(json_object_get(one, key)); }

static void each_case(void (*body)(const json_t *one, const char *name))
{
    for (size_t i = 0; i < json_array_size(shared.cases); i++)
        body(json_array_get(shared.cases, i), text_of(json_array_get(shared.cases, i), "name"));
}

/* The folder of a case's base model. */
static const char *write_base(const json_t *one)
{
    for (size_t i = 0; i < json_array_size(shared.list); i++) {
        grid_model model;
        grid_model_create(shared.list, i, GRID_NONE, &model);
        const bool found = strcmp(model.name, text_of(one, "base")) == 0;
        const char *folder = found ? grid_write(&model, "base", 0, 0, 1) : NULL;
        grid_model_free(&model);
        if (found)
            return folder;
    }
    fail_msg("there is no model %s", text_of(one, "base"));
    return NULL;
}

/* Logits and gradients of a base with an adapter, as the script's inputs give them. */
static pfm_status forward(const json_t *one, const char *base, const char *adapter, pfm_weights **out, pfm_error *err)
{
    const int64_t vocabulary = 61;
    int64_t ids[TOKENS], hidden = 0;
    float embeds[TOKENS * 64], grad[TOKENS * 61];
    char in_path[256], out_path[256];
    const pfm_weight *tensor = NULL;
    pfm_weights *model = NULL;
    (void)snprintf(in_path, sizeof in_path, "%s", test_path(test_scratch_folder(), "in.safetensors"));
    (void)snprintf(out_path, sizeof out_path, "%s", test_path(test_scratch_folder(), "out.safetensors"));
    assert_int_equal(pfm_weights_open(base, &model, err), PFM_OK);
    tensor = pfm_weights_find(model, "transformer.wte.weight");
    tensor = tensor != NULL ? tensor : pfm_weights_find(model, "model.embed_tokens.weight");
    hidden = tensor->shape[1];
    pfm_weights_close(model);
    for (int64_t i = 0; i < TOKENS; i++)
        ids[i] = (i * 37 + 5) % vocabulary;
    assert_true(hidden <= 64);
    tiny_spread(1, (size_t)(TOKENS * hidden), embeds);
    tiny_spread(2, (size_t)(TOKENS * vocabulary), grad);
    pfm_weight in[2] = {
        {.name = "input_ids", .dtype = PFM_DTYPE_I64, .rank = 1, .shape = {TOKENS}, .data = ids, .bytes = sizeof ids},
        {.name = "grad_out", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {TOKENS, vocabulary}, .data = grad}};
    if (!json_is_true(json_object_get(one, "ids")))
        in[0] =
            (pfm_weight){.name = "inputs_embeds", .dtype = PFM_DTYPE_F32, .rank = 2, .shape = {TOKENS, hidden}, .data = embeds};
    assert_int_equal(pfm_safetensors_write(in_path, in, 2, NULL, 0, err), PFM_OK);
    const pfm_forward_options options = {.model = base, .input = in_path, .output = out_path, .adapter = adapter, .grad = true};
    pfm_status status = pfm_forward(shared.context, &options, err);
    return status != PFM_OK || out == NULL ? status : pfm_weights_open(out_path, out, err);
}

static float *expand(const pfm_weight *weight)
{
    pfm_error err = PFM_ERROR_INIT;
    float *values = calloc(pfm_weight_values(weight), sizeof *values);
    assert_non_null(values);
    assert_ok(pfm_weight_expand(weight, values, &err));
    return values;
}

/* Every golden tensor of the case is there and the same. */
static size_t compare(const char *name, const pfm_weights *made)
{
    const size_t length = strlen(name);
    size_t compared = 0;
    for (size_t i = 0; i < pfm_weights_count(shared.golden); i++) {
        const pfm_weight *golden = pfm_weights_at(shared.golden, i);
        if (strncmp(golden->name, name, length) != 0 || golden->name[length] != '.')
            continue;
        const pfm_weight *weight = pfm_weights_find(made, golden->name + length + 1);
        if (weight == NULL || pfm_weight_values(weight) != pfm_weight_values(golden))
            fail_msg("%s is missing or misshapen", golden->name);
        float *a = expand(weight), *b = expand(golden);
        assert_near(golden->name, a, b, pfm_weight_values(golden), 1e-4);
        free(a);
        free(b);
        compared++;
    }
    return compared;
}

static size_t count_gradients(const pfm_weights *made)
{
    size_t count = 0;
    for (size_t i = 0; i < pfm_weights_count(made); i++) {
        const char *name = pfm_weights_at(made, i)->name;
        count += strlen(name) > 5 && strcmp(name + strlen(name) - 5, ".grad") == 0;
    }
    return count;
}

static void check_values(const json_t *one, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *made = NULL;
    char folder[64];
    (void)snprintf(folder, sizeof folder, "exchange/%s", name);
    const pfm_status status = forward(one, write_base(one), golden_path(folder), &made, &err);
    if (status != PFM_OK)
        fail_msg("%s: %s", name, err.message);
    const size_t compared = compare(name, made);
    assert_true(compared >= 1);
    if (compared > 1)
        assert_int_equal(compared, 1 + count_gradients(made)); /* nothing else trains */
    pfm_weights_close(made);
}

static void what_peft_wrote_computes_the_same(void **state)
{
    (void)state;
    each_case(check_values);
}

/* ---- there and back ---- */

/* The adapter of a case loaded and saved by this program. */
static void save_again(const json_t *one, const char *adapter, const char *out)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    pfm_model_graph graph;
    char text[1024];
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 4, [PFM_DIM_ANSWERS] = 4, [PFM_DIM_VISUAL] = 4};
    (void)snprintf(text, sizeof text,
                   "model: {vision: efficientnet-lite0, image_size: 448, aligner: concat-linear, language: '%s'}\n"
                   "data: {dataset: phantom}\npeft: {start: '%s'}\n",
                   write_base(one), adapter);
    assert_ok(pfm_recipe_parse(text, strlen(text), "test", NULL, 0, &recipe, &err));
    assert_ok(pfm_recipe_take_start(recipe, &err));
    assert_ok(pfm_session_create_for_tensors(shared.context, recipe, false, &session, &err));
    assert_ok(pfm_model_build(session->model, capacity, false, true, &graph, &err));
    assert_ok(pfm_session_load_weights(session, &err));
    assert_ok(pfm_run_save(out, text_of(one, "base"), session->model, session->peft, &err));
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
}

static bool is_off(const json_t *value)
{
    return value == NULL || json_is_null(value) || json_is_false(value) ||
           ((json_is_array(value) || json_is_object(value)) && json_array_size(value) + json_object_size(value) == 0);
}

/* Whatever the one says, the other says too. */
static void compare_configs(const char *name, const json_t *a, const json_t *b)
{
    static const char *const compared[] = {"peft_type",
                                           "r",
                                           "lora_alpha",
                                           "use_rslora",
                                           "bias",
                                           "lora_bias",
                                           "fan_in_fan_out",
                                           "target_modules",
                                           "exclude_modules",
                                           "layers_pattern",
                                           "modules_to_save",
                                           "rank_pattern",
                                           "alpha_pattern",
                                           "layers_to_transform",
                                           "base_model_name_or_path"};
    for (size_t i = 0; i < sizeof compared / sizeof *compared; i++) {
        const json_t *left = json_object_get(a, compared[i]), *right = json_object_get(b, compared[i]);
        const bool lone = json_is_array(left) != json_is_array(right) && !is_off(left) && !is_off(right);
        const json_t *x = lone && json_is_array(left) ? json_array_get(left, 0) : left,
                     *y = lone && json_is_array(right) ? json_array_get(right, 0) : right;
        if (!json_equal(x, y) && !(is_off(left) && is_off(right)))
            fail_msg("%s: %s differs", name, compared[i]);
    }
}

static void check_again(const json_t *one, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_adapter_config before = {0}, after = {0};
    pfm_weights *made = NULL;
    char adapter[600], out[300], in[64];
    (void)snprintf(in, sizeof in, "exchange/%s", name);
    (void)snprintf(adapter, sizeof adapter, "%s", golden_path(in));
    (void)snprintf(out, sizeof out, "%s/again_%s", test_scratch_folder(), name);
    save_again(one, adapter, out);
    assert_ok(forward(one, write_base(one), out, &made, &err)); /* a run's folder is one of its adapter */
    assert_true(compare(name, made) >= 1);
    pfm_weights_close(made);
    assert_ok(pfm_adapter_config_load(adapter, &before, &err));
    assert_ok(pfm_adapter_config_load(test_path(out, "adapter"), &after, &err));
    compare_configs(name, before.document, after.document);
    pfm_adapter_config_free(&before);
    pfm_adapter_config_free(&after);
}

static void what_is_written_again_is_the_same(void **state)
{
    (void)state;
    each_case(check_again);
}

/* ---- files that lie ---- */

static void copy(const char *from, const char *folder, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer bytes = {0};
    char path[700];
    (void)snprintf(path, sizeof path, "%s/%s", from, name);
    assert_ok(pfm_file_read(path, 0, &bytes, &err));
    assert_ok(pfm_file_write(test_path(folder, name), bytes.data, bytes.size, &err));
    pfm_buffer_free(&bytes);
}

/* The tensors of one case behind the settings of another. */
static void tensors_must_be_those_of_the_settings(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const json_t *one = NULL;
    char folder[300], from[600];
    for (size_t i = 0; i < json_array_size(shared.cases); i++)
        one = strcmp(text_of(json_array_get(shared.cases, i), "name"), "regex") == 0 ? json_array_get(shared.cases, i) : one;
    (void)snprintf(folder, sizeof folder, "%s/mixed", test_scratch_folder());
    assert_ok(pfm_folder_create(folder, &err));
    (void)snprintf(from, sizeof from, "%s", golden_path("exchange/regex"));
    copy(from, folder, "adapter_config.json");
    (void)snprintf(from, sizeof from, "%s", golden_path("exchange/patterns"));
    copy(from, folder, "adapter_model.safetensors");
    assert_error(forward(one, write_base(one), folder, NULL, &err), PFM_ERROR_MISMATCH, "layers.1.mlp.up_proj.lora_A.weight");
    (void)snprintf(from, sizeof from, "%s", golden_path("exchange/layer"));
    copy(from, folder, "adapter_config.json");
    (void)snprintf(from, sizeof from, "%s", golden_path("exchange/all_linear"));
    copy(from, folder, "adapter_model.safetensors");
    assert_error(forward(one, write_base(one), folder, NULL, &err), PFM_ERROR_MISMATCH, "q_proj.lora_A.weight is not 3 x 24");
    (void)snprintf(from, sizeof from, "%s", golden_path("exchange/regex"));
    copy(from, folder, "adapter_config.json");
    (void)snprintf(from, sizeof from, "%s", golden_path("exchange/all_linear"));
    copy(from, folder, "adapter_model.safetensors");
    assert_error(forward(one, write_base(one), folder, NULL, &err), PFM_ERROR_MISMATCH, "which the recipe does not know");
}

static int set_up(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    shared.list = grid_load();
    assert_ok(pfm_json_load(golden_path("exchange.json"), &shared.cases, &err));
    assert_ok(pfm_weights_open(golden_path("exchange.safetensors"), &shared.golden, &err));
    shared.context = tiny_context(NULL, 2, PFM_PRECISION_F32);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(shared.list);
    json_decref(shared.cases);
    pfm_weights_close(shared.golden);
    pfm_context_free(shared.context);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_peft_wrote_computes_the_same),
                                       cmocka_unit_test(what_is_written_again_is_the_same),
                                       cmocka_unit_test(tensors_must_be_those_of_the_settings)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
