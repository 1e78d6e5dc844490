/* What counts of an answer, by profile; MedExpQA's as its published code counts, and the score around it. */
#include "eval/vqa.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static const pfm_score_profile *find(const char *name)
{
    const pfm_score_profile *profile = NULL;
    assert_ok(pfm_score_profile_find(name, &profile, &err));
    return profile;
}

static void profiles_are_found_by_name(void **state)
{
    (void)state;
    const pfm_score_profile *profile = NULL;
    assert_ptr_equal(find("vqa"), pfm_score_profiles[0]);
    assert_ptr_equal(pfm_score_profile_or_vqa(NULL), find("vqa"));
    assert_string_equal(find("medexpqa")->name, "medexpqa");
    assert_error(pfm_score_profile_find("medexpqa2", &profile, &err), PFM_ERROR_USAGE,
                 "there is no profile 'medexpqa2'; there are vqa, medexpqa");
}

static void the_first_character_counts(void **state)
{
    (void)state;
    static const struct {
        const char *language, *prediction;
        bool correct;
    } cases[] = {
        {"en", "3. Left.", true},
        {"en", "3", true},
        {"en", " 3. Left.", false}, /* as published: the character, whatever it is */
        {"en", "\n3. Left.", false},
        {"en", "Left.", false},
        {"en", "", false},
        {"en", "13. Left.", false},
        {"en", "The correct answer is: 3. Left.", true},
        {"en", "The correct answer is:3. Left.", false},
        {"en", "The correct answer is:33", false},
        {"en", "The correct answer is:", false},
        {"en", "The correct answer is: ", false},
        {"en", "Question ... 3. c\nThe correct answer is: 2. b\nThe correct answer is: 3. c", false}, /* the first is taken */
        {"en", "Question ... 2. c\nThe correct answer is: 3. b", true}, /* with the prompt, as the published files have it */
        {"es", "La opci\xc3\xb3n correcta es: 3. c", true},
        {"es", "The correct answer is: 3. c", false},
        {"fr", "La bonne option est: 3. c", true},
        {"it", "L'opzione corretta \xc3\xa8: 3. c", true},
        {NULL, "The correct answer is: 3. c", true},
        {"de", "3. c", true},
    };
    const pfm_score_profile *profile = find("medexpqa");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *columns = json_pack("{s:s?}", "lang", cases[i].language);
        bool correct = !cases[i].correct;
        assert_ok(pfm_score_profile_correct(profile, cases[i].prediction, "3. Left.", columns, &correct, &err));
        if (correct != cases[i].correct)
            fail_msg("case %zu: \"%s\" must%s be right", i, cases[i].prediction, cases[i].correct ? "" : " not");
        json_decref(columns);
    }
    bool correct = true;
    assert_ok(pfm_score_profile_correct(profile, "", "", NULL, &correct, &err)); /* nothing is never right */
    assert_false(correct);
    assert_ok(pfm_score_profile_correct(find("vqa"), " Left LUNG.", "left lung", NULL, &correct, &err));
    assert_true(correct);
}

static void a_guess_is_one_of_the_options(void **state)
{
    (void)state;
    const pfm_score_profile *profile = find("medexpqa");
    json_t *row = json_loads("{\"options\":{\"1\":\"a\",\"2\":\"b\",\"3\":\"c\",\"4\":\"d\",\"5\":null}}", 0, NULL);
    assert_true(profile->guess(row) == 0.25);
    json_decref(row);
    assert_true(isnan(profile->guess(NULL)));
}

#define PREDICTION(id, type, lang, answer, prediction)                                                                         \
    "{\"id\":\"" id "\",\"image\":null,\"question\":\"q\",\"answer\":\"" answer "\",\"prediction\":\"" prediction              \
    "\",\"answer_type\":\"CLOSED\",\"type\":\"" type "\",\"lang\":\"" lang "\",\"options\":{\"1\":\"a\",\"2\":\"b\"}}"

static double figure(const json_t *result, const char *path)
{
    char copy[100];
    (void)snprintf(copy, sizeof copy, "%s", path);
    for (char *save = NULL, *key = strtok_r(copy, "/", &save); key != NULL; key = strtok_r(NULL, "/", &save))
        result = json_is_array(result) ? json_array_get(result, (size_t)atoi(key)) : json_object_get(result, key);
    if (!json_is_number(result))
        fail_msg("there is no number at %s", path);
    return json_number_value(result);
}

