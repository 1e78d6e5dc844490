/* MedPix as it is published: images without endings, captions, cases. */
#include "data/dataset.h"
#include "make_data.h"

static const pfm_dataset_options plain = {.validate_share = 0.1, .seed = 42};

#define MEDPIX_ROW(image, rest) MEDPIX_CAPTION(image, "A mass.", rest)
#define MEDPIX_CAPTION(image, caption, rest)                                                                                   \
    "{\"Type\":\"CT\",\"U_id\":\"M1\",\"image\":\"" image "\",\"Description\":{\"Age\":\"63\",\"Caption\":\"" caption "\","    \
    "\"Figure Part\":null,\"Modality\":\"CT - noncontrast\",\"Plane\":\"Axial\"},\"Location Category\":\"Thorax\"" rest "}\n"

static void test_medpix(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("medpix");
    make_file(folder, "splitted_dataset/descriptions_train.jsonl",
              MEDPIX_ROW("M1_a", "") "\n" MEDPIX_ROW("M1_b", ",\"Location\":\"Chest\"") MEDPIX_ROW("M1_c", ""));
    make_file(folder, "splitted_dataset/data_train.jsonl",
              "{\"U_id\":\"M1\",\"Case\":{\"History\":\"Cough.\",\"Findings\":null,\"Case Diagnosis\":\"Tumour\"}}\n");
    make_file(folder, "splitted_dataset/descriptions_dev.jsonl", MEDPIX_ROW("M1_d", ""));
    make_file(folder, "images/M1_a.png", "");
    make_file(folder, "images/M1_b.jpg", "");
    assert_ok(pfm_dataset_load("medpix", folder, "train", &plain, &data, &err));
    assert_int_equal(data->count, 3);
    const pfm_row *row = &data->rows[0];
    assert_string_equal(row->id, "M1_a");
    assert_string_equal(row->question, "");
    assert_string_equal(row->answer, "A mass.");
    assert_string_equal(row->patient, "M1");
    assert_int_equal(row->answer_type, PFM_ANSWER_OPEN);
    assert_string_equal(row->images[0].name, "M1_a");
    assert_string_equal(row->images[0].path, test_path(folder, "images/M1_a.png"));
    assert_string_equal(data->rows[1].images[0].path, test_path(folder, "images/M1_b.jpg"));
    assert_string_equal(data->rows[2].images[0].path, test_path(folder, "images/M1_c.jpg")); /* missing */
    static const char *const beside[][2] = {{"type", "CT"},         {"age", "63"},         {"modality", "CT - noncontrast"},
                                            {"plane", "Axial"},     {"history", "Cough."}, {"location_category", "Thorax"},
                                            {"diagnosis", "Tumour"}};
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        assert_string_equal(json_string_value(json_object_get(row->extra, beside[i][0])), beside[i][1]);
    assert_int_equal(json_object_size(row->extra), 7); /* what is null is absent */
    pfm_dataset_free(data);
    assert_ok(pfm_dataset_load("medpix", folder, "dev", &plain, &data, &err)); /* without cases */
    assert_string_equal(data->split, "validate");
    assert_null(json_object_get(data->rows[0].extra, "history"));
    pfm_dataset_free(data);
    assert_error(pfm_dataset_load("medpix", folder, "test", &plain, &data, &err), PFM_ERROR_USAGE,
                 "its splits: train, validate");
    assert_error(pfm_dataset_load("medpix", test_path(folder, "images/M1_a.png"), "train", &plain, &data, &err), PFM_ERROR_IO,
                 "is not a folder");
}

/* What the form says before anybody has filled it in is no caption. */
static void test_unfilled_form(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("medpix_form");
    make_file(folder, "splitted_dataset/descriptions_train.jsonl",
              MEDPIX_CAPTION("M1_a", "Replace this - DESCRIPTION OF THE IMAGE OR FINDINGS.", "") MEDPIX_ROW("M1_b", "")
                  MEDPIX_CAPTION("M1_c", "IN PROGRESS", "") MEDPIX_CAPTION("M1_d", "Fibrosis in progress.", "")
                      MEDPIX_CAPTION("M1_e", "IN PROGRESS.", ""));
    assert_ok(pfm_dataset_load("medpix", folder, "train", &plain, &data, &err));
    assert_int_equal(data->count, 2);
    assert_string_equal(data->rows[0].id, "M1_b");
    assert_string_equal(data->rows[1].id, "M1_d");
    assert_int_equal(data->left_out, 3);
    assert_string_equal(data->left_out_why, "have the form's words in place of a caption");
    pfm_dataset_free(data);
}

