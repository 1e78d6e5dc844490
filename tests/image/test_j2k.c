/* Our decoder of JPEG 2000 against OpenJPEG, on pictures made at random and on damaged streams. */
#include "image/j2k.h"

#include "base/random.h"
#include "test.h"

#include <openjpeg.h>

enum { MOST_SIDE = 150, MOST_SAMPLES = MOST_SIDE * MOST_SIDE * 3, MOST_STREAM = 1 << 20 };

typedef struct memory {
    unsigned char bytes[MOST_STREAM];
    size_t size, at;
} memory;

typedef struct picture {
    int width, height, components, depth;
    bool is_signed;
    opj_cparameters_t how;
} picture;

static OPJ_SIZE_T put(void *from, OPJ_SIZE_T count, void *user)
{
    memory *m = user;
    assert_true(count <= MOST_STREAM - m->at);
    memcpy(m->bytes + m->at, from, count);
    m->at += count;
    m->size = m->at > m->size ? m->at : m->size;
    return count;
}

static OPJ_SIZE_T get(void *to, OPJ_SIZE_T count, void *user)
{
    memory *m = user;
    const size_t left = m->size - m->at;
    if (left == 0)
        return (OPJ_SIZE_T)-1;
    count = count < left ? count : left;
    memcpy(to, m->bytes + m->at, count);
    m->at += count;
    return count;
}

static OPJ_BOOL seek(OPJ_OFF_T place, void *user)
{
    memory *m = user;
    if (place < 0 || (size_t)place > m->size)
        return OPJ_FALSE;
    m->at = (size_t)place;
    return OPJ_TRUE;
}

static OPJ_OFF_T leap(OPJ_OFF_T count, void *user)
{
    memory *m = user;
    if (count < 0)
        return -1;
    const size_t left = m->size - m->at;
    m->at += (size_t)count < left ? (size_t)count : left;
    return count;
}

static opj_stream_t *open_memory(memory *m, bool reads)
{
    opj_stream_t *stream = opj_stream_create(1 << 16, reads);
    assert_non_null(stream);
    m->at = 0;
    opj_stream_set_user_data(stream, m, NULL);
    opj_stream_set_user_data_length(stream, m->size);
    opj_stream_set_read_function(stream, get);
    opj_stream_set_write_function(stream, put);
    opj_stream_set_seek_function(stream, seek);
    opj_stream_set_skip_function(stream, leap);
    return stream;
}

static void stay_silent(const char *message, void *user)
{
    (void)message;
    (void)user;
}

static uint32_t below(pfm_random *random, int bound) { return (uint32_t)pfm_random_below(random, (uint64_t)bound); }

static int larger(int a, int b) { return a > b ? a : b; }

static void make(picture *p, pfm_random *random)
{
    *p = (picture){.width = 1 + (int)below(random, MOST_SIDE), .height = 1 + (int)below(random, MOST_SIDE)};
    p->components = below(random, 3) == 0 ? 3 : 1;
    p->depth = 1 + (int)below(random, 16);
    p->is_signed = below(random, 3) == 0;
    opj_cparameters_t *h = &p->how;
    opj_set_default_encoder_parameters(h);
    const int smallest = p->width < p->height ? p->width : p->height;
    int most_levels = 0;
    while (most_levels < 6 && smallest >> most_levels > 1)
        most_levels++;
    const int wide = 2 + (int)below(random, 9), high = 2 + (int)below(random, larger(1, 11 - wide));
    h->cblockw_init = 1 << wide;
    h->cblockh_init = 1 << (high > 12 - wide ? 12 - wide : high);
    h->prog_order = (OPJ_PROG_ORDER)below(random, 5);
    h->irreversible = below(random, 3) == 0; /* of which OpenJPEG cannot write lone samples */
    h->numresolution = 1 + (int)below(random, h->irreversible ? larger(1, most_levels) : most_levels + 1);
    h->tcp_mct = (char)(p->components == 3 && p->depth > 1 && below(random, 2) == 0); /* 1 bit OpenJPEG writes wrongly */
    h->tcp_numlayers = 1 + (int)below(random, 4);
    h->cp_disto_alloc = 1;
    for (int i = 0; i < h->tcp_numlayers; i++)
        h->tcp_rates[i] = (float)(3 * (h->tcp_numlayers - i)) + (float)below(random, 3);
    if (below(random, 2) == 0)
        h->tcp_rates[h->tcp_numlayers - 1] = 0; /* all of it */
    if (!h->irreversible && below(random, 3) == 0) {
        h->tile_size_on = OPJ_TRUE;
        h->cp_tdx = larger(1 << h->numresolution, 20 + (int)below(random, 100));
        h->cp_tdy = larger(1 << h->numresolution, 20 + (int)below(random, 100));
    }
    if (!h->irreversible && below(random, 3) == 0)
        h->image_offset_x0 = h->image_offset_y0 = (int)below(random, 19);
}

