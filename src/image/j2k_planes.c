/* Blocks of JPEG 2000 from their passes (ITU-T T.800, annex D): the tables, and which pass comes next. */
#include "base/process.h"
#include "image/j2k_passes.h"

#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

struct j2k_scratch {
    uint8_t zero_of[3][512], sign_of[512]; /* contexts; of signs with what turns the symbol in the highest bit */
    state first[4], after[2 * STATES];
    void (*pass)(lane *a, lane *b);
    lane lanes[LANES];
};

/* ---- tables ---- */

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

/* Table D.3, of so many across and down, where one that is negative counts -1. */
static uint8_t sign_context(int h, int v)
{
    static const uint8_t contexts[3][3] = {{13 | 128, 12 | 128, 11 | 128}, {10 | 128, 9, 10}, {11, 12, 13}};
    return contexts[limit_one(h) + 1][limit_one(v) + 1];
}

/* Table C.2. */
typedef struct estimate {
    uint16_t qe;
    uint8_t mps, lps, turns;
} estimate;

static const estimate estimates[STATES / 2] = {
    {0x5601, 1, 1, 1},   {0x3401, 2, 6, 0},   {0x1801, 3, 9, 0},   {0x0AC1, 4, 12, 0},  {0x0521, 5, 29, 0},
    {0x0221, 38, 33, 0}, {0x5601, 7, 6, 1},   {0x5401, 8, 14, 0},  {0x4801, 9, 14, 0},  {0x3801, 10, 14, 0},
    {0x3001, 11, 17, 0}, {0x2401, 12, 18, 0}, {0x1C01, 13, 20, 0}, {0x1601, 29, 21, 0}, {0x5601, 15, 14, 1},
    {0x5401, 16, 14, 0}, {0x5101, 17, 15, 0}, {0x4801, 18, 16, 0}, {0x3801, 19, 17, 0}, {0x3401, 20, 18, 0},
    {0x3001, 21, 19, 0}, {0x2801, 22, 19, 0}, {0x2401, 23, 20, 0}, {0x2201, 24, 21, 0}, {0x1C01, 25, 22, 0},
    {0x1801, 26, 23, 0}, {0x1601, 27, 24, 0}, {0x1401, 28, 25, 0}, {0x1201, 29, 26, 0}, {0x1101, 30, 27, 0},
    {0x0AC1, 31, 28, 0}, {0x09C1, 32, 29, 0}, {0x08A1, 33, 30, 0}, {0x0521, 34, 31, 0}, {0x0441, 35, 32, 0},
    {0x02A1, 36, 33, 0}, {0x0221, 37, 34, 0}, {0x0141, 38, 35, 0}, {0x0111, 39, 36, 0}, {0x0085, 40, 37, 0},
    {0x0049, 41, 38, 0}, {0x0025, 42, 39, 0}, {0x0015, 43, 40, 0}, {0x0009, 44, 41, 0}, {0x0005, 45, 42, 0},
    {0x0001, 45, 43, 0}, {0x5601, 46, 46, 0},
};

static state state_of(int number, int mps) { return (uint64_t)estimates[number].qe << 48 | (uint64_t)((2 * number + mps)); }

