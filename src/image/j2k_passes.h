/* The passes over blocks of JPEG 2000 (ITU-T T.800, annexes C and D), which j2k_planes.c compiles for any processor and
 * j2k_planes_bmi2.c for those that have BMI2 and LZCNT. What slows them down are branches that nothing foresees, since every
 * symbol is news, and that each symbol waits for the one before it. So symbols are found by masks, four rows of a column are
 * one word, which knows the column's neighbours, and which samples a pass visits is found, and kept, for 16 columns at once, so
 * that going from one to the next is no branch.
 */
#ifndef PFM_IMAGE_J2K_PASSES_H
#define PFM_IMAGE_J2K_PASSES_H

#include "image/j2k_parts.h"

#define ALWAYS __attribute__((always_inline))

/* A context's state is a word: its Qe in the highest 16 bits; and in bytes, the lowest first, the numbers of the states that
 * come after the more probable symbol, after the other, and its own, all doubled. The lowest bit is the more probable symbol.
 */
typedef uint64_t state;

#define QE(state) ((state)&UINT64_C(0xFFFF) << 48)

enum { ZERO = 0, SIGN = 9, REFINE = 14, RUN = 17, UNIFORM = 18, CONTEXTS = 19 };

/* The decoder's registers; a pass holds them in a copy of its own, so that they stay in the processor's. Of `c` the highest 16
 * bits are the code's, behind them are those that follow, and behind these a one that says where they end. */
typedef struct coder {
    uint64_t a, c; /* the interval; the code */
    const unsigned char *at;
} coder;

/* A column's word, of four rows. Row r of a column: bits 3 r to 3 r + 8 are the significance of the nine around it, by rows;
 * behind them, in the same steps, is its sign, which is also kept of the row above and the row below. */
#define BIT(i) (UINT64_C(1) << (i))
#define AROUND UINT64_C(0x1EF)
#define SELF BIT(4)

/* A set of samples: of 16 columns of four rows, bit 4 x + r is row r of column x, which is the order that passes go in. */
#define ROWS_OF_ALL(rows) (UINT64_C(0x1111111111111111) * (rows))
#define COLUMN UINT64_C(0xF)

/* Words and sets have a border of zeros around them. Blocks are 1024 samples wide or high at most, and at least 4. */
enum { MOST_WORDS = (J2K_MOST_BLOCK / 4 + 2) * 6 + 64, MOST_SETS = 3 * (J2K_MOST_SIDE / 4 + 2), SENTINEL = 8, LANES = 2 };

/* A block that is being decoded. */
typedef struct j2k_lane {
    coder coder;
    state contexts[CONTEXTS];
    const uint8_t *zero_of, *sign_of;
    int width, height, planes, passes;
    int done; /* passes */
    unsigned char *bytes;
    size_t capacity;
    uint64_t words[MOST_WORDS];
    uint64_t significant[MOST_SETS], seen[MOST_SETS], refined[MOST_SETS]; /* seen: by this plane's significance pass */
    uint32_t values[J2K_MOST_BLOCK];                                      /* by fours of rows, columns, rows */
    uint16_t visits[J2K_MOST_BLOCK];
} lane;

/* Table C.2. */
#define ROW(own, q, mps, lps, turn)                                                                                            \
    UINT64_C(q) << 48 | 4 * (mps) | (4 * (lps) + 2 * (turn)) << 8 | (4 * (own)) << 16,                                         \
        UINT64_C(q) << 48 | 1 | (4 * (mps) + 2) | (4 * (lps) + 2 - 2 * (turn)) << 8 | (4 * (own) + 2) << 16

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

/* ---- the arithmetic decoder (annex C) ---- */

/* How many bits follow the code's. */
static int count_following(uint64_t c) { return 47 - __builtin_ctzll(c); }

/* A byte into the code, behind which are `have` bits and no one that ends them. Behind the end are ones. A byte behind one of
 * ones brings seven bits, and a carry where its highest is set, for which all before it have to be gone; 0 where they are not,
 * otherwise the bits it brought. */
static int refill_byte(coder *m, int have)
{
    const bool stuffed = m->at[0] == 0xFF;
    if (stuffed && m->at[1] > 0x8F) {
        m->c += UINT64_C(0xFF) << (40 - have);
        return 8;
    }
    if (stuffed && m->at[1] >= 0x80 && have > 0)
        return 0;
    m->at++;
    m->c += (uint64_t)*m->at << (stuffed ? 41 - have : 40 - have);
    return stuffed ? 7 : 8;
}

