/* The inverse transforms of JPEG 2000 (ITU-T T.800, annex F), a level at a time: rows of its four bands become rows of the
 * picture, and then columns are lifted, all of a row at once. */
#include "image/j2k_parts.h"

#include <stdlib.h>
#include <string.h>

/* F.3.8.2 and table F.4. */
#define ALPHA (-1.586134342059924F)
#define BETA (-0.052980118572961F)
#define GAMMA 0.882911075530934F
#define DELTA 0.443506852043971F
#define LOW_SCALE 1.230174104914001F
/* The standard has 0.812893066. This is what OpenJPEG computes with, and so pydicom, of 16 bits it is a difference of two
 * values. */
#define HIGH_SCALE 0.812866211F

/* A level: its own size and its low bands' width. `odd`: whether its first column, or row, is a high one. */
typedef struct level {
    int width, height, low_width;
    int odd_x, odd_y;
} level;

/* ---- the reversible transform, 5/3 (F.3.8.1) ---- */

static inline void lift_low(int32_t *restrict to, const int32_t *a, const int32_t *b, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = (int32_t)((uint32_t)to[i] - (uint32_t)((int32_t)((uint32_t)a[i] + (uint32_t)b[i] + 2) >> 2));
}

static inline void lift_high(int32_t *restrict to, const int32_t *a, const int32_t *b, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = (int32_t)((uint32_t)to[i] + (uint32_t)((int32_t)((uint32_t)a[i] + (uint32_t)b[i]) >> 1));
}

/* A float's step: to += factor * (a + b). */
static inline void lift_float(float *restrict to, const float *a, const float *b, float factor, int count)
{
    for (int i = 0; i < count; i++)
        to[i] += factor * (a[i] + b[i]);
}

static inline void scale_float(float *restrict to, float factor, int count)
{
    for (int i = 0; i < count; i++)
        to[i] *= factor;
}

/* One step on a row of lows or of highs, whose neighbours are `others`: the ends first, which have one neighbour alone. */
#define STEP_ROW(type, call, to, others, count, other_count, shift, ...)                                                       \
    do {                                                                                                                       \
        const int begin_ = (shift) != 0 ? 0 : 1, whole_ = (other_count)-1 < (count)-begin_ ? (other_count)-1 : (count)-begin_; \
        if ((shift) == 0 && (count) > 0)                                                                                       \
            call((to), (others), (others), __VA_ARGS__ 1);                                                                     \
        if (whole_ > 0)                                                                                                        \
            call((to) + begin_, (others), (others) + 1, __VA_ARGS__ whole_);                                                   \
        for (int i_ = begin_ + (whole_ > 0 ? whole_ : 0); i_ < (count); i_++)                                                  \
            call((to) + i_, (others) + (other_count)-1, (others) + (other_count)-1, __VA_ARGS__ 1);                            \
    } while (0)

/* low [lows] and high [highs] are lifted in place. A lone sample of a high band is its double. */
static void lift_row_whole(int32_t *low, int lows, int32_t *high, int highs, int odd)
{
    if (lows + highs == 1) {
        if (odd != 0)
            high[0] /= 2;
        return;
    }
    STEP_ROW(int32_t, lift_low, low, high, lows, highs, odd, );
    STEP_ROW(int32_t, lift_high, high, low, highs, lows, 1 - odd, );
}

static void lift_row_float(float *low, int lows, float *high, int highs, int odd)
{
    if (lows + highs == 1) {
        if (odd != 0)
            high[0] /= 2;
        return;
    }
    scale_float(low, LOW_SCALE, lows);
    scale_float(high, HIGH_SCALE, highs);
    STEP_ROW(float, lift_float, low, high, lows, highs, odd, -DELTA, );
    STEP_ROW(float, lift_float, high, low, highs, lows, 1 - odd, -GAMMA, );
    STEP_ROW(float, lift_float, low, high, lows, highs, odd, -BETA, );
    STEP_ROW(float, lift_float, high, low, highs, lows, 1 - odd, -ALPHA, );
}

/* Columns: `out` [height][width], whose rows 2 n + odd are lows and the others highs. Row y is lifted by those beside it. */
#define LIFT_ROWS(type, call, first, ...)                                                                                      \
    for (int y = (first); y < l->height; y += 2) {                                                                             \
        const int above_ = y > 0 ? y - 1 : 1, below_ = y + 1 < l->height ? y + 1 : y - 1;                                      \
        call(out + (size_t)y * width, out + (size_t)above_ * width, out + (size_t)below_ * width, __VA_ARGS__ l->width);       \
    }

