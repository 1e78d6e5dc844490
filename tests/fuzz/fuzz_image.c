/* Any bytes: they are a picture that can be resized, or an error with a sentence that leaves nothing behind. */
#include "image/image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image, small = {0};
    if (pfm_image_decode(data, size, "FILE", &image, &err) != PFM_OK) {
        if (err.code == PFM_OK || err.message[0] == '\0' || image.rgb != NULL)
            abort();
        return 0;
    }
    if (pfm_image_resize_bicubic(&image, 13, 17, &small, &err) != PFM_OK && err.code != PFM_ERROR_NO_MEMORY)
        abort();
    pfm_image_free(&image);
    pfm_image_free(&small);
    return 0;
}
