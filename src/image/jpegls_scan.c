/* One scan of JPEG-LS (ITU-T T.87, annex A). What decides its speed is how long a sample waits for the one left of it: the
 * Golomb parameter of a context is computed when the context changes and not when it is used; the stuffed bits are taken out of
 * the whole scan first, so that any 57 bits are one load; what depends on noise is computed without branches. */
#include "image/jpegls.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define ALWAYS __attribute__((always_inline)) /* so that `lossless` is a constant in it */

enum {
    CONTEXTS = 365,
    PAD = 64,       /* zeros behind the scan's bits: no code is so long */
    LONG_CODE = 24, /* zeros that a usual code does not begin with */
    MOST_K = 16
};

/* A context of the regular mode (A.2): with what k and `flip` are next used. */
typedef struct context {
    int32_t a, b;
    int16_t c, n;
    uint8_t k;
    int8_t flip; /* -1 where errors of either sign have changed places (A.5.2), else 0 */
} context;
enum { CONTEXT = sizeof(context) };
_Static_assert(4 * CONTEXT <= INT8_MAX, "a step is counted in contexts' bytes");

/* One of the two of interrupted runs. */
typedef struct run_context {
    int a, n, negative;
} run_context;

typedef struct scan {
    const unsigned char *bits;                        /* without what was stuffed, PAD zeros behind */
    uint64_t at, end;                                 /* bits */
    int most, near, step, range, depth, limit, reset; /* depth: qbpp */
    const int8_t *steps;                              /* [-most..most]: a difference's step, -4..4, in bytes of contexts */
    int runs[3];                                      /* each component's RUNindex */
    context contexts[CONTEXTS];
    run_context interrupted[2];
} scan;

static const uint8_t run_bits[32] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,  2,  3,  3,  3,  3,
                                     4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* ---- bits ---- */

/* At least 57 bits from `at` on, the first the highest. */
static inline uint64_t peek_in(const unsigned char *bits, uint64_t at)
{
    uint64_t word;
    memcpy(&word, bits + (at >> 3), sizeof word);
    return __builtin_bswap64(word) << (at & 7);
}

static inline uint64_t peek(const scan *s, uint64_t at) { return peek_in(s->bits, at); }

static inline uint32_t take(scan *s, int count)
{
    const uint64_t word = peek(s, s->at);
    s->at += (uint64_t)count;
    return (uint32_t)(word >> 1 >> (63 - count));
}

/* A code of at most `limit` bits (A.5.3), or -1 where the bits end before it. */
static int take_code(scan *s, int k, int limit)
{
    const int most_zeros = limit - s->depth - 1;
    int zeros = 0;
    for (;;) {
        const uint64_t word = peek(s, s->at) >> 8; /* 56 bits that are there */
        if (word != 0) {
            const int more = __builtin_clzll(word) - 8;
            zeros += more;
            s->at += (uint64_t)more + 1;
            break;
        }
        zeros += 56;
        s->at += 56;
        if (s->at > s->end)
            return -1;
    }
    if (zeros > most_zeros || s->at > s->end)
        return -1;
    if (zeros == most_zeros)
        return (int)take(s, s->depth) + 1;
    return (int)((uint32_t)zeros << k | take(s, k));
}

/* Bytes before the marker that ends a scan. */
static size_t find_end(const unsigned char *bytes, size_t size)
{
    for (size_t at = 0; at + 1 < size;) {
        const unsigned char *found = memchr(bytes + at, 0xFF, size - 1 - at);
        if (found == NULL)
            return size;
        at = (size_t)(found - bytes);
        if (bytes[at + 1] >= 0x80)
            return at;
        at++;
    }
    return size;
}

static inline bool has_ones(uint32_t four) { return ((~four - 0x01010101U) & four & 0x80808080U) != 0; }

/* Copies the scan's bits without the one that follows each byte of ones; returns how many. */
static uint64_t unstuff(const unsigned char *from, size_t size, unsigned char *to)
{
    uint64_t held = 0, bits = 0; /* the lowest `count` of `held` are not written yet */
    int count = 0, width = 8;
    for (size_t i = 0; i < size;) {
        uint32_t four = UINT32_MAX;
        if (size - i >= 4)
            memcpy(&four, from + i, sizeof four);
        if (width == 8 && !has_ones(four)) {
            const uint32_t word = __builtin_bswap32((uint32_t)(held << (32 - count) | __builtin_bswap32(four) >> count));
            memcpy(to, &word, sizeof word);
            held = __builtin_bswap32(four);
            to += 4;
            i += 4;
            bits += 32;
            continue;
        }
        held = held << width | from[i];
        count += width;
        bits += (uint64_t)width;
        width = from[i++] == 0xFF ? 7 : 8;
        if (count >= 32) {
            count -= 32;
            const uint32_t word = __builtin_bswap32((uint32_t)(held >> count));
            memcpy(to, &word, sizeof word);
            to += 4;
        }
    }
    const uint64_t last = __builtin_bswap64(count > 0 ? held << (64 - count) : 0);
    memcpy(to, &last, sizeof last);
    return bits;
}

