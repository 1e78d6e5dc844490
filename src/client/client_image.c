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

static pfm_status check_size(const char *path, size_t size, pfm_error *err)
{
    if (size <= LARGEST_IMAGE)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                         "%s has %zu bytes; a picture of more than %d MiB is not sent, make it smaller", path, size,
                         LARGEST_IMAGE >> 20);
}

static pfm_status open_image(const char *path, pfm_mapping *file, const char **type, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_mapping_open(path, file, err));
    *type = file->size > 0 ? pfm_client_image_type(file->data, file->size) : NULL;
    if (*type == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s is neither JPEG nor PNG, which can be sent without what says who it is of; convert it", path);
    status = check_size(path, file->size, err);
done:
    return status;
}

/* What is sent of a picture: bytes of *type. */
static pfm_status take_pixels(const pfm_client_part *part, const char **type, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping file = {0};
    if (part->picture != NULL) {
        *type = "image/png";
        PFM_TRY(part->picture(part->picture_user, out, err));
        PFM_TRY(check_size(part->image, out->size, err));
    } else {
        PFM_TRY(open_image(part->image, &file, type, err));
        PFM_TRY(pfm_client_copy_pixels(file.data, file.size, part->image, out, err));
    }
done:
    pfm_mapping_close(&file);
    return status;
}

pfm_status pfm_client_image_append(const pfm_client_part *part, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer pixels = {0};
    const char *type = NULL;
    PFM_TRY(take_pixels(part, &type, &pixels, err));
    PFM_TRY(pfm_buffer_append_format(out, err, "data:%s;base64,", type));
    PFM_TRY(pfm_base64_append(out, pixels.data, pixels.size, err));
done:
    pfm_buffer_free(&pixels);
    return status;
}

pfm_status pfm_chat_images_check(const pfm_client_question *question, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t m = 0; m < question->message_count; m++) {
        const pfm_client_message *message = &question->messages[m];
        for (size_t i = 0; status == PFM_OK && i < message->count; i++) {
            pfm_buffer pixels = {0};
            const char *type = NULL;
            if (message->parts[i].image != NULL)
                status = take_pixels(&message->parts[i], &type, &pixels, err);
            pfm_buffer_free(&pixels);
        }
    }
    return status;
}
