/* Methods that train the base's own parameters, against Hugging Face PEFT (script/vectors/trained_base.py): its adapters are
 * read, and give its logits, its gradients of every tensor and of the input; saved again they are the same tensors. And what
 * says that a model has nothing for a method. */
#include "adapted.h"

#include "base/file.h"
#include "pefomed/train.h"
#include "peft/peft_methods.h"
#include "train/run.h"

static const struct golden_case {
    const char *name, *model, *peft; /* peft: the recipe's section */
    bool ids;                        /* read in place of embeddings, where an embedding trains */
} cases[] = {
    {"bitfit", "phi", "{method: bitfit}", false},
    {"ln_tuning", "gpt2", "{method: ln_tuning}", false},
    {"ln_tuning_some", "phi", "{method: ln_tuning, targets: [final_layernorm, 1.input_layernorm]}", false},
    {"full", "gpt2", "{method: full, targets: [transformer.h.1.mlp.c_proj, transformer.h.0.ln_1, transformer.wpe]}", true},
    {"full_tied", "gpt2", "{method: full, targets: [transformer.wte, lm_head]}", true},
    {"full_head", "phi", "{method: full, targets: [lm_head, model.layers.0.mlp.fc2, model.embed_tokens]}", true},
};
enum { CASES = sizeof cases / sizeof *cases };

static json_t *saved_config(const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *document = NULL;
    char path[600];
    (void)snprintf(path, sizeof path, "%s/adapter_config.json", golden_path(name));
    assert_ok(pfm_json_load(path, &document, &err));
    return document;
}

/* Of lists only what stands in them counts, as for PEFT. */
static void assert_same_setting(const char *name, const char *key, const json_t *a, const json_t *b)
{
    bool same = json_is_array(a) && json_is_array(b) && json_array_size(a) == json_array_size(b);
    for (size_t i = 0; same && i < json_array_size(a); i++) {
        bool found = false;
        for (size_t j = 0; j < json_array_size(b); j++)
            found |= json_equal(json_array_get(a, i), json_array_get(b, j)) != 0;
        same = found;
    }
    if (!same && a != b && !json_equal(a, b))
        fail_msg("%s: \"%s\" is not what PEFT wrote", name, key);
}

static void compare_settings(const adapted *a, const char *name)
{
    static const char *const keys[] = {"peft_type", "task_type", "target_modules", "modules_to_save", "bias"};
    pfm_error err = PFM_ERROR_INIT;
    json_t *ours = NULL, *theirs = saved_config(name);
    char path[300];
    (void)snprintf(path, sizeof path, "%s/settings", test_scratch_folder());
    assert_ok(pfm_run_save(path, "base", a->session->model, a->session->peft, &err));
    (void)snprintf(path, sizeof path, "%s/settings/adapter/adapter_config.json", test_scratch_folder());
    assert_ok(pfm_json_load(path, &ours, &err));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_same_setting(name, keys[i], json_object_get(ours, keys[i]), json_object_get(theirs, keys[i]));
    json_decref(ours);
    json_decref(theirs);
}

static void gradients_are_pefts(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *golden = NULL;
    assert_ok(pfm_weights_open(golden_path("trained_base.safetensors"), &golden, &err));
    for (size_t i = 0; i < CASES; i++) {
        adapted a;
        adapted_create(cases[i].model, cases[i].peft, cases[i].name, &a);
        adapted_run_and_compare(&a, cases[i].ids, golden, cases[i].name);
        assert_saved_is(&a, cases[i].name);
        compare_settings(&a, cases[i].name);
        adapted_free(&a);
    }
    pfm_weights_close(golden);
}

/* ---- configurations ---- */

/* `pefomed forward --adapter` knows the method by what PEFT's file says alone. */
static void forward_gives_pefts_logits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *golden = NULL;
    assert_ok(pfm_weights_open(golden_path("trained_base.safetensors"), &golden, &err));
    for (size_t i = 0; i < CASES; i++)
        assert_forward_gives(cases[i].model, cases[i].name, cases[i].ids, golden);
    pfm_weights_close(golden);
}

