/* adapter_config.json: what it says becomes options and is written from them; what is not understood is refused by name. What
 * files of PEFT compute is in test_exchange.c. */
#include "peft/peft.h"

#include "test.h"

static pfm_status read_text(const char *text, pfm_peft_options *options, pfm_error *err)
{
    pfm_adapter_config config = {0};
    json_t *document = json_loads(text, 0, NULL);
    assert_non_null(document);
    assert_int_equal(
        pfm_adapter_config_create(json_string_value(json_object_get(document, "peft_type")), NULL, NULL, &config, err), PFM_OK);
    assert_int_equal(json_object_update(config.document, document), 0);
    pfm_status status = pfm_peft_read_config(&config, options, err);
    pfm_adapter_config_free(&config);
    json_decref(document);
    return status;
}

static void settings_become_options(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_peft_options options = {0};
    assert_ok(read_text("{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":12.5,\"lora_dropout\":0.1,\"use_rslora\":true,"
                        "\"target_modules\":[\"q_proj\",\"v_proj\"],\"exclude_modules\":\"a.*\",\"layers_to_transform\":[1,3],"
                        "\"layers_pattern\":\"layers\",\"rank_pattern\":{\"q_proj\":2},\"alpha_pattern\":{\"x|y\":0.5},"
                        "\"modules_to_save\":[\"lm_head\"],\"bias\":\"lora_only\",\"init_lora_weights\":\"gaussian\"}",
                        &options, &err));
    assert_string_equal(options.method, "lora");
    assert_int_equal(options.rank, 4);
    assert_true(options.alpha == 12.5 && options.dropout == 0.1 && options.rslora);
    assert_int_equal(options.target_count, 2);
    assert_string_equal(options.targets[1], "v_proj");
    assert_string_equal(options.exclude[0], "re:a.*");
    assert_string_equal(options.layers[1], "3");
    assert_string_equal(options.layers_pattern[0], "layers");
    assert_string_equal(options.rank_pattern[0], "q_proj=2");
    assert_string_equal(options.alpha_pattern[0], "x|y=0.5");
    assert_string_equal(options.modules_to_save[0], "lm_head");
    assert_string_equal(options.bias, "lora_only");
    /* read over, it leaves nothing behind, and the defaults are PEFT's */
    assert_ok(read_text("{\"peft_type\":\"LORA\",\"target_modules\":\"All-Linear\"}", &options, &err));
    assert_int_equal(options.rank, 8);
    assert_true(options.alpha == 8 && options.dropout == 0 && !options.rslora);
    assert_string_equal(options.targets[0], "all-linear");
    assert_int_equal(options.exclude_count + options.layer_count + options.layers_pattern_count + options.rank_pattern_count +
                         options.alpha_pattern_count + options.module_to_save_count,
                     0);
    assert_string_equal(options.bias, "none");
    assert_ok(read_text("{\"peft_type\":\"LORA\",\"target_modules\":\"dummy-target-modules\",\"modules_to_save\":[\"norm\"]}",
                        &options, &err));
    assert_string_equal(options.method, "none");
    assert_ok(read_text("{\"peft_type\":\"LORA\",\"target_modules\":[\"q_proj\"],\"use_dora\":true}", &options, &err));
    assert_string_equal(options.method, "dora"); /* of one type with LoRA */
    assert_ok(read_text("{\"peft_type\":\"IA3\",\"target_modules\":[\"v\",\"x.y\"],\"feedforward_modules\":[\"x.y\"],"
                        "\"init_ia3_weights\":true}",
                        &options, &err));
    assert_string_equal(options.method, "ia3");
    assert_int_equal(options.feedforward_count, 1);
    assert_string_equal(options.feedforward[0], "x.y");
    assert_ok(
        read_text("{\"peft_type\":\"IA3\",\"target_modules\":\".*[kv]\",\"feedforward_modules\":\".*v\"}", &options, &err));
    assert_string_equal(options.feedforward[0], "re:.*v");
    assert_ok(read_text("{\"peft_type\":\"IA3\",\"target_modules\":[\"v\"],\"feedforward_modules\":[]}", &options, &err));
    assert_int_equal(options.feedforward_count, 0);
    pfm_peft_options_free(&options);
}

#define LORA "{\"peft_type\":\"LORA\",\"target_modules\":[\"q_proj\"],"

