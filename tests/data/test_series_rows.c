/* Tables of DICOM: folders that stand for series, frames, and patients that the files name. */
#include "data/dataset.h"

#include "make_data.h"
#include "make_dicom.h"

static pfm_dataset *load(const char *table, const char *split, const pfm_dataset_options *options)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    assert_ok(pfm_dataset_load("table", table, split, options, &data, &err));
    return data;
}

static void make_series(const char *folder, const char *series, const char *patient, int count)
{
    for (int i = 0; i < count; i++) {
        char name[20], position[40];
        (void)snprintf(name, sizeof name, "%s-%d", series, count - i);
        (void)snprintf(position, sizeof position, "0\\0\\%d", i);
        make_dicom(folder, name,
                   &(made_dicom){.series = series, .patient = patient, .orientation = AXIAL, .position = position});
    }
}

static void test_slices_become_images(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_folder("series");
    make_series(test_path(folder, "a"), "1.1", "p", 5);
    make_series(test_path(folder, "b"), "1.1", "p", 3);
    make_series(test_path(folder, "b"), "1.2", "p", 4);
    make_dicom(folder, "loop.dcm", &(made_dicom){.series = "1", .frames = 4, .instance = 1});
    make_file(folder, "t.jsonl",
              "{\"image\": \"a\", \"question\": \"q\", \"answer\": \"x\"}\n"
              "{\"images\": [\"b\", \"loop.dcm\"], \"series\": 2, \"question\": \"q\", \"answer\": \"x\"}\n"
              "{\"image\": \"a\", \"question\": \"r\", \"answer\": \"x\"}\n");
    pfm_dataset *all = load(test_path(folder, "t.jsonl"), "train", &(pfm_dataset_options){0});
    assert_int_equal(all->rows[0].image_count, 5);
    assert_string_equal(all->rows[0].images[4].name, "a");
    assert_int_equal(all->rows[0].images[4].slice, 5);
    assert_non_null(strstr(all->rows[0].images[4].path, "/a/1.1-1"));
    assert_int_equal(all->rows[1].image_count, 5); /* and the first frame of the file */
    assert_int_equal(all->image_count, 10);
    assert_int_equal(all->rows[0].image_set, all->rows[2].image_set);
    assert_null(json_object_get(all->rows[1].extra, "series"));
    pfm_dataset *some = load(test_path(folder, "t.jsonl"), "train", &(pfm_dataset_options){.slices = "2"});
    assert_int_equal(some->rows[0].image_count, 2);
    assert_int_equal(some->rows[0].images[0].slice, 2);
    assert_int_equal(some->rows[0].images[1].slice, 4);
    assert_int_equal(some->rows[1].image_count, 4);
    assert_int_equal(some->rows[1].images[3].frame, 3);
    assert_int_equal(some->image_count, 6); /* two frames of one file are two images */
    pfm_hash_hex a, b;
    assert_ok(pfm_dataset_hash(all, a, &err));
    assert_ok(pfm_dataset_hash(some, b, &err));
    assert_string_not_equal(a, b);
    pfm_dataset_free(all);
    pfm_dataset_free(some);
    all = load(test_path(folder, "t.jsonl"), "train", &(pfm_dataset_options){.slices = "5"});
    assert_int_equal(all->series, 3); /* each counts once, however often it is asked about */
    assert_int_equal(all->short_series, 2);
    assert_int_equal(all->slices_asked, 5);
    pfm_dataset_free(all);
    make_file(folder, "u.csv", "image,question,answer\nb,q,x\n");
    pfm_status status = pfm_dataset_load("table", test_path(folder, "u.csv"), "train", &(pfm_dataset_options){0}, &all, &err);
    assert_int_equal(status, PFM_ERROR_USAGE);
    assert_non_null(strstr(err.message, "row train-2: "));
    assert_non_null(strstr(err.message, "b holds 2 series"));
}