static void read_method(json_t *document, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_peft_options options = {.rank = 1};
    const pfm_adapter_config config = {
        .peft_type = (char *)(uintptr_t)json_string_value(json_object_get(document, "peft_type")), .document = document};
    if (wanted != NULL) {
        assert_ok(pfm_peft_read_config(&config, &options, &err));
        assert_string_equal(options.method, wanted);
    } else {
        assert_error(pfm_peft_read_config(&config, &options, &err), PFM_ERROR_USAGE, "peft.modules_to_save does not go with");
    }
    pfm_peft_options_free(&options);
}

static void configurations_are_read(void **state)
{
    (void)state;
    json_t *bitfit = saved_config("bitfit"), *norms = saved_config("ln_tuning"), *full = saved_config("full");
    read_method(bitfit, "bitfit");
    read_method(norms, "ln_tuning");
    read_method(full, "none"); /* which, with modules_to_save, is the same */
    assert_int_equal(json_object_set_new(norms, "modules_to_save", json_pack("[s]", "lm_head")), 0);
    read_method(norms, NULL);
    json_decref(bitfit);
    json_decref(norms);
    json_decref(full);
}

/* ---- what a model lacks ---- */

static void refuse(pfm_context *context, const char *model, const char *peft, const char *part)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_model_graph graph = {0};
    pfm_session *session = adapted_session(context, model, peft);
    assert_error(adapted_build(session, &graph, &err), PFM_ERROR_USAGE, part);
    assert_false(session->loaded);
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
}

static void a_model_without_what_a_method_needs_is_refused(void **state)
{
    (void)state;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    refuse(context, "llama", "{method: bitfit}", "peft.method: bitfit works on biases, and this model has none");
    refuse(context, "llama", "{method: ln_tuning, targets: [q_proj]}",
           "'q_proj' matches no layer of this model; its layers are called input_layernorm, post_attention_layernorm, norm");
    refuse(context, "llama", "{method: ln_tuning, targets: [input_layernorm, ln_1]}", "'ln_1' matches no layer");
    refuse(context, "llama", "{method: full, targets: [q_prj]}", "'q_prj' matches no module");
    pfm_context_free(context);
}

/* Before anything is fetched or loaded. */
static void the_plan_says_so(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    const char *path = test_path(test_scratch_folder(), "plan.yaml"), *const sets[] = {"peft.method=bitfit", "peft.targets=[]"};
    static const char text[] = "model: {vision: efficientnet-lite0, image_size: 448, language: smollm2-135m-instruct}\n"
                               "peft: {method: lora, targets: [q_proj, v_proj]}\n"
                               "data: {dataset: phantom}\n";
    char *json = NULL;
    assert_ok(pfm_file_write(path, text, sizeof text - 1, &err));
    const pfm_train_options options = {.recipe = path, .sets = sets, .set_count = 2, .plan = true};
    assert_error(pfm_train(context, &options, &json, &err), PFM_ERROR_USAGE, "bitfit works on biases");
    pfm_context_free(context);
}

static void two_ways_of_training_norms_are_refused(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const sets[] = {"peft.method=ln_tuning", "peft.targets=[norm]", "trainable=[peft, norms]"};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    pfm_session *session = tiny_session(context, true, sets, 3);
    pfm_model_graph graph = {0};
    assert_error(adapted_build(session, &graph, &err), PFM_ERROR_USAGE, "both peft and norms in trainable train model.norm");
    pfm_session_free(session);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_pefts),     cmocka_unit_test(forward_gives_pefts_logits),
        cmocka_unit_test(configurations_are_read), cmocka_unit_test(a_model_without_what_a_method_needs_is_refused),
        cmocka_unit_test(the_plan_says_so),        cmocka_unit_test(two_ways_of_training_norms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
