#include "golden.h"

#include <float.h>
#include <math.h>

static void test_damaged_files(void **state)
{
    (void)state;
    check_damage(".nii", false);
    check_damage_of("nifti_ras.nii.gz", false);
    check_damage_of("nifti_sagittal.nii.gz", false);
}

static void test_slices_and_axes(void **state)
{
    (void)state;
    static const struct {
        const char *file, *axes, *rows, *columns, *window;
    } cases[] = {{"nifti_axial.nii", "LP", "L", "P", "stored"},       {"nifti_ras.nii.gz", "LP", "L", "P", "file:0"},
                 {"nifti_coronal.nii", "LI", "L", "F", "percentile"}, {"nifti_sagittal.nii.gz", "PI", "P", "F", "file:0"},
                 {"nifti_second.nii", "LP", "L", "P", "percentile"},  {"nifti_nowhere.nii", "", "", "", "file:0"}};
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image;
    pfm_image_applied applied;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = golden_path(cases[i].file);
        assert_ok(pfm_image_convert(path, &(pfm_image_options){.frame = 3}, &image, &applied, &err));
        assert_string_equal(applied.axes, cases[i].axes);
        assert_string_equal(applied.rows_toward, cases[i].rows);
        assert_string_equal(applied.columns_toward, cases[i].columns);
        assert_string_equal(applied.window, cases[i].window);
        assert_int_equal(applied.frames, 4);
        pfm_image_free(&image);
        assert_error(pfm_image_convert(path, &(pfm_image_options){.frame = 4}, &image, &applied, &err), PFM_ERROR_USAGE,
                     "has 4 slices (they count from 0); there is no frame 4");
        assert_ok(pfm_image_convert(path, &(pfm_image_options){.window = "lung"}, &image, &applied, &err));
        assert_string_equal(applied.window, "lung");
        pfm_image_free(&image);
    }
}

/* An oblique slice goes to several sides, as DICOM's do; a mirrored one is turned. */
static void test_oblique(void **state)
{
    (void)state;
    const float affine[3][4] = {
        {1, 0, 0.5F, 0}, {0, -1, 0, 0}, {-0.5F, 0, 1, 0}}; /* the first axis to the right and the feet */
    const short from_affine = 1;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer whole = {0};
    pfm_image image;
    pfm_image_applied applied;
    const char *path = test_path(test_scratch_folder(), "oblique.nii");
    assert_ok(pfm_file_read(golden_path("nifti_axial.nii"), 0, &whole, &err));
    memcpy(whole.data + 254, &from_affine, sizeof from_affine);
    memcpy(whole.data + 280, affine, sizeof affine);
    assert_ok(pfm_file_write(path, whole.data, whole.size, &err));
    assert_ok(pfm_image_load_shown(path, NULL, &image, &applied, &err));
    assert_string_equal(applied.axes, "LP");
    assert_string_equal(applied.rows_toward, "LH");
    assert_string_equal(applied.columns_toward, "P");
    pfm_image_free(&image);
    pfm_buffer_free(&whole);
}

/* What a header may claim: each is an error before memory is taken. */
static void test_lying_headers(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        int value; /* of 16 bits */
        const char *error;
    } lies[] = {{40, 0, "0 dimensions"}, {40, 9, "9 dimensions"}, {42, -1, "-1 along axis 1"}, {42, 32767, "cut short"},
                {70, 1234, "type 1234"}, {70, 32, "type 32"},     {46, 32767, "cut short"},    {44, 0, "0 along axis 2"}};
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer whole = {0};
    assert_ok(pfm_file_read(golden_path("nifti_axial.nii"), 0, &whole, &err));
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        char kept[2] = {whole.data[lies[i].at], whole.data[lies[i].at + 1]};
        pfm_image image;
        whole.data[lies[i].at] = (char)(lies[i].value & 255);
        whole.data[lies[i].at + 1] = (char)(lies[i].value >> 8 & 255);
        assert_int_not_equal(pfm_image_decode(whole.data, whole.size, "lie.nii", &image, &err), PFM_OK);
        assert_non_null(strstr(err.message, lies[i].error));
        err = (pfm_error)PFM_ERROR_INIT;
        memcpy(whole.data + lies[i].at, kept, 2);
    }
    memcpy(whole.data + 344, "ni1", 4);
    pfm_image image;
    assert_error(pfm_image_decode(whole.data, whole.size, "pair.hdr", &image, &err), PFM_ERROR_UNSUPPORTED, "NIfTI pair");
    pfm_buffer_free(&whole);
}

/* What is no number is black, whatever the window; the largest numbers have a difference that is none. */
static void test_what_is_no_number(void **state)
{
    (void)state;
    static const char *const windows[] = {NULL, "full", "percentile", "40,400", "40,400,sigmoid"};
    static unsigned char volume[352 + 4 * sizeof(double)];
    const double values[4] = {(double)NAN, -DBL_MAX, DBL_MAX, (double)INFINITY};
    const int16_t sizes[4] = {3, 2, 2, 1}, type[2] = {64, 64};
    const int32_t length = 348;
    const float offset = 352;
    pfm_error err = PFM_ERROR_INIT;
    memcpy(volume, &length, sizeof length);
    memcpy(volume + 40, sizes, sizeof sizes);
    memcpy(volume + 70, type, sizeof type);
    memcpy(volume + 108, &offset, sizeof offset);
    memcpy(volume + 344, "n+1", 4);
    memcpy(volume + 352, values, sizeof values);
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        pfm_image image;
        assert_ok(pfm_image_decode_shown(volume, sizeof volume, "odd.nii", windows[i], &image, &err));
        assert_int_equal(image.rgb[0], 0);
        pfm_image_free(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged_files), cmocka_unit_test(test_slices_and_axes),
                                       cmocka_unit_test(test_oblique), cmocka_unit_test(test_lying_headers),
                                       cmocka_unit_test(test_what_is_no_number)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
