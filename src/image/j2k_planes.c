/* Blocks of JPEG 2000 from their bits (ITU-T T.800, annexes C and D). What slows this down are branches that nothing foresees,
 * since every symbol is news. So symbols are found by masks, four rows of a column are one word, which knows the column's
 * neighbours, and which of the rows a pass visits is found for all four at once. */
#include "image/j2k_parts.h"

#include <stdlib.h>
#include <string.h>

#define ALWAYS __attribute__((always_inline))

/* A context's state is a word: its Qe in the highest 16 bits, in the lowest byte its more probable symbol, and in the next two
 * the numbers of the states that come after each symbol, the more probable first. */
typedef uint64_t state;

#define QE(state) ((state)&UINT64_C(0xFFFF) << 48)

enum { ZERO = 0, SIGN = 9, REFINE = 14, RUN = 17, UNIFORM = 18, CONTEXTS = 19 };

/* The decoder's registers; a pass holds them in a copy of its own, so that they stay in the processor's. */
typedef struct coder {
    uint64_t a, c; /* the interval; the code's highest 16 bits, and those that follow them */
    int have;      /* of which there are so many */
    const unsigned char *at;
} coder;

/* A word of four rows. Row r of a column: bits 3 r to 3 r + 8 are the significance of the nine around it, by rows; behind them,
 * in the same steps, whether it was visited in this plane, was refined before, and its sign, which is also kept of the row
 * above and the row below. */
#define BIT(i) (UINT64_C(1) << (i))
#define AROUND UINT64_C(0x1EF)
#define SELF BIT(4)
#define VISITED BIT(20)
#define REFINED BIT(21)
#define NEGATIVE BIT(22)
#define ALL_AROUND UINT64_C(0x3FFFF)
#define ALL_SELF (BIT(4) | BIT(7) | BIT(10) | BIT(13))
#define ALL_VISITED (ALL_SELF << 16)

enum { MOST_WORDS = (J2K_MOST_BLOCK / 4 + 2) * 6 + 64, SENTINEL = 2 };

struct j2k_scratch {
    coder coder;
    state contexts[CONTEXTS];
    uint8_t zero_of[3][512], sign_of[256]; /* contexts; of signs with what turns the symbol in the highest bit */
    uint64_t words[MOST_WORDS];
    uint32_t values[J2K_MOST_BLOCK];
    unsigned char *bytes;
    size_t capacity;
};

/* ---- tables ---- */

#define ROW(own, q, mps, lps, turn)                                                                                            \
    UINT64_C(q) << 48 | 2 * (own) | (2 * (mps)) << 8 | (2 * (lps) + (turn)) << 16,                                             \
        UINT64_C(q) << 48 | (2 * (own) + 1) | (2 * (mps) + 1) << 8 | (2 * (lps) + 1 - (turn)) << 16

