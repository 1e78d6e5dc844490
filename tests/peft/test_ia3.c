/* IA3 against Hugging Face PEFT: outputs and inputs scaled, biases, Conv1D, and the layers that it changes by family. */
#include "peft_case.h"

#include "train/run.h"

/* What is changed is PEFT's choice for the family: the recipe names no layers. */
static const struct {
    const char *name, *model; /* NULL: llama */
    int tensors;
} cases[] = {{"ia3_llama", NULL, 2 + 3 * 2}, {"ia3_gpt2", "gpt2", 2 + 2 * 2}, {"ia3_qwen2", "qwen2", 2 + 3 * 2}};
enum { CASES = sizeof cases / sizeof *cases };

static peft_case case_of(size_t i)
{
    return (peft_case){.name = cases[i].name,
                       .language = cases[i].model == NULL ? PEFT_LLAMA : peft_write_model(NULL, cases[i].model),
                       .sets = {"peft.method=ia3"},
                       .set_count = 1};
}

static pfm_precision precision_at_hand;

static void compare_all(const char *level)
{
    for (size_t i = 0; i < (precision_at_hand == PFM_PRECISION_F32 ? CASES : 1); i++) {
        const peft_case c = case_of(i);
        peft_case_compare(&c, level, precision_at_hand, cases[i].tensors);
    }
}

static void f32_is_what_peft_computes(void **state)
{
    (void)state;
    precision_at_hand = PFM_PRECISION_F32;
    tiny_each_level(compare_all);
}

static void bf16_is_as_near_as_autocast(void **state)
{
    (void)state;
    precision_at_hand = PFM_PRECISION_BF16;
    tiny_each_level(compare_all);
}

static void merged_weights_and_biases_compute_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        const peft_case c = case_of(i);
        peft_case_merge(&c);
    }
}

static void what_is_saved_is_loaded_and_is_pefts(void **state)
{
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        const peft_case c = case_of(i);
        peft_case_save(&c);
        peft_case_forward(&c);
    }
}

static void what_trains_changes_and_nothing_else(void **state)
{
    (void)state;
    static const char *const sets[] = {"peft.method=ia3", "peft.targets=[k_proj, v_proj, down_proj]"};
    peft_check_training(sets, 2, 3 * 2 + 2);
}

/* A fresh adapter is the base, to the bit, and nothing in it decays. */
static void it_starts_at_the_base(void **state)
{
    (void)state;
    const peft_case ia3 = case_of(0),
                    bare = {.language = ia3.language, .sets = {"peft.method=none", "trainable=[aligner]"}, .set_count = 2};
    peft_model a, b;
    peft_model_create(tiny_context(NULL, 2, PFM_PRECISION_F32), &ia3, false, NULL, &a);
    peft_model_create(tiny_context(NULL, 2, PFM_PRECISION_F32), &bare, false, NULL, &b);
    const float *logits = peft_model_run(&b);
    assert_memory_equal(peft_model_run(&a), logits, peft_model_logits(&b) * sizeof *logits);
    for (int i = 0; i < pfm_parameters_count(a.session->model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(a.session->model->parameters, i);
        assert_false(p->part == PFM_PART_PEFT && p->decays);
    }
    peft_model_free(&a);
    peft_model_free(&b);
}

static void settings_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *sets[3], *message;
    } bad[] = {
        {{"peft.method=ia3", "peft.targets=[k_proj]", "peft.feedforward=[down_proj]"},
         "'down_proj' is not one of peft.targets"},
        {{"peft.method=lora", "peft.targets=[k_proj]", "peft.feedforward=[k_proj]"},
         "peft.feedforward is not of peft.method: lora"},
        {{"peft.method=ia3", "peft.targets=[k_proj]", "peft.rate_ratio=4"}, "peft.rate_ratio is not of peft.method: ia3"},
        {{"peft.method=ia3", "peft.targets=[k_proj]", "peft.layers=[0]"}, "peft.layers is not of peft.method: ia3"},
        {{"peft.method=ia3", "peft.targets=[k_proj]", "peft.feedforward=re:("}, "peft.feedforward: '('"}};
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_recipe *recipe = NULL;
        pfm_session *session = NULL;
        char text[600];
        int length = snprintf(text, sizeof text, "model: {language: '%s'}\ndata: {dataset: phantom}\n", tiny_path("llama"));
        pfm_status status = pfm_recipe_parse(text, (size_t)length, "bad.yaml", bad[i].sets, 3, &recipe, &err);
        if (status == PFM_OK)
            status = pfm_session_create_for_tensors(context, recipe, true, &session, &err);
        assert_error(status, PFM_ERROR_USAGE, bad[i].message);
    }
    pfm_context_free(context);
}

