#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/try.h"
#include "formats/safetensors.h"
#include "formats/weights_internal.h"
#include "formats/write_tensor.h"

#include <stdlib.h>

/* Larger elements first, then by name. */
static int compare_tensors(const void *a, const void *b)
{
    const pfm_weight *x = *(const pfm_weight *const *)a, *y = *(const pfm_weight *const *)b;
    size_t x_bytes = pfm_dtype_get_info(x->dtype)->block_bytes, y_bytes = pfm_dtype_get_info(y->dtype)->block_bytes;
    if (x_bytes != y_bytes)
        return x_bytes > y_bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static pfm_status add_metadata(json_t *header, const char *const *metadata, size_t pairs, const char *path, pfm_error *err)
{
    if (pairs == 0)
        return PFM_OK;
    json_t *object = json_object();
    pfm_status status = pfm_json_take(header, "__metadata__", object, err);
    for (size_t i = 0; status == PFM_OK && i < pairs; i++) {
        json_t *text = json_string(metadata[2 * i + 1]);
        if (text == NULL)
            return pfm_error_set(err, PFM_ERROR_USAGE, "cannot write %s: the metadata %.100s is not UTF-8", path,
                                 metadata[2 * i]);
        status = pfm_json_take(object, metadata[2 * i], text, err);
    }
    return status;
}

static json_t *describe(const pfm_weight *tensor, size_t begin, size_t bytes)
{
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++)
        shape = pfm_json_add(shape, json_integer(tensor->shape[i]));
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", pfm_safetensors_type(tensor->dtype), "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + bytes));
}

static pfm_status add_tensors(json_t *header, pfm_weight **sorted, size_t count, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t begin = 0;
    for (size_t i = 0; i < count; i++) {
        pfm_weight *tensor = sorted[i];
        if (pfm_safetensors_type(tensor->dtype) == NULL)
            PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                     "cannot write %s: tensor %.100s is %s, which safetensors does not have; expand it first", path,
                     tensor->name, pfm_dtype_get_info(tensor->dtype)->name);
        PFM_TRY(pfm_weight_measure(tensor, path, &tensor->bytes, err));
        if (json_object_get(header, tensor->name) != NULL)
            PFM_FAIL(PFM_ERROR_USAGE, "cannot write %s: two tensors are named %.100s", path, tensor->name);
        PFM_TRY(pfm_weights_check_name("tensor's name", tensor->name, strlen(tensor->name), path, err));
        PFM_TRY(pfm_json_take(header, tensor->name, describe(tensor, begin, tensor->bytes), err));
        begin += tensor->bytes;
    }
done:
    return status;
}

static pfm_status write_header(pfm_atomic_file *file, const json_t *header, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_json_append(&text, header, err));
    while (text.size % 8 != 0)
        PFM_TRY(pfm_buffer_append(&text, " ", 1, err));
    uint64_t size = text.size;
    PFM_TRY(pfm_atomic_file_write(file, &size, sizeof size, err));
    PFM_TRY(pfm_atomic_file_write(file, text.data, text.size, err));
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_safetensors_write_from(const char *path, const pfm_weight *tensors, size_t count, const char *const *metadata,
                                      size_t pairs, pfm_weight_fill fill, void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_atomic_file file = {.descriptor = -1};
    pfm_weight *copies = NULL, **sorted = NULL;
    json_t *header = json_object();
    PFM_TRY(pfm_allocate(count, sizeof *copies, &copies, err));
    PFM_TRY(pfm_allocate(count, sizeof *sorted, &sorted, err));
    for (size_t i = 0; i < count; i++) {
        copies[i] = tensors[i];
        sorted[i] = &copies[i];
    }
    qsort(sorted, count, sizeof *sorted, compare_tensors);
    PFM_TRY(add_metadata(header, metadata, pairs, path, err));
    PFM_TRY(add_tensors(header, sorted, count, path, err));
    PFM_TRY(pfm_atomic_file_begin(path, &file, err));
    PFM_TRY(write_header(&file, header, err));
    for (size_t i = 0; i < count; i++)
        PFM_TRY(pfm_write_tensor(&file, sorted[i], fill, user, err));
    PFM_TRY(pfm_atomic_file_commit(&file, err));
done:
    pfm_atomic_file_abort(&file);
    json_decref(header);
    free(copies);
    free(sorted);
    return status;
}

pfm_status pfm_safetensors_write(const char *path, const pfm_weight *tensors, size_t count, const char *const *metadata,
                                 size_t pairs, pfm_error *err)
{
    return pfm_safetensors_write_from(path, tensors, count, metadata, pairs, NULL, NULL, err);
}