/* Smooth, with edges and noise of any height. */
static void fill(const picture *p, opj_image_t *image, pfm_random *random)
{
    const int range = 1 << p->depth, noise = 1 << below(random, p->depth + 1), low = p->is_signed ? -range / 2 : 0;
    for (int c = 0; c < p->components; c++)
        for (int y = 0; y < p->height; y++)
            for (int x = 0; x < p->width; x++) {
                const int edge = (x / 17 + y / 23 + c) % 3 * (range / 4), slope = (x + y) * range / 600;
                int value = (int)(((long)edge + slope + (long)below(random, noise)) % range);
                image->comps[c].data[y * p->width + x] = low + value;
            }
}

/* false: some of what is drawn OpenJPEG cannot write. */
static bool encode(picture *p, memory *out, pfm_random *random)
{
    opj_image_cmptparm_t parts[3] = {{0}};
    for (int c = 0; c < p->components; c++)
        parts[c] = (opj_image_cmptparm_t){.dx = 1,
                                          .dy = 1,
                                          .w = (OPJ_UINT32)p->width,
                                          .h = (OPJ_UINT32)p->height,
                                          .prec = (OPJ_UINT32)p->depth,
                                          .sgnd = p->is_signed};
    opj_image_t *image =
        opj_image_create((OPJ_UINT32)p->components, parts, p->components == 3 ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_GRAY);
    assert_non_null(image);
    image->x0 = (OPJ_UINT32)p->how.image_offset_x0;
    image->y0 = (OPJ_UINT32)p->how.image_offset_y0;
    image->x1 = image->x0 + (OPJ_UINT32)p->width;
    image->y1 = image->y0 + (OPJ_UINT32)p->height;
    fill(p, image, random);
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_set_warning_handler(codec, stay_silent, NULL);
    opj_set_info_handler(codec, stay_silent, NULL);
    out->size = 0;
    assert_true(opj_setup_encoder(codec, &p->how, image));
    opj_stream_t *stream = open_memory(out, false);
    const bool written =
        opj_start_compress(codec, image, stream) && opj_encode(codec, stream) && opj_end_compress(codec, stream);
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(image);
    return written;
}

/* OpenJPEG's samples, beside each other; false where it refuses the stream. */
static bool decode_by_openjpeg(const picture *p, memory *in, int *out)
{
    opj_dparameters_t how;
    opj_image_t *image = NULL;
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    opj_stream_t *stream = open_memory(in, true);
    opj_set_default_decoder_parameters(&how);
    const bool read = opj_setup_decoder(codec, &how) && opj_decoder_set_strict_mode(codec, OPJ_TRUE) &&
                      opj_read_header(stream, codec, &image) && opj_decode(codec, stream, image) &&
                      image->numcomps == (OPJ_UINT32)p->components && image->comps[0].w == (OPJ_UINT32)p->width &&
                      image->comps[0].h == (OPJ_UINT32)p->height;
    for (int c = 0; read && c < p->components; c++)
        for (int i = 0; i < p->width * p->height; i++)
            out[i * p->components + c] = image->comps[c].data[i];
    opj_image_destroy(image);
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    return read;
}

