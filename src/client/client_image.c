#include "base/base64.h"
#include "base/file.h"
#include "base/try.h"
#include "client/client_internal.h"

#include <string.h>

enum { LARGEST_IMAGE = 64 << 20 };

static const struct {
    const char *type;
    size_t at;
    const char *bytes;
    size_t length;
} kinds[] = {
    {"image/jpeg", 0, "\xFF\xD8\xFF", 3},
    {"image/png", 0, "\x89PNG\r\n\x1A\n", 8},
};

const char *pfm_client_image_type(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (size >= kinds[i].at + kinds[i].length && memcmp(bytes + kinds[i].at, kinds[i].bytes, kinds[i].length) == 0)
            return kinds[i].type;
    return NULL;
}

static pfm_status open_image(const char *path, pfm_mapping *file, const char **type, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_mapping_open(path, file, err));
    *type = file->size > 0 ? pfm_client_image_type(file->data, file->size) : NULL;
    if (*type == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s is neither JPEG nor PNG, which can be sent without what says who it is of; convert it", path);
    if (file->size > LARGEST_IMAGE)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s has %zu bytes; a picture of more than %d MiB is not sent, make it smaller", path,
                 file->size, LARGEST_IMAGE >> 20);
done:
    return status;
}

pfm_status pfm_client_image_append(const char *path, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping file = {0};
    pfm_buffer pixels = {0};
    const char *type = NULL;
    PFM_TRY(open_image(path, &file, &type, err));
    PFM_TRY(pfm_client_copy_pixels(file.data, file.size, path, &pixels, err));
    PFM_TRY(pfm_buffer_append_format(out, err, "data:%s;base64,", type));
    PFM_TRY(pfm_base64_append(out, pixels.data, pixels.size, err));
done:
    pfm_buffer_free(&pixels);
    pfm_mapping_close(&file);
    return status;
}

pfm_status pfm_chat_images_check(const pfm_client_question *question, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t m = 0; m < question->message_count; m++) {
        const pfm_client_message *message = &question->messages[m];
        for (size_t i = 0; status == PFM_OK && i < message->count; i++) {
            pfm_mapping file = {0};
            pfm_buffer pixels = {0};
            const char *type = NULL, *path = message->parts[i].image;
            if (path != NULL)
                status = open_image(path, &file, &type, err);
            if (path != NULL && status == PFM_OK)
                status = pfm_client_copy_pixels(file.data, file.size, path, &pixels, err);
            pfm_buffer_free(&pixels);
            pfm_mapping_close(&file);
        }
    }
    return status;
}