/* As many bytes as the code holds: four at once where none but the last of them is of ones, nor the one before. */
static void refill(coder *m)
{
    const unsigned char *at = m->at;
    const uint64_t next = (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 | (uint64_t)at[3] << 32 |
                          (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 | (uint64_t)at[6] << 8 | at[7];
    const uint64_t inverse = ~next | UINT32_MAX; /* has a byte of zeros where one of those four is of ones */
    int have = count_following(m->c);
    m->c &= m->c - 1;
    if (have < 16 && ((inverse - UINT64_C(0x0101010101010101)) & ~inverse & UINT64_C(0x8080808080808080)) == 0) {
        m->c += next << 8 >> 32 << (16 - have);
        m->at += 4;
        have += 32;
    } else {
        for (int more = 1; have < 40 && more > 0; have += more)
            more = refill_byte(m, have);
    }
    m->c |= BIT(47 - have);
}

static inline void begin_code(lane *s, const unsigned char *bytes)
{
    for (int i = 0; i < CONTEXTS; i++)
        s->contexts[i] = states[i == ZERO ? 2 * 4 : i == RUN ? 2 * 3 : i == UNIFORM ? 2 * 46 : 0];
    coder m = {.a = BIT(63), .c = (uint64_t)bytes[0] << 48 | BIT(47), .at = bytes};
    refill(&m);
    m.c <<= 7;
    s->coder = m;
}

/* A symbol, without branches, but for the interval's and the code's shift (figures C.15 to C.17). */
static inline ALWAYS int decide(coder *m, state *context)
{
    const state of = *context;
    const uint64_t qe = QE(of), left = m->a - qe;
    uint64_t code, less;
    const uint64_t low = 0 - (uint64_t)__builtin_sub_overflow(m->c, qe, &code),
                   other = low ^ (0 - (uint64_t)__builtin_sub_overflow(left, qe, &less));
    m->c = code + (qe & low);
    m->a = left - (less & low);
    const unsigned stays = (unsigned)(m->a >> 59 & 16);
    *context = states[(of >> (stays | (other & 8)) & 254) / 2];
    return (int)((of ^ other) & 1);
}

typedef struct decided {
    coder coder;
    int symbol;
} decided;

/* A symbol where few bits follow the code's. */
static __attribute__((noinline)) decided take_slowly(coder m, state *context)
{
    refill(&m);
    const int symbol = decide(&m, context);
    for (int count = __builtin_clzll(m.a); count > 0;) {
        if (count_following(m.c) == 0)
            refill(&m);
        const int have = count_following(m.c), now = count < have ? count : have;
        m.a <<= now;
        m.c <<= now;
        count -= now;
    }
    return (decided){m, symbol};
}

/* A symbol. It takes 15 bits at most. */
static inline ALWAYS int take(coder *m, state *context)
{
    if (__builtin_expect((uint32_t)m->c == 0, 0)) {
        const decided made = take_slowly(*m, context);
        *m = made.coder;
        return made.symbol;
    }
    const int symbol = decide(m, context), count = __builtin_clzll(m->a);
    m->a <<= count;
    m->c <<= count;
    return symbol;
}

/* Passes symbols of a context, `count` at most, that are the more probable one, 0, and move nothing; how many it passed. */
static inline ALWAYS unsigned skip_likely(coder *m, const state *context, unsigned count)
{
    const uint64_t qe = QE(*context), most = m->c < m->a - BIT(63) ? m->c : m->a - BIT(63);
    unsigned passed = 0;
    if ((*context & 1) != 0)
        return 0;
    for (uint64_t rest = most; rest >= qe && passed < count; rest -= qe)
        passed++;
    m->a -= qe * passed;
    m->c -= qe * passed;
    return passed;
}

/* ---- passes (annex D) ---- */

/* A set and what is beside it. */
static inline ALWAYS uint64_t widen(const uint64_t *set)
{
    return set[0] | set[0] << 4 | set[-1] >> 60 | set[0] >> 4 | set[1] << 60;
}

/* Of what is significant, those that have such a neighbour (and maybe others that are themselves). */
static inline ALWAYS uint64_t find_neighboured(const uint64_t *set, size_t stride)
{
    const uint64_t wide = widen(set);
    return (set[0] << 4 | set[-1] >> 60 | set[0] >> 4 | set[1] << 60) | (wide << 1 & ROWS_OF_ALL(14)) |
           (wide >> 1 & ROWS_OF_ALL(7)) | (widen(set - stride) >> 3 & ROWS_OF_ALL(1)) |
           (widen(set + stride) << 3 & ROWS_OF_ALL(8));
}

/* The half of the bit of the plane that is next, in values' doubles. */
static uint32_t half_of(const lane *l) { return UINT32_C(1) << (l->planes - (l->done + 2) / 3 - 1); }

/* 16 columns of a block. */
typedef struct cell {
    uint64_t *words;  /* of its columns */
    uint32_t *values; /* of its samples */
    uint64_t all;     /* its samples */
    size_t place;     /* of its first value */
    size_t set;       /* its place in the sets */
} cell;

/* What all cells of a pass have in common. */
typedef struct walk {
    size_t words, sets; /* in a row of them, borders too */
    uint32_t value;     /* of what becomes significant, without its sign */
} walk;

static walk begin_walk(const lane *l) { return (walk){(size_t)l->width + 2, (size_t)(l->width + 15) / 16 + 2, half_of(l) * 3}; }

static inline ALWAYS cell find_cell(lane *l, const walk *w, int x, int y)
{
    const int rows = l->height - y < 4 ? l->height - y : 4, columns = l->width - x < 16 ? l->width - x : 16;
    const size_t place = (size_t)y * (size_t)l->width + (size_t)x * 4, line = (size_t)y / 4 + 1;
    return (cell){.words = l->words + line * w->words + (size_t)x + 1,
                  .values = l->values + place,
                  .all = ROWS_OF_ALL((UINT64_C(1) << rows) - 1) & UINT64_MAX >> (64 - 4 * columns),
                  .place = place,
                  .set = line * w->sets + (size_t)x / 16 + 1};
}

/* The sign's place in sign_of, `shift` being 3 r. */
static inline ALWAYS size_t find_signs(const uint64_t *at, int shift)
{
    const uint64_t here = at[0] >> shift, west = at[-1] >> shift, east = at[1] >> shift;
    return (here & 0xAA) | (here >> 19 & 0x41) | (west >> 20 & 4) | (east >> 18 & 16);
}

/* A sample becomes significant, and all around it are told. */
static inline ALWAYS void become(lane *l, coder *m, const walk *w, const cell *p, unsigned i)
{
    static const uint64_t corner[] = {BIT(17), 0, 0, BIT(2)}, sign_beyond[] = {BIT(34), 0, 0, BIT(19)};
    const unsigned row = i & 3;
    const int shift = 3 * (int)row;
    uint64_t *at = p->words + (i >> 2), *beyond = row == 3 ? at + w->words : at - w->words;
    const uint8_t of = l->sign_of[find_signs(at, shift)];
    const uint64_t sign = ((uint64_t)take(m, l->contexts + (of & 127)) ^ of >> 7) & 1;
    p->values[i] = (uint32_t)sign << 31 | w->value;
    at[-1] |= SELF << 1 << shift;
    at[0] |= (SELF | sign << 22) << shift;
    at[1] |= SELF >> 1 << shift;
    beyond[-1] |= corner[row];
    beyond[0] |= corner[row] >> 1 | (sign_beyond[row] & (0 - sign));
    beyond[1] |= corner[row] >> 2;
}

static inline ALWAYS int take_zero(lane *l, coder *m, const cell *p, unsigned i)
{
    return take(m, &l->contexts[l->zero_of[p->words[i >> 2] >> (3 * (i & 3)) & AROUND]]);
}

static void pass_significance(lane *l)
{
    /* Those behind a row's sample, in its column and the next, that have a neighbour when it becomes significant. */
    static const uint64_t behind[] = {0x32, 0x74, 0xE8, 0xC0};
    const walk w = begin_walk(l);
    coder m = l->coder;
    for (int y = 0; y < l->height; y += 4)
        for (int x = 0; x < l->width; x += 16) {
            const cell p = find_cell(l, &w, x, y);
            uint64_t is = l->significant[p.set], which = find_neighboured(l->significant + p.set, w.sets) & ~is & p.all,
                     seen = which;
            while (which != 0) {
                const unsigned i = (unsigned)__builtin_ctzll(which);
                which &= which - 1;
                if (take_zero(l, &m, &p, i) != 0) {
                    become(l, &m, &w, &p, i);
                    is |= BIT(i);
                    const uint64_t more = behind[i & 3] << (i & 60) & ~is & p.all;
                    which |= more;
                    seen |= more;
                }
            }
            l->significant[p.set] = is;
            l->seen[p.set] = seen;
        }
    l->coder = m;
}

/* The first samples of the columns in which, and around which, nothing is significant. */
static inline ALWAYS uint64_t find_quiet(const lane *l, const walk *w, const cell *p)
{
    uint64_t is = l->significant[p->set] | find_neighboured(l->significant + p->set, w->sets);
    is |= is >> 2;
    return ~(is | is >> 1) & ROWS_OF_ALL(1) & p->all >> 3;
}

/* How many columns from the first are quiet. */
static inline ALWAYS unsigned count_columns(uint64_t quiet)
{
    return ((unsigned)__builtin_ctzll((~quiet & ROWS_OF_ALL(1)) | BIT(63)) + 3) / 4;
}

static void pass_cleanup(lane *l)
{
    const walk w = begin_walk(l);
    coder m = l->coder;
    for (int y = 0; y < l->height; y += 4)
        for (int x = 0; x < l->width; x += 16) {
            const cell p = find_cell(l, &w, x, y);
            uint64_t is = l->significant[p.set], which = ~(is | l->seen[p.set]) & p.all, quiet = find_quiet(l, &w, &p);
            while (which != 0) {
                unsigned i = (unsigned)__builtin_ctzll(which);
                if ((quiet >> i & 1) != 0) {
                    const unsigned passed = skip_likely(&m, &l->contexts[RUN], count_columns(quiet >> i));
                    if (passed > 0) {
                        which &= ~(UINT64_MAX >> (64 - 4 * passed) << i);
                        continue;
                    }
                    which &= ~(COLUMN << i);
                    if (take(&m, &l->contexts[RUN]) == 0)
                        continue;
                    const unsigned first = (unsigned)take(&m, &l->contexts[UNIFORM]) << 1,
                                   row = first | (unsigned)take(&m, &l->contexts[UNIFORM]);
                    which |= (COLUMN << 1 << row & COLUMN) << i;
                    i += row;
                } else {
                    which &= which - 1;
                    if (take_zero(l, &m, &p, i) == 0)
                        continue;
                }
                become(l, &m, &w, &p, i);
                is |= BIT(i);
                quiet &= ~((COLUMN + 1) << (i & 60)); /* the next column */
            }
            l->significant[p.set] = is;
        }
    l->coder = m;
}

/* Lists what a refinement pass visits, which is known before it: the value's place, and in the lowest two bits its context. */
static size_t list_refined(lane *l)
{
    const walk w = begin_walk(l);
    uint16_t *visit = l->visits;
    for (int y = 0; y < l->height; y += 4)
        for (int x = 0; x < l->width; x += 16) {
            const cell p = find_cell(l, &w, x, y);
            uint64_t which = l->significant[p.set] & ~l->seen[p.set];
            const uint64_t refined = l->refined[p.set], around = find_neighboured(l->significant + p.set, w.sets) & ~refined;
            l->refined[p.set] = refined | which;
            for (; which != 0; which &= which - 1) {
                const unsigned i = (unsigned)__builtin_ctzll(which);
                *visit++ = (uint16_t)((p.place + i) << 2 | (refined >> i & 1) << 1 | (around >> i & 1));
            }
        }
    return (size_t)(visit - l->visits);
}

static inline ALWAYS void refine(lane *l, coder *m, const uint32_t *change, size_t i)
{
    const unsigned visit = l->visits[i];
    l->values[visit >> 2] += change[take(m, l->contexts + REFINE + (visit & 3))];
}

static void pass_refinement(lane *a, lane *b)
{
    const size_t count = list_refined(a), others = b != NULL ? list_refined(b) : 0;
    const uint32_t half = half_of(a), other_half = b != NULL ? half_of(b) : 0, change[] = {0 - half, half},
                   other_change[] = {0 - other_half, other_half};
    coder m = a->coder, n = b != NULL ? b->coder : m;
    size_t both = 0;
    for (; both < count && both < others; both++) {
        refine(a, &m, change, both);
        refine(b, &n, other_change, both);
    }
    for (size_t i = both; i < count; i++)
        refine(a, &m, change, i);
    for (size_t i = both; i < others; i++)
        refine(b, &n, other_change, i);
    a->coder = m;
    if (b != NULL)
        b->coder = n;
}

/* The next pass of one block, and the same of another unless it is NULL. The first plane has a cleanup alone. */
static inline void do_pass(lane *a, lane *b)
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

#endif