static void text_alone_is_scored(void **state)
{
    (void)state;
    json_t *result = NULL, *missing = NULL;
    json_t *rows = json_loads(
               "[" PREDICTION("1", "A", "en", "1. a", "1. x") "," PREDICTION("2", "A", "en", "2. b", "1. x") "," PREDICTION(
                   "3", "B", "es", "2. b", "La opci\xc3\xb3n correcta es: 2. y") "," PREDICTION("4", "B", "es", "2. b",
                                                                                                "nothing") "]",
               0, NULL),
           *training = json_loads("[{\"question\":\"q\",\"answer\":\"2. x\"},{\"question\":\"q\",\"answer\":\"1. b\"},"
                                  "{\"question\":\"r\",\"answer\":\"2. y\"},{\"correct_option\":2},{\"correct_option\":null}]",
                                  0, NULL);
    const pfm_score_options options = {.profile = find("medexpqa"), .seed = 42, .dataset = "medexpqa"};
    assert_ok(pfm_score_vqa(rows, training, &options, &result, &err));
    assert_string_equal(json_string_value(json_object_get(result, "profile")), "medexpqa");
    assert_true(figure(result, "overall") == 50 && figure(result, "closed") == 50 && figure(result, "n") == 4);
    assert_true(figure(result, "n_images") == 0 && figure(result, "n_open") == 0);
    assert_true(figure(result, "ci95/overall/0") < 50 && figure(result, "ci95/overall/1") > 50); /* rows are units */
    assert_true(figure(result, "by/type/A/overall") == 50 && figure(result, "by/lang/es/overall") == 50);
    assert_true(figure(result, "chance") == 50);
    assert_true(figure(result, "prior/overall") == 75); /* always 2, whatever was asked */
    const char *signature = json_string_value(json_object_get(result, "signature"));
    assert_non_null(strstr(signature, "medexpqa|text:first.character.behind.sentence|kinds:given|ci95:bootstrap.rows.1000."));
    json_decref(result);
    (void)json_object_del(json_array_get(rows, 1), "options"); /* then nobody knows the chance of all */
    assert_ok(pfm_score_vqa(rows, NULL, &options, &result, &err));
    assert_true(json_is_null(json_object_get(result, "chance")) && json_is_null(json_object_get(result, "prior")));
    json_decref(result);
    const pfm_score_options plain = {.seed = 42};
    assert_ok(pfm_score_vqa(rows, NULL, &plain, &result, &err));
    assert_null(json_object_get(result, "chance"));
    assert_true(figure(result, "overall") == 0);
    json_decref(result);
    (void)json_object_del(json_array_get(rows, 0), "image");
    assert_error(pfm_score_vqa(rows, NULL, &options, &result, &err), PFM_ERROR_FORMAT, "\"image\" is missing");
    missing = json_loads("[{\"question\":\"q\"}]", 0, NULL);
    (void)json_object_set_new(json_array_get(rows, 0), "image", json_null());
    assert_error(pfm_score_vqa(rows, missing, &options, &result, &err), PFM_ERROR_FORMAT,
                 "a training row needs \"answer\" or \"correct_option\"");
    json_decref(missing);
    json_decref(rows);
    json_decref(training);
}

/* The kinds of a case are the columns that a profile names: they are shown however many there are. */
static void many_types_are_all_shown(void **state)
{
    (void)state;
    enum { TYPES = 90 };
    json_t *rows = json_array(), *result = NULL;
    for (int i = 0; i < TYPES; i++) {
        json_t *row =
            json_pack("{s:i,s:n,s:s,s:s,s:s}", "id", i, "image", "question", "q", "answer", "1. a", "prediction", "1");
        char type[100];
        (void)snprintf(type, sizeof type, "A TYPE OF WHICH THE NAME IS LONGER THAN ANY THAT IS SPLIT BY OTHERWISE, %d", i);
        assert_int_equal(json_object_set_new(row, "type", json_string(type)), 0);
        assert_int_equal(json_object_set_new(row, "other", json_integer(i)), 0);
        assert_int_equal(json_array_append_new(rows, row), 0);
    }
    const pfm_score_options options = {.profile = find("medexpqa"), .seed = 42};
    assert_ok(pfm_score_vqa(rows, NULL, &options, &result, &err));
    const json_t *by = json_object_get(result, "by");
    assert_int_equal(json_object_size(json_object_get(by, "type")), TYPES);
    assert_null(json_object_get(by, "other"));
    json_decref(result);
    json_decref(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(profiles_are_found_by_name),
                                       cmocka_unit_test(the_first_character_counts),
                                       cmocka_unit_test(a_guess_is_one_of_the_options), cmocka_unit_test(text_alone_is_scored),
                                       cmocka_unit_test(many_types_are_all_shown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
