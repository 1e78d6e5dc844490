/* One scan of lossless JPEG (ITU-T T.81, annex H). What decides its speed is how long a code waits for the one before it: one
 * look into a table says how many bits code and difference take together, and what the difference is nobody waits for. Bytes
 * stuffed behind those of ones are taken out before. */
#include "image/jpeg_lossless.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define ALWAYS __attribute__((always_inline)) /* so that `predictor` is a constant in it */

/* What a code means: bits of code and difference together, of the code, 16 less those of the difference, and the difference's
 * mask, which is what a negative one lacks (F.2.2.1). */
enum { TOTAL = 0, LENGTH = 6, SPARE = 11, MASK = 16 };

enum { LOOK = PFM_JPEG_LOSSLESS_LOOK, ROW_PAD = 16 };

/* Bits that come next, the first the highest. */
typedef struct reader {
    const unsigned char *next;
    uint64_t held;
    unsigned count; /* how many of `held` are there */
    bool bad;       /* a code that is none came */
} reader;

/* ---- tables ---- */

static uint32_t describe(int length, int category)
{
    return (uint32_t)(length + category) << TOTAL | (uint32_t)length << LENGTH | (uint32_t)(16 - category) << SPARE |
           ((UINT32_C(1) << category) - 1) << MASK;
}

bool pfm_jpeg_lossless_fill(pfm_jpeg_lossless_table *table, const unsigned char *counts, const unsigned char *values)
{
    int32_t code = 0;
    int place = 0;
    *table = (pfm_jpeg_lossless_table){.defined = true};
    for (int length = 1; length <= 16; length++, code <<= 1) {
        table->first[length] = code;
        table->place[length] = place;
        for (int i = 0; i < counts[length - 1]; i++, place++, code++) {
            const int category = values[place];
            if (code >= 1 << length || category > 16)
                return false;
            table->values[place] = (unsigned char)category;
            if (length > LOOK || category == 16) /* 16 has no bits behind it (H.1.2.2) */
                continue;
            for (int32_t rest = 0; rest < 1 << (LOOK - length); rest++)
                table->fast[code << (LOOK - length) | rest] = describe(length, category);
        }
        table->last[length] = code - 1;
    }
    return place > 0;
}

/* ---- bits ---- */

/* At least 56 bits are held then. */
static inline ALWAYS void refill(reader *r)
{
    uint64_t word;
    memcpy(&word, r->next, sizeof word);
    r->held |= __builtin_bswap64(word) >> r->count;
    r->next += (63 - r->count) >> 3;
    r->count |= 56;
}

static inline ALWAYS void drop(reader *r, unsigned bits)
{
    r->held <<= bits;
    r->count -= bits;
}

static __attribute__((noinline)) int take_slowly(reader *r, const pfm_jpeg_lossless_table *t)
{
    refill(r);
    int length = 1;
    int32_t code = (int32_t)(r->held >> 63);
    while (length < 16 && (code > t->last[length] || code < t->first[length]))
        code = (int32_t)(r->held >> (64 - ++length));
    if (code > t->last[length] || code < t->first[length]) {
        r->bad = true;
        return 0;
    }
    const int category = t->values[t->place[length] + code - t->first[length]];
    drop(r, (unsigned)length);
    if (category == 0 || category == 16)
        return category == 16 ? 32768 : 0;
    const int bits = (int)(r->held >> (64 - category));
    drop(r, (unsigned)category);
    return bits < 1 << (category - 1) ? bits - (1 << category) + 1 : bits;
}

/* A difference; 25 bits must be held. */
static inline ALWAYS int take(reader *r, const pfm_jpeg_lossless_table *t)
{
    const uint32_t entry = t->fast[r->held >> (64 - LOOK)];
    if (__builtin_expect(entry == 0, 0)) {
        reader copy = *r; /* so that no address keeps r itself out of registers */
        const int difference = take_slowly(&copy, t);
        *r = copy;
        return difference;
    }
    const uint64_t rest = r->held << (entry >> LENGTH & 31);
    const uint32_t bits = (uint32_t)(rest >> 48) >> (entry >> SPARE & 31);
    const uint32_t lacks = entry >> MASK & ~(uint32_t)((int64_t)rest >> 63);
    drop(r, entry >> TOTAL & 63);
    return (int)(bits - lacks);
}

