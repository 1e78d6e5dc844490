/* Grey pictures of frames of every kind of 8 and 16 bits, whose values are in a table, against each value windowed by itself.
 */
#include "image/dicom_grey.h"

#include "test.h"

#include <math.h>

enum { SIDE = 40 };

/* Values from `least` on, fewer than there are pixels, or as many; every pixel exact. */
static void check(pfm_dicom_kind kind, int least, int values)
{
    uint8_t narrow[SIDE * SIDE];
    uint16_t wide[SIDE * SIDE];
    for (int i = 0; i < SIDE * SIDE; i++) {
        const int value = least + i * 7 % values;
        narrow[i] = (uint8_t)value;
        wide[i] = (uint16_t)value;
    }
    const pfm_dicom_frame frame = {.width = SIDE,
                                   .height = SIDE,
                                   .samples = 1,
                                   .bits = kind <= DICOM_S8 ? 8 : 16,
                                   .kind = kind,
                                   .data = kind <= DICOM_S8 ? (void *)narrow : (void *)wide};
    const pfm_dicom_grey grey = {
        .slope = 1, .window = {.center = least + values / 2.0, .width = values * 0.75, .function = PFM_WINDOW_LINEAR_EXACT}};
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image = {0};
    assert_ok(pfm_dicom_make_grey("FILE", &frame, &grey, &image, &err));
    for (int i = 0; i < SIDE * SIDE; i++) {
        const double share = pfm_window_apply(&grey.window, least + i * 7 % values);
        for (int c = 0; c < 3; c++)
            if (image.rgb[3 * i + c] != lround(share * 255))
                fail_msg("kind %d, value %d: %d, not %g", (int)kind, least + i * 7 % values, image.rgb[3 * i + c], share * 255);
    }
    pfm_image_free(&image);
}

static void test_every_kind(void **state)
{
    (void)state;
    check(DICOM_U8, 0, 256);
    check(DICOM_U8, 200, 56);
    check(DICOM_S8, -128, 256);
    check(DICOM_S8, -128, 100);
    check(DICOM_U16, 0, 1000);
    check(DICOM_U16, 65535 - 1199, 1200);
    check(DICOM_S16, -600, 1200);
    check(DICOM_S16, -32768, 1200);
    check(DICOM_S16, 32767 - 1199, 1200);
    check(DICOM_S16, -32768, 65521); /* more than there are pixels: no table */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_kind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