/* Which layers a recipe changes that does not say: its family's. The feedforward layers are those among what it says. */
static void the_family_decides_what_the_recipe_does_not_say(void **state)
{
    (void)state;
    static const struct {
        const char *model, *sets[2], *targets, *feedforward;
    } layers[] = {{NULL, {"peft.method=lora", "peft.rank=2"}, "q_proj,v_proj", ""},
                  {"gpt2", {"peft.method=lora", "peft.rank=2"}, "c_attn", ""},
                  {"phi", {"peft.method=dora", "peft.rank=2"}, "q_proj,v_proj,fc1,fc2", ""},
                  {"phi", {"peft.method=ia3", "train.batch=2"}, "q_proj,v_proj,fc2", "fc2"},
                  {"stablelm", {"peft.method=ia3", "train.batch=2"}, "k_proj,v_proj,down_proj", "down_proj"},
                  {"qwen2", {"peft.method=ia3", "peft.targets=[v_proj]"}, "v_proj", ""},
                  {"gpt2", {"peft.method=ia3", "peft.targets=[h.1.mlp.c_proj]"}, "h.1.mlp.c_proj", "h.1.mlp.c_proj"},
                  {"gpt2", {"peft.method=ia3", "peft.targets=all-linear"}, "all-linear", "mlp.c_proj"}};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        char made[2][128] = {"", ""};
        peft_model m;
        const peft_case c = {.language = layers[i].model == NULL ? PEFT_LLAMA : peft_write_model(NULL, layers[i].model),
                             .sets = {layers[i].sets[0], layers[i].sets[1]},
                             .set_count = 2};
        peft_model_create(tiny_context(NULL, 1, PFM_PRECISION_F32), &c, false, NULL, &m);
        const pfm_peft_options *o = pfm_peft_get_options(m.session->peft), *r = &m.session->recipe->peft;
        assert_int_equal(r->target_count, o->target_count); /* the recipe that a run keeps says it */
        for (size_t t = 0; t < o->target_count; t++)
            (void)snprintf(made[0] + strlen(made[0]), 64, "%s%s", t > 0 ? "," : "", o->targets[t]);
        for (size_t t = 0; t < o->feedforward_count; t++)
            (void)snprintf(made[1] + strlen(made[1]), 64, "%s%s", t > 0 ? "," : "", o->feedforward[t]);
        assert_string_equal(made[0], layers[i].targets);
        assert_string_equal(made[1], layers[i].feedforward);
        peft_model_free(&m);
    }
}

/* A family's other variant has layers of other names, which the error lists. */
static void a_target_that_matches_nothing_is_told_what_there_is(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    pfm_model_graph graph;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 8, [PFM_DIM_ANSWERS] = 8, [PFM_DIM_VISUAL] = 4};
    char text[600];
    int length =
        snprintf(text, sizeof text, "model: {language: '%s'}\ndata: {dataset: phantom}\n", peft_write_model(NULL, "phi_fused"));
    assert_ok(pfm_recipe_parse(text, (size_t)length, "fused.yaml", NULL, 0, &recipe, &err));
    assert_ok(pfm_session_create_for_tensors(context, recipe, false, &session, &err));
    assert_ok(pfm_model_build(session->model, capacity, false, true, &graph, &err));
    assert_error(pfm_session_load_weights(session, &err), PFM_ERROR_USAGE,
                 "'q_proj' matches no layer of this model; its layers are called query_key_value, dense, fc1, fc2");
    pfm_model_graph_free(&graph);
    pfm_session_free(session);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_is_what_peft_computes),
        cmocka_unit_test(bf16_is_as_near_as_autocast),
        cmocka_unit_test(merged_weights_and_biases_compute_the_same),
        cmocka_unit_test(what_is_saved_is_loaded_and_is_pefts),
        cmocka_unit_test(what_trains_changes_and_nothing_else),
        cmocka_unit_test(it_starts_at_the_base),
        cmocka_unit_test(settings_are_checked),
        cmocka_unit_test(the_family_decides_what_the_recipe_does_not_say),
        cmocka_unit_test(a_target_that_matches_nothing_is_told_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
