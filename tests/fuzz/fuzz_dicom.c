/* Any bytes as a DICOM file: what it holds, and its first and last frame as a picture through every kind of window. A preamble
 * is put before bytes that are not DICOM by themselves, so that mutations need not find it. */
#include "pefomed/dicom.h"
#include "pefomed/image.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *data, size_t size)
{
    static const char *const windows[] = {NULL, "file:1", "lut:0", "40,400,sigmoid", "percentile", "full", "lung"};
    pfm_error err = PFM_ERROR_INIT;
    char *json = NULL;
    pfm_image image = {0};
    if (pfm_dicom_describe(data, size, "FILE", false, &json, &err) != PFM_OK && err.message[0] == '\0')
        abort();
    free(json);
    const char *window = windows[size % (sizeof windows / sizeof *windows)];
    err = (pfm_error)PFM_ERROR_INIT;
    pfm_status status = pfm_image_decode_shown(data, size, "FILE", window, &image, &err);
    if (status == PFM_OK ? image.rgb == NULL || image.width < 1 || image.height < 1 : err.message[0] == '\0')
        abort();
    pfm_image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (pfm_dicom_is(data, size, size)) {
        check(data, size);
        return 0;
    }
    uint8_t *whole = calloc(132 + size, 1);
    if (whole == NULL)
        return 0;
    memcpy(whole + 128, "DICM", 4);
    memcpy(whole + 132, data, size);
    check(whole, 132 + size);
    free(whole);
    return 0;
}
