#include "models/vision/vit_positions.h"

#include "base/memory.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981. */
static double cubic(double x, double a)
{
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}

/* weights [from]: the share of each old position in new position `at`. */
static void find_weights(int from, int grid, int at, bool antialias, double *weights)
{
    const double scale = (double)from / grid, centre = scale * (at + 0.5);
    memset(weights, 0, (size_t)from * sizeof *weights);
    if (!antialias) {
        const double place = centre - 0.5, first = floor(place);
        for (int i = -1; i <= 2; i++) {
            double old = fmin(fmax(first + i, 0), from - 1);
            weights[(int)old] += cubic(first + i - place, -0.75);
        }
        return;
    }
    const double reach = scale > 1 ? scale : 1;
    const int begin = (int)fmax(centre - 2 * reach + 0.5, 0), end = (int)fmin(centre + 2 * reach + 0.5, from);
    double sum = 0;
    for (int old = begin; old < end; old++)
        sum += weights[old] = cubic((old - centre + 0.5) / reach, -0.5);
    for (int old = begin; old < end; old++)
        weights[old] /= sum;
}

/* to [width] = the positions mixed along one side; step: values between two of them. */
static void mix(const float *positions, const double *weights, int from, int64_t step, int64_t width, double *sum, float *to)
{
    memset(sum, 0, (size_t)width * sizeof *sum);
    for (int old = 0; old < from; old++) {
        for (int64_t j = 0; weights[old] != 0 && j < width; j++)
            sum[j] += weights[old] * (double)positions[old * step + j];
    }
    for (int64_t j = 0; j < width; j++)
        to[j] = (float)sum[j];
}

pfm_status pfm_vit_resize_positions(const float *positions, int from, int grid, int64_t width, bool antialias, float *out,
                                    pfm_error *err)
{
    pfm_status status = PFM_OK;
    double *weights = NULL, *sum = NULL;
    float *rows = NULL; /* [from, grid, width] */
    if (from == grid) {
        memcpy(out, positions, (size_t)from * (size_t)from * (size_t)width * sizeof *out);
        return PFM_OK;
    }
    PFM_TRY(pfm_allocate((size_t)grid * (size_t)from, sizeof *weights, &weights, err));
    PFM_TRY(pfm_allocate((size_t)width, sizeof *sum, &sum, err));
    PFM_TRY(pfm_allocate((size_t)from * (size_t)grid * (size_t)width, sizeof *rows, &rows, err));
    for (int at = 0; at < grid; at++)
        find_weights(from, grid, at, antialias, weights + (ptrdiff_t)at * from);
    for (int y = 0; y < from; y++)
        for (int x = 0; x < grid; x++)
            mix(positions + y * from * width, weights + (ptrdiff_t)x * from, from, width, width, sum,
                rows + (y * grid + x) * width);
    for (int y = 0; y < grid; y++)
        for (int x = 0; x < grid; x++)
            mix(rows + x * width, weights + (ptrdiff_t)y * from, from, grid * width, width, sum, out + (y * grid + x) * width);
done:
    free(weights);
    free(sum);
    free(rows);
    return status;
}
