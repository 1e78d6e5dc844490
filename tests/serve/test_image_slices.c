/* Files, frames and series below the folders of images; series of DICOM are looked through in tests/cli/check_rate.py. */
#include "serve/image_slices.h"
#include "base/file.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pfm_error err = PFM_ERROR_INIT;
static char folder[400];
static const char *const folders[] = {folder};

static void write_picture(const char *path)
{
    uint8_t rgb[3 * 4 * 3];
    memset(rgb, 77, sizeof rgb);
    const pfm_image image = {.width = 4, .height = 3, .rgb = rgb};
    assert_ok(pfm_image_write_png(&image, path, &err));
}

/* A NIfTI volume of 2 x 2 x 5 bytes (nifti1.h): slice z holds z. */
static void write_volume(const char *path)
{
    unsigned char bytes[352 + 20] = {92, 1};
    const int16_t dim[8] = {3, 2, 2, 5, 1, 1, 1, 1}, datatype = 2, bits = 8;
    const float spacing[8] = {1, 1, 1, 1, 1, 1, 1, 1}, offset = 352, slope = 1;
    memcpy(bytes + 40, dim, sizeof dim);
    memcpy(bytes + 70, &datatype, 2);
    memcpy(bytes + 72, &bits, 2);
    memcpy(bytes + 76, spacing, sizeof spacing);
    memcpy(bytes + 108, &offset, 4);
    memcpy(bytes + 112, &slope, 4);
    memcpy(bytes + 344, "n+1", 4);
    for (int i = 0; i < 20; i++)
        bytes[352 + i] = (unsigned char)(i / 4);
    assert_ok(pfm_file_write(path, bytes, sizeof bytes, &err));
}

/* images/ with a picture, one below, a volume, links inside and outside; secret.png beside it. */
static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s", test_path(test_scratch_folder(), "images"));
    assert_ok(pfm_folder_create(test_path(folder, "below"), &err));
    assert_ok(pfm_folder_create(test_path(test_scratch_folder(), "images-2"), &err));
    write_picture(test_path(folder, "a.png"));
    write_picture(test_path(folder, "below/b c.png"));
    write_picture(test_path(test_scratch_folder(), "secret.png"));
    write_picture(test_path(test_scratch_folder(), "images-2/c.png"));
    write_volume(test_path(folder, "volume.nii"));
    assert_ok(pfm_file_write(test_path(folder, "text.png"), "text", 4, &err));
    (void)unlink(test_path(folder, "in.png"));
    (void)unlink(test_path(folder, "out.png"));
    assert_int_equal(symlink("below/b c.png", test_path(folder, "in.png")), 0);
    assert_int_equal(symlink("../secret.png", test_path(folder, "out.png")), 0);
    return 0;
}

static void what_lies_in_the_folder(void **state)
{
    (void)state;
    static const char *const there[] = {"a.png", "below/b c.png", "in.png", "./a.png", "below/../a.png"};
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        pfm_image_slice slice;
        pfm_image picture = {0};
        assert_ok(pfm_image_slice_find(folders, 1, there[i], 0, &slice, &err));
        assert_non_null(slice.path);
        assert_int_equal(slice.frame, 0);
        assert_int_equal(slice.number, 1);
        assert_int_equal(slice.total, 1);
        assert_ok(pfm_image_slice_decode(&slice, NULL, &picture, &err));
        assert_int_equal(picture.width, 4);
        pfm_image_free(&picture);
        free(slice.path);
    }
}

static void what_does_not(void **state)
{
    (void)state;
    const char *const names[] = {
        "out.png",  "../secret.png", "below/../../secret.png", "../images-2/c.png", "below", "", ".", "..", "/etc/passwd",
        "none.png", "a.png/"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        pfm_image_slice slice;
        assert_ok(pfm_image_slice_find(folders, 1, names[i], 0, &slice, &err));
        assert_null(slice.path);
    }
}

static void frames_of_a_volume(void **state)
{
    (void)state;
    static const struct {
        size_t number;
        int frame; /* -1: there is none */
    } asked[] = {{0, 2}, {1, 0}, {5, 4}, {6, -1}, {PFM_SLICE_MOST, -1}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        pfm_image_slice slice;
        assert_ok(pfm_image_slice_find(folders, 1, "volume.nii", asked[i].number, &slice, &err));
        assert_int_equal(slice.total, 5);
        assert_int_equal(slice.path != NULL, asked[i].frame >= 0);
        if (slice.path != NULL)
            assert_int_equal(slice.frame, asked[i].frame);
        free(slice.path);
    }
}

static void what_is_told(void **state)
{
    (void)state;
    pfm_buffer text = {0};
    assert_ok(pfm_image_slice_tell(&(pfm_image_slice){.number = 3, .total = 5}, &text, &err));
    assert_string_equal(text.data, "{\"slices\": 5, \"at\": 3}");
    pfm_buffer_free(&text);
}

/* Nothing of where a file lies stands in an error. */
static void a_file_that_cannot_be_shown(void **state)
{
    (void)state;
    pfm_image_slice slice;
    pfm_image picture = {0};
    assert_ok(pfm_image_slice_find(folders, 1, "text.png", 0, &slice, &err));
    assert_non_null(slice.path);
    assert_error(pfm_image_slice_decode(&slice, NULL, &picture, &err), PFM_ERROR_FORMAT, "the image");
    assert_null(strstr(err.message, folder));
    assert_int_equal(unlink(slice.path), 0);
    assert_error(pfm_image_slice_decode(&slice, NULL, &picture, &err), PFM_ERROR_MISMATCH, "not in the folders of images");
    free(slice.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_lies_in_the_folder), cmocka_unit_test(what_does_not),
                                       cmocka_unit_test(frames_of_a_volume), cmocka_unit_test(what_is_told),
                                       cmocka_unit_test(a_file_that_cannot_be_shown)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
