/* MEDIQA-M3G: cases with several photographs, in languages, with weighted responses. */
#include "data/dataset.h"
#include "make_data.h"

static const pfm_dataset_options english = {.language = "en"}, plain = {.language = NULL};

#define RESPONSE(author, en, complete, common)                                                                                 \
    "{\"author_id\":\"" author "\",\"content_en\":\"" en "\",\"content_zh\":\"z\",\"completeness\":" #complete                 \
    ",\"contains_freq_ans\":" #common "}"
#define CASE(id, images, rest)                                                                                                 \
    "{\"encounter_id\":\"" id "\",\"image_ids\":[" images "],\"query_title_en\":\" Rash? \",\"query_content_en\":\"It "        \
    "itches.\",\"query_title_zh\":\"t\",\"query_content_zh\":\"\"" rest "}"
#define USERS "author_id,validation_level,rank_level\nU1,md2_validated,level_5\nU2,,unk\nU3,realid_validated,level_4\n"

#define RESPONSES                                                                                                              \
    RESPONSE("U2", "Eczema.", 0.5, 0.0)                                                                                        \
    "," RESPONSE("U1", "Psoriasis.", 1.0, 1.0) "," RESPONSE("U3", " ", 1.0, 1.0) "," RESPONSE("U3", "Mycosis.", 1.0, 0.0)
#define ANSWERED CASE("ENC1", "\"IMG_ENC1_1\",\"IMG_ENC1_2.png\"", ",\"responses\":[" RESPONSES "],\"place\":\"arm\"")

static void test_cases(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("m3g");
    make_file(folder, "train.json", "[" ANSWERED "," CASE("ENC2", "\"IMG_ENC2_1\"", "") "]");
    make_file(folder, "valid_ht.json",
              "[" CASE("ENC3", "\"IMG_ENC3_1\"", ",\"responses\":[" RESPONSE("U1", "Tinea.", 1, 1) "]") "]");
    make_file(folder, "images_train/IMG_ENC1_1.jpg", "");
    make_file(folder, "df_userinfo.csv", USERS);
    assert_ok(pfm_dataset_load("mediqa_m3g", folder, "train", &english, &data, &err));
    assert_int_equal(data->count, 1);
    assert_int_equal(data->left_out, 1); /* without responses */
    const pfm_row *row = &data->rows[0];
    assert_string_equal(row->id, "ENC1");
    assert_string_equal(row->question, "Rash?\nIt itches.");
    assert_string_equal(row->answer, "Psoriasis."); /* the heaviest */
    assert_int_equal(row->image_count, 2);
    assert_string_equal(row->images[0].path, test_path(folder, "images_train/IMG_ENC1_1.jpg"));
    assert_string_equal(row->images[1].path, test_path(folder, "images_train/IMG_ENC1_2.png")); /* missing */
    char *extra = json_dumps(row->extra, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(3));
    assert_string_equal(extra,
                        "{\"language\":\"en\",\"place\":\"arm\",\"references\":[\"Eczema.\",\"Psoriasis.\",\"Mycosis.\"],"
                        "\"weights\":[0.6,1.0,0.8]}");
    free(extra);
    pfm_dataset_free(data);
    assert_ok(pfm_dataset_load("mediqa_m3g", folder, "validate", &english, &data, &err));
    assert_string_equal(data->rows[0].images[0].path, test_path(folder, "images_valid/IMG_ENC3_1.jpg"));
    pfm_dataset_free(data);
    assert_error(pfm_dataset_load("mediqa_m3g", folder, "train", &plain, &data, &err), PFM_ERROR_USAGE,
                 "choose one language (data.language, --language); the file holds en, zh");
    const pfm_dataset_options spanish = {.language = "es"}, any = {.any_language = true};
    assert_error(pfm_dataset_load("mediqa_m3g", folder, "train", &spanish, &data, &err), PFM_ERROR_USAGE,
                 "no rows in the language 'es'; it holds en, zh");
    assert_ok(pfm_dataset_load("mediqa_m3g", folder, "train", &any, &data, &err));
    assert_int_equal(data->count, 2);
    pfm_dataset_free(data);
}

/* Without the authors nothing is weighed, and the first response is the answer. */
static void test_unweighed(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("m3g_unweighed");
    make_file(folder, "test.json",
              "[{\"encounter_id\":\"E\",\"image_ids\":[\"a\"],\"query_content_es\":\"q\",\"responses\":[{\"content_es\":\"r\"},"
              "{\"content_es\":\"s\"}]}]");
    assert_ok(pfm_dataset_load("mediqa_m3g", folder, "test", &plain, &data, &err)); /* in its only language */
    assert_string_equal(data->rows[0].answer, "r");
    assert_null(json_object_get(data->rows[0].extra, "weights"));
    assert_int_equal(json_array_size(json_object_get(data->rows[0].extra, "references")), 2);
    pfm_dataset_free(data);
}

static void test_bad_cases(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"3", NULL, "must be a JSON array of cases"},
        {"[3]", NULL, "case 1: must be a JSON object with encounter_id"},
        {"[" CASE("E", "\"a\"", ",\"responses\":3") "]", NULL, "case 1: \"responses\" must be a list"},
        {"[" CASE("E", "\"a\"", ",\"responses\":[{}]") "]", NULL, "case 1: \"content_en\" is missing in a response"},
        {"[" CASE("E", "\"a\"", ",\"responses\":[{\"content_en\":1}]") "]", NULL, "\"content_en\" must be a text"},
        {"[" CASE("E", "", ",\"responses\":[" RESPONSE("U1", "r", 1, 1) "]") "]", NULL,
         "\"image_ids\" must be a list of at least"},
        {"[{\"encounter_id\":\"E\",\"image_ids\":[\"a\"],\"query_title_en\":\" \",\"responses\":[]}]", NULL,
         "case 1: asks nothing in the language en"},
        {"[" CASE("E", "\"a\"", ",\"responses\":[" RESPONSE("U9", "r", 1, 1) "]") "]", USERS,
         "the author U9 of a response is not in df_userinfo.csv"},
        {"[" CASE("E", "\"a\"", ",\"responses\":[" RESPONSE("U1", "r", null, 1) "]") "]", USERS,
         "must have numbers completeness and contains_freq_ans"},
        {"[]", "a,b\n1,2\n", "has no columns author_id, validation_level and rank_level"},
        {"[]", "author_id,validation_level,rank_level\nU1,,high\n", "df_userinfo.csv line 2: rank_level is high"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_dataset *data = NULL;
        char name[32];
        (void)snprintf(name, sizeof name, "bad_m3g%zu", i);
        const char *folder = make_folder(name);
        make_file(folder, "train.json", cases[i][0]);
        if (cases[i][1] != NULL)
            make_file(folder, "df_userinfo.csv", cases[i][1]);
        pfm_status status = pfm_dataset_load("mediqa_m3g", folder, "train", &english, &data, &err);
        if (status == PFM_OK || strstr(err.message, cases[i][2]) == NULL)
            fail_msg("case %zu: wanted \"%s\", got \"%s\"", i, cases[i][2], err.message);
    }
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("m3g_twice");
    make_file(make_file(folder, "train.json", "[]"), "train_en.json", "[]");
    assert_error(pfm_dataset_load("mediqa_m3g", folder, "train", &english, &data, &err), PFM_ERROR_USAGE,
                 "train.json and train_en.json, both of the split train");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_unweighed),
                                       cmocka_unit_test(test_bad_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
