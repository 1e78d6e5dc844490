/* Our decoder of JPEG-LS against CharLS, on pictures made at random and on damaged streams. */
#include "image/jpegls.h"

#include "base/random.h"
#include "test.h"

#include <charls/charls.h>

enum { MOST_SIDE = 97, MOST_STREAM = 1 << 20 };

typedef struct picture {
    charls_frame_info info;
    charls_interleave_mode mode;
    int near;
    charls_jpegls_pc_parameters preset; /* zeros: by default */
    unsigned char samples[MOST_SIDE * MOST_SIDE * 3 * 2];
    size_t size; /* bytes of them */
} picture;

static uint32_t below(pfm_random *random, uint32_t bound) { return (uint32_t)pfm_random_below(random, bound); }

/* Plains, noise of any height and steps, so that runs, long codes and every context come. */
static void fill(picture *p, int most, pfm_random *random)
{
    const size_t count = (size_t)p->info.width * p->info.height * (size_t)p->info.component_count;
    const int bytes = p->info.bits_per_sample > 8 ? 2 : 1, noise = 1 << below(random, (uint32_t)p->info.bits_per_sample + 1);
    int level = (int)below(random, (uint32_t)most + 1);
    bool plain = false;
    for (size_t i = 0; i < count; i++) {
        if (below(random, 60) == 0)
            plain = !plain;
        if (below(random, 200) == 0)
            level = (int)below(random, (uint32_t)most + 1);
        int value = level + (plain ? 0 : (int)below(random, (uint32_t)noise) - noise / 2);
        value = value < 0 ? 0 : value > most ? most : value;
        memcpy(p->samples + i * (size_t)bytes, &(uint16_t){(uint16_t)value}, (size_t)bytes);
    }
    p->size = count * (size_t)bytes;
}

static void make(picture *p, pfm_random *random)
{
    const int bits = 2 + (int)below(random, 15), components = below(random, 3) == 0 ? 3 : 1;
    const uint32_t width = 1 + below(random, MOST_SIDE), height = 1 + below(random, MOST_SIDE);
    *p = (picture){.info = {width, height, bits, components}};
    p->mode = components == 3 && below(random, 2) == 0 ? CHARLS_INTERLEAVE_MODE_LINE : CHARLS_INTERLEAVE_MODE_NONE;
    const int most = (1 << bits) - 1;
    if (below(random, 3) == 0)
        p->near = (int)below(random, (uint32_t)(most / 2 < 255 ? most / 2 : 255) + 1);
    if (below(random, 4) == 0) {
        p->preset.maximum_sample_value = most;
        p->preset.threshold1 = p->near + 1 + (int)below(random, (uint32_t)(most - p->near));
        p->preset.threshold2 = p->preset.threshold1 + (int)below(random, (uint32_t)(most - p->preset.threshold1) + 1);
        p->preset.threshold3 = p->preset.threshold2 + (int)below(random, (uint32_t)(most - p->preset.threshold2) + 1);
        p->preset.reset_value = 3 + (int)below(random, 253);
    }
    fill(p, most, random);
}

static size_t encode(const picture *p, unsigned char *stream)
{
    size_t size = 0;
    charls_jpegls_encoder *encoder = charls_jpegls_encoder_create();
    assert_non_null(encoder);
    assert_int_equal(charls_jpegls_encoder_set_frame_info(encoder, &p->info), CHARLS_JPEGLS_ERRC_SUCCESS);
    assert_int_equal(charls_jpegls_encoder_set_near_lossless(encoder, p->near), CHARLS_JPEGLS_ERRC_SUCCESS);
    assert_int_equal(charls_jpegls_encoder_set_interleave_mode(encoder, p->mode), CHARLS_JPEGLS_ERRC_SUCCESS);
    if (p->preset.maximum_sample_value != 0)
        assert_int_equal(charls_jpegls_encoder_set_preset_coding_parameters(encoder, &p->preset), CHARLS_JPEGLS_ERRC_SUCCESS);
    assert_int_equal(charls_jpegls_encoder_set_destination_buffer(encoder, stream, MOST_STREAM), CHARLS_JPEGLS_ERRC_SUCCESS);
    assert_int_equal(charls_jpegls_encoder_encode_from_buffer(encoder, p->samples, p->size, 0), CHARLS_JPEGLS_ERRC_SUCCESS);
    assert_int_equal(charls_jpegls_encoder_get_bytes_written(encoder, &size), CHARLS_JPEGLS_ERRC_SUCCESS);
    charls_jpegls_encoder_destroy(encoder);
    return size;
}

/* What CharLS makes of a stream of the picture's sizes; false where it refuses it. */
static bool decode_by_charls(const unsigned char *stream, size_t size, void *out, size_t out_size)
{
    charls_frame_info info;
    charls_jpegls_decoder *decoder = charls_jpegls_decoder_create();
    const bool read = charls_jpegls_decoder_set_source_buffer(decoder, stream, size) == CHARLS_JPEGLS_ERRC_SUCCESS &&
                      charls_jpegls_decoder_read_header(decoder) == CHARLS_JPEGLS_ERRC_SUCCESS &&
                      charls_jpegls_decoder_get_frame_info(decoder, &info) == CHARLS_JPEGLS_ERRC_SUCCESS &&
                      charls_jpegls_decoder_decode_to_buffer(decoder, out, out_size, 0) == CHARLS_JPEGLS_ERRC_SUCCESS;
    charls_jpegls_decoder_destroy(decoder);
    return read;
}

