#include "golden.h"

static void test_damaged_files(void **state)
{
    (void)state;
    check_damage(".png", false);
}

static void test_written_and_read_again(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image, again;
    const char *path = test_path(test_scratch_folder(), "again.png");
    assert_ok(pfm_image_load(golden_path("cmyk.jpg"), &image, &err));
    assert_ok(pfm_image_write_png(&image, path, &err));
    assert_ok(pfm_image_load(path, &again, &err));
    assert_int_equal(again.width, image.width);
    assert_int_equal(again.height, image.height);
    assert_memory_equal(again.rgb, image.rgb, (size_t)image.width * (size_t)image.height * 3);
    assert_error(pfm_image_write_png(&image, "/proc/x.png", &err), PFM_ERROR_IO, "/proc/x.png");
    pfm_image_free(&image);
    pfm_image_free(&again);
}

/* A header that promises what no file keeps; the sizes stand at byte 16, the checksum behind the header is made to fit. */
static void test_a_lying_header(void **state)
{
    (void)state;
    unsigned char huge[] = "\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\x4E\x20\0\0\x4E\x20\x08\x02\0\0\0\x6C\x12\xD1\x6E\0\0\0\0IDAT";
    assert_refused(huge, sizeof huge - 1, "huge.png", "20000 x 20000");
    unsigned char none[] = "\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\0\0\0\x4E\x20\x08\x02\0\0\0\xA7\x71\xE0\x57\0\0\0\0IDAT";
    assert_refused(none, sizeof none - 1, "none.png", "none.png");
}

/* 8192 x 8192 pixels of colours, which are fewer bytes than are read, in a file of 57. */
static void test_a_picture_of_nothing(void **state)
{
    (void)state;
    unsigned char bomb[] = "\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\x20\0\0\0\x20\0\x08\x02\0\0\0\xFD\xC8\x5D\x0E\0\0\0\0IDAT5\xAF"
                           "\x06\x1E\0\0\0\0IEND\xAE\x42\x60\x82";
    assert_refused(bomb, sizeof bomb - 1, "bomb.png", "8192 x 8192 pixels");
}

/* Grey of 16 bits is values, of which fewer are read. */
static void test_too_many_values(void **state)
{
    (void)state;
    unsigned char many[] = "\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\x20\0\0\0\x20\0\x10\0\0\0\0\x07\x51\x49\xC6\0\0\0\0IDAT";
    assert_refused(many, sizeof many - 1, "many.png", "33554432");
}

/* What is cut off is missed before anything of a picture is inflated: this one's data are no deflate at all. */
static void test_cut_short(void **state)
{
    (void)state;
    unsigned char cut[] = "\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90\x77\x53\xDE\0\0\0\x04IDATdata"
                          "\0\0\0\0\0\0\0\0IEND";
    assert_refused(cut, sizeof cut - 1, "cut.png", "ends too early");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged_files),   cmocka_unit_test(test_written_and_read_again),
                                       cmocka_unit_test(test_a_lying_header),  cmocka_unit_test(test_a_picture_of_nothing),
                                       cmocka_unit_test(test_too_many_values), cmocka_unit_test(test_cut_short)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
