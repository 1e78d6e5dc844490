#include "base/file.h"
#include "base/json.h"
#include "eval/wordnet.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static pfm_status collect(void *user, const char *synonym, size_t length, pfm_error *e)
{
    (void)e;
    json_t *names = user;
    char name[256];
    assert_true(length < sizeof name);
    memcpy(name, synonym, length);
    name[length] = '\0';
    json_object_set_new(names, name, json_true());
    return PFM_OK;
}

/* What nltk finds for these words in the same files. */
static void test_golden(void **state)
{
    (void)state;
    json_t *golden = NULL, *want = NULL, *name = NULL;
    pfm_wordnet *wordnet = NULL;
    const char *word = NULL;
    size_t i = 0;
    assert_ok(pfm_json_load(PFM_SOURCE_DIR "/tests/eval/golden/words.json", &golden, &err));
    assert_ok(pfm_wordnet_open(NULL, &wordnet, &err));
    json_object_foreach(json_object_get(golden, "synonyms"), word, want)
    {
        json_t *got = json_object();
        assert_ok(pfm_wordnet_synonyms(wordnet, word, strlen(word), collect, got, &err));
        if (json_object_size(got) != json_array_size(want))
            fail_msg("%s: %zu synonyms, not %zu", word, json_object_size(got), json_array_size(want));
        json_array_foreach(want, i, name) assert_non_null(json_object_get(got, json_string_value(name)));
        json_decref(got);
    }
    pfm_wordnet_free(wordnet);
    json_decref(golden);
}

#define HEAD "  1 WordNet 3.0 Copyright 2006\n"

static const char *make_folder(const char *index, const char *data)
{
    static const char *const parts[] = {"noun", "verb", "adj", "adv"};
    static char folder[300]; /* test_path's own buffers do not last for so many files */
    (void)snprintf(folder, sizeof folder, "%s/wordnet", test_scratch_folder());
    assert_ok(pfm_folder_create(folder, &err));
    for (int p = 0; p < 4; p++) {
        char name[40];
        const char *text = p == 0 ? index : HEAD;
        (void)snprintf(name, sizeof name, "index.%s", parts[p]);
        assert_ok(pfm_file_write(test_path(folder, name), text, strlen(text), &err));
        (void)snprintf(name, sizeof name, "data.%s", parts[p]);
        assert_ok(pfm_file_write(test_path(folder, name), data, strlen(data), &err));
        (void)snprintf(name, sizeof name, "%s.exc", parts[p]);
        assert_ok(pfm_file_write(test_path(folder, name), "feet foot\n", 10, &err));
    }
    return folder;
}

static pfm_status look_up(const char *index, const char *data, const char *word, json_t **names)
{
    pfm_wordnet *wordnet = NULL;
    assert_ok(pfm_wordnet_open(make_folder(index, data), &wordnet, &err));
    *names = json_object();
    pfm_status status = pfm_wordnet_synonyms(wordnet, word, strlen(word), collect, *names, &err);
    pfm_wordnet_free(wordnet);
    json_decref(*names);
    return status;
}

static void test_damage(void **state)
{
    (void)state;
    static const char data[] = "00000000 05 n 01 foot 0 000 | x\n";
    static const char *const broken[] = {HEAD "foot n 1 0 1 0 99999999\n",
                                         HEAD "foot n 1 0 1 0 00000001\n",
                                         HEAD "foot n 1 0 2 0 00000000\n",
                                         HEAD "foot n 1 0 1 0\n",
                                         HEAD "foot n 999999999 0\n",
                                         HEAD "foot n 1 999999999 @\n",
                                         HEAD "foot n x 0 1 0 00000000\n",
                                         HEAD "foot",
                                         HEAD "foot n 1 0 1 0 99999999999999999999\n"};
    json_t *names = NULL;
    assert_ok(look_up(HEAD "foot n 1 0 1 0 00000000\n", data, "feet", &names));
    assert_ok(look_up(HEAD "foot n 1 0 1 0 00000000", data, "foots", &names));
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        assert_error(look_up(broken[i], data, "foot", &names), PFM_ERROR_FORMAT, "noun is damaged");
    assert_error(look_up(HEAD "foot n 1 0 1 0 00000000\n", "00000000 05 n ff foot 0 000 |\n", "foot", &names), PFM_ERROR_FORMAT,
                 "data.noun is damaged");
    assert_error(look_up(HEAD "foot n 1 0 1 0 00000000\n", "", "foot", &names), PFM_ERROR_FORMAT, "data.noun is damaged");
}

static void test_refusals(void **state)
{
    (void)state;
    pfm_wordnet *wordnet = NULL;
    assert_error(pfm_wordnet_open(test_path(test_scratch_folder(), "nothing"), &wordnet, &err), PFM_ERROR_IO,
                 "apt install wordnet-base");
    assert_error(pfm_wordnet_open(make_folder("  1 WordNet 3.1 Copyright\n", ""), &wordnet, &err), PFM_ERROR_FORMAT,
                 "index.noun is not that of WordNet 3.0");
    assert_null(wordnet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden), cmocka_unit_test(test_damage),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
