/* Resizing to the bytes that Pillow gives, which the models' preprocessing was defined by.
 *
 * Along each axis output i lies at c = (i + 1/2) * in/out in the input. With f = max(1, in/out) a filter h that reaches r
 * (bicubic: Keys' cubic with a = -1/2, r = 2) reaches rf to both sides; weights w_j = h((j + 1/2 - c) / f) are normalised to
 * sum 1 and rounded to 22 fractional bits. One axis is filtered, rounded and clipped to 8 bits, then the other. */
#include "base/memory.h"
#include "base/try.h"
#include "image/square.h"
#include "image/resize_filters.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF /* a fused multiply-add would round weights differently; gcc's -std=c17 fuses nothing */
#endif

#define FRACTION_BITS 22 /* 8 bits of value and 2 of overshoot fit above them */
#define MEASURED_OUTPUTS 65536

/* Where each output takes its inputs from, and how much of each. Of an axis' weights, which have 22 bits and a sign, processors
 * multiply many at once where they are of 16: as the sum of a coarse part, in steps of 2^14, and a fine one. */
typedef struct weights {
    int taps;               /* row length of `values`, a multiple of TOGETHER */
    int64_t from;           /* the first output */
    int outputs;            /* how many from there on */
    int bits;               /* fractional ones of a value */
    int *first, *count;     /* [outputs] */
    int32_t *values;        /* [outputs][taps], 0 behind `count` */
    int16_t *coarse, *fine; /* [outputs][taps] */
} weights;

enum { TOGETHER = 8, FINE_BITS = 14 };

static void weights_free(weights *w)
{
    free(w->first);
    free(w->count);
    free(w->values);
    free(w->coarse);
    free(w->fine);
    *w = (weights){0};
}

static int32_t to_fixed(double value, int bits)
{
    double scaled = value * (1 << bits);
    return (int32_t)(value < 0.0 ? scaled - 0.5 : scaled + 0.5);
}

/* The weights of one output, in doubles in `scratch`; returns how many. */
static int weigh(const pfm_resize_filter *filter, double centre, double stretch, int in, int *first, double *scratch)
{
    double reach = filter->reach * stretch, inverse = 1.0 / stretch, sum = 0.0;
    int from = (int)(centre - reach + 0.5), to = (int)(centre + reach + 0.5);
    from = from < 0 ? 0 : from;
    to = to > in ? in : to;
    for (int j = 0; j < to - from; j++) {
        scratch[j] = filter->weight((j + from - centre + 0.5) * inverse);
        sum += scratch[j];
    }
    for (int j = 0; j < to - from && sum != 0.0; j++)
        scratch[j] /= sum;
    *first = from;
    return to - from;
}

/* torch takes as many bits as let the largest weight of all outputs fit into 16, its sign included. Of a very long side those
 * that are computed stand for all. */
static int bits_of_torch(const pfm_resize_filter *filter, int in, int64_t out, double scale, double stretch, double *scratch)
{
    double largest = 0;
    int bits = 0, first;
    for (int64_t i = 0; i < out && i < MEASURED_OUTPUTS; i++) {
        const int count = weigh(filter, ((double)i + 0.5) * scale, stretch, in, &first, scratch);
        for (int j = 0; j < count; j++)
            largest = scratch[j] > largest ? scratch[j] : largest;
    }
    while (bits < FRACTION_BITS && (int)(0.5 + largest * (1 << (bits + 1))) < 1 << 15)
        bits++;
    return bits;
}

/* For `count` outputs from `from` on of all `out` that there are. */
static pfm_status weights_create(const pfm_resize_filter *filter, int in, int64_t out, int64_t from, int count, weights *w,
                                 pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *scratch = NULL;
    double scale = (double)in / (double)out, stretch = scale < 1.0 ? 1.0 : scale;
    w->taps = ((int)ceil(filter->reach * stretch) * 2 + TOGETHER) / TOGETHER * TOGETHER;
    w->from = from;
    w->outputs = count;
    PFM_TRY(pfm_allocate((size_t)count, sizeof *w->first, &w->first, err));
    PFM_TRY(pfm_allocate((size_t)count, sizeof *w->count, &w->count, err));
    PFM_TRY(pfm_allocate((size_t)count * (size_t)w->taps, sizeof *w->values, &w->values, err));
    PFM_TRY(pfm_allocate((size_t)w->taps, sizeof *scratch, &scratch, err));
    w->bits = filter->as_torch ? bits_of_torch(filter, in, out, scale, stretch, scratch) : FRACTION_BITS;
    for (int i = 0; i < count; i++) {
        w->count[i] = weigh(filter, ((double)(from + i) + 0.5) * scale, stretch, in, &w->first[i], scratch);
        for (int j = 0; j < w->count[i]; j++)
            w->values[(size_t)i * (size_t)w->taps + (size_t)j] = to_fixed(scratch[j], w->bits);
    }
done:
    free(scratch);
    return status;
}

