/* Any bytes as a picture: decoding must succeed or say why not. */
#include "pefomed/image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_image image = {0};
    pfm_status status = pfm_image_decode(data, size, "FILE", &image, &err);
    if (status == PFM_OK ? image.rgb == NULL || image.width < 1 || image.height < 1 : err.message[0] == '\0')
        abort();
    pfm_image_free(&image);
    return 0;
}
