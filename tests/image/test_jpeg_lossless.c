/* Our decoder of lossless JPEG on pictures made at random, which a small encoder here writes, against those and DCMTK; and on
 * damaged streams against DCMTK. */
#include "image/jpeg_lossless.h"

#include "base/random.h"
#include "image/dicom_dcmtk.h"
#include "test.h"

enum { MOST_SIDE = 61, MOST_SAMPLES = MOST_SIDE * MOST_SIDE * 3, MOST_STREAM = 1 << 18 };

/* A picture and how it is written. */
typedef struct picture {
    int width, height, bits, components, predictor, shift;
    int interval;  /* rows between restarts; 0: none */
    bool apart;    /* a scan for each component */
    int order[17]; /* categories by their codes */
    int lengths[17];
    uint32_t codes[17]; /* of the categories of differences */
    int samples[MOST_SAMPLES];
} picture;

typedef struct writer {
    unsigned char *bytes;
    size_t size;
    uint32_t held;
    int count; /* bits held */
} writer;

static int below(pfm_random *random, int bound) { return (int)pfm_random_below(random, (uint32_t)bound); }

/* Plains, steps and noise of any height, so that every category comes; with the low bits that a point transform takes. */
static void fill(picture *p, pfm_random *random)
{
    const int most = (1 << p->bits) - 1, noise = 1 << below(random, p->bits + 1);
    int level = below(random, most + 1);
    for (int i = 0; i < p->width * p->height * p->components; i++) {
        if (below(random, 100) == 0)
            level = below(random, 4) == 0 ? below(random, 2) * most : below(random, most + 1);
        const int value = level + below(random, noise) - noise / 2;
        p->samples[i] = (value < 0 ? 0 : value > most ? most : value) >> p->shift << p->shift;
    }
}