static void what_is_not_understood_is_named(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        const char *text, *part;
        pfm_status status;
    } cases[] = {
        {"{\"peft_type\":\"BOFT\"}", "the adapter's method is BOFT", PFM_ERROR_UNSUPPORTED},
        {LORA "\"use_qalora\":true}", "\"use_qalora\" is true", PFM_ERROR_UNSUPPORTED},
        {LORA "\"layer_replication\":[[0,2]]}", "\"layer_replication\" is [[0,2]]", PFM_ERROR_UNSUPPORTED},
        {LORA "\"trainable_token_indices\":[1]}", "\"trainable_token_indices\"", PFM_ERROR_UNSUPPORTED},
        {LORA "\"ensure_weight_tying\":true,\"modules_to_save\":[\"lm_head\"]}", "ensure_weight_tying", PFM_ERROR_UNSUPPORTED},
        {LORA "\"a_setting_of_tomorrow\":\"on\"}", "\"a_setting_of_tomorrow\" is \"on\"", PFM_ERROR_UNSUPPORTED},
        {LORA "\"init_lora_weights\":\"pissa_niter_4\"}", "pissa_niter_4", PFM_ERROR_UNSUPPORTED},
        {LORA "\"bias\":\"some\"}", "peft.bias cannot be 'some'", PFM_ERROR_USAGE},
        {LORA "\"bias\":3}", "\"bias\" must be a text", PFM_ERROR_FORMAT},
        {LORA "\"r\":0}", "\"r\" is 0; it must be from 1", PFM_ERROR_FORMAT},
        {LORA "\"r\":1.5}", "\"r\" must be a whole number", PFM_ERROR_FORMAT},
        {LORA "\"r\":\"8\"}", "\"r\" must be a number", PFM_ERROR_FORMAT},
        {LORA "\"r\":1e300}", "\"r\" is 1e+300", PFM_ERROR_FORMAT},
        {LORA "\"lora_alpha\":-1}", "\"lora_alpha\" is -1", PFM_ERROR_FORMAT},
        {LORA "\"lora_dropout\":1}", "\"lora_dropout\" is 1", PFM_ERROR_FORMAT},
        {LORA "\"use_rslora\":1}", "\"use_rslora\" must be true or false", PFM_ERROR_FORMAT},
        {LORA "\"rank_pattern\":[1]}", "\"rank_pattern\" must be an object", PFM_ERROR_FORMAT},
        {LORA "\"rank_pattern\":{\"q\":\"2\"}}", "\"rank_pattern\" must be an object", PFM_ERROR_FORMAT},
        {LORA "\"rank_pattern\":{\"q\":0}}", "peft.rank_pattern cannot be 'q=0'", PFM_ERROR_USAGE},
        {LORA "\"modules_to_save\":[{}]}", "\"modules_to_save\" must be a list of names", PFM_ERROR_FORMAT},
        {"{\"peft_type\":\"LORA\",\"target_modules\":{}}", "\"target_modules\" must be a list of names", PFM_ERROR_FORMAT},
        {"{\"peft_type\":\"LORA\",\"target_modules\":[\"q\",[]]}", "\"target_modules\" must be a list of names",
         PFM_ERROR_FORMAT},
        {LORA "\"use_dora\":true,\"lora_bias\":true}", "peft.lora_bias is not of peft.method: dora", PFM_ERROR_USAGE},
        {"{\"peft_type\":\"IA3\",\"target_modules\":[\"v\"]}", "\"feedforward_modules\" does not say", PFM_ERROR_UNSUPPORTED},
        {"{\"peft_type\":\"IA3\",\"target_modules\":[\"v\"],\"feedforward_modules\":[\"k\"]}", "'k' is not one of peft.targets",
         PFM_ERROR_USAGE},
        {"{\"peft_type\":\"IA3\",\"target_modules\":[\"v\"],\"feedforward_modules\":{}}",
         "\"feedforward_modules\" must be a list", PFM_ERROR_FORMAT},
        {"{\"peft_type\":\"LORA\"}", "\"target_modules\" does not say", PFM_ERROR_UNSUPPORTED},
        {"{\"peft_type\":\"LORA\",\"target_modules\":[]}", "peft.targets is empty", PFM_ERROR_USAGE},
        {"{\"peft_type\":\"LORA\",\"target_modules\":\"(a\"}", "'(a' is no regular expression", PFM_ERROR_USAGE},
        {"{\"peft_type\":\"LORA\",\"target_modules\":\"a\",\"layers_to_transform\":1}", "peft.layers goes with names",
         PFM_ERROR_USAGE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_peft_options options = {0};
        assert_error(read_text(cases[i].text, &options, &err), cases[i].status, cases[i].part);
        pfm_peft_options_free(&options);
    }
}

/* As PEFT wants them: a set of names, one expression, or a word. */
static void targets_are_written_as_peft_reads_them(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const struct {
        char *targets[3];
        size_t count;
        const char *written;
    } cases[] = {{{"q_proj", "mlp.up_proj"}, 2, "[\"q_proj\",\"mlp.up_proj\"]"},
                 {{"all-linear"}, 1, "\"all-linear\""},
                 {{"q_proj", "all-linear"}, 2, "\"all-linear\""},
                 {{"re:a|b"}, 1, "\"a|b\""},
                 {{"re:a|b", "mlp.up_proj"}, 2, "\"(?:a|b)|(?:.*\\\\.)?mlp\\\\.up_proj\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_peft *peft = NULL;
        pfm_adapter_config config = {0};
        const pfm_peft_options options = {.method = (char[]){"lora"},
                                          .rank = 2,
                                          .alpha = 4,
                                          .targets = (char **)(uintptr_t)cases[i].targets,
                                          .target_count = cases[i].count};
        assert_ok(pfm_peft_create(&options, &peft, &err));
        assert_ok(pfm_peft_write_config(peft, "base", &config, &err));
        char *text = json_dumps(json_object_get(config.document, "target_modules"), JSON_ENCODE_ANY | JSON_COMPACT);
        assert_string_equal(text, cases[i].written);
        assert_string_equal(config.base_model, "base");
        free(text);
        pfm_adapter_config_free(&config);
        pfm_peft_free(peft);
    }
}

/* A method takes no option that it would ignore. */
static void options_of_others_are_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *one[] = {"q_proj=2"};
    pfm_peft *peft = NULL;
    const pfm_peft_options cases[] = {{.method = (char[]){"none"}, .exclude = one, .exclude_count = 1},
                                      {.method = (char[]){"none"}, .rank_pattern = one, .rank_pattern_count = 1},
                                      {.method = (char[]){"none"}, .bias = (char[]){"all"}},
                                      {.method = (char[]){"none"}, .lora_bias = true}};
    static const char *const keys[] = {"peft.exclude", "peft.rank_pattern", "peft.bias", "peft.lora_bias"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_error(pfm_peft_create(&cases[i], &peft, &err), PFM_ERROR_USAGE, keys[i]);
    assert_null(peft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_become_options), cmocka_unit_test(what_is_not_understood_is_named),
        cmocka_unit_test(targets_are_written_as_peft_reads_them), cmocka_unit_test(options_of_others_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
