#include "golden.h"
#include "image/orientation.h"

/* That the pixels are upright the golden files show; here what is said of it, and that it is one with the bytes. */
static void test_what_is_told(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static const char *const kinds[] = {"turned8.jpg", "turned8.png", "turned8.webp", "turned8.tif"};
    for (size_t i = 0; i < 4; i++) {
        pfm_image image;
        pfm_image_applied applied;
        pfm_buffer bytes = {0};
        char *json = NULL;
        assert_ok(pfm_image_load_shown(golden_path(kinds[i]), NULL, &image, &applied, &err));
        assert_int_equal(applied.orientation, 8);
        assert_int_equal(image.width, 7);
        assert_ok(pfm_image_applied_json(&applied, &json, &err));
        assert_non_null(strstr(json, "\"orientation\":8"));
        assert_ok(pfm_file_read(golden_path(kinds[i]), 0, &bytes, &err));
        assert_int_equal(pfm_image_orientation(bytes.data, bytes.size), i < 3 ? 8 : 1); /* TIFF's is its pages' own affair */
        free(json);
        pfm_buffer_free(&bytes);
        pfm_image_free(&image);
    }
}

static void test_exif_that_says_nothing(void **state)
{
    (void)state;
    unsigned char good[] = "MM\0*\0\0\0\10\0\2\1\0\0\3\0\0\0\1\0\1\0\0\1\x12\0\3\0\0\0\1\0\6\0\0";
    const size_t size = sizeof good - 1;
    assert_int_equal(pfm_orientation_of_exif(good, size), 6);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(pfm_orientation_of_exif(good, cut), 0);
    good[31] = 9;
    assert_int_equal(pfm_orientation_of_exif(good, size), 1);
    good[31] = 0;
    assert_int_equal(pfm_orientation_of_exif(good, size), 1);
    good[31] = 3;
    good[29] = 2; /* two numbers */
    assert_int_equal(pfm_orientation_of_exif(good, size), 1);
    good[29] = 1;
    good[23] = 0x13; /* the tag of something else */
    assert_int_equal(pfm_orientation_of_exif(good, size), 0);
    good[4] = 0xFF; /* the directory lies beyond the end */
    assert_int_equal(pfm_orientation_of_exif(good, size), 0);
}

static int of_xmp(const char *text) { return pfm_orientation_of_xmp((const unsigned char *)text, strlen(text)); }

static void test_xmp(void **state)
{
    (void)state;
    assert_int_equal(of_xmp("<a tiff:Orientation=\"6\"/>"), 6);
    assert_int_equal(of_xmp("<a tiff:Orientation='8'/>"), 8);
    assert_int_equal(of_xmp("<tiff:Orientation>3</tiff:Orientation>"), 3);
    assert_int_equal(of_xmp("<tiff:Orientation/> tiff:Orientation=2 <tiff:Orientation>5"), 5);
    assert_int_equal(of_xmp("<tiff:Orientation>9"), 1);
    assert_int_equal(of_xmp("<tiff:Orientation>0"), 1);
    const char attribute[] = "tiff:Orientation='6'", element[] = "tiff:Orientation>6";
    for (size_t cut = 0; cut < 19; cut++) /* what lies behind the end is not read */
        assert_int_equal(pfm_orientation_of_xmp((const unsigned char *)attribute, cut), 0);
    assert_int_equal(pfm_orientation_of_xmp((const unsigned char *)attribute, 19), 6);
    assert_int_equal(pfm_orientation_of_xmp((const unsigned char *)element, 17), 0);
    assert_int_equal(pfm_orientation_of_xmp((const unsigned char *)element, 18), 6);
    for (const char *const *none = (const char *const[]){"", "tiff:Orientation", "<tiff:Orientation>", "tiff:Orientation=\"",
                                                         "tiff:Orientation=\"x", "tiff:orientation=\"6\"", NULL};
         *none != NULL; none++)
        assert_int_equal(of_xmp(*none), 0);
}

