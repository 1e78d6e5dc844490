/* Series: which slices belong together, in which order, and which are chosen. */
#include "image/series.h"

#include "base/file.h"
#include "base/json.h"
#include "make_dicom.h"
#include "pefomed/image.h"

#include <stdlib.h>
#include <string.h>

static const char *folder_of(const char *name)
{
    static char paths[32][256];
    static int used;
    assert_true(used < 32);
    (void)snprintf(paths[used], sizeof paths[0], "%s/%s", test_scratch_folder(), name);
    return paths[used++];
}

/* The values of all pixels of the slices, which tell them apart. */
static void assert_values(const pfm_series *series, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    char text[600] = "";
    for (size_t i = 0; i < series->count; i++) {
        pfm_image image;
        pfm_image_applied applied;
        const pfm_image_file file = {.path = series->slices[i].path, .frame = series->slices[i].frame};
        assert_ok(pfm_image_load_file(&file, "128,256,linear_exact", NULL, &image, &applied, &err));
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i > 0 ? " " : "", image.rgb[0]);
        pfm_image_free(&image);
    }
    assert_string_equal(text, wanted);
}

static void check(const char *path, const char *which, const char *slices, const char *wanted, const char *order)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_series series;
    assert_ok(pfm_series_open(path, which, slices, &series, &err));
    assert_values(&series, wanted);
    assert_string_equal(series.order, order);
    pfm_series_free(&series);
}

/* Slice i, 10 + i in grey, lies at 3 i millimetres; names and instance numbers run otherwise. */
static const char *make_shuffled(const char *name)
{
    static const int names[] = {5, 2, 9, 0, 7, 4, 1, 8, 3, 6};
    const char *folder = folder_of(name);
    for (int i = 0; i < 10; i++) {
        char file[20], position[40];
        (void)snprintf(file, sizeof file, "f%d", names[i]);
        (void)snprintf(position, sizeof position, "-9\\4.5\\%d", 3 * i - 12);
        make_dicom(folder, file,
                   &(made_dicom){.series = "1.2.3",
                                 .orientation = AXIAL,
                                 .position = position,
                                 .instance = 10 - i,
                                 .patient = "secret",
                                 .value = 10 + i});
    }
    return folder;
}

static void test_by_position(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_series series;
    const char *folder = make_shuffled("shuffled");
    assert_ok(pfm_file_write(test_path(folder, "README.txt"), "words", 5, &err));
    check(folder, NULL, NULL, "10 11 12 13 14 15 16 17 18 19", "position");
    check(folder, "1", "3,10,1", "12 19 10", "position");
    check(folder, "1.2.3", "4-8/2", "13 15 17", "position");
    check(folder, NULL, "3", "11 15 18", "position"); /* floor(10 / 6), floor(30 / 6), floor(50 / 6) */
    check(folder, NULL, "1", "15", "position");
    check(folder, NULL, "99", "10 11 12 13 14 15 16 17 18 19", "position");
    assert_ok(pfm_series_open(folder, NULL, "3,10", &series, &err));
    assert_int_equal(series.total, 10);
    assert_int_equal(series.slices[0].number, 3);
    assert_string_equal(series.plane, "axial");
    assert_string_equal(series.modality, "CT");
    char *json = strdup("{}");
    assert_ok(pfm_series_tell(&series, 1, &json, &err));
    /* "README.txt" is the first name, and f6 the eighth */
    assert_string_equal(json, "{\"slice\":10,\"slices\":10,\"file\":8,\"series\":1,\"order\":\"position\"}");
    free(json);
    pfm_series_free(&series);
}

/* What is asked for and not there is told, once more than there is. */
static void test_more_than_there_are(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_series series;
    char lacks[120], *json = strdup("{}");
    const char *folder = make_shuffled("lacking");
    assert_ok(pfm_series_open(folder, NULL, "10", &series, &err));
    assert_false(pfm_series_lacks(&series, lacks));
    pfm_series_free(&series);
    assert_ok(pfm_series_open(folder, NULL, "1-9", &series, &err));
    assert_false(pfm_series_lacks(&series, lacks));
    pfm_series_free(&series);
    assert_ok(pfm_series_open(folder, NULL, "11", &series, &err));
    assert_true(pfm_series_lacks(&series, lacks));
    assert_string_equal(lacks, "11 slices were asked for and there are 10; all are shown");
    assert_ok(pfm_series_tell(&series, 0, &json, &err));
    assert_non_null(strstr(json, "\"slices\":10,\"slices_asked\":11,"));
    free(json);
    pfm_series_free(&series);
}

static void test_without_positions(void **state)
{
    (void)state;
    const char *folder = folder_of("instances"), *names = folder_of("names");
    for (int i = 0; i < 4; i++) {
        char file[20];
        (void)snprintf(file, sizeof file, "f%d", (i * 3) % 4);
        made_dicom made = {.series = "1", .orientation = AXIAL, .instance = i + 8, .value = 10 + i};
        made.position = i > 0 ? "0\\0\\0" : NULL; /* one lacks it: none can be sorted by it */
        make_dicom(folder, file, &made);
        made.instance = i == 2 ? 0 : i + 8;
        make_dicom(names, file, &made);
    }
    check(folder, NULL, NULL, "10 11 12 13", "instance"); /* by number: 8 9 10 11 */
    check(names, NULL, NULL, "10 13 12 11", "name");
}