/* Table C.2. */
static const state states[] = {
    ROW(0, 0x5601, 1, 1, 1),    ROW(1, 0x3401, 2, 6, 0),    ROW(2, 0x1801, 3, 9, 0),    ROW(3, 0x0AC1, 4, 12, 0),
    ROW(4, 0x0521, 5, 29, 0),   ROW(5, 0x0221, 38, 33, 0),  ROW(6, 0x5601, 7, 6, 1),    ROW(7, 0x5401, 8, 14, 0),
    ROW(8, 0x4801, 9, 14, 0),   ROW(9, 0x3801, 10, 14, 0),  ROW(10, 0x3001, 11, 17, 0), ROW(11, 0x2401, 12, 18, 0),
    ROW(12, 0x1C01, 13, 20, 0), ROW(13, 0x1601, 29, 21, 0), ROW(14, 0x5601, 15, 14, 1), ROW(15, 0x5401, 16, 14, 0),
    ROW(16, 0x5101, 17, 15, 0), ROW(17, 0x4801, 18, 16, 0), ROW(18, 0x3801, 19, 17, 0), ROW(19, 0x3401, 20, 18, 0),
    ROW(20, 0x3001, 21, 19, 0), ROW(21, 0x2801, 22, 19, 0), ROW(22, 0x2401, 23, 20, 0), ROW(23, 0x2201, 24, 21, 0),
    ROW(24, 0x1C01, 25, 22, 0), ROW(25, 0x1801, 26, 23, 0), ROW(26, 0x1601, 27, 24, 0), ROW(27, 0x1401, 28, 25, 0),
    ROW(28, 0x1201, 29, 26, 0), ROW(29, 0x1101, 30, 27, 0), ROW(30, 0x0AC1, 31, 28, 0), ROW(31, 0x09C1, 32, 29, 0),
    ROW(32, 0x08A1, 33, 30, 0), ROW(33, 0x0521, 34, 31, 0), ROW(34, 0x0441, 35, 32, 0), ROW(35, 0x02A1, 36, 33, 0),
    ROW(36, 0x0221, 37, 34, 0), ROW(37, 0x0141, 38, 35, 0), ROW(38, 0x0111, 39, 36, 0), ROW(39, 0x0085, 40, 37, 0),
    ROW(40, 0x0049, 41, 38, 0), ROW(41, 0x0025, 42, 39, 0), ROW(42, 0x0015, 43, 40, 0), ROW(43, 0x0009, 44, 41, 0),
    ROW(44, 0x0005, 45, 42, 0), ROW(45, 0x0001, 45, 43, 0), ROW(46, 0x5601, 46, 46, 0),
};

/* Table D.1, of so many significant beside, above and below, and diagonally. */
static int zero_context(int kind, int h, int v, int d)
{
    if (kind == 3) {
        const int both = h + v;
        if (d >= 3)
            return 8;
        return d == 2 ? (both >= 1 ? 7 : 6) : d == 1 ? 3 + (both > 2 ? 2 : both) : both > 2 ? 2 : both;
    }
    const int first = kind == 1 ? v : h, second = kind == 1 ? h : v;
    if (first == 2)
        return 8;
    if (first == 1)
        return second >= 1 ? 7 : d >= 1 ? 6 : 5;
    return second == 2 ? 4 : second == 1 ? 3 : d >= 2 ? 2 : d;
}

static int contribution(bool significant, bool negative) { return !significant ? 0 : negative ? -1 : 1; }

static int limit_one(int value) { return value > 1 ? 1 : value < -1 ? -1 : value; }

/* Table D.3, of neighbours as take_sign puts them together. */
static uint8_t sign_context(int i)
{
    static const uint8_t contexts[3][3] = {{13 | 128, 12 | 128, 11 | 128}, {10 | 128, 9, 10}, {11, 12, 13}};
    const int v = limit_one(contribution(i >> 1 & 1, i & 1) + contribution(i >> 7 & 1, i >> 2 & 1)),
              h = limit_one(contribution(i >> 3 & 1, i >> 4 & 1) + contribution(i >> 5 & 1, i >> 6 & 1));
    return contexts[h + 1][v + 1];
}

j2k_scratch *pfm_j2k_scratch_create(void)
{
    j2k_scratch *s = NULL;
    if (pfm_allocate(1, sizeof *s, &s, NULL) != PFM_OK)
        return NULL;
    static const int kinds[] = {0, 1, 3};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 512; i++) {
            const int h = (i >> 3 & 1) + (i >> 5 & 1), v = (i >> 1 & 1) + (i >> 7 & 1),
                      d = (i & 1) + (i >> 2 & 1) + (i >> 6 & 1) + (i >> 8 & 1);
            s->zero_of[k][i] = (uint8_t)zero_context(kinds[k], h, v, d);
        }
    for (int i = 0; i < 256; i++)
        s->sign_of[i] = sign_context(i);
    return s;
}

void pfm_j2k_scratch_free(j2k_scratch *scratch)
{
    if (scratch != NULL)
        free(scratch->bytes);
    free(scratch);
}

/* ---- the arithmetic decoder (annex C) ---- */

