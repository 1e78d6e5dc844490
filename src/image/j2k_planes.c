/* Blocks of JPEG 2000 from their bits (ITU-T T.800, annexes C and D). What slows this down are branches that nothing foresees,
 * since every symbol is news, and that each symbol waits for the one before it. So symbols are found by masks, four rows of a
 * column are one word, which knows the column's neighbours, and which of the rows a pass visits is found for all four at once.
 */
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

enum { MOST_WORDS = (J2K_MOST_BLOCK / 4 + 2) * 6 + 64, SENTINEL = 8, LANES = 2 };

/* A block that is being decoded. */
typedef struct lane {
    coder coder;
    state contexts[CONTEXTS];
    const uint8_t *zero_of, *sign_of;
    int width, height, planes, passes;
    int done; /* passes */
    unsigned char *bytes;
    size_t capacity;
    uint64_t words[MOST_WORDS];
    uint32_t values[J2K_MOST_BLOCK];
    uint16_t visits[J2K_MOST_BLOCK + 4];
} lane;

struct j2k_scratch {
    uint8_t zero_of[3][512], sign_of[256]; /* contexts; of signs with what turns the symbol in the highest bit */
    lane lanes[LANES];
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
    for (int i = 0; scratch != NULL && i < LANES; i++)
        free(scratch->lanes[i].bytes);
    free(scratch);
}

/* ---- the arithmetic decoder (annex C) ---- */

/* A byte into the code. Behind the end are ones. A byte behind one of ones brings seven bits, and a carry where its highest is
 * set, for which all before it have to be gone; false where they are not. */
static bool refill_byte(coder *m)
{
    const bool stuffed = m->at[0] == 0xFF;
    if (stuffed && m->at[1] > 0x8F) {
        m->c += UINT64_C(0xFF) << (40 - m->have);
        m->have += 8;
        return true;
    }
    if (stuffed && m->at[1] >= 0x80 && m->have > 0)
        return false;
    m->at++;
    m->c += (uint64_t)*m->at << (stuffed ? 41 - m->have : 40 - m->have);
    m->have += stuffed ? 7 : 8;
    return true;
}

