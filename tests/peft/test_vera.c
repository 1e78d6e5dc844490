/* VeRA against Hugging Face PEFT (script/vectors/vera.py): its adapters are read, with their projections or with the seed of
 * these alone, and give its logits, its gradients of every vector and of the input; saved again they are the same tensors. */
#include "adapted.h"
#include "peft_case.h"

#include "base/file.h"
#include "train/run.h"

static const struct golden_case {
    const char *name, *model, *peft; /* peft: the recipe's section */
    const char *loose;               /* the same but for save_projection */
} cases[] = {
    {"vera", "llama", "{method: vera, rank: 5, targets: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj]}",
     "{method: vera, rank: 5, targets: [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj], save_projection: "
     "false}"},
    {"vera_seed", "gpt2",
     "{method: vera, rank: 3, targets: [c_attn, mlp.c_proj], layers: [1], layers_pattern: h, d_initial: 0.5, "
     "projection_seed: 7, save_projection: false, dropout: 0}",
     "{method: vera, rank: 3, targets: [c_attn, mlp.c_proj], layers: [1], projection_seed: 7}"},
};
enum { CASES = sizeof cases / sizeof *cases };

static pfm_weights *open_golden(void)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *golden = NULL;
    assert_ok(pfm_weights_open(golden_path("vera.safetensors"), &golden, &err));
    return golden;
}

static void gradients_are_pefts(void **state)
{
    (void)state;
    pfm_weights *golden = open_golden();
    for (size_t i = 0; i < CASES; i++) {
        adapted a;
        adapted_create(cases[i].model, cases[i].peft, cases[i].name, &a);
        adapted_run_and_compare(&a, false, golden, cases[i].name);
        assert_saved_is(&a, cases[i].name);
        adapted_free(&a);
    }
    pfm_weights_close(golden);
}

/* `pefomed forward --adapter` knows the method by what PEFT's file says alone. */
static void forward_gives_pefts_logits(void **state)
{
    (void)state;
    pfm_weights *golden = open_golden();
    for (size_t i = 0; i < CASES; i++)
        assert_forward_gives(cases[i].model, cases[i].name, false, golden);
    pfm_weights_close(golden);
}

/* A run's folder of an adapter that nothing has trained; borrowed. */
static const char *save_fresh(pfm_context *context, const char *model, const char *peft)
{
    static char folder[300];
    pfm_error err = PFM_ERROR_INIT;
    pfm_model_graph graph = {0};
    pfm_session *session = adapted_session(context, model, peft);
    (void)snprintf(folder, sizeof folder, "%s/fresh", test_scratch_folder());
    assert_ok(adapted_build(session, &graph, &err));
    assert_ok(pfm_run_save(folder, "base", session->model, session->peft, &err));
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
    return folder;
}

static void projections_are_those_that_peft_draws(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *golden = open_golden(), *ours = NULL;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    char path[400];
    (void)snprintf(path, sizeof path, "%s/adapter/adapter_model.safetensors",
                   save_fresh(context, cases[1].model, cases[1].loose));
    assert_ok(pfm_weights_open(path, &ours, &err));
    for (int i = 0; i < 2; i++) {
        const pfm_weight *x = pfm_weights_find(ours, i == 0 ? "base_model.vera_A" : "base_model.vera_B"),
                         *y = pfm_weights_find(golden, i == 0 ? "vera_seed.vera_A" : "vera_seed.vera_B");
        assert_non_null(x);
        assert_non_null(y);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, y->bytes);
    }
    pfm_weights_close(ours);
    pfm_weights_close(golden);
    pfm_context_free(context);
}

