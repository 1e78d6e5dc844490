/* The published data sets, where they are at hand: the counts that their authors (and the folder's README) give. */
#include "data/dataset.h"
#include "test.h"

static void check(const char *name, const char *split, const char *language, double share, size_t rows, size_t images,
                  size_t closed)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    pfm_dataset_options options = {.language = language, .seed = 42, .validate_share = share};
    assert_ok(pfm_dataset_load(name, test_path(test_data_folder(), name), split, &options, &data, &err));
    assert_ok(pfm_dataset_check_images(data, &err));
    size_t count = 0;
    for (size_t i = 0; i < data->count; i++)
        count += data->rows[i].answer_type == PFM_ANSWER_CLOSED;
    assert_int_equal(data->count, rows);
    assert_int_equal(data->image_count, images);
    if (closed > 0)
        assert_int_equal(count, closed);
    pfm_dataset_free(data);
}

/* IU X-Ray's images are not at hand. */
static void check_reports(const char *split, size_t rows, size_t images)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const pfm_dataset_options options = {0};
    assert_ok(pfm_dataset_load("iu_xray", test_path(test_data_folder(), "iu_xray"), split, &options, &data, &err));
    assert_int_equal(data->count, rows);
    assert_int_equal(data->image_count, images);
    pfm_dataset_free(data);
}

static void test_counts(void **state)
{
    (void)state;
    skip_without_data();
    check("slake", "train", "en", 0.1, 4919, 450, 1943);
    check("slake", "validate", "en", 0.1, 1043, 95, 418);
    check("slake", "train", "zh", 0.1, 4878, 450, 0);
    check("vqa_rad", "train", NULL, 0, 1797, 313, 1027);
    check("pathvqa", "train", NULL, 0, 4640, 600, 2253);
    check("medpix", "train", NULL, 0, 1653, 1653, 0);
    check("medpix", "validate", NULL, 0, 197, 197, 0);
    check("medexpqa", "train", "en", 0, 381, 0, 381);
    check("medexpqa", "dev", "es", 0, 55, 0, 55);
    check_reports("train", 2069, 4138);
    check_reports("validate", 296, 592);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