/* ---- contexts ---- */

static inline int absolute(int value) { return value < 0 ? -value : value; }
static inline int least_of(int a, int b) { return a < b ? a : b; }
static inline int most_of(int a, int b) { return a > b ? a : b; }

/* The least k for which n * 2^k is not below a (A.5.1), n > 0. */
static inline int find_k(uint32_t a, uint32_t n)
{
    const int k = most_of(__builtin_clz(n) - __builtin_clz(a | 1), 0);
    return least_of(k + (((uint64_t)n << k) < a ? 1 : 0), MOST_K);
}

/* A.6, without branches on noise: that counts are halved, a correction is at its end, or k is another than before is rare. */
static inline ALWAYS void learn(context *q, int error, int scaled, int reset, bool lossless)
{
    int a = q->a + absolute(error), b = q->b + scaled, n = q->n, k = q->k;
    if (__builtin_expect(n == reset, 0)) {
        a >>= 1;
        b >>= 1;
        n >>= 1;
    }
    n++;
    const int drift = (b > 0) - (b + n <= 0), c = q->c + drift;
    b = most_of(least_of(b - n * drift, 0), 1 - n);
    q->a = a;
    q->b = b;
    q->n = (int16_t)n;
    if (__builtin_expect(c == (int8_t)c, 1))
        q->c = (int16_t)c;
    const uint64_t reach = (uint64_t)n << k, sum = (uint32_t)a; /* at least a, and for the k before it below */
    if (__builtin_expect(reach - sum >= sum, 0) && (k > 0 || reach < sum))
        q->k = (uint8_t)(k = find_k((uint32_t)a, (uint32_t)n));
    q->flip = (int8_t)(lossless && k == 0 && 2 * b <= -n ? -1 : 0);
}

/* ---- samples ---- */

static inline int clip(int value, int most) { return value < 0 ? 0 : value > most ? most : value; }

/* A.4.5 and A.5.4 of an error that is not modulo all values: where it goes round is rare. */
static inline int correct(const scan *s, int value)
{
    if (__builtin_expect((unsigned)(value + s->near) > (unsigned)(s->most + 2 * s->near), 0))
        value += value < 0 ? s->range * s->step : -s->range * s->step;
    return clip(value, s->most);
}

static inline int predict(int a, int b, int c)
{
    const int low = least_of(a, b), high = most_of(a, b);
    return most_of(least_of(a + b - c, high), low); /* the middle one of a, b and a + b - c */
}

/* What a line has in registers. */
typedef struct fixed {
    const unsigned char *bits;
    int most, most_zeros, most_coded, reset; /* most_zeros: of a usual code */
} fixed;

/* A sample of the regular mode (A.4 to A.6), -1 where the bits cannot be one; `sign` is -1 where the context is that of the
 * opposite differences, else 0. *at is where its bits begin, in a register and not in s. */
static inline ALWAYS int take_sample(scan *s, const fixed *f, uint64_t *at, context *q, int sign, int guess, bool lossless)
{
    const int k = q->k, turn = q->flip ^ sign;
    guess += (q->c ^ sign) - sign;
    if (__builtin_expect((unsigned)guess > (unsigned)f->most, 0))
        guess = clip(guess, f->most);
    const uint64_t word = peek_in(f->bits, *at);
    const int zeros = __builtin_clzll(word | 1);
    int coded = (int)(((uint32_t)(zeros - 1) << k) + (uint32_t)(word << zeros >> (63 - k))); /* the one behind them is in it */
    if (__builtin_expect(zeros >= f->most_zeros, 0)) {
        s->at = *at;
        coded = take_code(s, k, s->limit);
        *at = s->at;
        if (coded < 0)
            return -1;
    } else {
        *at += (uint64_t)(zeros + 1 + k);
    }
    if (__builtin_expect(coded > f->most_coded, 0))
        return -1;
    const int turned = (coded >> 1 ^ -(coded & 1)) ^ turn; /* the error of the opposite sign is this and one more */
    const int error = turned ^ sign, scaled = lossless ? error : error * s->step;
    learn(q, error, scaled, f->reset, lossless);
    return lossless ? (turned + (guess - sign)) & f->most : correct(s, guess + (scaled ^ sign) - sign);
}

