/* Reports in R2Gen's layout: a study is a row with all of its images. */
#include "data/dataset.h"
#include "make_data.h"

static const pfm_dataset_options plain = {.validate_share = 0.1, .seed = 42};

static void test_studies(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("r2gen");
    make_file(folder, "annotation.json",
              "{\"train\":[{\"id\":\"S1\",\"subject_id\":7,\"report\":\"Clear lungs.\",\"image_path\":[\"S1/0.png\","
              "\"S1/1.png\"],\"split\":\"train\"},{\"id\":\"S2\",\"report\":\"XXXX effusion since XXXX. "
              "\",\"image_path\":[\"S2/0.png\"]}],"
              "\"val\":[{\"id\":\"S3\",\"report\":\"Normal.\",\"image_path\":[\"S3/0.png\"]}]}");
    static const char *const names[] = {"iu_xray", "mimic_cxr"};
    for (size_t i = 0; i < 2; i++) {
        assert_ok(pfm_dataset_load(names[i], folder, "train", &plain, &data, &err));
        assert_int_equal(data->count, 2);
        assert_int_equal(data->image_count, 3);
        const pfm_row *row = &data->rows[0];
        assert_string_equal(row->id, "S1");
        assert_string_equal(row->question, "");
        assert_string_equal(row->answer, "Clear lungs.");
        assert_string_equal(row->patient, "7");
        assert_int_equal(row->image_count, 2);
        assert_string_equal(row->images[1].name, "S1/1.png");
        assert_string_equal(row->images[1].path, test_path(folder, "images/S1/1.png"));
        assert_null(data->rows[1].patient);
        assert_string_equal(data->rows[1].answer, "XXXX effusion since XXXX. "); /* the marks of removed words stay */
        pfm_dataset_free(data);
        assert_ok(pfm_dataset_load(names[i], folder, "validate", &plain, &data, &err));
        assert_int_equal(data->count, 1);
        assert_string_equal(data->rows[0].answer, "Normal.");
        pfm_dataset_free(data);
    }
    assert_error(pfm_dataset_load("iu_xray", folder, "test", &plain, &data, &err), PFM_ERROR_USAGE, "train, validate");
    assert_error(pfm_dataset_load("iu_xray", test_path(folder, "annotation.json"), "train", &plain, &data, &err), PFM_ERROR_IO,
                 "is not a folder");
}

static void test_bad_studies(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[]", "must be a JSON object that holds a list of studies for each split"},
        {"{\"train\":3}", "\"train\" must be a list of studies"},
        {"{\"train\":[3]}", "study 1: must be a JSON object with the columns \"image_path\", \"report\""},
        {"{\"train\":[{\"report\":\"r\",\"image_path\":\"a\"}]}", "study 1: \"image_path\" must be a list"},
        {"{\"train\":[{\"report\":\"r\",\"image_path\":[]}]}", "study 1: \"image_path\" must be a list of at least one image"},
        {"{\"train\":[{\"report\":\"r\",\"image_path\":[\"a\"]},{\"image_path\":[\"a\"]}]}", "study 2: \"report\" is missing"},
        {"{\"train\":[{\"report\":\"r\"}]}", "study 1: \"image_path\" is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_dataset *data = NULL;
        char name[32];
        (void)snprintf(name, sizeof name, "bad_r2gen%zu", i);
        const char *folder = make_folder(name);
        make_file(folder, "annotation.json", cases[i][0]);
        assert_error(pfm_dataset_load("iu_xray", folder, "train", &plain, &data, &err), PFM_ERROR_FORMAT, cases[i][1]);
    }
}

/* MIMIC's terms hold whatever it is called. */
static void test_restricted(void **state)
{
    (void)state;
    static const char *const yes[] = {"mimic_cxr", "MIMIC-CXR", "mimic-cxr-jpg 2.0", "Mimic", "my MIMIC IV notes"};
    static const char *const no[] = {"iu_xray", "slake", "ours", ""};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(pfm_dataset_is_restricted(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(pfm_dataset_is_restricted(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_restricted), cmocka_unit_test(test_studies),
                                       cmocka_unit_test(test_bad_studies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
