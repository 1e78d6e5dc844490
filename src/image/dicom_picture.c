#include "base/try.h"
#include "image/dicom_grey.h"

#include <stdlib.h>
#include <string.h>

/* What is no number is black. */
static uint8_t to_byte(double share) { return (uint8_t)(!(share > 0) ? 0 : share >= 1 ? 255 : share * 255 + 0.5); }

static uint8_t grey_of(const pfm_dicom_grey *grey, double stored)
{
    const double value = pfm_dicom_grey_value(grey, stored);
    const double most = grey->voi_lut.count > 0 ? (double)((1 << grey->voi_lut.bits) - 1) : 1;
    const double share =
        grey->voi_lut.count > 0 ? pfm_dicom_lut_apply(&grey->voi_lut, value) / most : pfm_window_apply(&grey->window, value);
    return to_byte(grey->inverted ? 1 - share : share);
}

/* Three bytes of a pixel each from a table: two pixels at a time in eight bytes, the last two of which the next pixels
 * overwrite. `one_byte` is a constant in it. */
static inline __attribute__((always_inline)) void look_up(const void *values, bool one_byte, size_t pixels, int low,
                                                          const uint32_t *table, uint8_t *rgb)
{
    size_t i = 0;
    for (; i + 3 <= pixels; i += 2) {
        const uint64_t two = table[pfm_dicom_place(values, one_byte, i, low)] |
                             (uint64_t)table[pfm_dicom_place(values, one_byte, i + 1, low)] << 24;
        memcpy(rgb + 3 * i, &two, sizeof two);
    }
    for (; i < pixels; i++)
        memcpy(rgb + 3 * i, &table[pfm_dicom_place(values, one_byte, i, low)], 3);
}

/* Of values of at most 16 bits each between the lowest and the highest is computed once, where that is less work. */
static pfm_status fill_grey(const pfm_dicom_frame *frame, const pfm_dicom_grey *grey, uint8_t *rgb, pfm_error *err)
{
    const size_t pixels = (size_t)frame->width * (size_t)frame->height;
    uint32_t *table = NULL;
    int low = 0, high = 0;
    if (frame->kind <= DICOM_S16)
        pfm_dicom_find_extent(frame, &low, &high);
    if (frame->kind > DICOM_S16 || pixels < (size_t)(high - low)) {
        for (size_t i = 0; i < pixels; i++)
            memset(rgb + 3 * i, grey_of(grey, pfm_dicom_sample(frame, i)), 3);
        return PFM_OK;
    }
    pfm_status status = pfm_allocate((size_t)(high - low) + 1, sizeof *table, &table, err);
    if (status != PFM_OK)
        return status;
    for (int i = low; i <= high; i++)
        table[i - low] = grey_of(grey, i) * UINT32_C(0x010101);
    if (frame->kind <= DICOM_S8)
        look_up(frame->data, true, pixels, low, table, rgb);
    else
        look_up(frame->data, false, pixels, low, table, rgb);
    free(table);
    return PFM_OK;
}

static pfm_status make_palette(pfm_dicom *file, const pfm_dicom_frame *frame, uint8_t *rgb, pfm_error *err)
{
    const size_t pixels = (size_t)frame->width * (size_t)frame->height;
    pfm_status status = PFM_OK;
    for (int c = 0; status == PFM_OK && c < 3; c++) {
        pfm_dicom_lut lut = {0};
        status = pfm_dicom_palette_read(file, c, &lut, err);
        for (size_t i = 0; status == PFM_OK && i < pixels; i++) {
            const unsigned entry = (unsigned)pfm_dicom_lut_apply(&lut, pfm_dicom_sample(frame, i));
            const int bits = lut.bits;
            rgb[3 * i + (size_t)c] = (uint8_t)(bits > 8 ? entry >> (bits - 8) : entry << (8 - bits));
        }
        pfm_dicom_lut_free(&lut);
    }
    return status;
}

static void make_colour(const pfm_dicom_frame *frame, uint8_t *rgb)
{
    const size_t samples = (size_t)frame->width * (size_t)frame->height * 3;
    if (frame->kind == DICOM_U8 && frame->bits == 8) {
        memcpy(rgb, frame->data, samples);
        return;
    }
    const double most = (double)((UINT64_C(1) << frame->bits) - 1);
    for (size_t i = 0; i < samples; i++)
        rgb[i] = to_byte(pfm_dicom_sample(frame, i) / most);
}

pfm_status pfm_dicom_make_grey(const char *name, const pfm_dicom_frame *frame, const pfm_dicom_grey *grey, pfm_image *out,
                               pfm_error *err)
{
    pfm_status status = pfm_image_create(frame->width, frame->height, name, out, err);
    return status == PFM_OK ? fill_grey(frame, grey, out->rgb, err) : status;
}

pfm_status pfm_dicom_make_picture(pfm_dicom *file, const pfm_dicom_layout *layout, const pfm_dicom_frame *frame,
                                  const pfm_dicom_grey *grey, pfm_image *out, pfm_error *err)
{
    if (grey != NULL)
        return pfm_dicom_make_grey(file->name, frame, grey, out, err);
    pfm_status status = pfm_image_create(frame->width, frame->height, file->name, out, err);
    if (status != PFM_OK)
        return status;
    if (layout->colour == DICOM_PALETTE)
        return make_palette(file, frame, out->rgb, err);
    make_colour(frame, out->rgb);
    return PFM_OK;
}