/* The sample that ends a run (A.7.2). */
static int take_interruption(scan *s, int run, int a, int b, bool lossless)
{
    const int type = absolute(a - b) <= s->near ? 1 : 0;
    run_context *q = &s->interrupted[type];
    const int k = find_k((uint32_t)(q->a + (type != 0 ? q->n >> 1 : 0)), (uint32_t)q->n);
    const int coded = take_code(s, k, s->limit - run_bits[run] - 1);
    if (coded < 0 || coded > 2 * s->range)
        return -1;
    const int both = coded + type, odd = both & 1, size = (both + odd) / 2;
    const bool negative = (k != 0 || 2 * q->negative >= q->n) == (odd != 0);
    const int error = negative ? -size : size;
    q->negative += error < 0 ? 1 : 0;
    q->a += (coded + 1 - type) >> 1;
    if (q->n == s->reset) {
        q->a >>= 1;
        q->n >>= 1;
        q->negative >>= 1;
    }
    q->n++;
    const int value = (type != 0 ? a : b) + (type == 0 && b < a ? -error : error) * s->step;
    return lossless ? value & s->most : correct(s, value);
}

/* A run from `x` on and what ends it (A.7.1); the next place, or -1. */
static int take_run(scan *s, int *index, uint16_t *line, const uint16_t *above, int x, int width, bool lossless)
{
    const int begin = x;
    while (take(s, 1) != 0) {
        const int count = least_of(1 << run_bits[*index], width - x);
        x += count;
        if (count == 1 << run_bits[*index] && *index < 31)
            (*index)++;
        if (x == width)
            break;
    }
    if (x < width)
        x += (int)take(s, run_bits[*index]);
    if (x > width || s->at > s->end)
        return -1;
    const uint16_t a = line[begin - 1];
    for (int i = begin; i < x; i++)
        line[i] = a;
    if (x == width)
        return x;
    const int value = take_interruption(s, *index, a, above[x], lossless);
    if (value < 0)
        return -1;
    line[x] = (uint16_t)value;
    *index -= *index > 0 ? 1 : 0;
    return x + 1;
}

static inline context *context_at(scan *s, ptrdiff_t bytes) { return (context *)(void *)((char *)s->contexts + bytes); }

/* The step of a difference, in bytes of contexts. */
static inline ptrdiff_t step_of(const int8_t *steps, ptrdiff_t difference) { return (int)steps[difference]; }

/* A line below another; both have a place before the first sample and one behind the last. What the samples above say of the
 * context is known before the one at the left is, and mostly also its sign (A.3.4): then nothing but a step is waited for. */
static inline ALWAYS bool take_line(scan *s, int *index, uint16_t *line, const uint16_t *above, int width, bool lossless)
{
    const int8_t *steps = s->steps;
    const fixed f = {s->bits, s->most, least_of(LONG_CODE, s->limit - s->depth - 1), 2 * s->range, s->reset};
    uint64_t at = s->at;
    ptrdiff_t a = above[0];
    line[-1] = above[0];
    ptrdiff_t b = above[0], c = above[-1],
              step = step_of(steps, b - c); /* of b - c; what is d now is b for the next, and b is c */
    for (int x = 0; x < width;) {
        const ptrdiff_t d = above[x + 1], next = step_of(steps, d - b), of_above = 81 * next + 9 * step;
        ptrdiff_t sign = of_above >> 31, place = (of_above ^ sign) - sign;
        if (of_above != 0) {
            place += step_of(steps, (c ^ sign) - (a ^ sign));
        } else {
            place = step_of(steps, c - a);
            if (place == 0) {
                s->at = at;
                x = take_run(s, index, line, above, x, width, lossless);
                if (x < 0)
                    return false;
                at = s->at;
                a = line[x - 1];
                b = above[x];
                c = above[x - 1];
                step = step_of(steps, b - c);
                continue;
            }
            sign = place >> 31;
            place = (place ^ sign) - sign;
        }
        context *q = context_at(s, place);
        a = take_sample(s, &f, &at, q, (int)sign, predict((int)a, (int)b, (int)c), lossless);
        if (a < 0)
            return false;
        line[x++] = (uint16_t)a;
        c = b;
        b = d;
        step = next;
    }
    s->at = at;
    line[width] = line[width - 1];
    return true;
}

