#include "image/resize_filters.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF /* as in resize.c */
#endif

/* Keys' cubic with a = -1/2. */
static double bicubic(double x)
{
    const double a = -0.5;
    if (x < 0.0)
        x = -x;
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0)
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static double bilinear(double x)
{
    x = x < 0.0 ? -x : x;
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double sinc(double x)
{
    if (x == 0.0)
        return 1.0;
    x *= 3.14159265358979323846;
    return sin(x) / x;
}

static double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double hamming(double x)
{
    x = x < 0.0 ? -x : x;
    if (x == 0.0)
        return 1.0;
    if (x >= 1.0)
        return 0.0;
    x *= 3.14159265358979323846;
    return sin(x) / x * (0.54f + 0.46f * cos(x));
}

static const pfm_resize_filter filters[] = {
#define FILTER(name, function, reach, as_torch) {#name, reach, function, as_torch},
    PFM_RESIZE_FILTERS(FILTER)};

#define FILTER_NAME(name, function, reach, as_torch) #name " "
const char pfm_resize_filter_names[] = PFM_RESIZE_FILTERS(FILTER_NAME);

const pfm_resize_filter *pfm_resize_filter_find(const char *name)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (name == NULL || strcmp(name, filters[i].name) == 0)
            return &filters[i];
    return NULL;
}
