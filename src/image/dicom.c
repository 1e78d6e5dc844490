/* DICOM as a kind of picture: a frame, decoded alone, and what its values look like. */
#include "base/try.h"
#include "image/dicom_grey.h"
#include "image/kinds.h"
#include "image/orientation.h"
#include "image/values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool recognize(const unsigned char *bytes, size_t size) { return pfm_dicom_begins(bytes, size, size); }

void pfm_dicom_grey_record(const pfm_dicom_grey *grey, pfm_image_applied *out)
{
    out->has_values = true;
    (void)snprintf(out->modality, sizeof out->modality, "%s", grey->modality);
    const bool numbered = strcmp(grey->chosen, "file") == 0 || strcmp(grey->chosen, "lut") == 0;
    if (numbered)
        (void)snprintf(out->window, sizeof out->window, "%s:%d", grey->chosen, grey->index);
    else
        (void)snprintf(out->window, sizeof out->window, "%s", grey->chosen);
    const bool by_lut = grey->voi_lut.count > 0;
    (void)snprintf(out->function, sizeof out->function, "%s", by_lut ? "LUT" : pfm_window_function_name(grey->window.function));
    out->center = by_lut ? NAN : grey->window.center;
    out->width = by_lut ? NAN : grey->window.width;
    out->has_modality_lut = grey->modality_lut.count > 0;
    out->slope = grey->slope;
    out->intercept = grey->intercept;
    out->inverted = grey->inverted;
}

/* *out = a pixel's height by its width: from its spacing, of the patient or else of the detector, or as the file says their
 * ratio. What cannot be says nothing. */
static pfm_status read_aspect(pfm_dicom *file, int index, double *out, pfm_error *err)
{
    static const struct {
        uint32_t macro, tag;
        const char *vr;
    } tells[] = {{DICOM_TAG(0x0028, 0x9110), DICOM_TAG(0x0028, 0x0030), "DS"}, /* Pixel Spacing */
                 {0, DICOM_TAG(0x0018, 0x1164), "DS"},                         /* Imager Pixel Spacing */
                 {0, DICOM_TAG(0x0018, 0x2010), "DS"},                         /* Nominal Scanned Pixel Spacing */
                 {0, DICOM_TAG(0x0028, 0x0034), "IS"}};                        /* Pixel Aspect Ratio */
    *out = 1;
    for (size_t i = 0; i < sizeof tells / sizeof *tells; i++) {
        pfm_dicom_element element;
        double two[2];
        bool found = false, good = false;
        pfm_status status = pfm_dicom_find_of_frame(file, index, tells[i].macro, tells[i].tag, &element, &found, err);
        if (status != PFM_OK)
            return status;
        if (!found || pfm_dicom_numbers(&element, tells[i].vr, two, 2, &good) != 2 || !good || !(two[0] > 0) || !(two[1] > 0))
            continue;
        const double ratio = two[0] / two[1];
        *out = fabs(ratio - 1) < 1e-3 ? 1 : ratio; /* a spacing is rounded to some digits */
        break;
    }
    return PFM_OK;
}

/* A part of Patient Orientation, "L\\P": only what can be a side. */
static void copy_side(const char *text, size_t length, char out[4])
{
    while (length > 0 && text[length - 1] == ' ')
        length--;
    const bool good = length >= 1 && length <= 3 && strspn(text, "LRAPHF") >= length;
    (void)snprintf(out, 4, "%.*s", good ? (int)length : 0, text);
}

/* By the plane's cosines, else by what the file says in letters. */
static pfm_status find_directions(pfm_dicom *file, int frame, pfm_image_applied *out, pfm_error *err)
{
    pfm_dicom_element element;
    double cosines[6];
    bool found = false, good = true;
    char text[20];
    pfm_status status =
        pfm_dicom_find_of_frame(file, frame, DICOM_TAG(0x0020, 0x9116), DICOM_TAG(0x0020, 0x0037), &element, &found, err);
    if (status != PFM_OK)
        return status;
    if (found && pfm_dicom_numbers(&element, "DS", cosines, 6, &good) == 6 && good) {
        pfm_direction_name(cosines, out->rows_toward);
        pfm_direction_name(cosines + 3, out->columns_toward);
        return PFM_OK;
    }
    pfm_dicom_text(pfm_dicom_find(file, DICOM_TAG(0x0020, 0x0020)), text, sizeof text);
    const char *second = strchr(text, '\\');
    if (second != NULL) {
        copy_side(text, (size_t)(second - text), out->rows_toward);
        copy_side(second + 1, strlen(second + 1), out->columns_toward);
    }
    return PFM_OK;
}

/* Burned In Annotation (PS3.3, C.7.6.1): YES or NO; anything else says nothing. */
static pfm_burned_in read_burned_in(pfm_dicom *file)
{
    char text[20];
    pfm_dicom_text(pfm_dicom_find(file, DICOM_TAG(0x0028, 0x0301)), text, sizeof text);
    if (strcmp(text, "YES") == 0)
        return PFM_BURNED_IN_YES;
    return strcmp(text, "NO") == 0 ? PFM_BURNED_IN_NO : PFM_BURNED_IN_NOT_SAID;
}

static pfm_status show(const unsigned char *bytes, size_t size, const char *name, const pfm_image_choice *choice,
                       pfm_image *out, pfm_image_applied *applied, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom file = {0};
    pfm_dicom_layout layout;
    pfm_dicom_frame frame = {0};
    pfm_dicom_grey grey = {0};
    pfm_window window;
    PFM_TRY(pfm_window_parse(choice->window, &window, err));
    PFM_TRY(pfm_dicom_open(bytes, size, name, &file, err));
    PFM_TRY(pfm_dicom_read_layout(&file, &layout, err));
    applied->frames = layout.frames;
    file.threads = choice->threads;
    applied->burned_in = read_burned_in(&file);
    PFM_TRY(read_aspect(&file, choice->frame, &applied->pixel_aspect, err));
    PFM_TRY(find_directions(&file, choice->frame, applied, err));
    const bool is_grey = layout.colour == DICOM_MONOCHROME1 || layout.colour == DICOM_MONOCHROME2;
    if (!is_grey && choice->window != NULL && choice->strict)
        PFM_FAIL(PFM_ERROR_USAGE, "%s is a colour picture (%s), to which no window applies; leave out --window", name,
                 layout.photometric);
    PFM_TRY(pfm_dicom_read_frame(&file, &layout, choice->frame, &frame, err));
    if (is_grey) {
        PFM_TRY(pfm_dicom_grey_read(&file, &layout, choice->frame, &frame, &window, &grey, err));
        pfm_dicom_grey_record(&grey, applied);
        PFM_TRY(pfm_values_keep(&frame, &grey, choice, err));
    }
    PFM_TRY(pfm_dicom_make_picture(&file, &layout, &frame, is_grey ? &grey : NULL, out, err));
done:
    pfm_dicom_grey_free(&grey);
    pfm_dicom_frame_free(&frame);
    pfm_dicom_close(&file);
    return status;
}

const pfm_image_kind pfm_image_kind_dicom = {.name = "DICOM", .recognize = recognize, .show = show};
