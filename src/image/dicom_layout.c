#include "image/dicom_pixels.h"

#include "base/try.h"
#include "image/image.h"

#include <math.h>
#include <string.h>

#define PIXEL_DATA DICOM_TAG(0x7FE0, 0x0010)
#define FLOAT_PIXELS DICOM_TAG(0x7FE0, 0x0008)
#define DOUBLE_PIXELS DICOM_TAG(0x7FE0, 0x0009)

/* A whole number that the file must hold, or may: then `initial` >= 0 stands where it is missing. */
typedef struct whole {
    uint32_t tag;
    const char *name, *vr;
    double low, high;
    int initial;
} whole;

static pfm_status read_whole(const pfm_dicom *file, const whole *what, int *out, pfm_error *err)
{
    const pfm_dicom_element *element = pfm_dicom_find(file, what->tag);
    double value = 0;
    bool good = true;
    *out = what->initial;
    const size_t count = pfm_dicom_numbers(element, what->vr, &value, 1, &good);
    if (good && count == 0 && what->initial >= 0)
        return PFM_OK;
    if (good && count == 0)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %s (%04X,%04X) is missing, without which its pixels cannot be read",
                             file->name, what->name, what->tag >> 16, what->tag & 0xFFFF);
    if (!good || value != floor(value) || value < what->low || value > what->high)
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s: %s (%04X,%04X) is no whole number from %.0f to %.0f; the file is damaged", file->name,
                             what->name, what->tag >> 16, what->tag & 0xFFFF, what->low, what->high);
    *out = (int)value;
    return PFM_OK;
}

static pfm_status read_colour(const pfm_dicom *file, pfm_dicom_layout *out, pfm_error *err)
{
    static const struct {
        const char *name;
        int samples;
        pfm_dicom_colour colour;
    } known[] = {
        {"MONOCHROME1", 1, DICOM_MONOCHROME1},     {"MONOCHROME2", 1, DICOM_MONOCHROME2},
        {"PALETTE COLOR", 1, DICOM_PALETTE},       {"RGB", 3, DICOM_RGB},
        {"YBR_FULL", 3, DICOM_YBR_FULL},           {"YBR_FULL_422", 3, DICOM_YBR_FULL_422},
        {"YBR_PARTIAL_422", 3, DICOM_YBR_PARTIAL}, {"YBR_PARTIAL_420", 3, DICOM_YBR_PARTIAL},
        {"YBR_ICT", 3, DICOM_YBR_OF_CODEC},        {"YBR_RCT", 3, DICOM_YBR_OF_CODEC},
    };
    const pfm_dicom_element *element = pfm_dicom_find(file, DICOM_TAG(0x0028, 0x0004));
    pfm_dicom_code(element, out->photometric, sizeof out->photometric);
    if (element == NULL) /* as before DICOM: what it must be by the number of samples */
        (void)memcpy(out->photometric, out->samples == 1 ? "MONOCHROME2" : "RGB", out->samples == 1 ? 12 : 4);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(out->photometric, known[i].name) != 0)
            continue;
        out->colour = known[i].colour;
        if (out->samples != known[i].samples)
            return pfm_error_set(err, PFM_ERROR_FORMAT,
                                 "%s: its Photometric Interpretation (0028,0004) is %s, but its Samples per Pixel (0028,0002) "
                                 "are %d; the file is damaged",
                                 file->name, known[i].name, out->samples);
        return PFM_OK;
    }
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                         "%s: its Photometric Interpretation (0028,0004) is '%s', which is not read here; convert it to RGB",
                         file->name, out->photometric);
}

static pfm_status check_bits(const pfm_dicom *file, const pfm_dicom_layout *layout, pfm_error *err)
{
    const int a = layout->allocated;
    if (layout->is_float && (a == 32 || a == 64) && layout->samples == 1)
        return PFM_OK;
    if ((a != 1 && a != 8 && a != 16 && a != 32) || layout->is_float)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: its Bits Allocated (0028,0100) are %d; 1, 8, 16 and 32 are read",
                             file->name, a);
    if (layout->stored > a || layout->high >= a || layout->high + 1 < layout->stored)
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s: its Bits Stored (0028,0101) are %d with High Bit (0028,0102) %d, which do not fit in the %d "
                             "allocated; the file is damaged",
                             file->name, layout->stored, layout->high, a);
    if (layout->samples > 1 && a != 8 && layout->colour != DICOM_RGB && layout->colour != DICOM_YBR_OF_CODEC)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: %s with %d bits a sample is not read here; 8 are", file->name,
                             layout->photometric, a);
    return PFM_OK;
}