/* Every key that PEFT wrote and that says something is written again as it was. */
static void settings_are_pefts(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        pfm_error err = PFM_ERROR_INIT;
        json_t *ours = NULL, *theirs = NULL, *value;
        const char *key;
        char path[600];
        adapted a;
        adapted_create(cases[i].model, cases[i].peft, cases[i].name, &a);
        (void)snprintf(path, sizeof path, "%s/settings", test_scratch_folder());
        assert_ok(pfm_run_save(path, cases[i].model, a.session->model, a.session->peft, &err));
        (void)snprintf(path, sizeof path, "%s/settings/adapter/adapter_config.json", test_scratch_folder());
        assert_ok(pfm_json_load(path, &ours, &err));
        (void)snprintf(path, sizeof path, "%s/adapter_config.json", golden_path(cases[i].name));
        assert_ok(pfm_json_load(path, &theirs, &err));
        json_object_foreach(ours, key, value)
        {
            if (json_object_get(theirs, key) == NULL)
                fail_msg("%s: PEFT has no \"%s\"", cases[i].name, key);
        }
        json_object_foreach(theirs, key, value)
        {
            json_t *own = json_object_get(ours, key);
            const bool told = strcmp(key, "peft_version") == 0 || strcmp(key, "inference_mode") == 0 || json_is_null(value);
            const bool list = json_is_array(value) && json_array_size(value) == json_array_size(own); /* a set to PEFT */
            if (!told && !list && strcmp(key, "vera_dropout") != 0 && !json_equal(own, value))
                fail_msg("%s: \"%s\" is not what PEFT wrote", cases[i].name, key);
        }
        json_decref(ours);
        json_decref(theirs);
        adapted_free(&a);
    }
}

/* A fresh adapter is the base, to the bit. */
static void it_starts_at_the_base(void **state)
{
    (void)state;
    const peft_case vera = {.language = PEFT_LLAMA, .sets = {"peft.method=vera", "peft.targets=all-linear"}, .set_count = 2},
                    bare = {.language = PEFT_LLAMA, .sets = {"peft.method=none", "trainable=[aligner]"}, .set_count = 2};
    peft_model a, b;
    peft_model_create(tiny_context(NULL, 2, PFM_PRECISION_F32), &vera, false, NULL, &a);
    peft_model_create(tiny_context(NULL, 2, PFM_PRECISION_F32), &bare, false, NULL, &b);
    const float *logits = peft_model_run(&b);
    assert_near("logits", peft_model_run(&a), logits, peft_model_logits(&b), 0);
    for (int i = 0; i < pfm_parameters_count(a.session->model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(a.session->model->parameters, i);
        const bool inner = strstr(p->name, "vera_lambda_d") != NULL, outer = strstr(p->name, "vera_lambda_b") != NULL;
        assert_int_equal(inner || outer, p->trainable);
        for (int64_t j = 0; (inner || outer) && j < p->n; j++)
            assert_true(p->values[j] == (inner ? 0.1f : 0));
    }
    peft_model_free(&a);
    peft_model_free(&b);
}

/* ---- what is refused ---- */

static void a_file_must_hold_what_its_settings_say(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "holds the tensor base_model.vera_A, and the adapter's save_projection is false; set it "
        "to true",
        "lacks the tensor base_model.vera_A, and the adapter's save_projection is true; set it "
        "to false"};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    for (size_t i = 0; i < CASES; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_model_graph graph = {0};
        pfm_session *session = adapted_session(context, cases[i].model, cases[i].loose);
        assert_ok(adapted_build(session, &graph, &err));
        assert_error(pfm_run_load_adapter(golden_path(cases[i].name), session->model, session->peft, &err), PFM_ERROR_MISMATCH,
                     messages[i]);
        pfm_model_graph_free(&graph);
        pfm_session_free(session);
    }
    pfm_context_free(context);
}

static void settings_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *set, *message;
    } bad[] = {{"peft.exclude=[v_proj]", "peft.exclude is not of peft.method: vera"},
               {"peft.d_initial=0", "peft.d_initial cannot be 0"},
               {"peft.rank_pattern=v_proj=2", "peft.rank_pattern is not of peft.method: vera"},
               {"peft.projection_seed=-1", "peft.projection_seed"}};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_recipe *recipe = NULL;
        pfm_session *session = NULL;
        char text[600];
        const char *const sets[] = {"peft.method=vera", bad[i].set};
        int length = snprintf(text, sizeof text, "model: {language: '%s'}\ndata: {dataset: phantom}\n", tiny_path("llama"));
        pfm_status status = pfm_recipe_parse(text, (size_t)length, "bad.yaml", sets, 2, &recipe, &err);
        if (status == PFM_OK)
            status = pfm_session_create_for_tensors(context, recipe, true, &session, &err);
        assert_error(status, PFM_ERROR_USAGE, bad[i].message);
    }
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_pefts),
        cmocka_unit_test(forward_gives_pefts_logits),
        cmocka_unit_test(projections_are_those_that_peft_draws),
        cmocka_unit_test(settings_are_pefts),
        cmocka_unit_test(it_starts_at_the_base),
        cmocka_unit_test(a_file_must_hold_what_its_settings_say),
        cmocka_unit_test(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
