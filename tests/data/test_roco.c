/* ROCO and ROCOv2 as they are published. */
#include "data/dataset.h"
#include "make_data.h"

static const pfm_dataset_options plain = {.seed = 42};

#define LINK(id, archive, name) id "\twget -r ftp://host/a/b/" archive ".tar.gz -P /path/to/Dir\t" name "\n"

static void test_second(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("roco2");
    make_file(folder, "train_captions.csv", "ID,Caption\nROCOv2_1,\"CT, axial.\nA mass.\"\nROCOv2_2, \nROCOv2_3,MR\n");
    make_file(folder, "valid_captions.csv", "ID,Caption\nROCOv2_4,X-ray\n");
    make_file(folder, "train/ROCOv2_1.jpg", "");
    make_file(folder, "valid_images/ROCOv2_4.png", "");
    assert_ok(pfm_dataset_load("roco", folder, "train", &plain, &data, &err));
    assert_true(data->count == 2 && data->left_out == 1);
    assert_string_equal(data->rows[0].id, "ROCOv2_1");
    assert_string_equal(data->rows[0].question, "");
    assert_string_equal(data->rows[0].answer, "CT, axial.\nA mass.");
    assert_string_equal(data->rows[0].images[0].path, test_path(folder, "train/ROCOv2_1.jpg"));
    assert_string_equal(data->rows[1].images[0].path, test_path(folder, "train/ROCOv2_3.jpg")); /* missing */
    pfm_dataset_free(data);
    assert_ok(pfm_dataset_load("roco", folder, "validate", &plain, &data, &err));
    assert_string_equal(data->rows[0].images[0].path, test_path(folder, "valid_images/ROCOv2_4.png"));
    pfm_dataset_free(data);
    assert_error(pfm_dataset_load("roco", folder, "test", &plain, &data, &err), PFM_ERROR_USAGE, "its splits: train, validate");
    make_file(folder, "train/radiology/captions.txt", "");
    assert_error(pfm_dataset_load("roco", folder, "train", &plain, &data, &err), PFM_ERROR_USAGE, "holds ROCO (");
    assert_error(pfm_dataset_load("roco", test_path(folder, "train_captions.csv"), "train", &plain, &data, &err), PFM_ERROR_IO,
                 "is not a folder");
}

static void test_first(void **state)
{
    (void)state;
    static const char *const folders[] = {"roco1/data/", "roco1b/"};
    for (size_t i = 0; i < 2; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_dataset *data = NULL;
        const char *folder = make_folder(i == 0 ? "roco1" : "roco1b"), *parent = make_folder(folders[i]);
        make_file(parent, "validation/radiology/captions.txt",
                  "ROCO_1\t A\ttab.\r\n\nROCO_2\t  \nROCO_3\t Chest \xe2\x80\x93 CT.");
        make_file(parent, "validation/radiology/dlinks.txt",
                  LINK("ROCO_3", "PMC7", "g003.jpg\r") LINK("ROCO_1", "PMC5", "x_1.gif") LINK("ROCO_2", "PMC6", "y.jpg"));
        make_file(parent, "validation/radiology/images/PMC7_g003.jpg", "");
        make_file(parent, "validation/non-radiology/captions.txt", "ROCO_9\tA cat.");
        assert_ok(pfm_dataset_load("roco", folder, "validate", &plain, &data, &err));
        assert_true(data->count == 2 && data->left_out == 1);
        assert_string_equal(data->rows[0].answer, "A\ttab.");
        assert_string_equal(data->rows[0].images[0].name, "PMC5_x_1.gif");
        assert_string_equal(data->rows[1].id, "ROCO_3");
        assert_string_equal(data->rows[1].answer, "Chest \xe2\x80\x93 CT.");
        assert_non_null(strstr(data->rows[1].images[0].path, "validation/radiology/images/PMC7_g003.jpg"));
        pfm_dataset_free(data);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const second[][2] = {{"id,text\n1,2\n", "train_captions.csv: has no columns ID and Caption"},
                                            {"ID,Caption\n,c\n", "line 2: \"image\" is empty"}};
    static const char *const first[][3] = {
        {"ROCO_1 no tab\n", LINK("ROCO_1", "P", "a.jpg"), "captions.txt line 1: must be an id and a caption"},
        {"\nROCO_2\tc\n", LINK("ROCO_1", "P", "a.jpg"), "captions.txt line 2: ROCO_2 is not in "},
        {"ROCO_1\tc\n", "ROCO_1\twget\ta.jpg\n", "dlinks.txt line 1: must be an id, a command"},
        {"ROCO_1\tc\n", "ROCO_1\n", "dlinks.txt line 1: must be an id, a command"},
        {"ROCO_1\tc\n", "ROCO_1\tx/P.tar.gz\n", "dlinks.txt line 1: must be an id, a command"},
        {"ROCO_1\t\xff\n", LINK("ROCO_1", "P", "a.jpg"), "line 1: the caption is not UTF-8"},
        {"ROCO_1\tc\n", LINK("ROCO_1", "P", "\xff.jpg"), "line 1: the id or the image's name is not UTF-8"},
    };
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("bad_roco2");
    for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
        make_file(folder, "train_captions.csv", second[i][0]);
        assert_error(pfm_dataset_load("roco", folder, "train", &plain, &data, &err), PFM_ERROR_FORMAT, second[i][1]);
    }
    folder = make_folder("bad_roco1");
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        make_file(folder, "train/radiology/captions.txt", first[i][0]);
        make_file(folder, "train/radiology/dlinks.txt", first[i][1]);
        assert_error(pfm_dataset_load("roco", folder, "train", &plain, &data, &err), PFM_ERROR_FORMAT, first[i][2]);
    }
    folder = make_folder("roco_without_links");
    make_file(folder, "test/radiology/captions.txt", "ROCO_1\tc");
    assert_error(pfm_dataset_load("roco", folder, "test", &plain, &data, &err), PFM_ERROR_IO, "dlinks.txt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_second), cmocka_unit_test(test_first), cmocka_unit_test(test_bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
