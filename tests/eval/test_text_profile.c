#include "base/file.h"
#include "eval/metric.h"
#include "eval/text_profile.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static const char *write_file(const char *text)
{
    const char *path = test_path(test_scratch_folder(), "mine.yaml");
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    return path;
}

/* Each of the program's own is read, and names metrics that there are. */
static void test_own(void **state)
{
    (void)state;
    size_t count = 0;
    for (; pfm_profile_files[count].name != NULL; count++) {
        pfm_text_profile *profile = NULL;
        assert_ok(pfm_text_profile_load(pfm_profile_files[count].name, &profile, &err));
        assert_non_null(profile);
        assert_ok(pfm_metrics_check(profile->metrics, &err));
        assert_true(strlen(profile->definition) > 40);
        pfm_text_profile_free(profile);
    }
    assert_true(count >= 5);
    pfm_text_profile *none = NULL;
    assert_ok(pfm_text_profile_load("nothing", &none, &err));
    assert_null(none);
}

static void test_file(void **state)
{
    (void)state;
    pfm_text_profile *profile = NULL;
    char *described = NULL;
    assert_ok(pfm_text_profile_load(write_file("definition: mine\nmetrics: [bleu1, exact]\n"
                                               "references: [lower, first_words: 7]\n"
                                               "predictions:\n- rare_words: 2\n- ptb\n"),
                                    &profile, &err));
    assert_string_equal(profile->name, "mine");
    assert_string_equal(profile->metrics, "bleu1,exact");
    assert_int_equal(profile->references.count, 2);
    assert_int_equal(profile->references.steps[1].number, 7);
    assert_ok(pfm_text_profile_describe(profile, &described, &err));
    assert_string_equal(described, "references:lower,first_words:7|predictions:rare_words:none,ptb");
    free(described);
    pfm_text_profile_free(profile);
}

static void refuse(const char *text, pfm_status code, const char *part)
{
    pfm_text_profile *profile = NULL;
    assert_error(pfm_text_profile_load(write_file(text), &profile, &err), code, part);
    assert_null(profile);
}

static void test_refusals(void **state)
{
    (void)state;
#define HEAD "definition: mine\nmetrics: [bleu1]\n"
    pfm_text_profile *profile = NULL;
    assert_error(pfm_text_profile_load("./nothing.yaml", &profile, &err), PFM_ERROR_IO, "nothing.yaml");
    refuse("", PFM_ERROR_FORMAT, "a profile is a file of keys");
    refuse("[a]", PFM_ERROR_FORMAT, "a profile is a file of keys");
    refuse("a: [", PFM_ERROR_FORMAT, "mine.yaml line 2: not YAML");
    refuse("definition: x\n", PFM_ERROR_USAGE, "needs definition and metrics");
    refuse("definition: [x]\n", PFM_ERROR_USAGE, "line 1: definition must be a text");
    refuse(HEAD "metric: [bleu1]\n", PFM_ERROR_USAGE, "line 3: there is no key 'metric'; did you mean 'metrics'?");
    refuse(HEAD "metrics: [bleu1]\n", PFM_ERROR_USAGE, "line 3: metrics is given a second time");
    refuse("definition: x\nmetrics: [blue1]\n", PFM_ERROR_USAGE, "line 2: there is no metric 'blue1'; did you mean 'bleu1'?");
    refuse("definition: x\nmetrics: bleu1\n", PFM_ERROR_USAGE, "line 2: metrics must be a list of names");
    refuse("definition: x\nmetrics: ['bleu1,bleu2']\n", PFM_ERROR_USAGE, "line 2: metrics must be a list of names");
    refuse(HEAD "references: lower\n", PFM_ERROR_USAGE, "line 3: must be a list of steps");
    refuse(HEAD "references: [lowr]\n", PFM_ERROR_USAGE, "line 3: there is no step 'lowr'; did you mean 'lower'?");
    refuse(HEAD "references: [first_words]\n", PFM_ERROR_USAGE, "line 3: the step first_words needs a number");
    refuse(HEAD "references: [lower: 3]\n", PFM_ERROR_USAGE, "line 3: the step lower takes no number");
    refuse(HEAD "references: [first_words: 0]\n", PFM_ERROR_USAGE, "line 3: a step's number must be whole");
    refuse(HEAD "references: [first_words: 9999999]\n", PFM_ERROR_USAGE, "line 3: a step's number must be whole");
    refuse(HEAD "references: [[lower]]\n", PFM_ERROR_USAGE, "line 3: a step is a name");
    refuse(HEAD
           "references: [lower, lower, lower, lower, lower, lower, lower, lower, lower, lower, lower, lower, lower, lower, "
           "lower, lower, lower]\n",
           PFM_ERROR_USAGE, "line 3: a profile has at most 16 steps");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_own), cmocka_unit_test(test_file),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