static void test_several_series(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_series series;
    const char *folder = make_shuffled("several");
    make_dicom(folder, "scout",
               &(made_dicom){.series = "1.2.3",
                             .orientation = CORONAL,
                             .position = "0\\0\\0",
                             .value = 50,
                             .image_type = "ORIGINAL\\PRIMARY\\LOCALIZER"});
    make_dicom(folder, "z1",
               &(made_dicom){.series = "9.9", .number = 4, .orientation = AXIAL, .position = "0\\0\\1", .value = 60});
    make_dicom(folder, "z2",
               &(made_dicom){.series = "9.9", .number = 4, .orientation = AXIAL, .position = "0\\0\\1", .value = 61});
    assert_int_equal(pfm_series_open(folder, NULL, NULL, &series, &err), PFM_ERROR_USAGE);
    assert_non_null(strstr(err.message,
                           "holds 3 series; say which with --series NUMBER or UID (a table: in its column series): 1: CT "
                           "axial, 2 slices; 2: CT axial, 10 slices; 3: CT coronal localizer, 1 slice"));
    assert_null(strstr(err.message, "1.2.3"));
    assert_null(strstr(err.message, "secret"));
    err = (pfm_error)PFM_ERROR_INIT;
    assert_error(pfm_series_open(folder, "1.2.3", NULL, &series, &err), PFM_ERROR_USAGE, "several of that UID");
    err = (pfm_error)PFM_ERROR_INIT;
    assert_error(pfm_series_open(folder, "4", NULL, &series, &err), PFM_ERROR_USAGE, "none is the one that was said");
    err = (pfm_error)PFM_ERROR_INIT;
    check(folder, "3", NULL, "50", "position");
    assert_ok(pfm_series_open(folder, "9.9", NULL, &series, &err));
    assert_int_equal(series.duplicates, 1);
    assert_int_equal(series.number, 1);
    assert_int_equal(series.of, 3);
    pfm_series_free(&series);
}

/* Each has a rank of its own, also where slices of one series lie in two planes and some in none. */
static void test_planes_and_none(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_series series;
    const char *folder = folder_of("planes");
    make_dicom(folder, "f0", &(made_dicom){.series = "1.2.3", .orientation = AXIAL, .position = "0\\0\\0", .value = 50});
    make_dicom(folder, "f1", &(made_dicom){.series = "1.2.3", .value = 60});
    make_dicom(folder, "f2", &(made_dicom){.series = "1.2.3", .orientation = CORONAL, .position = "0\\0\\0", .value = 70});
    assert_error(pfm_series_open(folder, NULL, NULL, &series, &err), PFM_ERROR_USAGE,
                 "1: CT coronal, 1 slice; 2: CT axial, 1 slice; 3: CT, 1 slice");
    check(folder, "1", NULL, "70", "position");
    check(folder, "2", NULL, "50", "position");
    check(folder, "3", NULL, "60", "name");
}

static void test_frames(void **state)
{
    (void)state;
    static const char *const positions[] = {"0\\0\\9", "0\\0\\-3", "0\\0\\2", "0\\0\\5"};
    pfm_error err = PFM_ERROR_INIT;
    pfm_series series;
    const char *folder = folder_of("frames");
    make_dicom(folder, "enhanced",
               &(made_dicom){.series = "1", .orientation = AXIAL, .frames = 4, .positions = positions, .value = 20});
    check(folder, NULL, NULL, "21 22 23 20", "position");
    check(test_path(folder, "enhanced"), NULL, "2-3", "22 23", "position");
    make_dicom(folder_of("plain"), "loop", &(made_dicom){.series = "1", .frames = 3, .value = 30, .instance = 1});
    check(folder_of("plain"), NULL, NULL, "30 31 32", "instance");
    make_dicom(
        folder_of("one_place"), "loop",
        &(made_dicom){.series = "1", .orientation = AXIAL, .position = "0\\0\\0", .frames = 3, .value = 30, .instance = 1});
    check(folder_of("one_place"), NULL, NULL, "30 31 32", "instance"); /* one position is that of no frame in particular */
    assert_true(pfm_series_is(folder, NULL));
    assert_true(pfm_series_is(test_path(folder, "enhanced"), "2"));
    assert_false(pfm_series_is(test_path(folder, "enhanced"), NULL));
    assert_ok(pfm_series_open(folder, NULL, "1", &series, &err));
    assert_int_equal(series.slices[0].frame, 3);
    pfm_series_free(&series);
}