/* Bytes into the code, as many as it holds; behind the end are ones. A byte behind one of ones brings seven bits, and a carry
 * where its highest is set, for which all before it have to be gone. */
static void refill(coder *m)
{
    while (m->have <= 40) {
        const bool stuffed = m->at[0] == 0xFF;
        if (stuffed && m->at[1] > 0x8F) {
            m->c += UINT64_C(0xFF) << (40 - m->have);
            m->have += 8;
            continue;
        }
        if (stuffed && m->at[1] >= 0x80 && m->have > 0)
            return;
        m->at++;
        m->c += (uint64_t)*m->at << (stuffed ? 41 - m->have : 40 - m->have);
        m->have += stuffed ? 7 : 8;
    }
}

static void begin_code(j2k_scratch *s, const unsigned char *bytes)
{
    for (int i = 0; i < CONTEXTS; i++)
        s->contexts[i] = states[i == ZERO ? 2 * 4 : i == RUN ? 2 * 3 : i == UNIFORM ? 2 * 46 : 0];
    coder m = {.a = BIT(63), .c = (uint64_t)bytes[0] << 48, .at = bytes};
    refill(&m);
    m.c <<= 7;
    m.have -= 7;
    s->coder = m;
}

static __attribute__((noinline)) coder shift_slowly(coder m, int count)
{
    while (count > 0) {
        if (m.have == 0)
            refill(&m);
        const int now = count < m.have ? count : m.have;
        m.a <<= now;
        m.c <<= now;
        m.have -= now;
        count -= now;
    }
    return m;
}

/* A symbol, without branches but for bytes (figures C.15 to C.18). */
static inline ALWAYS int take(coder *m, state *context)
{
    const state of = *context;
    const uint64_t qe = QE(of), left = m->a - qe, low = m->c < qe ? UINT64_MAX : 0, small = left < qe ? UINT64_MAX : 0,
                   other = low ^ small, moves = low | ~(uint64_t)((int64_t)left >> 63);
    *context = states[of >> ((8 + (other & 8)) & moves) & 127];
    m->a = left ^ ((left ^ qe) & low);
    m->c -= qe & ~low;
    const int count = __builtin_clzll(m->a);
    if (__builtin_expect(count > m->have, 0)) {
        *m = shift_slowly(*m, count);
    } else {
        m->a <<= count;
        m->c <<= count;
        m->have -= count;
    }
    return (int)((of ^ other) & 1);
}

/* A symbol of a context whose more probable one is most likely to move nothing. */
static inline ALWAYS int take_likely(coder *m, state *context)
{
    const state of = *context;
    const uint64_t qe = QE(of), left = m->a - qe;
    if (m->c < qe || left < BIT(63))
        return take(m, context);
    m->a = left;
    m->c -= qe;
    return (int)(of & 1);
}

/* ---- passes (annex D) ---- */

/* A pass: over what, and the half of its plane's bit, in values' doubles. */
typedef struct pass {
    int width, height;
    uint32_t half;
    const uint8_t *zero_of;
} pass;

/* Four rows of a column: their word, which is at `at`, the values, and of which rows there are the SELF bits. */
typedef struct column {
    uint64_t *at, here;
    size_t stride, width;
    uint32_t *values;
    uint64_t rows;
} column;

/* Where a row's value is; `shift` is 3 r. */
static inline ALWAYS uint32_t *value_of(const column *p, int shift) { return p->values + (size_t)(shift * 3 >> 3) * p->width; }

static inline ALWAYS uint32_t take_sign(j2k_scratch *s, coder *m, const column *p, int shift)
{
    const uint64_t here = p->here >> shift, west = p->at[-1] >> shift, east = p->at[1] >> shift;
    const size_t i = (here & 0xAA) | (here >> 19 & 1) | (here >> 25 & 1) << 2 | (west >> 22 & 1) << 4 | (east >> 22 & 1) << 6;
    const uint8_t of = s->sign_of[i];
    return (uint32_t)take(m, &s->contexts[of & 127]) ^ of >> 7;
}

