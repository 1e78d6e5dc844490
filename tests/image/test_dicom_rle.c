/* RLE (PS3.5, G) on frames made at random and packed in every way that the standard allows. */
#include "image/dicom_codec.h"

#include "base/random.h"
#include "test.h"

enum { MOST_SIDE = 60, MOST_BYTES = MOST_SIDE * MOST_SIDE * 12, HEADER = 64, MOST_STREAM = HEADER + 3 * MOST_BYTES };

static int below(pfm_random *random, int bound) { return (int)pfm_random_below(random, (uint32_t)bound); }

static size_t pixels_of(const pfm_dicom_layout *l) { return (size_t)l->rows * (size_t)l->columns; }

/* Bytes of a plane, by runs, pieces that are copied, and codes that say nothing, of any length. */
static size_t pack(const unsigned char *plane, size_t count, unsigned char *to, pfm_random *random)
{
    size_t made = 0;
    for (size_t at = 0; at < count;) {
        size_t run = 1, wanted = 1 + (size_t)below(random, 128);
        while (run < wanted && at + run < count && plane[at + run] == plane[at])
            run++;
        if (below(random, 20) == 0)
            to[made++] = 0x80;
        if (run > 1) {
            to[made++] = (unsigned char)(257 - run);
            to[made++] = plane[at];
            at += run;
            continue;
        }
        wanted = wanted < count - at ? wanted : count - at;
        to[made++] = (unsigned char)(wanted - 1);
        memcpy(to + made, plane + at, wanted);
        made += wanted;
        at += wanted;
    }
    return made;
}

/* A frame's planes [samples][bytes, the high first][pixels], and its stream, of which the size is returned. */
static size_t make(pfm_dicom_layout *l, unsigned char *planes, unsigned char *stream, pfm_random *random)
{
    *l = (pfm_dicom_layout){.rows = 1 + below(random, MOST_SIDE),
                            .columns = 1 + below(random, MOST_SIDE),
                            .samples = 1 + 2 * below(random, 2),
                            .allocated = 8 << below(random, 3)};
    const size_t segments = (size_t)(l->samples * l->allocated / 8), pixels = pixels_of(l);
    const int change = 1 + below(random, 30);
    size_t size = HEADER;
    memset(stream, 0, HEADER);
    stream[0] = (unsigned char)segments;
    for (size_t i = 0; i < segments * pixels; i++)
        planes[i] = (unsigned char)(i > 0 && below(random, change) != 0 ? planes[i - 1] : below(random, 256));
    for (size_t s = 0; s < segments; s++) {
        memcpy(stream + 4 + 4 * s, &(uint32_t){(uint32_t)size}, 4);
        size += pack(planes + s * pixels, pixels, stream + size, random);
        stream[size] = 0; /* to an even length */
        size += size % 2;
    }
    return size;
}

static void check_samples(const pfm_dicom_decoded *out, const pfm_dicom_layout *l, const unsigned char *planes)
{
    const size_t bytes = (size_t)out->bytes, pixels = pixels_of(l);
    const unsigned char *samples = out->data;
    for (size_t c = 0; c < (size_t)l->samples; c++)
        for (size_t i = 0; i < pixels; i++)
            for (size_t b = 0; b < bytes; b++)
                if (samples[(c * pixels + i) * bytes + bytes - 1 - b] != planes[(c * bytes + b) * pixels + i])
                    fail_msg("%d x %d pixels of %d samples of %d bits: pixel %zu is another", l->columns, l->rows, l->samples,
                             l->allocated, i);
}

static void test_frames_at_random(void **state)
{
    (void)state;
    static unsigned char planes[MOST_BYTES], stream[MOST_STREAM];
    pfm_random random = pfm_random_start(1, 0);
    for (int i = 0; i < 1000; i++) {
        pfm_dicom_layout layout;
        pfm_error err = PFM_ERROR_INIT;
        pfm_dicom_decoded out = {0};
        const size_t size = make(&layout, planes, stream, &random);
        unsigned char *exact = malloc(size); /* so that a sanitizer sees what is read behind it */
        assert_non_null(exact);
        memcpy(exact, stream, size);
        pfm_dicom_stream in = {exact, size, "FILE", &layout, NULL};
        assert_ok(pfm_dicom_decode_rle(&in, &out, &err));
        assert_int_equal(out.bytes, layout.allocated / 8);
        assert_int_equal(out.planar, layout.samples > 1);
        check_samples(&out, &layout, planes);
        free(out.data);
        out = (pfm_dicom_decoded){0};
        in.size = HEADER + (size_t)below(&random, (int)(size - HEADER) / 2); /* the last segment at least is cut */
        assert_int_equal(pfm_dicom_decode_rle(&in, &out, &err), PFM_ERROR_FORMAT);
        free(out.data);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_frames_at_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
