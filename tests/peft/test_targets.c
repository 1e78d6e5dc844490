/* Which modules a method acts on: names, expressions, all linear layers, layers by number, patterns, modules kept whole. What
 * each case expects is what PEFT's own functions say. */
#include "peft/targets.h"

#include "test.h"

static const char *const llama[] = {"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj",
                                    "model.layers.0.mlp.up_proj",      "model.layers.1.self_attn.q_proj",
                                    "model.layers.1.self_attn.v_proj", "model.layers.1.mlp.up_proj",
                                    "model.layers.11.self_attn.q_proj"};
enum { MODULES = sizeof llama / sizeof *llama, MOST = 3 };

/* Which of the modules above are chosen, a bit each. */
static unsigned chosen(const pfm_peft_options *options)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_targets *targets = NULL;
    unsigned out = 0;
    assert_ok(pfm_targets_create(options, &targets, &err));
    for (unsigned i = 0; i < MODULES; i++)
        out |= (unsigned)pfm_targets_match(targets, llama[i]) << i;
    pfm_targets_free(targets);
    return out;
}

static void names_and_expressions_choose(void **state)
{
    (void)state;
    static const struct {
        char *targets[MOST], *exclude[MOST], *layers[MOST], *pattern[MOST], *whole[MOST];
        unsigned wanted;
    } cases[] = {
        {{"q_proj"}, {0}, {0}, {0}, {0}, 0x49},
        {{"layers.1.self_attn.q_proj"}, {0}, {0}, {0}, {0}, 0x08},
        {{"proj"}, {0}, {0}, {0}, {0}, 0x00},
        {{"re:.*proj"}, {0}, {0}, {0}, {0}, 0x7f},
        {{"re:q_proj"}, {0}, {0}, {0}, {0}, 0x00},
        {{"re:model\\.layers\\.1\\..*"}, {0}, {0}, {0}, {0}, 0x38},
        {{"all-linear"}, {0}, {0}, {0}, {0}, 0x7f},
        {{"all-linear"}, {"v_proj", "re:.*\\.0\\.mlp.*"}, {0}, {0}, {0}, 0x69},
        {{"re:.*1\\.mlp.*", "v_proj"}, {0}, {0}, {0}, {0}, 0x32},
        {{"q_proj", "up_proj"}, {0}, {"1"}, {0}, {0}, 0x28},
        {{"q_proj"}, {0}, {"0", "11"}, {"layers"}, {0}, 0x41},
        {{"q_proj"}, {0}, {"0"}, {"blocks"}, {0}, 0x00},
        {{"q_proj"}, {0}, {"0"}, {"blocks", "lay.rs"}, {0}, 0x01},
        {{"q_proj", "up_proj"}, {0}, {0}, {0}, {"mlp", "layers.1"}, 0x41},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_peft_options options = {.targets = (char **)(uintptr_t)cases[i].targets,
                                    .exclude = (char **)(uintptr_t)cases[i].exclude,
                                    .layers = (char **)(uintptr_t)cases[i].layers,
                                    .layers_pattern = (char **)(uintptr_t)cases[i].pattern,
                                    .modules_to_save = (char **)(uintptr_t)cases[i].whole};
        for (size_t j = 0; j < MOST; j++) {
            options.target_count += cases[i].targets[j] != NULL;
            options.exclude_count += cases[i].exclude[j] != NULL;
            options.layer_count += cases[i].layers[j] != NULL;
            options.layers_pattern_count += cases[i].pattern[j] != NULL;
            options.module_to_save_count += cases[i].whole[j] != NULL;
        }
        const unsigned found = chosen(&options);
        if (found != cases[i].wanted)
            fail_msg("case %zu (%s) chooses %x, not %x", i, cases[i].targets[0], found, cases[i].wanted);
    }
}

/* The first pattern that fits decides; one fits whole parts of a name's end. */
static void patterns_give_ranks(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_targets *targets = NULL;
    char *ranks[] = {"layers\\.0\\.self_attn\\.(q|k)_proj=4", "proj=3", "v_proj=2"}, *alphas[] = {"q_proj=2.5"};
    const pfm_peft_options options = {.rank = 8,
                                      .alpha = 16,
                                      .rank_pattern = ranks,
                                      .rank_pattern_count = 3,
                                      .alpha_pattern = alphas,
                                      .alpha_pattern_count = 1};
    assert_ok(pfm_targets_create(&options, &targets, &err));
    assert_int_equal(pfm_targets_rank(targets, "model.layers.0.self_attn.q_proj"), 4);
    assert_int_equal(pfm_targets_rank(targets, "model.layers.10.self_attn.q_proj"), 8);
    assert_int_equal(pfm_targets_rank(targets, "model.layers.1.self_attn.q_proj"), 8);
    assert_int_equal(pfm_targets_rank(targets, "model.layers.1.self_attn.v_proj"), 2);
    assert_int_equal(pfm_targets_rank(targets, "proj"), 3);
    assert_true(pfm_targets_alpha(targets, "model.layers.1.self_attn.q_proj") == 2.5);
    assert_true(pfm_targets_alpha(targets, "model.layers.1.self_attn.xq_proj") == 16);
    pfm_targets_free(targets);
    pfm_targets_free(NULL);
}