/* The largest difference of what was decoded from OpenJPEG's. */
static int compare(const picture *p, const pfm_dicom_decoded *out, const int *wanted)
{
    int most = 0;
    for (int i = 0; i < p->width * p->height * p->components; i++) {
        const int raw = out->bytes == 1 ? ((const uint8_t *)out->data)[i] : ((const uint16_t *)out->data)[i];
        const int value = !out->is_signed ? raw : out->bytes == 1 ? (int8_t)raw : (int16_t)raw;
        most = larger(most, abs(value - wanted[i]));
    }
    return most;
}

static bool decode(const picture *p, const unsigned char *bytes, size_t size, pfm_threads *threads, pfm_dicom_decoded *out)
{
    const pfm_dicom_layout layout = {.rows = p->height, .columns = p->width, .samples = p->components};
    const pfm_dicom_stream in = {.name = "FILE", .layout = &layout, .threads = threads};
    *out = (pfm_dicom_decoded){0};
    return pfm_j2k_decode(&in, bytes, size, out);
}

/* The passes for any processor, for one without AVX-512, or for this one, unless the caller forces a level. */
static void choose_passes(int which)
{
    static const char *forced = NULL;
    static bool asked = false;
    if (!asked)
        forced = getenv("PEFOMED_CPU");
    asked = true;
    if (forced == NULL)
        assert_int_equal(which % 3 == 0   ? unsetenv("PEFOMED_CPU")
                         : which % 3 == 1 ? setenv("PEFOMED_CPU", "ref", 1)
                                          : setenv("PEFOMED_CPU", "avx2", 1),
                         0);
}

/* Every stream is taken; reversible ones have OpenJPEG's samples, others differ by one at most, which rounding may do. */
static void test_pictures_at_random(void **state)
{
    (void)state;
    static memory stream;
    static int wanted[MOST_SAMPLES];
    picture p;
    pfm_error err = PFM_ERROR_INIT;
    pfm_threads *threads = NULL;
    pfm_random random = pfm_random_start(3, 0);
    int unwritten = 0;
    assert_ok(pfm_threads_create(3, &threads, &err));
    for (int i = 0; i < 1200; i++) {
        pfm_dicom_decoded out, by_three;
        make(&p, &random);
        if (!encode(&p, &stream, &random)) {
            unwritten++;
            continue;
        }
        assert_true(decode_by_openjpeg(&p, &stream, wanted));
        choose_passes(i);
        const bool taken = decode(&p, stream.bytes, stream.size, NULL, &out);
        const int difference = taken ? compare(&p, &out, wanted) : 0;
        if (!taken || difference > (p.how.irreversible ? 1 : 0))
            fail_msg("picture %d (%d x %d at %d, %d of %d bits%s, %s, %d resolutions, blocks of %d x %d, order %d, %d layers, "
                     "tiles of %d x %d) %s: %d",
                     i, p.width, p.height, p.how.image_offset_x0, p.components, p.depth, p.is_signed ? ", signed" : "",
                     p.how.irreversible ? "9/7" : "5/3", p.how.numresolution, p.how.cblockw_init, p.how.cblockh_init,
                     p.how.prog_order, p.how.tcp_numlayers, p.how.cp_tdx, p.how.cp_tdy, taken ? "differs" : "is not taken",
                     difference);
        assert_int_equal(out.precision, p.depth);
        assert_int_equal(out.is_signed, p.is_signed);
        if (i % 10 == 0) {
            choose_passes(1);
            assert_true(decode(&p, stream.bytes, stream.size, threads, &by_three));
            assert_memory_equal(by_three.data, out.data,
                                (size_t)p.width * (size_t)p.height * (size_t)p.components * (size_t)out.bytes);
            free(by_three.data);
        }
        free(out.data);
    }
    pfm_threads_free(threads);
    assert_in_range(unwritten, 0, 60);
}

