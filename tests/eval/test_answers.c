#include "eval/answers.h"
#include "eval/vqa.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;

static void test_prediction(void **state)
{
    (void)state;
    json_t *extra = json_pack("{s:s,s:s,s:i}", "modality", "CT", "prediction", "no", "qid", 4), *out = NULL;
    pfm_row_image image = {.name = "a.jpg"};
    pfm_row row = {.id = "4",
                   .images = &image,
                   .image_count = 1,
                   .question = "Where?",
                   .answer = "Left lung",
                   .answer_type = PFM_ANSWER_OPEN,
                   .extra = extra};
    assert_ok(pfm_prediction_create(&row, NULL, "left lung\xe2\x82", 0.25, &out, &err));
    static const char *const keys[] = {"id",          "image",   "question",    "answer",   "prediction",
                                       "answer_type", "correct", "probability", "modality", "qid"};
    const char *key = NULL;
    json_t *value = NULL;
    size_t i = 0;
    json_object_foreach(out, key, value) assert_string_equal(key, keys[i++]);
    assert_int_equal(i, 10);
    assert_string_equal(json_string_value(json_object_get(out, "prediction")), "left lung\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_true(json_is_true(json_object_get(out, "correct")));
    pfm_place place = {NULL, "row", 1};
    assert_ok(pfm_prediction_check(out, &place, &err));
    json_decref(out);
    assert_ok(pfm_prediction_create(&row, NULL, "", NAN, &out, &err));
    assert_true(json_is_null(json_object_get(out, "probability")));
    assert_true(json_is_false(json_object_get(out, "correct")));
    json_decref(out);
    json_decref(extra);
}

/* Without an image there is null in its place, and the profile says what is correct. */
static void test_text_alone(void **state)
{
    (void)state;
    const pfm_score_profile *profile = NULL;
    json_t *extra = json_pack("{s:s}", "lang", "es"), *out = NULL;
    pfm_row row = {.id = "7", .question = "Q", .answer = "2. Izquierda.", .answer_type = PFM_ANSWER_CLOSED, .extra = extra};
    static const struct {
        const char *prediction;
        bool correct;
    } cases[] = {{"2. Derecha", true}, {"La opci\xc3\xb3n correcta es: 2", true}, {"Izquierda.", false}, {"", false}};
    pfm_place place = {NULL, "row", 1};
    assert_ok(pfm_score_profile_find("medexpqa", &profile, &err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(pfm_prediction_create(&row, profile, cases[i].prediction, 0.5, &out, &err));
        assert_true(json_is_null(json_object_get(out, "image")));
        assert_null(json_object_get(out, "images"));
        assert_int_equal(json_is_true(json_object_get(out, "correct")), cases[i].correct);
        assert_ok(pfm_prediction_check(out, &place, &err));
        json_decref(out);
    }
    json_decref(extra);
}

/* A caption has a reference and no kind; a row of several images lists them. */
static void test_caption_of_two_images(void **state)
{
    (void)state;
    json_t *out = NULL;
    pfm_row_image images[] = {{.name = "a.jpg"}, {.name = "b.jpg"}};
    pfm_row row = {.id = "4", .images = images, .image_count = 2, .question = "", .answer = "A mass."};
    static const char *const keys[] = {"id", "image", "images", "reference", "prediction", "probability"};
    const char *key = NULL;
    json_t *value = NULL;
    size_t i = 0;
    assert_ok(pfm_prediction_create(&row, NULL, "a mass", 0.25, &out, &err));
    json_object_foreach(out, key, value) assert_string_equal(key, keys[i++]);
    assert_int_equal(i, 6);
    assert_string_equal(json_string_value(json_object_get(out, "image")), "a.jpg");
    assert_string_equal(json_string_value(json_array_get(json_object_get(out, "images"), 1)), "b.jpg");
    assert_string_equal(json_string_value(json_object_get(out, "reference")), "A mass.");
    pfm_place place = {NULL, "row", 1};
    assert_ok(pfm_report_check(out, &place, &err));
    assert_int_equal(pfm_prediction_check(out, &place, NULL), PFM_ERROR_FORMAT);
    json_decref(out);
}

/* The figures of the language prior on SLAKE's validation questions, computed apart in Python. */
static void test_prior_on_slake(void **state)
{
    (void)state;
    skip_without_data();
    pfm_dataset_options choice = {.language = "en"};
    pfm_dataset *train = NULL, *validate = NULL;
    const char *folder = test_path(test_data_folder(), "slake");
    assert_ok(pfm_dataset_load("slake", folder, "train", &choice, &train, &err));
    assert_ok(pfm_dataset_load("slake", folder, "validate", &choice, &validate, &err));
    json_t *training = NULL, *rows = json_array(), *out = NULL;
    assert_ok(pfm_training_rows_create(train, &training, &err));
    for (size_t i = 0; i < validate->count; i++) {
        json_t *row = NULL;
        assert_ok(pfm_prediction_create(&validate->rows[i], NULL, "yes", 0.5, &row, &err));
        json_array_append_new(rows, row);
    }
    pfm_score_options options = {.seed = 42};
    assert_ok(pfm_score_vqa(rows, training, &options, &out, &err));
    json_t *prior = json_object_get(out, "prior");
    assert_true(fabs(json_number_value(json_object_get(prior, "overall")) - 56.951) < 0.005);
    assert_true(fabs(json_number_value(json_object_get(prior, "closed")) - 64.833) < 0.005);
    assert_true(fabs(json_number_value(json_object_get(prior, "open")) - 51.68) < 0.005);
    json_decref(training);
    json_decref(rows);
    json_decref(out);
    pfm_dataset_free(train);
    pfm_dataset_free(validate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text_alone), cmocka_unit_test(test_prediction),
                                       cmocka_unit_test(test_caption_of_two_images), cmocka_unit_test(test_prior_on_slake)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
