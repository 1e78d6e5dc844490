/* Any bytes as a picture of the kind KIND, through every kind of window and as a model's square: all
 * of it must succeed or say why not. What begins otherwise is passed over, so that each reader has a target of its own. */
#include "pefomed/image.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(pfm_status status, const pfm_image *image, const pfm_error *err)
{
    if (status == PFM_OK ? image->rgb == NULL || image->width < 1 || image->height < 1 : err->message[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const windows[] = {NULL, "file:0", "40,400,sigmoid", "percentile", "full", "lung"};
    static const pfm_image_fit fits[] = {{0}, {.fit = "crop", .filter = "lanczos"}, {.fit = "pad", .filter = "bilinear"}};
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image = {0}, square = {0};
    const char *kind = pfm_image_kind_of(data, size);
    if (kind == NULL || strcmp(kind, KIND) != 0)
        return -1; /* not for the corpus */
    const char *window = windows[size % (sizeof windows / sizeof *windows)];
    pfm_status status = pfm_image_decode_shown(data, size, "FILE", window, &image, &err);
    check(status, &image, &err);
    if (status == PFM_OK && (long)image.width * image.height < 1 << 16) {
        err = (pfm_error)PFM_ERROR_INIT;
        check(pfm_image_fit_square(&image, &fits[size % 3], 16, &square, &err), &square, &err);
        pfm_image_free(&square);
    }
    pfm_image_free(&image);
    return 0;
}