static pfm_dicom_layout layout_of(const picture *p)
{
    return (pfm_dicom_layout){.rows = (int)p->info.height, .columns = (int)p->info.width, .samples = p->info.component_count};
}

/* Every stream is taken and has CharLS's samples. */
static void test_pictures_at_random(void **state)
{
    (void)state;
    static picture p;
    static unsigned char stream[MOST_STREAM], wanted[sizeof p.samples];
    pfm_random random = pfm_random_start(1, 0);
    for (int i = 0; i < 2000; i++) {
        make(&p, &random);
        const size_t size = encode(&p, stream);
        const pfm_dicom_layout layout = layout_of(&p);
        const pfm_dicom_stream in = {stream, size, "FILE", &layout};
        pfm_dicom_decoded out = {0};
        assert_true(decode_by_charls(stream, size, wanted, p.size));
        if (!pfm_jpegls_decode(&in, &out))
            fail_msg("picture %d (%u x %u, %d bits, %d components, near %d, most %d) is not taken", i, p.info.width,
                     p.info.height, p.info.bits_per_sample, p.info.component_count, p.near, p.preset.maximum_sample_value);
        assert_int_equal(out.precision, p.info.bits_per_sample);
        assert_int_equal(out.planar, p.info.component_count > 1 && p.mode == CHARLS_INTERLEAVE_MODE_NONE);
        if (memcmp(out.data, wanted, p.size) != 0)
            fail_msg("picture %d (%u x %u, %d bits, %d components, near %d, most %d) is another", i, p.info.width,
                     p.info.height, p.info.bits_per_sample, p.info.component_count, p.near, p.preset.maximum_sample_value);
        free(out.data);
    }
}

/* Of a damaged stream nothing is taken that CharLS refuses, or makes other samples of. */
static void test_damaged_streams(void **state)
{
    (void)state;
    static picture p;
    static unsigned char stream[MOST_STREAM], wanted[sizeof p.samples];
    pfm_random random = pfm_random_start(2, 0);
    int taken = 0;
    for (int i = 0; i < 6000; i++) {
        if (i % 20 == 0)
            make(&p, &random);
        size_t size = encode(&p, stream);
        const pfm_dicom_layout layout = layout_of(&p);
        for (uint32_t n = below(&random, 3); n > 0; n--)
            stream[below(&random, (uint32_t)size)] ^= (unsigned char)(1 << below(&random, 8));
        if (below(&random, 2) == 0)
            size = below(&random, (uint32_t)size + 1);
        unsigned char *exact = malloc(size + 1); /* so that a sanitizer sees what is read behind it */
        assert_non_null(exact);
        memcpy(exact, stream, size);
        const pfm_dicom_stream in = {exact, size, "FILE", &layout};
        pfm_dicom_decoded out = {0};
        if (pfm_jpegls_decode(&in, &out)) {
            const size_t bytes = pfm_dicom_count_samples(&layout) * (size_t)out.bytes;
            taken++;
            assert_true(bytes <= sizeof wanted);
            if (!decode_by_charls(exact, size, wanted, bytes))
                fail_msg("CharLS refuses stream %d", i);
            if (memcmp(out.data, wanted, bytes) != 0)
                fail_msg("stream %d is another to CharLS", i);
        }
        free(out.data);
        free(exact);
    }
    print_message("%d of 6000 taken\n", taken);
    assert_in_range(taken, 500, 4000);
}

/* Where a stream has its n-th scan, from 0; it ends at the next one, or at the end of the image. */
static size_t find_scan(const unsigned char *stream, size_t size, int n)
{
    for (size_t at = 2; at + 1 < size; at++) /* no byte behind one of ones has its highest bit within a scan */
        if (stream[at] == 0xFF && (stream[at + 1] == 0xDA || stream[at + 1] == 0xD9) && n-- == 0)
            return at;
    fail_msg("there is no such scan");
    return 0;
}

/* A scan of all components behind one of the first: it has no place for so many. */
static void test_too_many_components(void **state)
{
    (void)state;
    static picture p;
    static unsigned char apart[MOST_STREAM], together[MOST_STREAM], stream[MOST_STREAM];
    p = (picture){.info = {61, 53, 8, 3}};
    pfm_random random = pfm_random_start(3, 0);
    fill(&p, 255, &random);
    const size_t size = encode(&p, apart), first = find_scan(apart, size, 1);
    p.mode = CHARLS_INTERLEAVE_MODE_LINE;
    const size_t other_size = encode(&p, together), begin = find_scan(together, other_size, 0);
    memcpy(stream, apart, first);
    memcpy(stream + first, together + begin, other_size - begin);
    const unsigned char *ids = apart + find_scan(apart, size, 0) + 5; /* the first component's */
    stream[first + 5] = (unsigned char)(ids[0] + 1);
    stream[first + 7] = (unsigned char)(ids[0] + 2);
    stream[first + 9] = 0;
    const pfm_dicom_layout layout = layout_of(&p);
    const pfm_dicom_stream in = {stream, first + other_size - begin, "FILE", &layout};
    pfm_dicom_decoded out = {0};
    assert_false(pfm_jpegls_decode(&in, &out));
    assert_null(out.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pictures_at_random), cmocka_unit_test(test_damaged_streams),
                                       cmocka_unit_test(test_too_many_components)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