/* A sample becomes significant, and all around it are told, in other words where its row is the first or last of four. */
static inline ALWAYS void become(j2k_scratch *s, coder *m, const pass *now, column *p, int shift)
{
    const uint64_t sign = take_sign(s, m, p, shift), first = shift == 0 ? UINT64_MAX : 0, last = shift == 9 ? UINT64_MAX : 0;
    uint64_t *above = p->at - p->stride, *below = p->at + p->stride;
    *value_of(p, shift) = (uint32_t)sign << 31 | now->half * 3;
    p->here |= (SELF | sign << 22) << shift;
    p->at[-1] |= BIT(5) << shift;
    p->at[1] |= BIT(3) << shift;
    above[-1] |= BIT(17) & first;
    above[0] |= (BIT(16) | sign << 34) & first;
    above[1] |= BIT(15) & first;
    below[-1] |= BIT(2) & last;
    below[0] |= (BIT(1) | sign << 19) & last;
    below[1] |= BIT(0) & last;
}

/* The SELF bits of the rows that have a significant neighbour. */
static inline ALWAYS uint64_t find_neighboured(uint64_t here)
{
    const uint64_t each = BIT(0) | BIT(3) | BIT(6) | BIT(9) | BIT(12) | BIT(15), around = here & ALL_AROUND;
    const uint64_t sides = (around | around >> 2) & each, any = (sides | around >> 1) & each;
    return (any << 4 | any >> 2 | sides << 1) & ALL_SELF;
}

static inline ALWAYS void significance_column(j2k_scratch *s, coder *m, const pass *now, column *p)
{
    uint64_t which = find_neighboured(p->here) & ~p->here & p->rows;
    while (which != 0) {
        const int shift = __builtin_ctzll(which) - 4;
        which &= which - 1;
        p->here |= VISITED << shift;
        if (take(m, &s->contexts[now->zero_of[p->here >> shift & AROUND]]) != 0) {
            become(s, m, now, p, shift);
            which |= SELF << (shift + 3) & ~p->here & p->rows; /* the next row has a neighbour now */
        }
        *p->at = p->here;
    }
}

static inline ALWAYS void refinement_column(j2k_scratch *s, coder *m, const pass *now, column *p)
{
    const uint32_t half = now->half;
    uint64_t which = p->here & ~(p->here >> 16) & ALL_SELF;
    *p->at = p->here | which << 17;
    while (which != 0) {
        const int shift = __builtin_ctzll(which) - 4;
        which &= which - 1;
        const unsigned refined = (unsigned)(p->here >> shift >> 21) & 1, around = (p->here >> shift & AROUND) != 0;
        const uint32_t bit = (uint32_t)take(m, &s->contexts[REFINE + (around >> refined | refined << 1)]);
        *value_of(p, shift) += (half << 1 & (0 - bit)) - half;
    }
}

static inline ALWAYS void cleanup_column(j2k_scratch *s, coder *m, const pass *now, column *p)
{
    uint64_t which = ~(p->here | p->here >> 16) & p->rows;
    if (p->rows == ALL_SELF && (p->here & ALL_AROUND) == 0) {
        if (take_likely(m, &s->contexts[RUN]) == 0)
            return;
        int row = take(m, &s->contexts[UNIFORM]) << 1;
        row |= take(m, &s->contexts[UNIFORM]);
        become(s, m, now, p, 3 * row);
        which &= ~UINT64_C(0) << (3 * row + 5);
    }
    while (which != 0) {
        const int shift = __builtin_ctzll(which) - 4;
        which &= which - 1;
        if (take(m, &s->contexts[now->zero_of[p->here >> shift & AROUND]]) != 0)
            become(s, m, now, p, shift);
    }
    *p->at = p->here & ~ALL_VISITED;
}