/* Files in memory are sorted as a folder of them is. */
static void test_in_memory(void **state)
{
    (void)state;
    enum { FILES = 10 };
    pfm_error err = PFM_ERROR_INIT;
    pfm_series wanted, *series = NULL;
    pfm_buffer bytes[FILES + 1] = {0};
    pfm_series_file files[FILES + 2];
    size_t count = 0;
    const char *folder = make_shuffled("memory");
    for (int i = 0; i < FILES; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "f%d", i);
        assert_ok(pfm_file_read(test_path(folder, name), 0, &bytes[i], &err));
        files[i] = (pfm_series_file){bytes[i].data, bytes[i].size, "a file"};
    }
    make_dicom(folder_of("alone"), "one", &(made_dicom){.series = "1.2.4", .value = 9});
    assert_ok(pfm_file_read(test_path(test_path(test_scratch_folder(), "alone"), "one"), 0, &bytes[FILES], &err));
    files[FILES] = (pfm_series_file){bytes[FILES].data, bytes[FILES].size, "a file"};
    files[FILES + 1] = (pfm_series_file){"no image", 8, "a text"};
    assert_ok(pfm_series_open(folder, NULL, NULL, &wanted, &err));
    assert_ok(pfm_series_arrange(files, FILES + 2, &series, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(series[0].count, FILES);
    assert_string_equal(series[0].order, "position");
    assert_string_equal(series[0].plane, wanted.plane);
    for (size_t i = 0; i < FILES; i++) {
        assert_int_equal(series[0].slices[i].file, wanted.slices[i].file);
        assert_int_equal(series[0].slices[i].number, (int)i + 1);
        assert_null(series[0].slices[i].path);
    }
    assert_int_equal(series[1].count, 1);
    assert_int_equal(series[1].slices[0].file, FILES + 1);
    for (size_t i = 0; i < count; i++)
        pfm_series_free(&series[i]);
    free(series);
    files[0].size = 200; /* cut in its middle */
    series = NULL;
    if (pfm_series_arrange(files, 1, &series, &count, &err) == PFM_OK)
        for (size_t i = 0; i < count; i++)
            pfm_series_free(&series[i]);
    free(series);
    pfm_series_free(&wanted);
    for (int i = 0; i <= FILES; i++)
        pfm_buffer_free(&bytes[i]);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const wrong[] = {"0", "-1", "3-1", "1,,2", "1,", "", "8/2", "1-9/0", "x", "99999999999", "1 2"};
    pfm_error err = PFM_ERROR_INIT;
    pfm_series series;
    const char *folder = make_shuffled("refusals"), *empty = folder_of("empty");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_error(pfm_slices_check(wrong[i], &err), PFM_ERROR_USAGE, "says no slices");
        err = (pfm_error)PFM_ERROR_INIT;
    }
    assert_ok(pfm_slices_check(" 3 , 5-9/2", &err));
    assert_error(pfm_series_open(folder, NULL, "3,11", &series, &err), PFM_ERROR_USAGE,
                 "has 10 slices, which count from 1; there is no slice 11");
    err = (pfm_error)PFM_ERROR_INIT;
    assert_error(pfm_series_open(folder, NULL, "3,1-4", &series, &err), PFM_ERROR_USAGE, "slice 3 of");
    err = (pfm_error)PFM_ERROR_INIT;
    assert_ok(pfm_folder_create(empty, &err));
    assert_error(pfm_series_open(empty, NULL, NULL, &series, &err), PFM_ERROR_FORMAT, "holds no pictures in DICOM");
    err = (pfm_error)PFM_ERROR_INIT;
    assert_error(pfm_series_open(test_scratch_folder(), NULL, NULL, &series, &err), PFM_ERROR_FORMAT,
                 "folders; name the one that holds the series");
}

/* Left and right: told, never turned. */
static void test_directions(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image;
    pfm_image_applied applied;
    const char *folder = folder_of("directions");
    make_dicom(folder, "c", &(made_dicom){.series = "1", .orientation = CORONAL, .position = "0\\0\\0"});
    assert_ok(pfm_image_load_shown(test_path(folder, "c"), NULL, &image, &applied, &err));
    assert_string_equal(applied.rows_toward, "L");
    assert_string_equal(applied.columns_toward, "F");
    pfm_image_free(&image);
    make_dicom(folder, "o", &(made_dicom){.series = "1", .orientation = "0.8\\-0.6\\0\\0\\0\\1", .position = "0\\0\\0"});
    assert_ok(pfm_image_load_shown(test_path(folder, "o"), NULL, &image, &applied, &err));
    assert_string_equal(applied.rows_toward, "LA");
    assert_string_equal(applied.columns_toward, "H");
    pfm_image_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_position),       cmocka_unit_test(test_more_than_there_are),
        cmocka_unit_test(test_without_positions), cmocka_unit_test(test_several_series),
        cmocka_unit_test(test_planes_and_none),   cmocka_unit_test(test_frames),
        cmocka_unit_test(test_refusals),          cmocka_unit_test(test_in_memory),
        cmocka_unit_test(test_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
