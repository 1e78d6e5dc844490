/* The window of a frame that brings none, against its values in their order. */
#include "image/dicom_grey.h"

#include "base/random.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

enum { MOST = 4000 };

static void store(void *data, pfm_dicom_kind kind, size_t i, int value)
{
    switch (kind) {
    case DICOM_U8: ((uint8_t *)data)[i] = (uint8_t)value; break;
    case DICOM_S8: ((int8_t *)data)[i] = (int8_t)value; break;
    case DICOM_U16: ((uint16_t *)data)[i] = (uint16_t)value; break;
    case DICOM_S16: ((int16_t *)data)[i] = (int16_t)value; break;
    case DICOM_S32: ((int32_t *)data)[i] = value; break;
    default: fail_msg("kind %d", (int)kind);
    }
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void check(const pfm_dicom_grey *grey, const pfm_dicom_frame *frame, double share)
{
    static double sorted[MOST];
    pfm_error err = PFM_ERROR_INIT;
    pfm_window window;
    size_t count = 0;
    for (size_t i = 0; i < (size_t)frame->width; i++) {
        const double stored = pfm_dicom_sample(frame, i);
        if (!(grey->pads && stored >= grey->pad_low && stored <= grey->pad_high))
            sorted[count++] = stored;
    }
    qsort(sorted, count, sizeof *sorted, by_size);
    const size_t out = (size_t)(share * (double)count);
    double low = count > 0 ? sorted[out] : 0, high = count > 0 ? sorted[count - 1 - out] : 0;
    if (count > 0 && !(high > low)) {
        low = sorted[0];
        high = sorted[count - 1];
    }
    const double a = low * grey->slope + grey->intercept, b = high * grey->slope + grey->intercept;
    assert_ok(pfm_dicom_grey_measure(grey, frame, share, &window, &err));
    if (fabs(window.center - (a + b) / 2) > 1e-9 || fabs(window.width - (high > low ? fabs(b - a) : 1)) > 1e-9)
        fail_msg("kind %d, %zu values, share %g: center %g, width %g instead of %g to %g", (int)frame->kind, count, share,
                 window.center, window.width, a, b);
}

static void test_measured_windows(void **state)
{
    (void)state;
    static int32_t data[MOST];
    static const pfm_dicom_kind kinds[] = {DICOM_U8, DICOM_S8, DICOM_U16, DICOM_S16, DICOM_S32};
    static const int lowest[] = {0, INT8_MIN, 0, INT16_MIN, -40000}, spans[] = {256, 256, 65536, 65536, 80000};
    pfm_random random = pfm_random_start(1, 0);
    for (int k = 0; k < 5; k++) {
        for (int round = 0; round < 60; round++) {
            const int count = round == 0 ? 1 : 1 + (int)pfm_random_below(&random, MOST), span = round % 3 == 0 ? spans[k] : 20;
            const int from = lowest[k] + (int)pfm_random_below(&random, (uint32_t)(spans[k] - span + 1));
            const bool alike = round % 5 == 4; /* all but one or two are the same, where most are cut off */
            for (int i = 0; i < count; i++)
                store(data, kinds[k], (size_t)i, alike && i > 1 ? from : from + (int)pfm_random_below(&random, (uint32_t)span));
            const pfm_dicom_frame frame = {.width = count, .height = 1, .samples = 1, .kind = kinds[k], .data = data};
            pfm_dicom_grey grey = {.slope = round % 2 == 0 ? 1 : -2.5, .intercept = -1024};
            if (kinds[k] != DICOM_S32 || span == 20) { /* otherwise values share bins */
                check(&grey, &frame, 0.005);
                grey.pads = true;
                grey.pad_low = from;
                grey.pad_high = from + round % 4;
                check(&grey, &frame, 0.005);
            }
            check(&grey, &frame, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_measured_windows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