/* The passes for this processor; PEFOMED_CPU=ref: for any, avx2: without AVX-512. */
static void choose_pass(j2k_scratch *s)
{
    s->pass = do_pass;
#ifdef __x86_64__
    const char *level = pfm_process_cpu_level();
    const bool may = level == NULL || strcmp(level, "ref") != 0, wide = may && (level == NULL || strcmp(level, "avx2") != 0);
    unsigned a, b, c, d;
    if (may && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
        __get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (c & bit_LZCNT) != 0) /* of which clang's check has no name */
        s->pass = pfm_j2k_pass_bmi2;
    if (wide && s->pass != do_pass && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vbmi2"))
        s->pass = pfm_j2k_pass_avx512;
#endif
}

/* Whether the passes gather neighbours by PEXT. */
static bool is_by_pext(const j2k_scratch *s)
{
#ifdef __x86_64__
    return s->pass == pfm_j2k_pass_avx512;
#else
    (void)s;
    return false;
#endif
}

/* Contexts, by what fold_around and fold_signs make of neighbours. */
static void make_tables(j2k_scratch *s)
{
    /* bits: west above, west, west below, above, below, east above, east, east below; by folding, and by PEXT */
    static const uint8_t around[2][8] = {{0, 1, 2, 6, 8, 3, 4, 5}, {0, 1, 2, 3, 4, 5, 6, 7}};
    /* significant west, above, below, east; and negative */
    static const uint8_t signs[2][8] = {{0, 5, 7, 2, 1, 6, 8, 3}, {0, 1, 2, 3, 4, 5, 6, 7}};
    static const int kinds[] = {0, 1, 3};
    const uint8_t *at = around[is_by_pext(s)], *sign = signs[is_by_pext(s)];
    for (int i = 0; i < 512; i++) {
        const int h = (i >> at[1] & 1) + (i >> at[6] & 1), v = (i >> at[3] & 1) + (i >> at[4] & 1),
                  d = (i >> at[0] & 1) + (i >> at[2] & 1) + (i >> at[5] & 1) + (i >> at[7] & 1);
        for (int k = 0; k < 3; k++)
            s->zero_of[k][i] = (uint8_t)zero_context(kinds[k], h, v, d);
        int counts[4];
        for (int n = 0; n < 4; n++)
            counts[n] = contribution(i >> sign[n] & 1, i >> sign[n + 4] & 1);
        s->sign_of[i] = sign_context(counts[0] + counts[3], counts[1] + counts[2]);
    }
}

j2k_scratch *pfm_j2k_scratch_create(void)
{
    j2k_scratch *s = NULL;
    if (pfm_allocate(1, sizeof *s, &s, NULL) != PFM_OK)
        return NULL;
    choose_pass(s);
    make_tables(s);
    for (int i = 0; i < 4; i++)
        s->first[i] = state_of((int[]){0, 4, 3, 46}[i], 0);
    for (int i = 0; i < STATES; i++) {
        const estimate *of = &estimates[i / 2];
        s->after[i] = state_of(of->mps, i & 1);
        s->after[i + STATES] = state_of(of->lps, (i & 1) ^ of->turns);
    }
    return s;
}

void pfm_j2k_scratch_free(j2k_scratch *scratch)
{
    for (int i = 0; scratch != NULL && i < LANES; i++)
        free(scratch->lanes[i].bytes);
    free(scratch);
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
    const size_t across = cells_across(l), down = cells_down(l), sets = (across + 2) * (down + 2);
    memset(l->values, 0, across * down * CELL * sizeof *l->values);
    memset(l->significant, 0, sets * sizeof *l->significant);
    memset(l->negative, 0, sets * sizeof *l->negative);
    memset(l->seen, 0, sets * sizeof *l->seen);
    memset(l->refined, 0, sets * sizeof *l->refined);
    for (size_t i = 0; i < across * down; i++) {
        const size_t rows = (size_t)l->height - i / across * 4, columns = (size_t)l->width - i % across * 8;
        l->all[(i / across + 1) * (across + 2) + i % across + 1] =
            (COLUMNS & (BIT(6 * (columns < 8 ? columns : 8)) - 1)) * (BIT(rows < 4 ? rows : 4) - 1);
    }
    gather(l, tile, block);
    begin_code(l, l->bytes, s->first, s->after);
}

static int left(const lane *l) { return l->passes - l->done; }

/* A block's values to their places. */
static void settle(const lane *l, const j2k_tile *tile, const j2k_job *job, bool reversible)
{
    const size_t stride = (size_t)(tile->x1 - tile->x0);
    const float half_step = job->band->step / 2;
    for (int y = 0; y < l->height; y++) {
        const uint32_t *from = l->values + (size_t)(y / 4) * cells_across(l) * CELL + y % 4;
        const size_t begin = job->band->at + (size_t)(job->block->y + y) * stride + (size_t)job->block->x;
        int32_t *whole = (int32_t *)job->values + begin;
        float *real = (float *)job->values + begin;
        for (int x = 0; x < l->width; x++, from += 6) {
            const int32_t size = (int32_t)(*from & INT32_MAX), sign = (int32_t)*from >> 31;
            if (reversible)
                whole[x] = ((size >> 1) ^ sign) - sign;
            else
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
            scratch->pass(a, b);
        else
            scratch->pass(ahead > 0 ? a : b, NULL);
    }
    for (int i = 0; i < count; i++)
        settle(&scratch->lanes[i], tile, &jobs[i], reversible);
}