static void test_bad_medpix(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"[1]\n", NULL, "descriptions_train.jsonl line 1: must be a JSON object"},
        {"{\"U_id\":\"M1\",\"image\":\"a\"}", NULL, "line 1: \"Description\" must be an object that holds the Caption"},
        {"\n{\"image\":\"a\",\"Description\":{\"Caption\":\"c\"}}", NULL, "line 2: \"U_id\" is missing"},
        {"{\"U_id\":7,\"image\":\"a\",\"Description\":{\"Caption\":\"c\"}}", NULL, "line 1: \"U_id\" must be a text"},
        {"{\"U_id\":\"M1\",\"image\":\"a\",\"Description\":{\"Caption\":null}}", NULL, "line 1: \"Caption\" is missing"},
        {"{\"U_id\":\"M1\",\"image\":\"a\",\"Description\":{\"Caption\":[]}}", NULL, "line 1: \"Caption\" must be a text"},
        {"{\"U_id\":\"M1\",\"Description\":{\"Caption\":\"c\"}}", NULL, "line 1: \"image\" is missing"},
        {"{\"U_id\":\"M1\",\"image\":\"\",\"Description\":{\"Caption\":\"c\"}}", NULL, "line 1: \"image\" is empty"},
        {"{\"U_id\":", NULL, "line 1: not JSON"},
        {MEDPIX_ROW("a", ""), "{\"U_id\":\"M2\",\"Case\":{}}", "line 1: its case M1 is not in"},
        {MEDPIX_ROW("a", ""), "{\"U_id\":\"M1\",\"Case\":3}", "data_train.jsonl line 1: \"Case\" must be an object"},
        {MEDPIX_ROW("a", ""), "\n3", "data_train.jsonl line 2: \"U_id\" must be the text that names the case"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_dataset *data = NULL;
        char name[32];
        (void)snprintf(name, sizeof name, "bad_medpix%zu", i);
        const char *folder = test_path(test_scratch_folder(), name);
        make_file(folder, "splitted_dataset/descriptions_train.jsonl", cases[i][0]);
        if (cases[i][1] != NULL)
            make_file(folder, "splitted_dataset/data_train.jsonl", cases[i][1]);
        pfm_status status = pfm_dataset_load("medpix", folder, "train", &plain, &data, &err);
        if (status == PFM_OK || strstr(err.message, cases[i][2]) == NULL)
            fail_msg("case %zu: wanted \"%s\", got \"%s\"", i, cases[i][2], err.message);
    }
}

#define MEDPIX_CASE(id, lists, parts) "{\"U_id\":" id "," lists ",\"Case\":{" parts "},\"Topic\":{\"Category\":\"Trauma\"}}\n"

#define SEVERAL                                                                                                                \
    MEDPIX_CASE("\"M1\"", "\"MRI\":[\"M1_c\"],\"TAC\":[\"M1_a\",\"M1_b\"]",                                                    \
                "\"History\":\"Cough.\",\"Findings\":\"A mass.\",\"Exam\":null,\"Case Diagnosis\":\"Tumour\"")
#define ALONE MEDPIX_CASE("\"M2\"", "\"MRI\":null,\"TAC\":[\"M2_a\"]", "\"History\":null,\"Case Diagnosis\":\"Cyst\"")
#define NO_IMAGE MEDPIX_CASE("\"M3\"", "\"TAC\":[]", "\"Case Diagnosis\":\"Cyst\"")
#define NO_DIAGNOSIS MEDPIX_CASE("\"M4\"", "\"TAC\":[\"M4_a\"]", "\"Case Diagnosis\":null")

/* A case is a row with all of its images, CT before MR. */
static void test_cases(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("medpix_cases");
    make_file(folder, "splitted_dataset/data_train.jsonl", SEVERAL "\n" ALONE NO_IMAGE NO_DIAGNOSIS);
    make_file(folder, "images/M1_c.png", "");
    assert_ok(pfm_dataset_load("medpix_cases", folder, "train", &plain, &data, &err));
    assert_true(data->count == 2 && data->left_out == 2);
    const pfm_row *row = &data->rows[0];
    assert_string_equal(row->id, "M1");
    assert_string_equal(row->patient, "M1");
    assert_string_equal(row->question, "History: Cough.\nWhat is the diagnosis?");
    assert_string_equal(row->answer, "Tumour");
    assert_int_equal(row->image_count, 3);
    assert_string_equal(row->images[0].name, "M1_a");
    assert_string_equal(row->images[2].path, test_path(folder, "images/M1_c.png"));
    char *extra = json_dumps(row->extra, JSON_COMPACT);
    assert_string_equal(extra, "{\"history\":\"Cough.\",\"findings\":\"A mass.\",\"category\":\"Trauma\"}");
    free(extra);
    assert_string_equal(data->rows[1].question, "What is the diagnosis?");
    pfm_dataset_free(data);
    assert_error(pfm_dataset_load("medpix_cases", folder, "dev", &plain, &data, &err), PFM_ERROR_USAGE, "its splits: train");
}

static void test_bad_cases(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("bad_medpix_cases");
    static const char *const bad[][2] = {
        {"3\n", "data_train.jsonl line 1: must be a JSON object with U_id, TAC, MRI and Case"},
        {"{\"U_id\":\"M1\",\"Case\":3}", "must be a JSON object with U_id"},
        {MEDPIX_CASE("\"M1\"", "\"TAC\":3", ""), "line 1: \"TAC\" must be a list of images"},
        {MEDPIX_CASE("\"M1\"", "\"TAC\":[3]", "\"Case Diagnosis\":\"d\""), "\"images\" must hold names of images"},
        {MEDPIX_CASE("[]", "\"TAC\":[\"a\"]", "\"Case Diagnosis\":\"d\""), "\"U_id\" must be a text"},
        {MEDPIX_CASE("\"M1\"", "\"TAC\":[\"a\"]", "\"Case Diagnosis\":{}"), "\"Case Diagnosis\" must be a text"},
        {MEDPIX_CASE("\"M1\"", "\"TAC\":[\"a\"]", "\"History\":1"), "\"History\" must be a text"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        make_file(folder, "splitted_dataset/data_train.jsonl", bad[i][0]);
        assert_error(pfm_dataset_load("medpix_cases", folder, "train", &plain, &data, &err), PFM_ERROR_FORMAT, bad[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_medpix), cmocka_unit_test(test_unfilled_form),
                                       cmocka_unit_test(test_bad_medpix), cmocka_unit_test(test_cases),
                                       cmocka_unit_test(test_bad_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
