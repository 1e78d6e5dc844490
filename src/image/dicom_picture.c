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

/* The lowest and highest value of a frame of at most 16 bits. */
static void find_extent(const pfm_dicom_frame *frame, size_t pixels, int *low, int *high)
{
    const bool is_signed = frame->kind == DICOM_S8 || frame->kind == DICOM_S16, one_byte = frame->kind <= DICOM_S8;
    const int turn = one_byte || is_signed ? 0 : 0x8000; /* so that all are signed, of which vectors find the least */
    int16_t least = INT16_MAX, most = INT16_MIN;
    for (size_t i = 0; one_byte && i < pixels; i++) {
        const uint8_t stored = ((const uint8_t *)frame->data)[i];
        const int16_t value = (int16_t)(is_signed && stored >= 0x80 ? stored - 0x100 : stored);
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    for (size_t i = 0; !one_byte && i < pixels; i++) {
        const int16_t value = (int16_t)(((const uint16_t *)frame->data)[i] ^ turn);
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    *low = least + turn;
    *high = most + turn;
}

/* A grey pixel of each value, whose number of bytes is `bytes`. */
static void put_grey(const void *values, int bytes, size_t pixels, const uint32_t *table, uint8_t *rgb)
{
    const uint8_t *narrow = values;
    const uint16_t *wide = values;
    for (size_t i = 0; i + 1 < pixels; i++, rgb += 3)
        memcpy(rgb, &table[bytes == 1 ? narrow[i] : wide[i]], 4); /* one more, which the next sets */
    if (pixels > 0)
        memcpy(rgb, &table[bytes == 1 ? narrow[pixels - 1] : wide[pixels - 1]], 3);
}

/* Of values of at most 16 bits each between the lowest and the highest is computed once, where that is less work. */
static pfm_status fill_grey(const pfm_dicom_frame *frame, const pfm_dicom_grey *grey, uint8_t *rgb, pfm_error *err)
{
    const size_t pixels = (size_t)frame->width * (size_t)frame->height;
    const bool one_byte = frame->kind <= DICOM_S8;
    const size_t entries = one_byte ? 256 : 65536;
    uint32_t *table = NULL; /* the three bytes of a pixel, and one more */
    int low = 0, high = (int)entries;
    if (frame->kind <= DICOM_S16)
        find_extent(frame, pixels, &low, &high);
    if (frame->kind > DICOM_S16 || pixels < (size_t)(high - low)) {
        for (size_t i = 0; i < pixels; i++)
            memset(rgb + 3 * i, grey_of(grey, pfm_dicom_sample(frame, i)), 3);
        return PFM_OK;
    }
    pfm_status status = pfm_allocate(entries, sizeof *table, &table, err);
    if (status != PFM_OK)
        return status;
    for (int i = low; i <= high; i++) /* a negative value stands where its bits, without a sign, say */
        table[(size_t)i & (entries - 1)] = grey_of(grey, i) * UINT32_C(0x01010101);
    put_grey(frame->data, one_byte ? 1 : 2, pixels, table, rgb);
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
