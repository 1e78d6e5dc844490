#include "image/values.h"

#include "base/memory.h"
#include "base/try.h"

#define MOST_BYTES ((size_t)1 << 27)

pfm_status pfm_values_check_size(const char *name, long long width, long long height, int samples, int sample_bytes,
                                 pfm_error *err)
{
    const size_t most =
        MOST_BYTES / (size_t)sample_bytes < DICOM_MOST_SAMPLES ? MOST_BYTES / (size_t)sample_bytes : DICOM_MOST_SAMPLES;
    if (width > PFM_IMAGE_MAX_SIDE || height > PFM_IMAGE_MAX_SIDE || (size_t)width * (size_t)height > most / (size_t)samples)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s has %lld x %lld values of %d bits; at most %zu of these are read", name,
                             width, height, samples * sample_bytes * 8, most / (size_t)samples);
    return PFM_OK;
}

static pfm_status choose_own(const pfm_dicom_frame *frame, const pfm_values_meaning *meaning, pfm_dicom_grey *grey,
                             pfm_error *err)
{
    if (meaning->own != NULL) {
        grey->chosen = "file";
        grey->window = *meaning->own;
        return PFM_OK;
    }
    if (frame->kind == DICOM_U8 && meaning->slope == 1 && meaning->intercept == 0) {
        grey->chosen = "stored";
        grey->window = (pfm_window){.center = 127.5, .width = 255, .function = PFM_WINDOW_LINEAR_EXACT};
        return PFM_OK;
    }
    grey->chosen = "percentile";
    return pfm_dicom_grey_measure(grey, frame, 0.005, &grey->window, err);
}

static pfm_status choose(const char *name, const pfm_dicom_frame *frame, const pfm_values_meaning *meaning,
                         const pfm_window *wanted, pfm_dicom_grey *grey, pfm_error *err)
{
    const bool of_file = wanted->choice == PFM_WINDOW_OF_FILE && wanted->index == 0 && meaning->own != NULL;
    if (wanted->choice == PFM_WINDOW_OWN || of_file)
        return choose_own(frame, meaning, grey, err);
    if (wanted->choice == PFM_WINDOW_LUT)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s has no VOI LUT, only DICOM files do; choose another window", name);
    if (wanted->choice == PFM_WINDOW_OF_FILE)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s has %s; there is no window %d", name,
                             meaning->own != NULL ? "1 window, number 0" : "no window of its own", wanted->index);
    return pfm_dicom_grey_choose(name, frame, wanted, grey, err);
}

pfm_status pfm_values_show(const char *name, const pfm_dicom_frame *frame, const pfm_values_meaning *meaning,
                           const pfm_image_choice *choice, pfm_image *out, pfm_image_applied *applied, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_window wanted;
    pfm_dicom_grey grey = {.slope = meaning->slope,
                           .intercept = meaning->intercept,
                           .is_hounsfield = meaning->may_be_hounsfield,
                           .inverted = meaning->inverted};
    PFM_TRY(pfm_window_parse(choice->window, &wanted, err));
    PFM_TRY(choose(name, frame, meaning, &wanted, &grey, err));
    pfm_dicom_grey_record(&grey, applied);
    PFM_TRY(pfm_values_keep(frame, &grey, choice, err));
    PFM_TRY(pfm_dicom_make_grey(name, frame, &grey, out, err));
done:
    return status;
}

pfm_status pfm_values_keep(const pfm_dicom_frame *frame, const pfm_dicom_grey *grey, const pfm_image_choice *choice,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image_values *out = choice->values;
    const size_t count = (size_t)frame->width * (size_t)frame->height;
    if (out == NULL)
        return PFM_OK;
    PFM_TRY(pfm_allocate(count, sizeof *out->data, &out->data, err));
    for (size_t i = 0; i < count; i++)
        out->data[i] = (float)pfm_dicom_grey_value(grey, pfm_dicom_sample(frame, i));
    out->width = frame->width;
    out->height = frame->height;
    out->is_hounsfield = grey->is_hounsfield;
    out->inverted = grey->inverted;
done:
    return status;
}
