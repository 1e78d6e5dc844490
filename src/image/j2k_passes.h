/* The passes over blocks of JPEG 2000 (ITU-T T.800, annexes C and D), which j2k_planes.c compiles for any processor,
 * j2k_planes_bmi2.c for those that have BMI2 and LZCNT, and j2k_planes_avx512.c, with J2K_AVX512, for those that have AVX-512
 * VBMI2 too, all of which have a quick PEXT.
 * What slows them down are branches that nothing foresees, since every symbol is news, and that each symbol waits for the one
 * before it. So symbols are found by masks; and what is significant in 8 columns of four rows, and around them, is one word,
 * which gives contexts and what a pass visits, so that going from a sample to the next is no branch. */
#ifndef PFM_IMAGE_J2K_PASSES_H
#define PFM_IMAGE_J2K_PASSES_H

#include "image/j2k_parts.h"

#ifdef J2K_AVX512
#include <immintrin.h>
#endif

#define ALWAYS __attribute__((always_inline))

/* A context's state is a word: its Qe in the highest 16 bits; in the lowest 16 its place in the table of what comes after it,
 * the lowest of them being the more probable symbol. */
typedef uint64_t state;

enum { STATES = 94 }; /* those of table C.2, of either more probable symbol */

#define QE(state) ((state)&UINT64_C(0xFFFF) << 48)

enum { ZERO = 0, SIGN = 9, REFINE = 14, RUN = 17, UNIFORM = 18, CONTEXTS = 19 };

/* The decoder's registers; a pass holds them in a copy of its own, so that they stay in the processor's. Of `c` the highest 16
 * bits are the code's, behind them are those that follow, and behind these a one that says where they end. */
typedef struct coder {
    uint64_t a, c; /* the interval; the code */
    const unsigned char *at;
    const state *after; /* [2][STATES]: after the more probable symbol and after the other */
} coder;

#define BIT(i) (UINT64_C(1) << (i))

/* A cell is 8 columns of four rows, and a border of one sample around them; of a set of its samples, bit 6 x + r is column x's
 * row r, which is the order that passes go in, of borders too bit 6 (x + 1) + r + 1. So what is around sample i of a set with
 * borders are the lowest bits of that, shifted by i. */
#define COLUMNS UINT64_C(0x041041041041)          /* bit 0 of each */
#define ALL_COLUMNS (COLUMNS | BIT(48) | BIT(54)) /* borders too */
#define COLUMN UINT64_C(15)
enum { TOGETHER = 4, OVER = 64 }; /* samples that are listed together; that may be written behind a list */
enum { CELL = 48, INSIDE = 7 };   /* a cell's values; by which a set with borders is to be shifted to be one without */

/* The cells have others around them, that are not the block's. A block's sides are powers of two from 4 to 1024, or less where
 * the band ends: it has the most cells, and the most with those around them, where it is 4 wide. */
enum { MOST_CELLS = J2K_MOST_SIDE / 4, MOST_SETS = 3 * (MOST_CELLS + 2), SENTINEL = 8, LANES = 2 };

/* A block that is being decoded. */
typedef struct j2k_lane {
    coder coder;
    state contexts[CONTEXTS];
    const uint8_t *zero_of, *sign_of;
    int width, height, planes, passes;
    int done; /* passes */
    unsigned char *bytes;
    size_t capacity;
    uint64_t all[MOST_SETS];                              /* the samples that there are */
    uint64_t significant[MOST_SETS], negative[MOST_SETS]; /* with borders */
    uint64_t seen[MOST_SETS], refined[MOST_SETS];         /* seen: by this plane's significance pass */
    uint32_t values[MOST_CELLS * CELL];
    uint16_t visits[J2K_MOST_BLOCK + OVER]; /* of a refinement pass: values' places */
    uint8_t kinds[J2K_MOST_BLOCK + OVER];   /* and contexts, from REFINE */
} lane;

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
static inline ALWAYS void refill(coder *m)
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

