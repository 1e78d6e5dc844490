#include "formats/adapter.h"
#include "support_formats.h"
#include "test.h"

static void test_what_peft_saved(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_adapter_config config = {0};
    pfm_weights *weights = NULL;
    char *path = NULL;
    assert_ok(pfm_adapter_config_load(formats_data("adapter"), &config, &err));
    assert_string_equal(config.peft_type, "LORA");
    assert_string_equal(config.task_type, "CAUSAL_LM");
    assert_null(config.base_model);
    assert_int_equal(json_integer_value(json_object_get(config.document, "r")), 4);
    assert_ok(pfm_adapter_tensors_path(formats_data("adapter"), &path, &err));
    assert_ok(pfm_weights_open(path, &weights, &err));
    const pfm_weight *b = pfm_weights_find(weights, "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight");
    assert_true(b != NULL && b->shape[0] == 8 && b->shape[1] == 4);
    free(path);
    pfm_weights_close(weights);
    pfm_adapter_config_free(&config);
}

/* What PEFT wrote, written again: the same values under every key, and the same tensors. */
static void test_there_and_back(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_adapter_config config = {0}, again = {0};
    pfm_weights *before = NULL, *after = NULL;
    const char *folder = test_path(test_scratch_folder(), "again");
    assert_ok(pfm_adapter_config_load(formats_data("adapter"), &config, &err));
    assert_ok(pfm_weights_open(formats_data("adapter"), &before, &err));
    assert_ok(pfm_adapter_write(folder, &config, pfm_weights_at(before, 0), pfm_weights_count(before), NULL, NULL, &err));
    assert_ok(pfm_adapter_config_load(folder, &again, &err));
    assert_ok(pfm_weights_open(folder, &after, &err));
    assert_true(json_equal(config.document, again.document));
    assert_int_equal(pfm_weights_count(before), pfm_weights_count(after));
    for (size_t i = 0; i < pfm_weights_count(before); i++) {
        const pfm_weight *a = pfm_weights_at(before, i), *b = pfm_weights_find(after, a->name);
        assert_true(b != NULL && b->bytes == a->bytes);
        assert_memory_equal(a->data, b->data, a->bytes);
    }
    assert_string_equal(pfm_weights_meta_string(after, "format", NULL), "pt");
    pfm_weights_close(before);
    pfm_weights_close(after);
    pfm_adapter_config_free(&config);
    pfm_adapter_config_free(&again);
}

static void test_a_fresh_one(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_adapter_config config = {0}, read = {0};
    const char *folder = test_path(test_scratch_folder(), "fresh");
    const float values[4] = {1, 2, 3, 4};
    const pfm_weight tensor = {.name = "t", .dtype = PFM_DTYPE_F32, .rank = 1, .shape = {4}, .data = values};
    assert_ok(pfm_adapter_config_create("LORA", "CAUSAL_LM", NULL, &config, &err));
    assert_int_equal(json_object_set_new(config.document, "lora_alpha", json_real(12.5)), 0);
    assert_ok(pfm_adapter_write(folder, &config, &tensor, 1, NULL, NULL, &err));
    assert_ok(pfm_adapter_config_load(folder, &read, &err));
    assert_string_equal(read.task_type, "CAUSAL_LM");
    assert_null(read.base_model);
    assert_true(json_number_value(json_object_get(read.document, "lora_alpha")) == 12.5);
    assert_true(json_is_true(json_object_get(read.document, "inference_mode")));
    pfm_adapter_config_free(&read);
    pfm_adapter_config_free(&config);
}

/* A folder is an adapter's, or a run's that holds one; its tensors may be in the file that older versions wrote. */
static void test_folders(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *path = NULL, run[300], inner[320];
    (void)snprintf(run, sizeof run, "%s/run", test_scratch_folder());
    (void)snprintf(inner, sizeof inner, "%s/adapter", run);
    assert_ok(pfm_folder_create(run, &err));
    assert_error(pfm_adapter_find(run, &path, &err), PFM_ERROR_IO, "holds no adapter");
    assert_ok(pfm_folder_create(inner, &err));
    assert_ok(pfm_file_write(test_path(inner, "adapter_config.json"), "{}", 2, &err));
    assert_ok(pfm_adapter_find(run, &path, &err));
    assert_string_equal(path, inner);
    free(path);
    path = NULL;
    assert_error(pfm_adapter_tensors_path(inner, &path, &err), PFM_ERROR_IO, "adapter_model.bin");
    assert_ok(pfm_file_write(test_path(inner, "adapter_model.bin"), "x", 1, &err));
    assert_ok(pfm_adapter_tensors_path(inner, &path, &err));
    assert_non_null(strstr(path, "adapter_model.bin"));
    free(path);
    assert_ok(pfm_file_write(test_path(inner, "adapter_model.safetensors"), "x", 1, &err));
    assert_ok(pfm_adapter_tensors_path(inner, &path, &err));
    assert_non_null(strstr(path, "adapter_model.safetensors"));
    free(path);
}

static pfm_status try_config(const char *text, pfm_adapter_config *config, pfm_error *err)
{
    char folder[4096];
    (void)snprintf(folder, sizeof folder, "%s/try", test_scratch_folder());
    assert_int_equal(pfm_folder_create(folder, err), PFM_OK);
    assert_int_equal(pfm_file_write(test_path(folder, "adapter_config.json"), text, strlen(text), err), PFM_OK);
    return pfm_adapter_config_load(folder, config, err);
}

static void test_bad_configs(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_adapter_config config = {0};
    static const struct {
        const char *text, *part;
    } bad[] = {{"{", "not JSON"},
               {"[]", "no JSON object"},
               {"{}", "\"peft_type\" must be the method's name"},
               {"{\"peft_type\":3}", "\"peft_type\" must be the method's name"},
               {"{\"peft_type\":\"LORA\",\"task_type\":1}", "\"task_type\" must be a text or null"},
               {"{\"peft_type\":\"LORA\",\"base_model_name_or_path\":[]}", "\"base_model_name_or_path\""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error(try_config(bad[i].text, &config, &err), PFM_ERROR_FORMAT, bad[i].part);
    assert_error(pfm_adapter_config_load("/nowhere", &config, &err), PFM_ERROR_IO, "/nowhere/adapter_config.json");
    pfm_adapter_config_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_peft_saved), cmocka_unit_test(test_there_and_back),
                                       cmocka_unit_test(test_a_fresh_one), cmocka_unit_test(test_folders),
                                       cmocka_unit_test(test_bad_configs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