/* Codes of categories in a shuffled order: of lengths 2, 3, ... 16, or most of one length. */
static void choose_codes(picture *p, pfm_random *random)
{
    int *order = p->order;
    const bool even = below(random, 3) == 0;
    for (int i = 0; i < 17; i++) {
        const int j = below(random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    uint32_t code = 0;
    for (int i = 0, length = 0; i < 17; i++, code++) {
        const int next = even ? 5 : i < 14 ? i + 2 : 16; /* 14 of 2 to 15 bits, 3 of 16 */
        code <<= next - length;
        length = next;
        p->lengths[order[i]] = length;
        p->codes[order[i]] = code;
    }
}

static void make(picture *p, pfm_random *random)
{
    *p =
        (picture){.width = 1 + below(random, MOST_SIDE), .height = 1 + below(random, MOST_SIDE), .bits = 2 + below(random, 15)};
    p->components = below(random, 3) == 0 ? 1 + below(random, 3) : 1;
    p->predictor = 1 + below(random, 7);
    p->shift = below(random, 4) == 0 ? below(random, p->bits) : 0;
    p->interval = below(random, 3) == 0 ? 1 + below(random, p->height) : 0;
    p->apart = below(random, 2) == 0;
    choose_codes(p, random);
    fill(p, random);
}

static void put_bytes(writer *w, const char *bytes, size_t count)
{
    memcpy(w->bytes + w->size, bytes, count);
    w->size += count;
}

static void put16(writer *w, int value) { put_bytes(w, (const char[]){(char)(value >> 8), (char)value}, 2); }

static void put_bits(writer *w, uint32_t bits, int count)
{
    while (count-- > 0) {
        w->held = w->held << 1 | (bits >> count & 1);
        if (++w->count == 8) {
            const unsigned char byte = (unsigned char)w->held;
            w->bytes[w->size++] = byte;
            if (byte == 0xFF)
                w->bytes[w->size++] = 0;
            w->count = 0;
        }
    }
}

static void end_bits(writer *w)
{
    while (w->count != 0)
        put_bits(w, 1, 1);
}

static void put_header(writer *w, const picture *p)
{
    put_bytes(w, "\xFF\xD8\xFF\xFE\0\4ab\xFF\xE0\0\3c\xFF\xEF\0\2\xFF\xC4", 19); /* what says nothing, and tables */
    put16(w, 2 + 17 + 17);
    put_bytes(w, "\0", 1);
    for (int length = 1; length <= 16; length++) {
        char count = 0;
        for (int i = 0; i < 17; i++)
            count = (char)(count + (p->lengths[i] == length ? 1 : 0));
        put_bytes(w, &count, 1);
    }
    for (int i = 0; i < 17; i++)
        put_bytes(w, (const char[]){(char)p->order[i]}, 1);
    put_bytes(w, "\xFF\xC3", 2);
    put16(w, 8 + 3 * p->components);
    put_bytes(w, (const char[]){(char)p->bits}, 1);
    put16(w, p->height);
    put16(w, p->width);
    put_bytes(w, (const char[]){(char)p->components}, 1);
    for (int i = 0; i < p->components; i++)
        put_bytes(w, (const char[]){(char)(i + 5), 0x11, 0}, 3);
    if (p->interval > 0) {
        put_bytes(w, "\xFF\xDD\0\4", 4);
        put16(w, p->interval * p->width);
    }
}

/* As the standard says it, a sample at a time. */
static int predicted(const picture *p, int x, int y, int c)
{
    const bool top = y == 0 || (p->interval > 0 && y % p->interval == 0);
    const int *at = p->samples + (y * p->width + x) * p->components + c, row = p->width * p->components;
    if (x == 0 && top)
        return 1 << (p->bits - p->shift - 1);
    if (x == 0 || top)
        return at[x == 0 ? -row : -p->components] >> p->shift;
    const int ra = at[-p->components] >> p->shift, rb = at[-row] >> p->shift, rc = at[-row - p->components] >> p->shift;
    const int by[] = {0, ra, rb, rc, ra + rb - rc, ra + ((rb - rc) >> 1), rb + ((ra - rc) >> 1), (ra + rb) >> 1};
    return by[p->predictor];
}

static void put_sample(writer *w, const picture *p, int x, int y, int c)
{
    const int value = p->samples[(y * p->width + x) * p->components + c] >> p->shift;
    const int difference = (int16_t)(value - predicted(p, x, y, c)), size = difference < 0 ? -difference : difference;
    int category = 0;
    while (category < 16 && size >> category != 0)
        category++;
    put_bits(w, p->codes[category], p->lengths[category]);
    if (category < 16)
        put_bits(w, (uint32_t)(difference < 0 ? difference - 1 : difference), category);
}

static void put_scan(writer *w, const picture *p, int first, int count)
{
    put_bytes(w, "\xFF\xDA", 2);
    put16(w, 6 + 2 * count);
    put_bytes(w, (const char[]){(char)count}, 1);
    for (int i = first; i < first + count; i++)
        put_bytes(w, (const char[]){(char)(i + 5), 0}, 2);
    put_bytes(w, (const char[]){(char)p->predictor, 0, (char)p->shift}, 3);
    for (int y = 0; y < p->height; y++) {
        if (y > 0 && p->interval > 0 && y % p->interval == 0) {
            end_bits(w);
            put_bytes(w, (const char[]){(char)0xFF, (char)(0xD0 + (y / p->interval - 1) % 8)}, 2);
        }
        for (int x = 0; x < p->width; x++)
            for (int c = first; c < first + count; c++)
                put_sample(w, p, x, y, c);
    }
    end_bits(w);
}

static size_t encode(const picture *p, unsigned char *stream)
{
    writer w = {.bytes = stream};
    put_header(&w, p);
    for (int c = 0; c < p->components; c += p->apart ? 1 : p->components)
        put_scan(&w, p, c, p->apart ? 1 : p->components);
    put_bytes(&w, "\xFF\xD9", 2);
    assert_true(w.size < MOST_STREAM);
    return w.size;
}

static pfm_dicom_layout layout_of(const picture *p)
{
    return (pfm_dicom_layout){.rows = p->height, .columns = p->width, .samples = p->components};
}

static void fail_picture(int i, const picture *p, const char *what)
{
    fail_msg("picture %d (%d x %d, %d bits, %d components%s, predictor %d, shift %d, restarts after %d rows) %s", i, p->width,
             p->height, p->bits, p->components, p->apart ? " apart" : "", p->predictor, p->shift, p->interval, what);
}

/* Every stream is taken, has the samples that were written, and is the same to DCMTK. */
static void test_pictures_at_random(void **state)
{
    (void)state;
    static picture p;
    static unsigned char stream[MOST_STREAM], wanted[MOST_SAMPLES * 2];
    char reason[100];
    pfm_random random = pfm_random_start(1, 0);
    for (int i = 0; i < 3000; i++) {
        make(&p, &random);
        const size_t size = encode(&p, stream), count = (size_t)(p.width * p.height * p.components);
        const pfm_dicom_layout layout = layout_of(&p);
        const pfm_dicom_stream in = {stream, size, "FILE", &layout, NULL};
        pfm_dicom_decoded out = {0};
        if (!pfm_jpeg_lossless_decode(&in, &out))
            fail_picture(i, &p, "is not taken");
        assert_int_equal(out.precision, p.bits);
        assert_int_equal(out.bytes, p.bits > 8 ? 2 : 1);
        for (size_t s = 0; s < count; s++)
            if (p.samples[s] != (out.bytes == 2 ? ((const uint16_t *)out.data)[s] : ((const uint8_t *)out.data)[s]))
                fail_picture(i, &p, "has other samples");
        const size_t bytes = count * (size_t)out.bytes;
        if (pfm_dcmtk_decode_jpeg(stream, size, p.bits, wanted, bytes, reason) != PFM_DCMTK_OK)
            fail_picture(i, &p, "is refused by DCMTK");
        if (memcmp(out.data, wanted, bytes) != 0)
            fail_picture(i, &p, "is another to DCMTK");
        free(out.data);
    }
}

/* Of a damaged stream nothing is taken that DCMTK refuses, or makes other samples of. */
static void test_damaged_streams(void **state)
{
    (void)state;
    static picture p;
    static unsigned char stream[MOST_STREAM], wanted[MOST_SAMPLES * 2];
    char reason[100];
    pfm_random random = pfm_random_start(2, 0);
    int taken = 0;
    for (int i = 0; i < 6000; i++) {
        if (i % 20 == 0)
            make(&p, &random);
        size_t size = encode(&p, stream);
        const pfm_dicom_layout layout = layout_of(&p);
        for (int n = below(&random, 3); n > 0; n--)
            stream[below(&random, (int)size)] ^= (unsigned char)(1 << below(&random, 8));
        if (below(&random, 2) == 0)
            size = (size_t)below(&random, (int)size + 1);
        unsigned char *exact = malloc(size + 1); /* so that a sanitizer sees what is read behind it */
        assert_non_null(exact);
        memcpy(exact, stream, size);
        const pfm_dicom_stream in = {exact, size, "FILE", &layout, NULL};
        pfm_dicom_decoded out = {0};
        if (pfm_jpeg_lossless_decode(&in, &out)) {
            const size_t bytes = pfm_dicom_count_samples(&layout) * (size_t)out.bytes;
            taken++;
            assert_true(bytes <= sizeof wanted);
            if (pfm_dcmtk_decode_jpeg(exact, size, out.precision, wanted, bytes, reason) != PFM_DCMTK_OK)
                fail_msg("DCMTK refuses stream %d", i);
            if (memcmp(out.data, wanted, bytes) != 0)
                fail_msg("stream %d is another to DCMTK", i);
        }
        free(out.data);
        free(exact);
    }
    print_message("%d of 6000 taken\n", taken);
    assert_in_range(taken, 500, 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pictures_at_random), cmocka_unit_test(test_damaged_streams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