/* A pass over all columns; `do_column` is one of the three above. */
#define PASS_OVER(do_column)                                                                                                   \
    coder m = s->coder;                                                                                                        \
    const size_t stride = (size_t)now->width + 2;                                                                              \
    for (int y = 0; y < now->height; y += 4) {                                                                                 \
        const int rows = now->height - y < 4 ? now->height - y : 4;                                                            \
        column p = {.stride = stride, .width = (size_t)now->width, .rows = ALL_SELF & (BIT(3 * rows + 4) - 1)};                \
        p.at = s->words + (size_t)(y / 4 + 1) * stride + 1;                                                                    \
        p.values = s->values + (size_t)y * (size_t)now->width;                                                                 \
        for (int x = 0; x < now->width; x++, p.at++, p.values++) {                                                             \
            p.here = *p.at;                                                                                                    \
            do_column(s, &m, now, &p);                                                                                         \
        }                                                                                                                      \
    }                                                                                                                          \
    s->coder = m

static void pass_significance(j2k_scratch *s, const pass *now) { PASS_OVER(significance_column); }
static void pass_refinement(j2k_scratch *s, const pass *now) { PASS_OVER(refinement_column); }
static void pass_cleanup(j2k_scratch *s, const pass *now) { PASS_OVER(cleanup_column); }

const uint32_t *pfm_j2k_decode_planes(j2k_scratch *scratch, unsigned char *bytes, size_t size, int kind, int width, int height,
                                      int planes, int passes)
{
    j2k_scratch *s = scratch;
    memset(s->words, 0, ((size_t)width + 2) * ((size_t)(height + 3) / 4 + 2) * sizeof *s->words);
    memset(s->values, 0, (size_t)width * (size_t)height * sizeof *s->values);
    bytes[size] = bytes[size + 1] = 0xFF; /* SENTINEL */
    begin_code(s, bytes);
    pass now = {.width = width, .height = height, .zero_of = s->zero_of[kind == 3 ? 2 : kind == 1 ? 1 : 0]};
    for (int i = 2; i < passes + 2; i++) { /* the first plane has a cleanup alone */
        now.half = UINT32_C(1) << (planes - i / 3 - 1);
        (i % 3 == 0 ? pass_significance : i % 3 == 1 ? pass_refinement : pass_cleanup)(s, &now);
    }
    return s->values;
}

/* ---- a block ---- */

bool pfm_j2k_scratch_reserve(j2k_scratch *scratch, size_t size)
{
    return pfm_array_reserve(&scratch->bytes, &scratch->capacity, size + SENTINEL, 1, NULL) == PFM_OK;
}

static void gather(j2k_scratch *s, const j2k_tile *tile, const j2k_block *block)
{
    size_t size = 0;
    for (int i = block->first; i >= 0; i = tile->chunks[i].next) {
        memcpy(s->bytes + size, tile->bytes + tile->chunks[i].at, tile->chunks[i].size);
        size += tile->chunks[i].size;
    }
}

void pfm_j2k_decode_block(j2k_scratch *scratch, const j2k_tile *tile, const j2k_band *band, const j2k_block *block,
                          bool reversible)
{
    if (block->passes == 0)
        return;
    gather(scratch, tile, block);
    const uint32_t *from = pfm_j2k_decode_planes(scratch, scratch->bytes, block->size, band->kind, block->width, block->height,
                                                 block->planes, block->passes);
    const size_t stride = (size_t)(band->x1 - band->x0);
    const float half_step = band->step / 2;
    for (int y = 0; y < block->height; y++) {
        const size_t begin = (size_t)(block->y + y) * stride + (size_t)block->x;
        for (int x = 0; x < block->width; x++, from++) {
            const int32_t size = (int32_t)(*from & INT32_MAX), sign = (int32_t)*from >> 31;
            if (reversible)
                ((int32_t *)band->values)[begin + (size_t)x] = ((size >> 1) ^ sign) - sign;
            else
                ((float *)band->values)[begin + (size_t)x] = (float)((size ^ sign) - sign) * half_step;
        }
    }
}