static void lift_columns_whole(const level *l, int32_t *out)
{
    const size_t width = (size_t)l->width;
    if (l->height == 1) {
        for (size_t x = 0; l->odd_y != 0 && x < width; x++)
            out[x] /= 2;
        return;
    }
    LIFT_ROWS(int32_t, lift_low, l->odd_y, )
    LIFT_ROWS(int32_t, lift_high, 1 - l->odd_y, )
}

static void lift_columns_float(const level *l, float *out)
{
    const size_t width = (size_t)l->width;
    if (l->height == 1) {
        for (size_t x = 0; l->odd_y != 0 && x < width; x++)
            out[x] /= 2;
        return;
    }
    for (int y = 0; y < l->height; y++)
        scale_float(out + (size_t)y * width, y % 2 == l->odd_y ? LOW_SCALE : HIGH_SCALE, l->width);
    LIFT_ROWS(float, lift_float, l->odd_y, -DELTA, )
    LIFT_ROWS(float, lift_float, 1 - l->odd_y, -GAMMA, )
    LIFT_ROWS(float, lift_float, l->odd_y, -BETA, )
    LIFT_ROWS(float, lift_float, 1 - l->odd_y, -ALPHA, )
}

/* Both are of four bytes. */
static void interleave(const uint32_t *low, int lows, const uint32_t *high, int highs, int odd, uint32_t *restrict out)
{
    const int pairs = lows < highs ? lows : highs;
    const uint32_t *first = odd != 0 ? high : low, *second = odd != 0 ? low : high;
    for (int i = 0; i < pairs; i++) {
        out[2 * i] = first[i];
        out[2 * i + 1] = second[i];
    }
    if (lows != highs)
        out[2 * pairs] = lows > highs ? low[pairs] : high[pairs];
}

/* A row of the level from one of a low band and one of a high band, both of which are spent. */
static void make_row(const level *l, bool reversible, void *low, void *high, void *out)
{
    const int lows = l->low_width, highs = l->width - lows;
    if (reversible)
        lift_row_whole(low, lows, high, highs, l->odd_x);
    else
        lift_row_float(low, lows, high, highs, l->odd_x);
    interleave(low, lows, high, highs, l->odd_x, out);
}

static uint32_t *row_of(uint32_t *values, size_t row, size_t width) { return values == NULL ? NULL : values + row * width; }

/* *values = the level above, made of it and of the three bands. */
static bool make_level(j2k_resolution *r, bool reversible, void **values)
{
    j2k_band *hl = &r->bands[0], *lh = &r->bands[1], *hh = &r->bands[2];
    const level l = {
        .width = r->x1 - r->x0, .height = r->y1 - r->y0, .low_width = lh->x1 - lh->x0, .odd_x = r->x0 & 1, .odd_y = r->y0 & 1};
    uint32_t *out = NULL;
    if (l.width == 0 || l.height == 0)
        return true;
    if (pfm_allocate((size_t)l.width * (size_t)l.height, sizeof *out, &out, NULL) != PFM_OK)
        return false;
    const size_t lows = (size_t)l.low_width, highs = (size_t)(l.width - l.low_width);
    uint32_t *const low[] = {*values, lh->values}, *const high[] = {hl->values, hh->values};
    for (int y = 0; y < l.height; y++) {
        const int kind = (y & 1) != l.odd_y ? 1 : 0;
        const size_t row = (size_t)(y / 2);
        make_row(&l, reversible, row_of(low[kind], row, lows), row_of(high[kind], row, highs),
                 out + (size_t)y * (size_t)l.width);
    }
    if (reversible)
        lift_columns_whole(&l, (int32_t *)out);
    else
        lift_columns_float(&l, (float *)out);
    free(*values);
    *values = out;
    return true;
}

bool pfm_j2k_transform(j2k_tile *tile, int c, bool reversible, void **out)
{
    *out = tile->resolutions[c][0].bands[0].values;
    tile->resolutions[c][0].bands[0].values = NULL;
    bool made = true;
    for (int r = 1; made && r <= tile->levels; r++) {
        j2k_resolution *resolution = &tile->resolutions[c][r];
        made = make_level(resolution, reversible, out);
        for (int b = 0; b < resolution->count; b++) {
            free(resolution->bands[b].values);
            resolution->bands[b].values = NULL;
        }
    }
    return made;
}
