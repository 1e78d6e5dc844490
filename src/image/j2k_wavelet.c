/* The inverse transforms of JPEG 2000 (ITU-T T.800, annex F), a level at a time and in place: rows, of which each is a low and
 * a high part, are lifted and interleaved, and then columns, a strip of them at once. */
#include "image/j2k_parts.h"

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

/* A level: its own size and its low bands'. `odd`: whether its first column, or row, is a high one. */
typedef struct level {
    int width, height, low_width, low_height;
    int odd_x, odd_y;
} level;

/* A sample of either kind, as it is moved. */
typedef uint32_t __attribute__((may_alias)) word;

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

static void interleave(const word *low, int lows, const word *high, int highs, int odd, word *restrict out)
{
    const int pairs = lows < highs ? lows : highs;
    const word *first = odd != 0 ? high : low, *second = odd != 0 ? low : high;
    for (int i = 0; i < pairs; i++) {
        out[2 * i] = first[i];
        out[2 * i + 1] = second[i];
    }
    if (lows != highs)
        out[2 * pairs] = lows > highs ? low[pairs] : high[pairs];
}

static level level_of(const j2k_resolution *r)
{
    const j2k_band *hl = &r->bands[0], *lh = &r->bands[1];
    return (level){.width = r->x1 - r->x0,
                   .height = r->y1 - r->y0,
                   .low_width = lh->x1 - lh->x0,
                   .low_height = hl->y1 - hl->y0,
                   .odd_x = r->x0 & 1,
                   .odd_y = r->y0 & 1};
}

void pfm_j2k_lift_rows(const j2k_tile *tile, int c, int r, bool reversible, int first, int end, void *lines)
{
    const level l = level_of(&tile->resolutions[c][r]);
    const size_t stride = (size_t)(tile->x1 - tile->x0);
    const int lows = l.low_width, highs = l.width - lows;
    for (int y = first; y < end; y++) {
        word *low = (word *)tile->values[c] + (size_t)y * stride, *high = low + lows;
        if (reversible)
            lift_row_whole((int32_t *)low, lows, (int32_t *)high, highs, l.odd_x);
        else
            lift_row_float((float *)low, lows, (float *)high, highs, l.odd_x);
        interleave(low, lows, high, highs, l.odd_x, lines);
        memcpy(low, lines, (size_t)l.width * sizeof *low);
    }
}

void pfm_j2k_lift_columns(const j2k_tile *tile, int c, int r, bool reversible, int first, int end, void *lines)
{
    level l = level_of(&tile->resolutions[c][r]);
    const size_t stride = (size_t)(tile->x1 - tile->x0), width = (size_t)(end - first);
    word *from = (word *)tile->values[c] + first, *strip = lines;
    for (int y = 0; y < l.height; y++) {
        const int row = (y & 1) == l.odd_y ? y / 2 : l.low_height + y / 2;
        memcpy(strip + (size_t)y * width, from + (size_t)row * stride, width * sizeof *strip);
    }
    l.width = end - first;
    if (reversible)
        lift_columns_whole(&l, lines);
    else
        lift_columns_float(&l, lines);
    for (int y = 0; y < l.height; y++)
        memcpy(from + (size_t)y * stride, strip + (size_t)y * width, width * sizeof *strip);
}