static pfm_status weights_split(weights *w, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t count = (size_t)w->outputs * (size_t)w->taps;
    PFM_TRY(pfm_allocate(count, sizeof *w->coarse, &w->coarse, err));
    PFM_TRY(pfm_allocate(count, sizeof *w->fine, &w->fine, err));
    for (size_t i = 0; i < count; i++) {
        w->coarse[i] = (int16_t)((w->values[i] + (1 << (FINE_BITS - 1))) >> FINE_BITS);
        w->fine[i] = (int16_t)(w->values[i] - w->coarse[i] * (1 << FINE_BITS));
    }
done:
    return status;
}

static uint8_t clip(int64_t sum, int bits)
{
    int64_t value = sum >> bits;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* `count` samples, a multiple of TOGETHER, by weights of 16 bits: so few at a time that no sum is of more than 32 bits. */
static int64_t multiply(const int16_t *samples, const int16_t *weight, int count)
{
    enum { SAFE = 256 }; /* 2^8 samples below 2^8 by weights up to 2^15 */
    int64_t all = 0;
    for (int begin = 0; begin < count; begin += SAFE) {
        const int end = count - begin < SAFE ? count : begin + SAFE;
        int32_t sum = 0;
        for (int j = begin; j < end; j++)
            sum += samples[j] * weight[j];
        all += sum;
    }
    return all;
}

/* A row's colours, one behind the other, `stride` apart. */
static void divide_colours(const uint8_t *row, int width, size_t stride, int16_t *colours)
{
    int16_t *red = colours, *green = red + stride, *blue = green + stride;
    for (int x = 0; x < width; x++, row += 3) {
        red[x] = row[0];
        green[x] = row[1];
        blue[x] = row[2];
    }
}

/* The rows of `in` from `first` on, as many as `out` has, to out's width. `colours`: three of `stride` samples, 0 behind those
 * of a row. */
static void filter_rows(const pfm_image *in, int first, const weights *w, int16_t *colours, size_t stride, pfm_image *out)
{
    size_t in_stride = (size_t)in->width * 3;
    const int32_t half = w->bits > 0 ? 1 << (w->bits - 1) : 0;
    uint8_t *to = out->rgb;
    for (int y = 0; y < out->height; y++) {
        divide_colours(in->rgb + (size_t)(y + first) * in_stride, in->width, stride, colours);
        for (int x = 0; x < out->width; x++, to += 3) {
            const size_t at = (size_t)x * (size_t)w->taps;
            const int count = (w->count[x] + TOGETHER - 1) / TOGETHER * TOGETHER;
            for (int c = 0; c < 3; c++) {
                const int16_t *from = colours + (size_t)c * stride + w->first[x];
                const int64_t coarse = multiply(from, w->coarse + at, count), fine = multiply(from, w->fine + at, count);
                to[c] = clip(coarse * (1 << FINE_BITS) + fine + half, w->bits);
            }
        }
    }
}

/* The columns of `in`, whose first row is row `first` of what `w` was made for; `sums` holds a row's samples. */
static void filter_columns(const pfm_image *in, int first, const weights *w, int32_t *sums, pfm_image *out)
{
    size_t samples = (size_t)in->width * 3;
    const int32_t half = w->bits > 0 ? 1 << (w->bits - 1) : 0;
    for (int y = 0; y < out->height; y++) {
        const int32_t *k = w->values + (size_t)y * (size_t)w->taps;
        const uint8_t *row = in->rgb + (size_t)(w->first[y] - first) * samples;
        for (size_t i = 0; i < samples; i++)
            sums[i] = half;
        for (int j = 0; j < w->count[y]; j++, row += samples) {
            int32_t weight = k[j];
            for (size_t i = 0; i < samples; i++)
                sums[i] += row[i] * weight;
        }
        uint8_t *to = out->rgb + (size_t)y * samples;
        for (size_t i = 0; i < samples; i++)
            to[i] = clip(sums[i], w->bits);
    }
}

/* Rows `first` to `first + rows` of the picture at the width of the part. */
static pfm_status resize_width(const pfm_image *in, const pfm_resize_filter *filter, const pfm_resize_part *part, int first,
                               int rows, pfm_image *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t stride = (size_t)in->width + TOGETHER;
    weights w = {0};
    int16_t *colours = NULL;
    PFM_TRY(weights_create(filter, in->width, part->width, part->x, part->columns, &w, err));
    PFM_TRY(weights_split(&w, err));
    PFM_TRY(pfm_allocate(3 * stride, sizeof *colours, &colours, err));
    PFM_TRY(pfm_image_create(part->columns, rows, "the resized picture", out, err));
    filter_rows(in, first, &w, colours, stride, out);
done:
    free(colours);
    weights_free(&w);
    return status;
}

static pfm_status resize_height(const pfm_image *in, int first, const weights *w, pfm_image *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int32_t *sums = NULL;
    PFM_TRY(pfm_image_create(in->width, w->outputs, "the resized picture", out, err));
    PFM_TRY(pfm_allocate((size_t)in->width * 3, sizeof *sums, &sums, err));
    filter_columns(in, first, w, sums, out);
done:
    free(sums);
    return status;
}

static pfm_status copy_image(const pfm_image *in, pfm_image *out, pfm_error *err)
{
    pfm_status status = pfm_image_create(in->width, in->height, "the picture", out, err);
    if (status == PFM_OK)
        memcpy(out->rgb, in->rgb, (size_t)in->width * (size_t)in->height * 3);
    return status;
}

/* Which axis goes first decides where 8-bit rounding happens, so it must be Pillow's choice: since Pillow 13 columns, where the
 * height shrinks by more than twice what the width does; before that always rows. */
static bool columns_first(const pfm_image *in, const pfm_resize_part *part)
{
    int64_t narrower = in->width > part->width ? in->width - part->width : 0;
    return in->height - part->height > 2 * narrower;
}

static pfm_status resize_both(const pfm_image *in, const pfm_resize_filter *filter, const pfm_resize_part *part, pfm_image *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    weights down = {0};
    pfm_image between = {0};
    PFM_TRY(weights_create(filter, in->height, part->height, part->y, part->rows, &down, err));
    if (part->columns == in->width && part->width == in->width) {
        PFM_TRY(resize_height(in, 0, &down, out, err));
    } else if (!filter->as_torch && columns_first(in, part)) {
        PFM_TRY(resize_height(in, 0, &down, &between, err));
        PFM_TRY(resize_width(&between, filter, part, 0, part->rows, out, err));
    } else {
        const int last = part->rows - 1, first = down.first[0];
        const int rows = down.first[last] + down.count[last] - first; /* the rows that columns read */
        PFM_TRY(resize_width(in, filter, part, first, rows, &between, err));
        PFM_TRY(resize_height(&between, first, &down, out, err));
    }
done:
    weights_free(&down);
    pfm_image_free(&between);
    return status;
}

pfm_status pfm_resize_make(const pfm_image *in, const pfm_resize_filter *filter, const pfm_resize_part *part, pfm_image *out,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool same_width = part->width == in->width && part->columns == in->width;
    const bool same_height = part->height == in->height && part->rows == in->height;
    *out = (pfm_image){0};
    if (same_width && same_height)
        PFM_TRY(copy_image(in, out, err));
    else if (same_height)
        PFM_TRY(resize_width(in, filter, part, 0, part->rows, out, err));
    else
        PFM_TRY(resize_both(in, filter, part, out, err));
done:
    if (status != PFM_OK)
        pfm_image_free(out);
    return status;
}

pfm_status pfm_image_resize(const pfm_image *in, const char *filter, int width, int height, pfm_image *out, pfm_error *err)
{
    const pfm_resize_filter *found = pfm_resize_filter_find(filter);
    *out = (pfm_image){0};
    if (found == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "there is no filter '%.60s'; known: %s", filter, pfm_resize_filter_names);
    if (width < 1 || height < 1 || width > PFM_IMAGE_MAX_SIDE || height > PFM_IMAGE_MAX_SIDE ||
        width > PFM_IMAGE_MAX_PIXELS / height)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "a picture cannot be resized to %d x %d; give sides from 1 to %d and at most %d pixels in all",
                             width, height, PFM_IMAGE_MAX_SIDE, PFM_IMAGE_MAX_PIXELS);
    return pfm_resize_make(in, found, &(pfm_resize_part){.width = width, .height = height, .columns = width, .rows = height},
                           out, err);
}

pfm_status pfm_image_resize_bicubic(const pfm_image *in, int width, int height, pfm_image *out, pfm_error *err)
{
    return pfm_image_resize(in, "bicubic", width, height, out, err);
}