/* `first`: states of contexts, of ZERO, of RUN, and of UNIFORM (table D.7). */
static inline void begin_code(lane *s, const unsigned char *bytes, const state *first, const state *after)
{
    for (int i = 0; i < CONTEXTS; i++)
        s->contexts[i] = first[i == ZERO ? 1 : i == RUN ? 2 : i == UNIFORM ? 3 : 0];
    coder m = {.a = BIT(63), .c = (uint64_t)bytes[0] << 48 | BIT(47), .at = bytes, .after = after};
    refill(&m);
    m.c <<= 7;
    s->coder = m;
}

/* A symbol, without branches, but for the interval's and the code's shift (figures C.15 to C.17). Left to itself a compiler
 * makes masks or branches of what are four moves on a condition. */
static inline ALWAYS unsigned decide(coder *m, state *context)
{
    const state of = *context, *after = m->after + (uint16_t)of;
    const uint64_t qe = QE(of);
    uint64_t code = m->c, left = m->a - qe;
    state next = after[0];
    unsigned char other;
#ifdef __BMI2__
    unsigned char low;
    __asm__("cmp %[qe], %[left]\n\t"
            "setb %[other]\n\t"
            "sub %[qe], %[code]\n\t"
            "cmovb %[c], %[code]\n\t"
            "cmovb %[qe], %[left]\n\t"
            "setb %[low]\n\t"
            "xor %[low], %[other]\n\t"
            "cmovnz %[after], %[next]\n\t"
            "test %[left], %[left]\n\t"
            "cmovs %[of], %[next]"
            : [code] "+&r"(code), [left] "+&r"(left), [next] "+&r"(next), [other] "=&q"(other), [low] "=&q"(low)
            : [qe] "r"(qe), [c] "r"(m->c), [of] "r"(of), [after] "rm"(after[STATES])
            : "cc");
#else
    uint64_t less;
    const uint64_t low = 0 - (uint64_t)__builtin_sub_overflow(code, qe, &code),
                   exchanged = 0 - (uint64_t)__builtin_sub_overflow(left, qe, &less), rare = low ^ exchanged;
    code += qe & low;
    left -= less & low;
    next ^= (next ^ after[STATES]) & rare;
    next ^= (next ^ of) & (uint64_t)((int64_t)left >> 63);
    other = rare & 1;
#endif
    m->a = left;
    m->c = code;
    *context = next;
    return ((unsigned)of ^ other) & 1;
}

/* What is returned in registers. */
typedef struct refilled {
    uint64_t c;
    const unsigned char *at;
} refilled;

/* The code where few bits follow it. */
static __attribute__((noinline)) refilled refill_apart(uint64_t c, const unsigned char *at)
{
    coder m = {.c = c, .at = at};
    refill(&m);
    return (refilled){m.c, m.at};
}

typedef struct decided {
    coder coder;
    unsigned symbol;
} decided;