/* ---- rows ---- */

/* Table H.1. */
static inline ALWAYS int predict(int predictor, int a, int b, int c)
{
    switch (predictor) {
    case 1: return a;
    case 2: return b;
    case 3: return c;
    case 4: return a + b - c;
    case 5: return a + ((b - c) >> 1);
    case 6: return b + ((a - c) >> 1);
    default: return (a + b) >> 1;
    }
}

/* The samples behind the first of a row of one component. Returns the bits that any of them has. */
static inline ALWAYS unsigned take_row(reader *reading, const pfm_jpeg_lossless_table *t, uint16_t *line, const uint16_t *above,
                                       int width, int predictor)
{
    reader r = *reading; /* in registers */
    unsigned seen = line[0];
    int a = line[0], x = 1;
    for (; x + 1 < width; x += 2) {
        refill(&r);
        a = (predict(predictor, a, above[x], above[x - 1]) + take(&r, t)) & 0xFFFF;
        line[x] = (uint16_t)a;
        seen |= (unsigned)a;
        a = (predict(predictor, a, above[x + 1], above[x]) + take(&r, t)) & 0xFFFF;
        line[x + 1] = (uint16_t)a;
        seen |= (unsigned)a;
    }
    if (x < width) {
        refill(&r);
        a = (predict(predictor, a, above[x], above[x - 1]) + take(&r, t)) & 0xFFFF;
        line[x] = (uint16_t)a;
        seen |= (unsigned)a;
    }
    *reading = r;
    return seen;
}

typedef unsigned row_function(reader *, const pfm_jpeg_lossless_table *, uint16_t *, const uint16_t *, int);

#define ROW(predictor)                                                                                                         \
    static unsigned take_row_##predictor(reader *r, const pfm_jpeg_lossless_table *t, uint16_t *line, const uint16_t *above,   \
                                         int width)                                                                            \
    {                                                                                                                          \
        return take_row(r, t, line, above, width, predictor);                                                                  \
    }
ROW(1)
ROW(2)
ROW(3)
ROW(4)
ROW(5)
ROW(6)
ROW(7)
static row_function *const rows[] = {NULL, take_row_1, take_row_2, take_row_3, take_row_4, take_row_5, take_row_6, take_row_7};

/* The same of several components, whose samples stand beside each other. */
static unsigned take_mixed(reader *r, const pfm_jpeg_lossless_scan *s, int predictor, uint16_t *line, const uint16_t *above)
{
    const int count = s->components, end = s->width * count;
    unsigned seen = 0;
    for (int i = 0; i < count; i++)
        seen |= line[i];
    for (int at = count; at < end; at += count)
        for (int i = at; i < at + count; i++) {
            refill(r);
            line[i] = (uint16_t)(predict(predictor, line[i - count], above[i], above[i - count]) + take(r, s->tables[i - at]));
            seen |= line[i];
        }
    return seen;
}

/* A row; `top` is the first of all or behind a restart, where nothing is above (H.1.2.1). */
static bool take_any_row(reader *r, const pfm_jpeg_lossless_scan *s, bool top, uint16_t *line, const uint16_t *above)
{
    for (int i = 0; i < s->components; i++) {
        refill(r);
        line[i] = (uint16_t)((top ? 1 << (s->bits - s->shift - 1) : above[i]) + take(r, s->tables[i]));
    }
    const int predictor = top ? 1 : s->predictor;
    const unsigned seen =
        s->components == 1 ? rows[predictor](r, s->tables[0], line, above, s->width) : take_mixed(r, s, predictor, line, above);
    return !r->bad && seen >> (s->bits - s->shift) == 0;
}