/* No patient is in two splits, whether the table names them, or their files do. */
static void test_patients(void **state)
{
    (void)state;
    const char *folder = make_folder("patients");
    char table[4000] = "image,question,answer\n";
    for (int i = 0; i < 20; i++) {
        char name[20], patient[20];
        (void)snprintf(name, sizeof name, "i%d.dcm", i);
        (void)snprintf(patient, sizeof patient, "MARKED%d", i / 4);
        make_dicom(folder, name, &(made_dicom){.series = "1", .patient = patient});
        (void)snprintf(table + strlen(table), sizeof table - strlen(table), "%s,q%d,a\n", name, i);
    }
    make_file(folder, "t.csv", table);
    const pfm_dataset_options options = {.validate_share = 0.4, .seed = 7};
    pfm_dataset *train = load(test_path(folder, "t.csv"), "train", &options);
    pfm_dataset *validate = load(test_path(folder, "t.csv"), "validate", &options);
    assert_int_equal(train->count, 12);
    assert_int_equal(validate->count, 8);
    for (size_t i = 0; i < train->count; i++) {
        assert_non_null(train->rows[i].patient);
        assert_null(strstr(train->rows[i].patient, "MARKED"));
        for (size_t k = 0; k < validate->count; k++)
            assert_string_not_equal(train->rows[i].patient, validate->rows[k].patient);
    }
    pfm_dataset_free(train);
    pfm_dataset_free(validate);
    const pfm_dataset_options by_image = {.validate_share = 0.4, .seed = 7, .validate_by = "image"};
    pfm_dataset *other = load(test_path(folder, "t.csv"), "validate", &by_image);
    size_t alone = 0; /* of 8 images that are drawn alone some patient has not all four */
    for (size_t i = 0; i < other->count; i++) {
        size_t same = 0;
        for (size_t k = 0; k < other->count; k++)
            same += strcmp(other->rows[i].patient, other->rows[k].patient) == 0;
        alone += same < 4;
    }
    assert_true(alone > 0);
    pfm_dataset_free(other);
}

static void test_one_patient_cannot_be_split(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("one");
    make_file(folder, "t.csv", "image,question,answer,patient\na.png,q,a,p\nb.png,q,a,p\n");
    const pfm_dataset_options options = {.validate_share = 0.5};
    assert_error(pfm_dataset_load("table", test_path(folder, "t.csv"), "validate", &options, &data, &err), PFM_ERROR_USAGE,
                 "all rows are of one patient");
}

/* What spreadsheets and Windows make of a table. */
static void test_other_writings(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("writings");
    make_file(folder, "a.csv", "\xef\xbb\xbfimage;question;answer\r\na.png;\"two\r\nlines\";yes\r\n");
    data = load(test_path(folder, "a.csv"), "train", &(pfm_dataset_options){0});
    assert_string_equal(data->rows[0].question, "two\r\nlines");
    assert_string_equal(data->rows[0].answer, "yes");
    pfm_dataset_free(data);
    make_file(folder, "b.jsonl", "\xef\xbb\xbf{\"image\": \"a.png\", \"question\": \"q\", \"answer\": \"x\"}\r\n");
    data = load(test_path(folder, "b.jsonl"), "train", &(pfm_dataset_options){0});
    assert_int_equal(data->count, 1);
    pfm_dataset_free(data);
    make_file(folder, "c.csv", "image,question,answer\na.png,gro\xdf,x\n");
    assert_error(pfm_dataset_load("table", test_path(folder, "c.csv"), "train", &(pfm_dataset_options){0}, &data, &err),
                 PFM_ERROR_FORMAT, "c.csv line 2: column 'question' is not UTF-8 text; save the table as UTF-8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices_become_images),
        cmocka_unit_test(test_patients),
        cmocka_unit_test(test_one_patient_cannot_be_split),
        cmocka_unit_test(test_other_writings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