/* A symbol where few bits follow the code's, since those to come begin with a carry. */
static __attribute__((noinline, cold)) decided take_slowly(coder m, state *context)
{
    const unsigned symbol = decide(&m, context);
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
static inline ALWAYS unsigned take(coder *m, state *context)
{
    if (__builtin_expect((uint32_t)m->c == 0, 0)) {
        const refilled r = refill_apart(m->c, m->at);
        m->c = r.c;
        m->at = r.at;
        if (__builtin_expect((uint32_t)m->c == 0, 0)) {
            const decided made = take_slowly(*m, context);
            *m = made.coder;
            return made.symbol;
        }
    }
    const unsigned symbol = decide(m, context);
    const int count = __builtin_clzll(m->a);
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

/* Those around which others are. */
static inline ALWAYS uint64_t find_around(uint64_t set)
{
    const uint64_t beside = set << 1 | set >> 1, tall = set | beside;
    return (beside | tall << 6 | tall >> 6) >> INSIDE;
}

/* A cell's set, and what of it is on the borders of those around it: of those beside it, and of those at its corners. */
static inline ALWAYS void tell_beside(uint64_t *at, size_t stride, uint64_t set)
{
    uint64_t *above = at - stride, *below = at + stride;
    at[-1] |= (set >> 6 & 63) << 54;
    at[0] = set;
    at[1] |= set >> 48 & 63;
    above[0] |= set << 4 & ALL_COLUMNS << 5;
    below[0] |= set >> 4 & ALL_COLUMNS;
}

static inline ALWAYS void tell_corners(uint64_t *at, size_t stride, uint64_t set)
{
    uint64_t *above = at - stride, *below = at + stride;
    above[-1] |= (set >> 7 & 1) << 59;
    above[1] |= (set >> 49 & 1) << 5;
    below[-1] |= (set >> 10 & 1) << 54;
    below[1] |= set >> 52 & 1;
}

/* What is around a sample as 9 bits: those west, those east, the one above, 0, the one below; or as 8 bits in their order. */
static inline ALWAYS size_t fold_around(uint64_t set)
{
#ifdef J2K_AVX512
    return _pext_u64(set, 0x7147);
#else
    const uint64_t around = set & 0x7147;
    return (around | around >> 9) & 0x1FF;
#endif
}

/* What is west, east, above and below a sample, two bits each: whether significant, and negative; or first whether those west,
 * above, below and east are significant, and then whether negative. */
static inline ALWAYS size_t fold_signs(uint64_t significant, uint64_t negative)
{
#ifdef J2K_AVX512
    return _pext_u64(significant, 0x2142) | _pext_u64(negative, 0x2142) << 4;
#else
    const uint64_t beside = (significant & 0x2142) | (negative & 0x2142) << 1;
    return (beside | beside >> 10) >> 1 & 0x1FF;
#endif
}

/* The half of the bit of the plane that is next, in values' doubles. */
static uint32_t half_of(const lane *l) { return UINT32_C(1) << (l->planes - (l->done + 2) / 3 - 1); }

/* A cell in a pass. */
typedef struct cell {
    size_t set; /* its place in the sets */
    uint64_t significant, negative;
    uint32_t *values;
    uint32_t value; /* of what becomes significant, without its sign */
} cell;

static size_t cells_across(const lane *l) { return (size_t)(l->width + 7) / 8; }

static size_t cells_down(const lane *l) { return (size_t)(l->height + 3) / 4; }

/* The cells of a block in their order, as `p`. */
#define FOR_CELLS(l, across)                                                                                                   \
    cell p = {.values = (l)->values, .value = half_of(l) * 3};                                                                 \
    for (size_t line = 1; line <= cells_down(l); line++)                                                                       \
        for (p.set = line * ((across) + 2) + 1; p.set < line * ((across) + 2) + 1 + (across); p.set++, p.values += CELL)

static inline ALWAYS void find_cell(const lane *l, cell *p)
{
    p->significant = l->significant[p->set];
    p->negative = l->negative[p->set];
}

static inline ALWAYS void keep_cell(lane *l, size_t across, const cell *p)
{
    if (p->significant == l->significant[p->set])
        return;
    tell_beside(l->significant + p->set, across + 2, p->significant);
    tell_corners(l->significant + p->set, across + 2, p->significant);
    tell_beside(l->negative + p->set, across + 2, p->negative);
}

/* A sample becomes significant. */
static inline ALWAYS void become(lane *l, coder *m, cell *p, unsigned i)
{
    const uint8_t of = l->sign_of[fold_signs(p->significant >> i, p->negative >> i)];
    const uint64_t sign = ((uint64_t)take(m, l->contexts + (of & 127)) ^ of >> 7) & 1;
    p->values[i] = (uint32_t)sign << 31 | p->value;
    p->significant |= BIT(INSIDE) << i;
    p->negative |= sign << INSIDE << i;
}

static inline ALWAYS unsigned take_zero(lane *l, coder *m, const cell *p, unsigned i)
{
    return take(m, &l->contexts[l->zero_of[fold_around(p->significant >> i)]]);
}

static inline void pass_significance(lane *l)
{
    const size_t across = cells_across(l);
    coder m = l->coder;
    FOR_CELLS(l, across)
    {
        find_cell(l, &p);
        const uint64_t all = l->all[p.set];
        uint64_t which = find_around(p.significant) & ~(p.significant >> INSIDE) & all, seen = which;
        while (which != 0) {
            const unsigned i = (unsigned)__builtin_ctzll(which);
            which &= which - 1;
            if (take_zero(l, &m, &p, i) != 0) {
                become(l, &m, &p, i);
                /* those behind it, in its column and the next, have a neighbour now */
                const uint64_t more = UINT64_C(0xE2) << i & ~(p.significant >> INSIDE) & all;
                which |= more;
                seen |= more;
            }
        }
        l->seen[p.set] = seen;
        keep_cell(l, across, &p);
    }
    l->coder = m;
}

/* The first samples of the columns, of four rows, in which, and around which, nothing is significant. */
static inline ALWAYS uint64_t find_quiet(const cell *p, uint64_t all)
{
    uint64_t is = p->significant | p->significant >> 1;
    is |= is >> 2;
    is |= is >> 2;
    return ~(is | is >> 6 | is >> 12) & COLUMNS & all >> 3;
}

/* Passes columns from the first that are quiet, and of which the decoder says that they stay so; their bits. */
static inline ALWAYS uint64_t skip_quiet(coder *m, const state *run, uint64_t quiet)
{
    const unsigned columns = (unsigned)__builtin_ctzll((~quiet & COLUMNS) | BIT(48)) / 6;
    return BIT(6 * skip_likely(m, run, columns)) - 1;
}

static inline void pass_cleanup(lane *l)
{
    const size_t across = cells_across(l);
    coder m = l->coder;
    FOR_CELLS(l, across)
    {
        find_cell(l, &p);
        const uint64_t all = l->all[p.set];
        uint64_t which = ~(p.significant >> INSIDE | l->seen[p.set]) & all, quiet = find_quiet(&p, all);
        while (which != 0) {
            unsigned i = (unsigned)__builtin_ctzll(which);
            if ((quiet >> i & 1) != 0) {
                const uint64_t passed = skip_quiet(&m, &l->contexts[RUN], quiet >> i);
                which &= ~((passed | COLUMN) << i);
                if (passed != 0 || take(&m, &l->contexts[RUN]) == 0)
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
            become(l, &m, &p, i);
            quiet &= ~(UINT64_C(63) << 1 << i); /* the next column is not */
        }
        keep_cell(l, across, &p);
    }
    l->coder = m;
}

/* Lists samples of a cell, whose values begin at `place`, behind the first `count`; how many there are then. It may write
 * behind them too. */
static inline ALWAYS size_t list_cell(lane *l, size_t count, size_t place, uint64_t which, uint64_t refined, uint64_t around)
{
    uint16_t *visit = l->visits + count;
    uint8_t *kind = l->kinds + count;
    const int more = __builtin_popcountll(which);
    for (int done = 0; done < more; done += TOGETHER)
        for (int k = done; k < done + TOGETHER; k++, which &= which - 1) {
            const unsigned i = (unsigned)__builtin_ctzll(which | BIT(63));
            visit[k] = (uint16_t)(place + i);
            kind[k] = (uint8_t)((refined >> i & 1) << 1 | (around >> i & 1));
        }
    return count + (size_t)more;
}

typedef size_t list_cell_function(lane *l, size_t count, size_t place, uint64_t which, uint64_t refined, uint64_t around);

/* Lists what a refinement pass visits, which is known before it. */
static inline ALWAYS size_t list_with(lane *l, list_cell_function *list)
{
    const size_t across = cells_across(l);
    size_t count = 0;
    FOR_CELLS(l, across)
    {
        find_cell(l, &p);
        const uint64_t which = p.significant >> INSIDE & l->all[p.set] & ~l->seen[p.set], refined = l->refined[p.set];
        l->refined[p.set] = refined | which;
        count = list(l, count, (size_t)(p.values - l->values), which, refined, find_around(p.significant) & ~refined);
    }
    return count;
}

static inline size_t list_refined(lane *l)
{
#ifdef J2K_AVX512
    return pfm_j2k_list_avx512(l);
#else
    return list_with(l, list_cell);
#endif
}

static inline ALWAYS void refine(lane *l, coder *m, const uint32_t *change, size_t i)
{
    l->values[l->visits[i]] += change[take(m, l->contexts + REFINE + l->kinds[i])];
}

static inline void pass_refinement(lane *a, lane *b)
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
