/* What a server is shown of a file that is no finished JPEG or PNG: the picture that a model here would be given. */
#include "base/file.h"
#include "base/try.h"
#include "image/image.h"
#include "pipeline/pipeline_internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_finished(const void *bytes, size_t size)
{
    const char *kind = size > 0 ? pfm_image_kind_of(bytes, size) : NULL;
    return kind != NULL && (strcmp(kind, "JPEG") == 0 || strcmp(kind, "PNG") == 0) && !pfm_image_may_hold_values(bytes, size) &&
           pfm_image_orientation(bytes, size) == 1;
}

static pfm_status make(void *user, pfm_buffer *png, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_sent_picture *picture = user;
    pfm_image image = {0};
    pfm_image_applied applied;
    PFM_TRY(pfm_image_load_file(&picture->file, picture->window, NULL, &image, &applied, err));
    status = pfm_image_encode_png(&image, picture->file.path, png, err);
done:
    pfm_image_free(&image);
    return status;
}

/* The log knows a made picture by the file, which of its frames it is (both in the hash of the image), and the window. */
static pfm_status hash_made(pfm_sent_picture *picture, const pfm_hash_hex image, pfm_error *err)
{
    char *text = NULL;
    pfm_status status =
        pfm_string_format(&text, err, "%s as PNG, window %s", image, picture->window != NULL ? picture->window : "file");
    if (status == PFM_OK)
        status = pfm_hash_bytes(text, strlen(text), picture->hash, err);
    free(text);
    return status;
}

pfm_status pfm_pipeline_show(const pfm_pipeline_work *work, const pfm_row_image *image, pfm_sent_picture *picture,
                             pfm_client_part *part, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping file = {0};
    *part = (pfm_client_part){.image = image->path, .image_sha256 = work->image_hashes[image->index]};
    *picture = (pfm_sent_picture){.file = {.path = image->path, .frame = image->frame}, .window = work->recipe->model.window};
    PFM_TRY(pfm_mapping_open(image->path, &file, err));
    if (is_finished(file.data, file.size))
        goto done;
    PFM_TRY(hash_made(picture, work->image_hashes[image->index], err));
    part->picture = make;
    part->picture_user = picture;
    part->image_sha256 = picture->hash;
done:
    pfm_mapping_close(&file);
    return status;
}