/* The longest blocks there are, of which the narrow have the most columns' ends. */
static void test_longest_blocks(void **state)
{
    (void)state;
    static memory stream;
    static int wanted[MOST_SAMPLES];
    pfm_random random = pfm_random_start(6, 0);
    for (int i = 0; i < 8; i++) {
        const bool wide = i % 2 == 0;
        picture p = {.width = wide ? 2100 : 13, .height = wide ? 13 : 2100, .components = 1, .depth = 12};
        pfm_dicom_decoded out;
        opj_set_default_encoder_parameters(&p.how);
        p.how.tcp_numlayers = 1;
        p.how.cp_disto_alloc = 1;
        p.how.numresolution = 1 + i / 4;
        p.how.cblockw_init = wide ? 1024 : 4;
        p.how.cblockh_init = wide ? 4 : 1024;
        assert_true(encode(&p, &stream, &random));
        assert_true(decode_by_openjpeg(&p, &stream, wanted));
        choose_passes(i / 2);
        assert_true(decode(&p, stream.bytes, stream.size, NULL, &out));
        assert_int_equal(compare(&p, &out, wanted), 0);
        free(out.data);
    }
}

/* Of a damaged stream nothing is taken that OpenJPEG refuses, or makes other samples of. */
static void test_damaged_streams(void **state)
{
    (void)state;
    static memory stream;
    static int wanted[MOST_SAMPLES];
    static unsigned char whole[MOST_STREAM];
    size_t size = 0;
    picture p;
    pfm_random random = pfm_random_start(4, 0);
    int taken = 0;
    for (int i = 0; i < 4000; i++) {
        if (i % 20 == 0) {
            do
                make(&p, &random);
            while (!encode(&p, &stream, &random));
            size = stream.size;
            memcpy(whole, stream.bytes, size);
        }
        memcpy(stream.bytes, whole, size);
        stream.size = below(&random, 3) == 0 ? below(&random, (int)size) + 1 : size;
        for (uint32_t n = below(&random, 3); n > 0; n--)
            stream.bytes[below(&random, (int)size)] ^= (unsigned char)(1 << below(&random, 8));
        unsigned char *exact = malloc(stream.size); /* so that a sanitizer sees what is read behind it */
        assert_non_null(exact);
        memcpy(exact, stream.bytes, stream.size);
        pfm_dicom_decoded out;
        choose_passes(i);
        if (decode(&p, exact, stream.size, NULL, &out)) {
            taken++;
            if (!decode_by_openjpeg(&p, &stream, wanted))
                fail_msg("OpenJPEG refuses stream %d", i);
            const int difference = compare(&p, &out, wanted);
            if (difference > (p.how.irreversible ? 1 : 0))
                fail_msg("stream %d differs by %d", i, difference);
        }
        free(out.data);
        free(exact);
    }
    print_message("%d of 4000 taken\n", taken);
    assert_in_range(taken, 500, 3500);
}

/* What is unusual is left to OpenJPEG, though it could be read. */
static void test_what_is_not_taken(void **state)
{
    (void)state;
    static memory stream;
    pfm_dicom_decoded out;
    pfm_random random = pfm_random_start(5, 0);
    picture p = {.width = 60, .height = 40, .components = 1, .depth = 12};
    opj_set_default_encoder_parameters(&p.how);
    p.how.tcp_numlayers = 1;
    p.how.cp_disto_alloc = 1;
    assert_true(encode(&p, &stream, &random));
    assert_true(decode(&p, stream.bytes, stream.size, NULL, &out));
    free(out.data);
    unsigned char *part = memmem(stream.bytes, stream.size, "\xFF\x90\0\x0A", 4);
    assert_non_null(part);
    part[11] = 0; /* how many there are is not said */
    part[10] = 1; /* the second part of a tile that has no first */
    assert_false(decode(&p, stream.bytes, stream.size, NULL, &out));
    part[10] = 0;
    part[11] = 2; /* one of two */
    assert_false(decode(&p, stream.bytes, stream.size, NULL, &out));
    part[11] = 1;
    part[9]++; /* a byte that no packet has */
    memcpy(stream.bytes + stream.size - 2, "\0\xFF\xD9", 3);
    assert_false(decode(&p, stream.bytes, stream.size + 1, NULL, &out));
    p.how.csty = 2; /* SOP */
    assert_true(encode(&p, &stream, &random));
    assert_false(decode(&p, stream.bytes, stream.size, NULL, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pictures_at_random), cmocka_unit_test(test_longest_blocks),
                                       cmocka_unit_test(test_damaged_streams), cmocka_unit_test(test_what_is_not_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
