#include "serve/image_slices.h"

#include "base/file.h"
#include "base/try.h"
#include "pefomed/series.h"
#include "serve/image_folders.h"

#include <stdlib.h>
#include <sys/stat.h>

static const size_t most_bytes = (size_t)256 << 20;

static size_t choose(size_t number, size_t total) { return number > 0 ? number : (total + 1) / 2; }

/* The files of a series are sought again, for they may be links that lead elsewhere. */
static pfm_status find_in_series(const char *const *folders, size_t count, const char *path, size_t number,
                                 pfm_image_slice *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_series series = {0};
    if (pfm_series_open(path, NULL, NULL, &series, NULL) != PFM_OK || choose(number, series.count) > series.count)
        goto done;
    const pfm_slice *slice = &series.slices[choose(number, series.count) - 1];
    out->number = (size_t)slice->number;
    out->total = series.count;
    out->frame = slice->frame;
    PFM_TRY(pfm_image_folders_find(folders, count, slice->path, &out->path, err));
done:
    pfm_series_free(&series);
    return status;
}

/* How many frames a file has that is no DICOM; 0: it cannot be read. Only decoding tells. */
static size_t count_frames(const char *path)
{
    const pfm_image_file file = {.path = path};
    pfm_mapping bytes = {0};
    pfm_image picture = {0};
    pfm_image_applied applied = {.frames = 1};
    if (pfm_mapping_open(path, &bytes, NULL) != PFM_OK)
        return 0;
    const bool may_have = pfm_image_may_hold_values(bytes.data, bytes.size);
    pfm_mapping_close(&bytes);
    if (may_have && pfm_image_load_file(&file, NULL, NULL, &picture, &applied, NULL) != PFM_OK)
        applied.frames = 0;
    pfm_image_free(&picture);
    return applied.frames > 0 ? (size_t)applied.frames : 0;
}

pfm_status pfm_image_slice_find(const char *const *folders, size_t count, const char *name, size_t number, pfm_image_slice *out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    struct stat file;
    *out = (pfm_image_slice){0};
    PFM_TRY(pfm_image_folders_find(folders, count, name, &path, err));
    if (path == NULL || stat(path, &file) != 0 || !(S_ISREG(file.st_mode) || S_ISDIR(file.st_mode)))
        goto done;
    if (pfm_series_is(path, "all")) {
        PFM_TRY(find_in_series(folders, count, path, number, out, err));
        goto done;
    }
    out->total = count_frames(path);
    out->number = choose(number, out->total);
    out->frame = (int)out->number - 1;
    if (out->number > 0 && out->number <= out->total) {
        out->path = path;
        path = NULL;
    }
done:
    free(path);
    return status;
}

pfm_status pfm_image_slice_decode(const pfm_image_slice *slice, const char *window, pfm_image *out, pfm_error *err)
{
    const pfm_image_file file = {.path = "the image", .frame = slice->frame};
    pfm_buffer bytes = {0};
    pfm_status status = PFM_OK;
    if (pfm_file_read(slice->path, most_bytes, &bytes, NULL) != PFM_OK)
        PFM_FAIL(PFM_ERROR_MISMATCH, "the image is not in the folders of images, or cannot be read");
    PFM_TRY(pfm_image_decode_file(bytes.data != NULL ? bytes.data : "", bytes.size, &file, window, out, NULL, err));
done:
    pfm_buffer_free(&bytes);
    return status;
}

pfm_status pfm_image_slice_tell(const pfm_image_slice *slice, pfm_buffer *out, pfm_error *err)
{
    return pfm_buffer_append_format(out, err, "{\"slices\": %zu, \"at\": %zu}", slice->total, slice->number);
}