/* PEFT asks for the end of a name, not for whole parts of it; what lies within a module belongs to it. */
static void modules_are_kept_whole(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_targets *targets = NULL;
    char *whole[] = {"norm", "layers.1.mlp"};
    const pfm_peft_options options = {.modules_to_save = whole, .module_to_save_count = 2};
    assert_ok(pfm_targets_create(&options, &targets, &err));
    assert_true(pfm_targets_keep_whole(targets, "model.norm"));
    assert_error(pfm_targets_check(targets, &err), PFM_ERROR_USAGE, "peft.modules_to_save: 'layers.1.mlp' matches no module");
    assert_true(pfm_targets_keep_whole(targets, "model.layers.1.input_layernorm"));
    assert_true(pfm_targets_keep_whole(targets, "model.layers.1.mlp.up_proj"));
    assert_false(pfm_targets_keep_whole(targets, "model.layers.11.mlp.up_proj"));
    assert_false(pfm_targets_keep_whole(targets, "model.norm_x"));
    assert_ok(pfm_targets_check(targets, &err));
    pfm_targets_free(targets);
}

static pfm_status try_options(const pfm_peft_options *options, pfm_error *err)
{
    pfm_targets *targets = NULL;
    pfm_status status = pfm_targets_create(options, &targets, err);
    for (size_t i = 0; status == PFM_OK && i < MODULES; i++)
        pfm_targets_see(targets, llama[i]);
    if (status == PFM_OK)
        status = pfm_targets_check(targets, err);
    pfm_targets_free(targets);
    return status;
}

static void what_matches_nothing_is_named(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *one[] = {"q_prj"}, *q[] = {"q_proj"}, *re[] = {"re:.*k_proj"}, *two[] = {"2"}, *bad[] = {"x"}, *rank[] = {"v_proj=2"};
    char *wrong[] = {"re:(a"}, *half[] = {"q_proj=1.5"}, *big[] = {"q_proj=9999"}, *none[] = {"=3"},
         *deep[] = {"re:(?:[a-z0-9._]|[a-z._][a-z0-9._])+(?<=X)"};
    char *layers[] = {"layers"}, *star[] = {"lay(ers"};
    assert_ok(try_options(&(pfm_peft_options){.targets = q, .target_count = 1}, &err));
    assert_error(try_options(&(pfm_peft_options){.targets = one, .target_count = 1}, &err), PFM_ERROR_USAGE,
                 "peft.targets: 'q_prj' matches no layer of this model; its layers are called q_proj, v_proj, up_proj");
    assert_error(try_options(&(pfm_peft_options){.targets = re, .target_count = 1}, &err), PFM_ERROR_USAGE,
                 "'re:.*k_proj' matches no");
    assert_error(try_options(&(pfm_peft_options){.targets = q, .target_count = 1, .layers = two, .layer_count = 1}, &err),
                 PFM_ERROR_USAGE, "peft.layers: '2' matches no block");
    assert_error(try_options(&(pfm_peft_options){.targets = q, .target_count = 1, .layers = bad, .layer_count = 1}, &err),
                 PFM_ERROR_USAGE, "peft.layers cannot be 'x'");
    assert_error(try_options(&(pfm_peft_options){.targets = re, .target_count = 1, .layers = two, .layer_count = 1}, &err),
                 PFM_ERROR_USAGE, "peft.layers goes with names");
    assert_error(
        try_options(&(pfm_peft_options){.targets = q, .target_count = 1, .layers_pattern = layers, .layers_pattern_count = 1},
                    &err),
        PFM_ERROR_USAGE, "peft.layers_pattern says");
    assert_error(try_options(&(pfm_peft_options){.targets = q,
                                                 .target_count = 1,
                                                 .layers = two,
                                                 .layer_count = 1,
                                                 .layers_pattern = star,
                                                 .layers_pattern_count = 1},
                             &err),
                 PFM_ERROR_USAGE, "peft.layers_pattern: ");
    assert_error(
        try_options(&(pfm_peft_options){.targets = q, .target_count = 1, .rank_pattern = rank, .rank_pattern_count = 1}, &err),
        PFM_ERROR_USAGE, "peft.rank_pattern: 'v_proj=2' matches no target");
    assert_error(try_options(&(pfm_peft_options){.targets = wrong, .target_count = 1}, &err), PFM_ERROR_USAGE,
                 "peft.targets: '(a' is no regular expression");
    char **const patterns[] = {half, big, none, one};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        assert_error(try_options(&(pfm_peft_options){.rank_pattern = patterns[i], .rank_pattern_count = 1}, &err),
                     PFM_ERROR_USAGE, "peft.rank_pattern cannot be");
    assert_error(try_options(&(pfm_peft_options){.targets = deep, .target_count = 1}, &err), PFM_ERROR_UNSUPPORTED,
                 "cannot be used on the name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_and_expressions_choose), cmocka_unit_test(patterns_give_ranks),
                                       cmocka_unit_test(modules_are_kept_whole),
                                       cmocka_unit_test(what_matches_nothing_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
