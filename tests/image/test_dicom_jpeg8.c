/* Sequential JPEG of 8 bits by libjpeg-turbo against DCMTK, on pictures made at random and on damaged streams. */
#include "image/dicom_codec.h"

#include "base/random.h"
#include "image/dicom_dcmtk.h"
#include "test.h"

#include <stdio.h>

#include <jpeglib.h>

enum { MOST_SIDE = 90, MOST_SAMPLES = MOST_SIDE * MOST_SIDE * 3 };

static int below(pfm_random *random, int bound) { return (int)pfm_random_below(random, (uint32_t)bound); }

/* Slopes with noise on them. */
static void fill_row(unsigned char *row, int count, int y, int noise, pfm_random *random)
{
    for (int i = 0; i < count; i++)
        row[i] = (unsigned char)((i * 3 + y * 5) % 200 + below(random, noise));
}

/* *stream [*size] = a picture of the layout; the caller calls free(). Colour at full size, half the width, or half of both. */
static void encode(pfm_dicom_layout *layout, unsigned char **stream, unsigned long *size, pfm_random *random)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    unsigned char row[MOST_SIDE * 3];
    const int half = below(random, 3), noise = 1 + below(random, 56);
    *layout = (pfm_dicom_layout){
        .rows = 1 + below(random, MOST_SIDE), .columns = 1 + below(random, MOST_SIDE), .samples = 1 + 2 * below(random, 2)};
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, stream, size);
    info.image_width = (JDIMENSION)layout->columns;
    info.image_height = (JDIMENSION)layout->rows;
    info.input_components = layout->samples;
    info.in_color_space = layout->samples == 3 ? JCS_YCbCr : JCS_GRAYSCALE;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 1 + below(random, 100), TRUE);
    info.comp_info[0].h_samp_factor = half > 0 ? 2 : 1;
    info.comp_info[0].v_samp_factor = half > 1 ? 2 : 1;
    info.restart_interval = below(random, 3) == 0 ? (unsigned)below(random, 40) : 0;
    info.optimize_coding = below(random, 2) == 0;
    jpeg_start_compress(&info, TRUE);
    for (int y = 0; y < layout->rows; y++) {
        JSAMPROW at = row;
        fill_row(row, layout->columns * layout->samples, y, noise, random);
        (void)jpeg_write_scanlines(&info, &at, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
}

static void test_pictures_at_random(void **state)
{
    (void)state;
    static unsigned char ours[MOST_SAMPLES], theirs[MOST_SAMPLES];
    char reason[100];
    pfm_random random = pfm_random_start(1, 0);
    for (int i = 0; i < 1000; i++) {
        pfm_dicom_layout layout;
        unsigned char *stream = NULL;
        unsigned long size = 0;
        encode(&layout, &stream, &size, &random);
        const pfm_dicom_stream in = {stream, size, "FILE", &layout, NULL};
        const size_t count = pfm_dicom_count_samples(&layout);
        if (!pfm_dicom_decode_jpeg8(&in, ours))
            fail_msg("picture %d is not taken", i);
        assert_int_equal(pfm_dcmtk_decode_jpeg(stream, size, 8, theirs, count, reason), PFM_DCMTK_OK);
        if (memcmp(ours, theirs, count) != 0)
            fail_msg("picture %d (%d x %d, %d samples) is another to DCMTK", i, layout.columns, layout.rows, layout.samples);
        free(stream);
    }
}

/* Of damaged streams few are taken that DCMTK refuses or makes other samples of: libjpeg-turbo passes over a code that is none
 * where many bytes are left, and a transform beyond its range ends otherwise. A frame of other sizes is not taken. */
static void test_damaged_streams(void **state)
{
    (void)state;
    static unsigned char ours[MOST_SAMPLES], theirs[MOST_SAMPLES];
    char reason[100];
    pfm_random random = pfm_random_start(2, 0);
    int taken = 0, others = 0, refused = 0;
    for (int i = 0; i < 4000; i++) {
        pfm_dicom_layout layout;
        unsigned char *stream = NULL;
        unsigned long size = 0;
        encode(&layout, &stream, &size, &random);
        for (int n = below(&random, 3); n > 0; n--)
            stream[below(&random, (int)size)] ^= (unsigned char)(1 << below(&random, 8));
        if (below(&random, 4) == 0)
            size = (unsigned long)below(&random, (int)size + 1);
        const pfm_dicom_stream in = {stream, size, "FILE", &layout, NULL};
        const size_t count = pfm_dicom_count_samples(&layout);
        if (pfm_dicom_decode_jpeg8(&in, ours)) {
            taken++;
            if (pfm_dcmtk_decode_jpeg(stream, size, 8, theirs, count, reason) != PFM_DCMTK_OK)
                refused++;
            others += memcmp(ours, theirs, count) != 0 ? 1 : 0;
            layout.rows++;
            assert_false(pfm_dicom_decode_jpeg8(&in, NULL));
        }
        free(stream);
    }
    print_message("%d of 4000 taken, %d of them refused by DCMTK and %d others to it\n", taken, refused, others);
    assert_in_range(taken, 500, 3500);
    assert_in_range(refused, 0, taken / 100);
    assert_in_range(others, 0, taken / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pictures_at_random), cmocka_unit_test(test_damaged_streams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
