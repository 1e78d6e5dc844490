#include "formats/adapter.h"
#include "support_formats.h"
#include "test.h"

static void test_what_peft_saved(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_adapter_config config = {0};
    pfm_weights *weights = NULL;
    assert_ok(pfm_adapter_config_load(formats_data("adapter"), &config, &err));
    assert_string_equal(config.peft_type, "LORA");
    assert_string_equal(config.task_type, "CAUSAL_LM");
    assert_string_equal(config.bias, "none");
    assert_null(config.base_model);
    assert_int_equal(config.r, 4);
    assert_true(config.lora_alpha == 8 && config.lora_dropout == 0.05 && config.use_rslora);
    assert_int_equal(config.target_count, 2);
    assert_int_equal(config.targets[0][1], '_');
    assert_ok(pfm_adapter_config_check_plain(&config, &err));
    assert_ok(pfm_weights_open(formats_data("adapter"), &weights, &err));
    const pfm_weight *b = pfm_weights_find(weights, "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight");
    assert_true(b != NULL && b->shape[0] == 8 && b->shape[1] == 4);
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
    static char lora[] = "LORA", task[] = "CAUSAL_LM";
    pfm_adapter_config config = {.peft_type = lora, .task_type = task, .r = 64, .lora_alpha = 12.5, .lora_dropout = 0.1},
                       read = {0};
    const char *folder = test_path(test_scratch_folder(), "fresh");
    const float values[4] = {1, 2, 3, 4};
    const pfm_weight tensor = {.name = "t", .dtype = PFM_DTYPE_F32, .rank = 1, .shape = {4}, .data = values};
    assert_ok(pfm_adapter_config_set_targets(&config, (const char *const[]){"q_proj", "v_proj"}, 2, &err));
    assert_ok(pfm_adapter_write(folder, &config, &tensor, 1, NULL, NULL, &err));
    assert_ok(pfm_adapter_config_load(folder, &read, &err));
    assert_int_equal(read.r, 64);
    assert_true(read.lora_alpha == 12.5 && read.lora_dropout == 0.1 && !read.use_rslora);
    assert_string_equal(read.targets[1], "v_proj");
    assert_true(json_is_true(json_object_get(read.document, "inference_mode")));
    assert_ok(pfm_adapter_config_check_plain(&read, &err));
    pfm_adapter_config_free(&read);
    config.peft_type = config.task_type = NULL; /* not ours to free */
    pfm_adapter_config_free(&config);
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
               {"{\"peft_type\":\"LORA\"}", "\"r\" must be a whole number"},
               {"{\"peft_type\":\"LORA\",\"r\":0}", "\"r\" must be a whole number from 1"},
               {"{\"peft_type\":\"LORA\",\"r\":1.5}", "\"r\""},
               {"{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":\"8\"}", "\"lora_alpha\" must be a number"},
               {"{\"peft_type\":\"LORA\",\"r\":4,\"lora_dropout\":1}", "\"lora_dropout\" is 1"},
               {"{\"peft_type\":\"LORA\",\"r\":4,\"use_rslora\":1}", "\"use_rslora\" must be true or false"},
               {"{\"peft_type\":\"LORA\",\"r\":4,\"target_modules\":{}}", "\"target_modules\""},
               {"{\"peft_type\":\"LORA\",\"r\":4,\"target_modules\":[\"a\",1]}", "\"target_modules\""},
               {"{\"peft_type\":\"LORA\",\"r\":4,\"bias\":3}", "\"bias\""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error(try_config(bad[i].text, &config, &err), PFM_ERROR_FORMAT, bad[i].part);
    assert_error(pfm_adapter_config_load("/nowhere", &config, &err), PFM_ERROR_IO, "/nowhere/adapter_config.json");
    assert_ok(try_config("{\"peft_type\":\"LORA\",\"r\":4,\"target_modules\":\"all-linear\"}", &config, &err));
    assert_string_equal(config.target_pattern, "all-linear");
    pfm_adapter_config_free(&config);
    pfm_adapter_config_free(NULL);
}

static void test_settings_that_must_not_be_ignored(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        const char *text, *part;
    } settings[] = {{"{\"peft_type\":\"IA3\"}", "IA3"},
                    {"{\"peft_type\":\"LORA\",\"r\":4,\"bias\":\"all\"}", "biases"},
                    {"{\"peft_type\":\"LORA\",\"r\":4,\"use_dora\":true}", "use_dora"},
                    {"{\"peft_type\":\"LORA\",\"r\":4,\"rank_pattern\":{\"q\":2}}", "rank_pattern"},
                    {"{\"peft_type\":\"LORA\",\"r\":4,\"modules_to_save\":[\"lm_head\"]}", "modules_to_save"},
                    {"{\"peft_type\":\"LORA\",\"r\":4,\"init_lora_weights\":\"pissa_niter_4\"}", "pissa_niter_4"}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        pfm_adapter_config config = {0};
        assert_ok(try_config(settings[i].text, &config, &err));
        assert_error(pfm_adapter_config_check_plain(&config, &err), PFM_ERROR_UNSUPPORTED, settings[i].part);
        pfm_adapter_config_free(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_peft_saved), cmocka_unit_test(test_there_and_back),
                                       cmocka_unit_test(test_a_fresh_one), cmocka_unit_test(test_bad_configs),
                                       cmocka_unit_test(test_settings_that_must_not_be_ignored)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
