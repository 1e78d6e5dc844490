#include "image/square.h"

#include "base/try.h"
#include "image/resize_filters.h"

#include <stdio.h>
#include <string.h>

typedef struct fit {
    const char *name;
    void (*plan)(int width, int height, int size, pfm_fit_plan *out);
} fit;

static void squash(int width, int height, int size, pfm_fit_plan *out)
{
    *out = (pfm_fit_plan){.canvas_width = width, .canvas_height = height, .width = size, .height = size};
}

static void crop(int width, int height, int size, pfm_fit_plan *out)
{
    const int narrow = width < height ? width : height;
    squash(width, height, size, out);
    if (narrow == width)
        out->height = (int64_t)((double)size * height / width); /* as Python's int(size * long / short) */
    else
        out->width = (int64_t)((double)size * width / height);
    out->x = (out->width - size) / 2;
    out->y = (out->height - size) / 2;
}

/* Half of a number; of an odd one the even neighbour. */
static int64_t half_to_even(int64_t value) { return value / 2 + (value % 4 == 3 ? 1 : 0); }

static void crop_round(int width, int height, int size, pfm_fit_plan *out)
{
    crop(width, height, size, out);
    out->x = half_to_even(out->width - size);
    out->y = half_to_even(out->height - size);
}

static void pad(int width, int height, int size, pfm_fit_plan *out)
{
    const int side = width > height ? width : height;
    squash(side, side, size, out);
    out->left = (side - width) / 2;
    out->top = (side - height) / 2;
}

static const fit fits[] = {
#define FIT(name) {#name, name},
    PFM_FITS(FIT)};

#define FIT_NAME(name) #name " "

static pfm_status find(const pfm_image_fit *how, const fit **found, const pfm_resize_filter **filter, pfm_error *err)
{
    *found = NULL;
    for (size_t i = 0; i < sizeof fits / sizeof *fits && *found == NULL; i++)
        if (how->fit == NULL || strcmp(how->fit, fits[i].name) == 0)
            *found = &fits[i];
    if (*found == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "a picture cannot be fitted by '%.60s'; known: " PFM_FITS(FIT_NAME),
                             how->fit);
    *filter = pfm_resize_filter_find(how->filter);
    if (*filter == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "there is no filter '%.60s'; known: %s", how->filter,
                             pfm_resize_filter_names);
    return PFM_OK;
}

pfm_status pfm_image_check_fit(const pfm_image_fit *how, pfm_error *err)
{
    const fit *found;
    const pfm_resize_filter *filter;
    return find(how, &found, &filter, err);
}

/* *out = the picture on its canvas. */
static pfm_status put_on_canvas(const pfm_image *in, const pfm_fit_plan *plan, const uint8_t fill[3], pfm_image *out,
                                pfm_error *err)
{
    pfm_status status = pfm_image_create(plan->canvas_width, plan->canvas_height, "the padded picture", out, err);
    const size_t row = (size_t)in->width * 3, stride = (size_t)plan->canvas_width * 3;
    const size_t pixels = status == PFM_OK ? (size_t)out->width * (size_t)out->height : 0;
    for (size_t i = 0; i < pixels; i++)
        memcpy(out->rgb + 3 * i, fill, 3);
    for (int y = 0; pixels > 0 && y < in->height; y++)
        memcpy(out->rgb + (size_t)(y + plan->top) * stride + (size_t)plan->left * 3, in->rgb + (size_t)y * row, row);
    return status;
}

pfm_status pfm_image_fit_square(const pfm_image *in, const pfm_image_fit *how, int size, pfm_image *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const fit *found;
    const pfm_resize_filter *filter;
    pfm_fit_plan plan;
    pfm_image canvas = {0};
    *out = (pfm_image){0};
    if (size < 1 || size > PFM_IMAGE_MAX_PIXELS / size)
        PFM_FAIL(PFM_ERROR_USAGE, "a picture cannot be resized to %d x %d; give a size from 1 to 8192", size, size);
    PFM_TRY(find(how, &found, &filter, err));
    found->plan(in->width, in->height, size, &plan);
    const bool padded = plan.canvas_width != in->width || plan.canvas_height != in->height;
    if (padded)
        PFM_TRY(put_on_canvas(in, &plan, how->fill, &canvas, err));
    const pfm_resize_part part = {
        .width = plan.width, .height = plan.height, .x = plan.x, .y = plan.y, .columns = size, .rows = size};
    PFM_TRY(pfm_resize_make(padded ? &canvas : in, filter, &part, out, err));
done:
    pfm_image_free(&canvas);
    return status;
}

void pfm_image_record_fit(const char *name, pfm_image_applied *applied)
{
    const bool whole = name == NULL || strcmp(name, "squash") == 0;
    (void)snprintf(applied->fit, sizeof applied->fit, "%s", whole ? "" : name);
}