static void put_row(const uint16_t *line, const pfm_jpeg_lossless_scan *s, int step, int bytes, unsigned char *out)
{
    const size_t count = (size_t)s->width * (size_t)s->components;
    if (bytes == 2 && step == s->components && s->shift == 0) {
        memcpy(out, line, count * 2);
        return;
    }
    for (int x = 0; x < s->width; x++, out += step * bytes)
        for (int i = 0; i < s->components; i++, line++) {
            const uint16_t value = (uint16_t)(*line << s->shift);
            if (bytes == 2)
                memcpy(out + 2 * i, &value, 2);
            else
                out[i] = (unsigned char)value;
        }
}

/* ---- segments ---- */

/* Copies what comes before the next marker, without zeros behind bytes of ones; *taken = bytes before it. Returns how many were
 * copied, or SIZE_MAX where there is no marker. */
static size_t unstuff(const unsigned char *from, size_t size, unsigned char *to, size_t *taken)
{
    size_t at = 0, made = 0;
    while (at + 1 < size) {
        const unsigned char *ones = memchr(from + at, 0xFF, size - 1 - at);
        if (ones == NULL)
            return SIZE_MAX;
        const size_t count = (size_t)(ones - from) - at;
        memcpy(to + made, from + at, count);
        made += count;
        at += count;
        *taken = at;
        if (ones[1] != 0)
            return made;
        to[made++] = 0xFF;
        at += 2;
    }
    return SIZE_MAX;
}

/* Where the decoder of a scan is. */
typedef struct place {
    const unsigned char *bytes;
    size_t size, at;
    unsigned char *plain; /* bits of a segment, with room for a row of the longest codes behind them */
    uint16_t *lines;      /* [2][width * components] */
    int row;
} place;

/* The rows between two restarts, of which the bits must be used up. */
static bool take_segment(place *p, const pfm_jpeg_lossless_scan *s, int count, int step, int bytes, unsigned char *out)
{
    const size_t length = (size_t)s->width * (size_t)s->components, pad = length * 4 + ROW_PAD;
    size_t taken = 0;
    const size_t have = unstuff(p->bytes + p->at, p->size - p->at, p->plain, &taken);
    if (have == SIZE_MAX)
        return false;
    memset(p->plain + have, 0, pad);
    p->at += taken;
    reader r = {.next = p->plain};
    size_t used = 0;
    for (int i = 0; i < count; i++, p->row++) {
        const uint16_t *above = p->lines + length * (size_t)((p->row + 1) % 2);
        uint16_t *line = p->lines + length * (size_t)(p->row % 2);
        if (!take_any_row(&r, s, i == 0, line, above))
            return false;
        put_row(line, s, step, bytes, out + (size_t)p->row * (size_t)s->width * (size_t)step * (size_t)bytes);
        used = (size_t)(r.next - p->plain) * 8 - r.count;
        if (used > have * 8)
            return false;
    }
    return have * 8 - used < 8;
}

bool pfm_jpeg_lossless_decode_scan(const unsigned char *bytes, size_t size, const pfm_jpeg_lossless_scan *scan, int step,
                                   int out_bytes, void *out, size_t *used)
{
    const size_t length = (size_t)scan->width * (size_t)scan->components;
    place p = {.bytes = bytes, .size = size};
    bool sound = pfm_allocate(size + length * 4 + ROW_PAD, 1, &p.plain, NULL) == PFM_OK &&
                 pfm_allocate(length * 2, sizeof *p.lines, &p.lines, NULL) == PFM_OK;
    for (int restarts = 0; sound && p.row < scan->height; restarts++) {
        const int left = scan->height - p.row;
        if (restarts > 0) {
            sound = p.size - p.at >= 2 && p.bytes[p.at + 1] == 0xD0 + (restarts - 1) % 8; /* RSTn */
            p.at += 2;
        }
        sound = sound && take_segment(&p, scan, scan->interval > 0 && scan->interval < left ? scan->interval : left, step,
                                      out_bytes, out);
    }
    *used = p.at;
    free(p.lines);
    free(p.plain);
    return sound;
}