/* Says why there are none. */
static pfm_status find_pixels(const pfm_dicom *file, pfm_dicom_layout *out, pfm_error *err)
{
    static const uint32_t tags[] = {PIXEL_DATA, FLOAT_PIXELS, DOUBLE_PIXELS};
    char modality[17];
    for (int i = 0; i < 3 && out->pixels == NULL; i++) {
        out->pixels = pfm_dicom_find(file, tags[i]);
        out->is_float = i > 0 && out->pixels != NULL;
    }
    if (out->pixels != NULL)
        return PFM_OK;
    if (file->cut)
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s is a DICOM file that ends within the element (%04X,%04X), before any pixels; copy it again",
                             file->name, file->cut_at >> 16, file->cut_at & 0xFFFF);
    if (pfm_dicom_find(file, DICOM_TAG(0x0028, 0x7FE0)) != NULL)
        return pfm_error_set(
            err, PFM_ERROR_UNSUPPORTED,
            "%s has no pixels itself but says where a server has them (Pixel Data Provider URL); fetch them there", file->name);
    pfm_dicom_code(pfm_dicom_find(file, DICOM_TAG(0x0008, 0x0060)), modality, sizeof modality);
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is a DICOM file without pixels%s%.16s%s; an image is needed", file->name,
                         modality[0] != '\0' ? " (modality " : "", modality, modality[0] != '\0' ? ")" : "");
}

pfm_status pfm_dicom_read_layout(const pfm_dicom *file, pfm_dicom_layout *out, pfm_error *err)
{
    static const whole rows = {DICOM_TAG(0x0028, 0x0010), "Rows", "US", 1, 65535, -1},
                       columns = {DICOM_TAG(0x0028, 0x0011), "Columns", "US", 1, 65535, -1},
                       samples = {DICOM_TAG(0x0028, 0x0002), "Samples per Pixel", "US", 1, 3, 1},
                       allocated = {DICOM_TAG(0x0028, 0x0100), "Bits Allocated", "US", 1, 64, -1},
                       sign = {DICOM_TAG(0x0028, 0x0103), "Pixel Representation", "US", 0, 1, 0},
                       planar = {DICOM_TAG(0x0028, 0x0006), "Planar Configuration", "US", 0, 1, 0},
                       frames = {DICOM_TAG(0x0028, 0x0008), "Number of Frames", "IS", 0, 1e9, 1};
    pfm_status status = PFM_OK;
    int is_signed = 0, is_planar = 0;
    *out = (pfm_dicom_layout){0};
    PFM_TRY(find_pixels(file, out, err));
    PFM_TRY(read_whole(file, &rows, &out->rows, err));
    PFM_TRY(read_whole(file, &columns, &out->columns, err));
    PFM_TRY(read_whole(file, &samples, &out->samples, err));
    PFM_TRY(read_whole(file, &allocated, &out->allocated, err));
    PFM_TRY(read_whole(file, &sign, &is_signed, err));
    PFM_TRY(read_whole(file, &planar, &is_planar, err));
    PFM_TRY(read_whole(file, &frames, &out->frames, err));
    const whole stored = {DICOM_TAG(0x0028, 0x0101), "Bits Stored", "US", 1, 64, out->allocated};
    PFM_TRY(read_whole(file, &stored, &out->stored, err));
    const whole high = {DICOM_TAG(0x0028, 0x0102), "High Bit", "US", 0, 63, out->stored - 1};
    PFM_TRY(read_whole(file, &high, &out->high, err));
    out->frames = out->frames > 0 ? out->frames : 1;
    out->is_signed = is_signed == 1;
    out->planar = is_planar == 1 && out->samples > 1;
    PFM_TRY(read_colour(file, out, err));
    PFM_TRY(check_bits(file, out, err));
    const size_t count = (size_t)out->rows * (size_t)out->columns * (size_t)out->samples;
    if (count > DICOM_MOST_SAMPLES)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: its frames are %d x %d pixels of %d samples; at most %zu samples in all are read",
                 file->name, out->columns, out->rows, out->samples, DICOM_MOST_SAMPLES);
done:
    return status;
}
