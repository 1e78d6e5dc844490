/* What of a picture goes to a server. */
#include "client/client_internal.h"
#include "test.h"

static void expect(const char *bytes, size_t size, const char *wanted, size_t wanted_size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer out = {0};
    assert_ok(pfm_client_copy_pixels((const unsigned char *)bytes, size, "a", &out, &err));
    assert_int_equal(out.size, wanted_size);
    assert_memory_equal(out.data, wanted, wanted_size);
    pfm_buffer_free(&out);
}
#define EXPECT(bytes, wanted) expect(bytes, sizeof(bytes) - 1, wanted, sizeof(wanted) - 1)

#define SOI "\xFF\xD8"
#define JFIF "\xFF\xE0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
#define ADOBE                                                                                                                  \
    "\xFF\xEE\0\x0E"                                                                                                           \
    "Adobe\0\x64\0\0\0\0\1"
#define TABLE "\xFF\xDB\0\5abc"
#define SCAN "\xFF\xDA\0\4xyq\xFF\0r\xFF\xD0s"
#define EOI "\xFF\xD9"
#define COMMENT "\xFF\xFE\0\6NAME"
#define EXIF                                                                                                                   \
    "\xFF\xE1\0\x0C"                                                                                                           \
    "Exif\0\0NAME"

static void test_of_a_jpeg_comments_and_what_programs_wrote_stay_here(void **state)
{
    (void)state;
    EXPECT(SOI JFIF ADOBE TABLE SCAN EOI, SOI JFIF ADOBE TABLE SCAN EOI);
    EXPECT(SOI JFIF COMMENT EXIF TABLE SCAN COMMENT SCAN EOI "NAME", SOI JFIF TABLE SCAN SCAN EOI);
    EXPECT(SOI "\xFF\xE0\0\6NAME"
               "\xFF\xEE\0\x09"
               "AdobeNA" SCAN EOI,
           SOI SCAN EOI); /* only what it says that it is */
    EXPECT(SOI "\xFF\xFF" COMMENT SCAN EOI, SOI SCAN EOI);
}

#define SIGNATURE "\x89PNG\r\n\x1A\n"
#define CHUNK(kind)                                                                                                            \
    "\0\0\0\2" kind "dd"                                                                                                       \
    "ccrc"

static void test_of_a_png_only_what_shows_it_leaves(void **state)
{
    (void)state;
    EXPECT(SIGNATURE CHUNK("IHDR") CHUNK("tEXt") CHUNK("iTXt") CHUNK("zTXt") CHUNK("eXIf") CHUNK("iCCP") CHUNK("tIME")
               CHUNK("tRNS") CHUNK("IDAT") CHUNK("prVt") CHUNK("IEND") "NAME",
           SIGNATURE CHUNK("IHDR") CHUNK("tRNS") CHUNK("IDAT") CHUNK("IEND"));
}

static void test_what_cannot_be_cleaned_is_not_sent(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } all[] = {{SOI COMMENT, 8},
               {SOI "\xFF\xFE\0\x50NAME", 10},
               {SOI "NAME", 6},
               {SOI TABLE "\xFF\xDA\0\1", 13},
               {SOI, 2},
               {SIGNATURE "\0\0\0\2tEXt", 16},
               {SIGNATURE "\xFF\xFF\xFF\xFFIHDRddccrc", 22},
               {SIGNATURE, 8}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_buffer out = {0};
        assert_error(pfm_client_copy_pixels((const unsigned char *)all[i].bytes, all[i].size, "a.jpg", &out, &err),
                     PFM_ERROR_FORMAT, "a.jpg is damaged");
        pfm_buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_a_jpeg_comments_and_what_programs_wrote_stay_here),
        cmocka_unit_test(test_of_a_png_only_what_shows_it_leaves),
        cmocka_unit_test(test_what_cannot_be_cleaned_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