/* As many bytes as the code holds: five at once where none but the last of them is of ones, nor the one before. */
static void refill(coder *m)
{
    const unsigned char *at = m->at;
    const uint64_t next = (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 | (uint64_t)at[3] << 32 |
                          (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 | (uint64_t)at[6] << 8 | at[7];
    const uint64_t inverse = ~next | 0xFFFFFF; /* has a byte of zeros where one of those five is of ones */
    if (m->have <= 8 && ((inverse - UINT64_C(0x0101010101010101)) & ~inverse & UINT64_C(0x8080808080808080)) == 0) {
        m->c += next << 8 >> 24 << 8 >> m->have;
        m->at += 5;
        m->have += 40;
        return;
    }
    while (m->have <= 40 && refill_byte(m))
        continue;
}

static void begin_code(lane *s, const unsigned char *bytes)
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

/* The SELF bits of the rows that have a significant neighbour. */
static inline ALWAYS uint64_t find_neighboured(uint64_t here)
{
    const uint64_t each = BIT(0) | BIT(3) | BIT(6) | BIT(9) | BIT(12) | BIT(15), around = here & ALL_AROUND;
    const uint64_t sides = (around | around >> 2) & each, any = (sides | around >> 1) & each;
    return (any << 4 | any >> 2 | sides << 1) & ALL_SELF;
}

/* The half of the bit of the plane that is next, in values' doubles. */
static uint32_t half_of(const lane *l) { return UINT32_C(1) << (l->planes - (l->done + 2) / 3 - 1); }

static inline ALWAYS uint32_t *value_of(uint32_t *values, size_t width, int shift)
{
    return values + (size_t)(shift * 3 >> 3) * width;
}

/* The sign's place in sign_of of a row, `shift` being 3 r. */
static inline ALWAYS size_t find_signs(const uint64_t *at, uint64_t here, int shift)
{
    const uint64_t mine = here >> shift, west = at[-1] >> shift, east = at[1] >> shift;
    return (mine & 0xAA) | (mine >> 19 & 1) | (mine >> 25 & 1) << 2 | (west >> 22 & 1) << 4 | (east >> 22 & 1) << 6;
}

/* All around a sample that became significant are told: `self` is BIT(shift), and `sign` too where it is negative; 0 tells
 * nothing. */
static inline ALWAYS void tell(uint64_t *at, size_t stride, uint64_t self, uint64_t sign)
{
    uint64_t *above = at - stride, *below = at + stride;
    const uint64_t first = self & 1, last = self >> 9 & 1;
    at[-1] |= self << 5;
    at[1] |= self << 3;
    above[-1] |= first << 17;
    above[0] |= first << 16 | (sign & 1) << 34;
    above[1] |= first << 15;
    below[-1] |= last << 2;
    below[0] |= last << 1 | (sign >> 9 & 1) << 19;
    below[1] |= last;
}

/* Four rows of a column: their word, which is at `at`, the values, and of which rows there are the SELF bits. */
typedef struct column {
    uint64_t *at, here;
    size_t stride, width;
    uint32_t *values;
    uint64_t rows;
    uint32_t significant;
} column;

static inline ALWAYS void become(lane *l, coder *m, column *p, int shift)
{
    const uint8_t of = l->sign_of[find_signs(p->at, p->here, shift)];
    const uint64_t sign = (uint64_t)take(m, l->contexts + (of & 127)) ^ of >> 7;
    *value_of(p->values, p->width, shift) = (uint32_t)sign << 31 | p->significant;
    p->here |= (SELF | sign << 22) << shift;
    tell(p->at, p->stride, BIT(shift), sign << shift);
}

static inline ALWAYS void significance_column(lane *l, coder *m, column *p)
{
    uint64_t which = find_neighboured(p->here) & ~p->here & p->rows;
    while (which != 0) {
        const int shift = __builtin_ctzll(which) - 4;
        which &= which - 1;
        p->here |= VISITED << shift;
        if (take(m, &l->contexts[l->zero_of[p->here >> shift & AROUND]]) != 0) {
            become(l, m, p, shift);
            which |= SELF << (shift + 3) & ~p->here & p->rows; /* the next row has a neighbour now */
        }
        *p->at = p->here;
    }
}

static inline ALWAYS void cleanup_column(lane *l, coder *m, column *p)
{
    uint64_t which = ~(p->here | p->here >> 16) & p->rows;
    if (p->rows == ALL_SELF && (p->here & ALL_AROUND) == 0) {
        if (take_likely(m, &l->contexts[RUN]) == 0)
            return;
        int row = (int)take(m, &l->contexts[UNIFORM]) << 1;
        row |= (int)take(m, &l->contexts[UNIFORM]);
        become(l, m, p, 3 * row);
        which &= ~UINT64_C(0) << (3 * row + 5);
    }
    while (which != 0) {
        const int shift = __builtin_ctzll(which) - 4;
        which &= which - 1;
        if (take(m, &l->contexts[l->zero_of[p->here >> shift & AROUND]]) != 0)
            become(l, m, p, shift);
    }
    *p->at = p->here & ~ALL_VISITED;
}

/* A pass over all columns; `do_column` is one of the two above. */
#define PASS_OVER(l, do_column)                                                                                                \
    coder m = (l)->coder;                                                                                                      \
    const size_t width = (size_t)(l)->width, stride = width + 2;                                                               \
    for (int y = 0; y < (l)->height; y += 4) {                                                                                 \
        const int rows = (l)->height - y < 4 ? (l)->height - y : 4;                                                            \
        column p = {                                                                                                           \
            .stride = stride, .width = width, .rows = ALL_SELF & (BIT(3 * rows + 4) - 1), .significant = half_of(l) * 3};      \
        p.at = (l)->words + (size_t)(y / 4 + 1) * stride + 1;                                                                  \
        p.values = (l)->values + (size_t)y * width;                                                                            \
        for (size_t x = 0; x < width; x++, p.at++, p.values++) {                                                               \
            p.here = *p.at;                                                                                                    \
            do_column(l, &m, &p);                                                                                              \
        }                                                                                                                      \
    }                                                                                                                          \
    (l)->coder = m

static void pass_significance(lane *l) { PASS_OVER(l, significance_column); }
static void pass_cleanup(lane *l) { PASS_OVER(l, cleanup_column); }

/* Lists what a refinement pass visits, which is known before it: the value's place, and in the lowest two bits its context. */
static size_t list_refined(lane *l)
{
    const size_t width = (size_t)l->width, stride = width + 2;
    size_t count = 0;
    for (int y = 0; y < l->height; y += 4) {
        uint64_t *at = l->words + (size_t)(y / 4 + 1) * stride + 1;
        for (size_t x = 0; x < width; x++) {
            const uint64_t here = at[x], which = here & ~(here >> 16) & ALL_SELF;
            if (which == 0)
                continue;
            at[x] = here | which << 17;
            const uint64_t around = find_neighboured(here), refined = here >> 17,
                           kinds = (around & ~refined) | (refined & ALL_SELF) << 1;
            const size_t place = ((size_t)y * width + x) << 2;
            for (unsigned r = 0; r < 4; r++) {
                l->visits[count] = (uint16_t)(place + (r * width << 2) + (kinds >> (3 * r + 4) & 3));
                count += which >> (3 * r + 4) & 1;
            }
        }
    }
    return count;
}

static inline ALWAYS void refine(lane *l, coder *m, uint32_t half, size_t i)
{
    const unsigned visit = l->visits[i];
    const uint32_t bit = (uint32_t)take(m, l->contexts + REFINE + (visit & 3));
    l->values[visit >> 2] += (half << 1 & (0 - bit)) - half;
}

static void pass_refinement(lane *a, lane *b)
{
    const size_t count = list_refined(a), others = b != NULL ? list_refined(b) : 0;
    const uint32_t half = half_of(a), other_half = b != NULL ? half_of(b) : 0;
    coder m = a->coder, n = b != NULL ? b->coder : m;
    size_t both = 0;
    for (; both < count && both < others; both++) {
        refine(a, &m, half, both);
        refine(b, &n, other_half, both);
    }
    for (size_t i = both; i < count; i++)
        refine(a, &m, half, i);
    for (size_t i = both; i < others; i++)
        refine(b, &n, other_half, i);
    a->coder = m;
    if (b != NULL)
        b->coder = n;
}

/* ---- a block ---- */

bool pfm_j2k_scratch_reserve(j2k_scratch *scratch, size_t size)
{
    bool made = true;
    for (int i = 0; made && i < LANES; i++)
        made = pfm_array_reserve(&scratch->lanes[i].bytes, &scratch->lanes[i].capacity, size + SENTINEL, 1, NULL) == PFM_OK;
    return made;
}

static void gather(lane *l, const j2k_tile *tile, const j2k_block *block)
{
    size_t size = 0;
    for (int i = block->first; i >= 0; i = tile->chunks[i].next) {
        memcpy(l->bytes + size, tile->bytes + tile->chunks[i].at, tile->chunks[i].size);
        size += tile->chunks[i].size;
    }
    memset(l->bytes + size, 0xFF, SENTINEL);
}

static void begin_block(j2k_scratch *s, lane *l, const j2k_tile *tile, const j2k_job *job)
{
    const j2k_block *block = job->block;
    l->width = block->width;
    l->height = block->height;
    l->planes = block->planes;
    l->passes = block->passes;
    l->done = 0;
    l->zero_of = s->zero_of[job->band->kind == 3 ? 2 : job->band->kind == 1 ? 1 : 0];
    l->sign_of = s->sign_of;
    memset(l->words, 0, ((size_t)l->width + 2) * ((size_t)(l->height + 3) / 4 + 2) * sizeof *l->words);
    memset(l->values, 0, (size_t)l->width * (size_t)l->height * sizeof *l->values);
    gather(l, tile, block);
    begin_code(l, l->bytes);
}

static int left(const lane *l) { return l->passes - l->done; }

/* The next pass of one block, and the same of another unless it is NULL. The first plane has a cleanup alone. */
static void do_pass(lane *a, lane *b)
{
    lane *const lanes[] = {a, b};
    const int kind = (a->done + 2) % 3, count = b != NULL ? 2 : 1;
    if (kind == 1)
        pass_refinement(a, b);
    for (int i = 0; i < count; i++) {
        if (kind != 1)
            (kind == 0 ? pass_significance : pass_cleanup)(lanes[i]);
        lanes[i]->done++;
    }
}

/* A block's values to their places. */
static void settle(const lane *l, const j2k_tile *tile, const j2k_job *job, bool reversible)
{
    const uint32_t *from = l->values;
    const size_t stride = (size_t)(tile->x1 - tile->x0);
    const float half_step = job->band->step / 2;
    for (int y = 0; y < l->height; y++, from += l->width) {
        const size_t begin = job->band->at + (size_t)(job->block->y + y) * stride + (size_t)job->block->x;
        int32_t *whole = (int32_t *)job->values + begin;
        float *real = (float *)job->values + begin;
        for (int x = 0; reversible && x < l->width; x++) {
            const int32_t size = (int32_t)(from[x] & INT32_MAX), sign = (int32_t)from[x] >> 31;
            whole[x] = ((size >> 1) ^ sign) - sign;
        }
        for (int x = 0; !reversible && x < l->width; x++) {
            const int32_t size = (int32_t)(from[x] & INT32_MAX), sign = (int32_t)from[x] >> 31;
            real[x] = (float)((size ^ sign) - sign) * half_step;
        }
    }
}

void pfm_j2k_decode_pair(j2k_scratch *scratch, const j2k_tile *tile, const j2k_job *jobs, int count, bool reversible)
{
    lane *a = &scratch->lanes[0], *b = &scratch->lanes[1];
    begin_block(scratch, a, tile, &jobs[0]);
    if (count == 2)
        begin_block(scratch, b, tile, &jobs[1]);
    else
        b->passes = b->done = 0;
    while (left(a) > 0 || left(b) > 0) {
        const int ahead = left(a) - left(b);
        if (left(a) > 0 && left(b) > 0 && (a->done - b->done) % 3 == 0 && ahead > -3 && ahead < 3)
            do_pass(a, b);
        else
            do_pass(ahead > 0 ? a : b, NULL);
    }
    for (int i = 0; i < count; i++)
        settle(&scratch->lanes[i], tile, &jobs[i], reversible);
}