static bool take_lossless(scan *s, int *index, uint16_t *line, const uint16_t *above, int width)
{
    return take_line(s, index, line, above, width, true);
}

static bool take_other(scan *s, int *index, uint16_t *line, const uint16_t *above, int width)
{
    return take_line(s, index, line, above, width, false);
}

/* ---- the scan ---- */

static void put_line(const uint16_t *line, int width, int step, int bytes, unsigned char *out)
{
    if (bytes == 2 && step == 1) {
        memcpy(out, line, (size_t)width * 2);
        return;
    }
    for (size_t i = 0; i < (size_t)width; i++) {
        if (bytes == 2)
            memcpy(out + i * (size_t)step * 2, &line[i], 2);
        else
            out[i * (size_t)step] = (unsigned char)line[i];
    }
}

/* The steps of the differences -most..most (A.3.3). */
static void fill_steps(const pfm_jpegls_preset *p, int8_t *steps)
{
    const int begin[] = {0, p->near + 1, p->t1, p->t2, p->t3, p->most + 1};
    int8_t *zero = steps + p->most;
    for (int step = 0; step < 5; step++) {
        const int from = begin[step], count = begin[step + 1] - from;
        memset(zero + from, step * CONTEXT, (size_t)count);
        memset(zero - from - count + 1, -step * CONTEXT, (size_t)count);
    }
}

static int bits_of(int most)
{
    int bits = 0;
    while (bits < 17 && 1 << bits <= most)
        bits++;
    return bits;
}

/* A.2.1 */
static void begin_scan(scan *s, const pfm_jpegls_preset *p)
{
    s->most = p->most;
    s->near = p->near;
    s->step = 2 * p->near + 1;
    s->range = (p->most + 2 * p->near) / s->step + 1;
    s->depth = bits_of(s->range - 1);
    const int bits = most_of(2, bits_of(p->most));
    s->limit = 2 * (bits + most_of(8, bits));
    s->reset = p->reset;
    const int a = most_of(2, (s->range + 32) / 64);
    for (int i = 0; i < CONTEXTS; i++)
        s->contexts[i] = (context){.a = a, .n = 1, .k = (uint8_t)find_k((uint32_t)a, 1)};
    s->interrupted[0] = s->interrupted[1] = (run_context){.a = a, .n = 1};
}

static bool decode_lines(scan *s, uint16_t *lines, int width, int height, int components, int bytes, unsigned char *out)
{
    const size_t stride = (size_t)width + 2, row = (size_t)width * (size_t)components * (size_t)bytes;
    const bool lossless = s->near == 0; /* the largest value is all ones */
    for (int y = 0; y < height; y++)
        for (int c = 0; c < components; c++) {
            uint16_t *line = lines + stride * (size_t)(2 * c + y % 2) + 1,
                     *above = lines + stride * (size_t)(2 * c + 1 - y % 2) + 1;
            if (!(lossless ? take_lossless : take_other)(s, &s->runs[c], line, above, width))
                return false;
            put_line(line, width, components, bytes, out + (size_t)y * row + (size_t)(c * bytes));
        }
    return true;
}

bool pfm_jpegls_decode_scan(const unsigned char *bytes, size_t size, const pfm_jpegls_preset *preset, int width, int height,
                            int components, int out_bytes, void *out, size_t *used)
{
    const size_t length = find_end(bytes, size);
    scan *s = NULL;
    unsigned char *bits = NULL;
    uint16_t *lines = NULL;
    int8_t *steps = NULL;
    bool sound = length < size && width > 0 && pfm_allocate(1, sizeof *s, &s, NULL) == PFM_OK &&
                 pfm_allocate(length + PAD, 1, &bits, NULL) == PFM_OK &&
                 pfm_allocate(((size_t)width + 2) * 2 * (size_t)components, sizeof *lines, &lines, NULL) == PFM_OK &&
                 pfm_allocate(2 * (size_t)preset->most + 1, 1, &steps, NULL) == PFM_OK;
    if (sound) {
        fill_steps(preset, steps);
        s->steps = steps + preset->most;
        s->bits = bits;
        s->end = unstuff(bytes, length, bits);
        begin_scan(s, preset);
        sound = decode_lines(s, lines, width, height, components, out_bytes, out);
        /* What is left fills the last byte with zeros. */
        sound = sound && s->at <= s->end && s->end - s->at < 8 && peek(s, s->at) == 0;
        *used = length;
    }
    free(steps);
    free(lines);
    free(bits);
    free(s);
    return sound;
}
