#include "data/near.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = PFM_NEAR_SIDE, HASHED = 32, LOW = 8 };

/* How many grey levels a picture's areas must vary by, as a standard deviation. */
static const double LEAST_CONTRAST = 2;

static double grey_of(const uint8_t *rgb) { return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]; }

/* out [side][side] = means of the picture over equal areas; a pixel on a border counts in both by its share. */
static void average(const pfm_image *image, int side, double *out)
{
    const double across = (double)image->width / side, down = (double)image->height / side;
    for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
            const double left = x * across, right = left + across, top = y * down, bottom = top + down;
            double sum = 0, weight = 0;
            for (int v = (int)top; v < image->height && v < bottom; v++) {
                const double height = fmin(bottom, v + 1) - fmax(top, v);
                const uint8_t *row = image->rgb + 3 * (size_t)image->width * (size_t)v;
                for (int u = (int)left; u < image->width && u < right; u++) {
                    const double share = height * (fmin(right, u + 1) - fmax(left, u));
                    sum += share * grey_of(row + 3 * (size_t)u);
                    weight += share;
                }
            }
            out[y * side + x] = weight > 0 ? sum / weight : 0;
        }
    }
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The signs of the 8 x 8 lowest frequencies but the mean's against their median. */
static uint64_t hash_of(const double areas[HASHED * HASHED])
{
    static const double pi = 3.14159265358979323846;
    double rows[LOW][HASHED], low[LOW * LOW], sorted[LOW * LOW];
    uint64_t hash = 0;
    for (int k = 0; k < LOW; k++)
        for (int x = 0; x < HASHED; x++) {
            rows[k][x] = 0;
            for (int y = 0; y < HASHED; y++)
                rows[k][x] += areas[y * HASHED + x] * cos(pi * (2 * y + 1) * k / (2 * HASHED));
        }
    for (int k = 0; k < LOW; k++)
        for (int j = 0; j < LOW; j++) {
            double sum = 0;
            for (int x = 0; x < HASHED; x++)
                sum += rows[k][x] * cos(pi * (2 * x + 1) * j / (2 * HASHED));
            low[k * LOW + j] = sum;
        }
    memcpy(sorted, low, sizeof low);
    qsort(sorted + 1, LOW * LOW - 1, sizeof *sorted, compare);
    const double median = sorted[1 + (LOW * LOW - 1) / 2];
    for (int i = 1; i < LOW * LOW; i++)
        hash |= (uint64_t)(low[i] > median) << i;
    return hash;
}

void pfm_near_of_image(const pfm_image *image, pfm_near *out)
{
    double areas[SIDE * SIDE], sum = 0, squares = 0;
    average(image, HASHED, areas);
    *out = (pfm_near){.hash = hash_of(areas)};
    average(image, SIDE, areas);
    for (int i = 0; i < SIDE * SIDE; i++) {
        sum += areas[i];
        squares += areas[i] * areas[i];
        out->grey[i / SIDE][i % SIDE] = (uint16_t)lround(areas[i] * 257);
    }
    const double mean = sum / (SIDE * SIDE);
    out->flat = squares / (SIDE * SIDE) - mean * mean < LEAST_CONTRAST * LEAST_CONTRAST;
}

bool pfm_near_may_be(const pfm_near *a, const pfm_near *b)
{
    return !a->flat && !b->flat && __builtin_popcountll(a->hash ^ b->hash) <= PFM_NEAR_BITS;
}

/* out = the differences of neighbours, down and then across, and *length = the root of the sum of their squares. */
static void differences(float picture[SIDE][SIDE], float out[2 * SIDE * (SIDE - 1)], double *length)
{
    double squares = 0;
    size_t next = 0;
    for (int y = 0; y + 1 < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            out[next++] = picture[y + 1][x] - picture[y][x];
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x + 1 < SIDE; x++)
            out[next++] = picture[y][x + 1] - picture[y][x];
    for (size_t i = 0; i < next; i++)
        squares += (double)out[i] * (double)out[i];
    *length = sqrt(squares);
}

/* Where area i of a part of the picture lies: `share` of each side is kept, `shift` moves it from the middle. */
static int place(int i, double share, double shift, float *between)
{
    double at = (i + 0.5) * share + ((1 - share) / 2 + shift) * SIDE - 0.5;
    at = fmin(fmax(at, 0), SIDE - 1);
    const int whole = at >= SIDE - 1 ? SIDE - 2 : (int)at;
    *between = (float)(at - whole);
    return whole;
}

static void cut(const pfm_near *from, double share, double right, double down, float out[SIDE][SIDE])
{
    float between[SIDE];
    int columns[SIDE];
    for (int x = 0; x < SIDE; x++)
        columns[x] = place(x, share, right, &between[x]);
    for (int y = 0; y < SIDE; y++) {
        float v;
        const int row = place(y, share, down, &v);
        for (int x = 0; x < SIDE; x++) {
            const float u = between[x];
            const uint16_t *top = &from->grey[row][columns[x]], *bottom = &from->grey[row + 1][columns[x]];
            out[y][x] = (1 - v) * ((1 - u) * (float)top[0] + u * (float)top[1]) +
                        v * ((1 - u) * (float)bottom[0] + u * (float)bottom[1]);
        }
    }
}

static double correlate(const float *a, double a_length, const pfm_near *b, double share, double right, double down)
{
    float picture[SIDE][SIDE], own[2 * SIDE * (SIDE - 1)];
    double length, sum = 0;
    cut(b, share, right, down, picture);
    differences(picture, own, &length);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sum += (double)a[i] * (double)own[i];
    return a_length > 0 && length > 0 ? sum / (a_length * length) : 0;
}

/* The best that parts of b come to beside all of a. */
static double best_part(const pfm_near *a, const pfm_near *b)
{
    static const double shares[] = {0.98, 0.96, 0.94, 0.92, 0.90};
    float picture[SIDE][SIDE], whole[2 * SIDE * (SIDE - 1)];
    double length, best;
    cut(a, 1, 0, 0, picture);
    differences(picture, whole, &length);
    best = correlate(whole, length, b, 1, 0, 0);
    for (size_t s = 0; s < sizeof shares / sizeof *shares; s++)
        for (int y = -1; y <= 1; y++)
            for (int x = -1; x <= 1; x++)
                best = fmax(best, correlate(whole, length, b, shares[s], x * (1 - shares[s]) / 2, y * (1 - shares[s]) / 2));
    return best;
}

double pfm_near_likeness(const pfm_near *a, const pfm_near *b) { return fmax(best_part(a, b), best_part(b, a)); }