/* EXIF goes before XMP, and what it does not speak of is asked of XMP, wherever the two stand. */
static void test_exif_and_xmp(void **state)
{
    (void)state;
    static const char exif[] = "\xFF\xE1\0\x22"
                               "Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\3\0\0\0\0\0\0\0",
                      xmp[] = "\xFF\xE1\0\x32http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>6";
    const size_t exif_size = sizeof exif - 1, xmp_size = sizeof xmp - 1;
    unsigned char bytes[2 + sizeof exif + sizeof xmp] = "\xFF\xD8";
    memcpy(bytes + 2, xmp, xmp_size);
    memcpy(bytes + 2 + xmp_size, exif, exif_size);
    assert_int_equal(pfm_image_orientation(bytes, 2 + xmp_size), 6);
    assert_int_equal(pfm_image_orientation(bytes, 2 + xmp_size + exif_size), 3);
    bytes[2 + xmp_size + 20] = 0x13; /* another tag */
    assert_int_equal(pfm_image_orientation(bytes, 2 + xmp_size + exif_size), 6);
    bytes[2 + xmp_size - 3] = 'N'; /* and another element */
    assert_int_equal(pfm_image_orientation(bytes, 2 + xmp_size + exif_size), 1);
}

/* Pixel x, y of the upright picture by EXIF's words, one at a time. */
static const uint8_t *stored_at(const pfm_image *in, int orientation, int x, int y)
{
    const int w = in->width - 1, h = in->height - 1;
    const int column[9] = {0, x, w - x, w - x, x, y, y, w - y, w - y}, row[9] = {0, y, y, h - y, h - y, x, h - x, h - x, x};
    return in->rgb + 3 * ((size_t)row[orientation] * (size_t)in->width + (size_t)column[orientation]);
}

static void check_upright(const pfm_image *in, int orientation, const pfm_image *out)
{
    assert_int_equal(out->width, orientation > 4 ? in->height : in->width);
    assert_int_equal(out->height, orientation > 4 ? in->width : in->height);
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++)
            if (memcmp(out->rgb + 3 * ((size_t)y * (size_t)out->width + (size_t)x), stored_at(in, orientation, x, y), 3) != 0)
                fail_msg("orientation %d of %d x %d: pixel %d, %d", orientation, in->width, in->height, x, y);
}

/* A PNG of the picture, and behind its first chunk what a camera says; no reader here asks for that chunk's checksum. */
static void write_turned(const pfm_image *image, char orientation, pfm_buffer *out)
{
    enum { FIRST_ENDS = 33 };
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer plain = {0};
    char chunk[] = "\0\0\0\x1a"
                   "eXIfII*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0N\0\0\0\0\0\0\0\0\0\0\0";
    *strchr(chunk + 8 + 18, 'N') = orientation;
    assert_ok(pfm_image_encode_png(image, "it", &plain, &err));
    assert_ok(pfm_buffer_append(out, plain.data, FIRST_ENDS, &err));
    assert_ok(pfm_buffer_append(out, chunk, 12 + 26, &err));
    assert_ok(pfm_buffer_append(out, (char *)plain.data + FIRST_ENDS, plain.size - FIRST_ENDS, &err));
    pfm_buffer_free(&plain);
}

/* Of every shape: smaller and larger than what is turned at once, and wider than what is kept of a PNG while it is read. */
static void test_every_turn(void **state)
{
    (void)state;
    static const int sides[][2] = {{1, 1}, {64, 64}, {65, 63}, {3, 200}, {200, 129}, {6000, 66}, {180000, 2}};
    pfm_error err = PFM_ERROR_INIT;
    for (size_t s = 0; s < sizeof sides / sizeof *sides; s++) {
        pfm_image image;
        assert_ok(pfm_image_create(sides[s][0], sides[s][1], "it", &image, &err));
        for (size_t i = 0; i < (size_t)image.width * (size_t)image.height * 3; i++)
            image.rgb[i] = (uint8_t)(i * 2654435761u >> 13);
        for (int orientation = 1; orientation <= 8; orientation++) {
            pfm_image turned, from_png;
            pfm_image_applied applied;
            pfm_buffer bytes = {0};
            assert_ok(pfm_image_create(image.width, image.height, "it", &turned, &err));
            memcpy(turned.rgb, image.rgb, (size_t)image.width * (size_t)image.height * 3);
            assert_ok(pfm_orientation_apply(orientation, &turned, &err));
            check_upright(&image, orientation, &turned);
            write_turned(&image, (char)orientation, &bytes);
            assert_ok(pfm_image_decode_file(bytes.data, bytes.size, &(pfm_image_file){.path = "it"}, NULL, &from_png, &applied,
                                            &err));
            assert_int_equal(applied.orientation, orientation);
            check_upright(&image, orientation, &from_png);
            pfm_image_free(&turned);
            pfm_image_free(&from_png);
            pfm_buffer_free(&bytes);
        }
        pfm_image_free(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_told), cmocka_unit_test(test_exif_that_says_nothing),
                                       cmocka_unit_test(test_xmp), cmocka_unit_test(test_exif_and_xmp),
                                       cmocka_unit_test(test_every_turn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
