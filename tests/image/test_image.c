#include "golden.h"

static void test_not_a_picture(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image;
    unsigned char dicom[132] = {0};
    memcpy(dicom + 128, "DICM", 4);
    assert_error(pfm_image_decode("", 0, "a.jpg", &image, &err), PFM_ERROR_FORMAT, "a.jpg is empty");
    assert_error(pfm_image_decode("hello\n", 6, "a.jpg", &image, &err), PFM_ERROR_FORMAT, "a.jpg is text, not an image");
    assert_error(pfm_image_decode("\1\2\3", 3, "a.jpg", &image, &err), PFM_ERROR_FORMAT, "unknown kind");
    assert_error(pfm_image_decode(dicom, sizeof dicom, "a.jpg", &image, &err), PFM_ERROR_FORMAT,
                 "a.jpg is a DICOM file without pixels");
    assert_error(pfm_image_decode("II*\0abcd", 8, "a.tif", &image, &err), PFM_ERROR_FORMAT, "a.tif is a TIFF cut short");
    assert_error(pfm_image_decode("GIF89a..", 8, "a.gif", &image, &err), PFM_ERROR_UNSUPPORTED, "a GIF file");
    assert_error(pfm_image_decode("\xFF\xD8", 2, "a.jpg", &image, &err), PFM_ERROR_FORMAT, "a.jpg");
    assert_null(image.rgb);
    assert_error(pfm_image_load("/nowhere/a.jpg", &image, &err), PFM_ERROR_IO, "/nowhere/a.jpg");
    assert_error(pfm_image_load("/tmp", &image, &err), PFM_ERROR_IO, "/tmp");
}

static void test_the_name_does_not_matter(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer bytes = {0};
    pfm_image image;
    const char *misnamed = test_path(test_scratch_folder(), "really_a_jpeg.png");
    assert_ok(pfm_file_read(golden_path("grey.jpg"), 0, &bytes, &err));
    assert_ok(pfm_file_write(misnamed, bytes.data, bytes.size, &err));
    assert_ok(pfm_image_load(misnamed, &image, &err));
    assert_int_equal(image.width, 37);
    pfm_image_free(&image);
    pfm_buffer_free(&bytes);
}

static void test_sizes_that_cannot_be(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image;
    assert_error(pfm_image_create(0, 5, "x", &image, &err), PFM_ERROR_FORMAT, "0 x 5");
    assert_error(pfm_image_create(5, -1, "x", &image, &err), PFM_ERROR_FORMAT, "5 x -1");
    assert_error(pfm_image_create(20000, 20000, "x", &image, &err), PFM_ERROR_FORMAT, "20000 x 20000");
    assert_error(pfm_image_create(1000001, 1, "x", &image, &err), PFM_ERROR_FORMAT, "1000001 x 1");
    assert_null(image.rgb);
    pfm_image_free(NULL);
}

static void test_convert(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image;
    pfm_image_applied applied;
    const char *path = golden_path("rgb8.png");
    assert_ok(pfm_image_convert(path, &(pfm_image_options){0}, &image, &applied, &err));
    assert_int_equal(image.width, 29);
    pfm_image_free(&image);
    assert_ok(pfm_image_convert(path, &(pfm_image_options){.size = 50}, &image, &applied, &err));
    assert_int_equal(image.width, 50);
    assert_int_equal(image.height, 50);
    pfm_image_free(&image);
    assert_error(pfm_image_convert(path, &(pfm_image_options){.frame = 1}, &image, &applied, &err), PFM_ERROR_USAGE,
                 "no frame 1");
    assert_error(pfm_image_convert(path, &(pfm_image_options){.window = "lung"}, &image, &applied, &err), PFM_ERROR_USAGE,
                 "no window");
    assert_error(pfm_image_convert(path, &(pfm_image_options){.size = -1}, &image, &applied, &err), PFM_ERROR_USAGE, "-1 x -1");
    assert_error(pfm_image_convert(path, &(pfm_image_options){.size = 9, .fit = {.fit = "stretch"}}, &image, &applied, &err),
                 PFM_ERROR_USAGE, "squash crop crop_round pad");
    assert_error(pfm_image_convert(path, &(pfm_image_options){.size = 9, .fit = {.filter = "cubic"}}, &image, &applied, &err),
                 PFM_ERROR_USAGE, "bicubic bilinear lanczos");
    assert_error(pfm_image_convert(path, &(pfm_image_options){.size = 99999}, &image, &applied, &err), PFM_ERROR_USAGE,
                 "99999");
    assert_null(image.rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_not_a_picture), cmocka_unit_test(test_the_name_does_not_matter),
                                       cmocka_unit_test(test_sizes_that_cannot_be), cmocka_unit_test(test_convert)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
