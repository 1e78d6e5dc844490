#include "base/try.h"
#include "formats/inspect_internal.h"
#include "formats/weights_internal.h"

#include <stdlib.h>

enum { LONGEST_ARRAY = 16, FIRST_ELEMENTS = 8 };

static bool probe(const pfm_inspect_target *target)
{
    (void)target;
    return true; /* the last of the list: its reader says what is wrong */
}

/* Opens the weights; what is none gets a sentence for people who did not mean weights. */
static pfm_status open_target(const pfm_inspect_target *target, pfm_weights **out, pfm_error *err)
{
    pfm_error reason = PFM_ERROR_INIT;
    pfm_status status = pfm_weights_open(target->path, out, &reason);
    bool unknown = target->is_folder
                       ? status == PFM_ERROR_USAGE
                       : !pfm_weights_known(target->head, target->head_size) && !pfm_inspect_ends_with(target->path, ".json");
    if (status != PFM_OK && unknown)
        return pfm_error_set(
            err, PFM_ERROR_FORMAT,
            "%.400s holds nothing that inspect knows: weights (GGUF, safetensors, PyTorch), an adapter, a "
            "run, a picture (JPEG, PNG, DICOM, TIFF, WebP, NIfTI), a data set, records (.jsonl, .json, .csv)%s%.300s",
            target->path, target->is_folder ? "; " : "", target->is_folder ? reason.message : "");
    return status == PFM_OK ? PFM_OK : pfm_error_set(err, status, "%s", reason.message);
}

static bool is_integer(pfm_dtype dtype)
{
    return dtype == PFM_DTYPE_I8 || dtype == PFM_DTYPE_U8 || dtype == PFM_DTYPE_I16 || dtype == PFM_DTYPE_I32 ||
           dtype == PFM_DTYPE_I64 || dtype == PFM_DTYPE_BOOL;
}

static json_t *describe_tensor(const pfm_weight *weight)
{
    json_t *shape = json_array();
    for (int i = 0; i < weight->rank; i++)
        shape = pfm_json_add(shape, json_integer(weight->shape[i]));
    return json_pack("{s:s, s:s, s:o, s:I}", "name", weight->name, "dtype", pfm_dtype_get_info(weight->dtype)->name, "shape",
                     shape, "bytes", (json_int_t)weight->bytes);
}

pfm_status pfm_inspect_tensors(const pfm_weights *weights, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    struct {
        size_t tensors, values, bytes;
    } sums[PFM_DTYPE_COUNT] = {{0}};
    size_t parameters = 0;
    json_t *tensors = json_array();
    PFM_TRY(pfm_json_take(out, "tensors", tensors, err));
    json_t *types = json_object();
    PFM_TRY(pfm_json_take(out, "types", types, err));
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        const pfm_weight *weight = pfm_weights_at(weights, i);
        sums[weight->dtype].tensors++;
        sums[weight->dtype].values += pfm_weight_values(weight);
        sums[weight->dtype].bytes += weight->bytes;
        parameters += is_integer(weight->dtype) ? 0 : pfm_weight_values(weight);
        if (json_array_append_new(tensors, describe_tensor(weight)) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the tensors");
    }
    for (int i = 0; i < PFM_DTYPE_COUNT; i++) {
        if (sums[i].tensors > 0)
            PFM_TRY(pfm_json_take(types, pfm_dtype_get_info((pfm_dtype)i)->name,
                                  json_pack("{s:I, s:I, s:I}", "tensors", (json_int_t)sums[i].tensors, "values",
                                            (json_int_t)sums[i].values, "bytes", (json_int_t)sums[i].bytes),
                                  err));
    }
    PFM_TRY(pfm_json_take(out, "parameters", json_integer((json_int_t)parameters), err));
done:
    return status;
}

/* One element of an array, or the value itself where it is none. */
static json_t *describe_element(const pfm_weights *weights, const pfm_meta *meta, size_t index)
{
    int64_t integer = 0;
    double number = 0;
    if (meta->kind == PFM_META_STRING)
        return pfm_inspect_text(meta->texts[index].data, meta->texts[index].length);
    bool whole = meta->array ? pfm_weights_meta_array_integer(weights, meta->key, index, &integer)
                             : pfm_weights_meta_integer(weights, meta->key, &integer);
    if (whole)
        return meta->kind == PFM_META_BOOL ? json_boolean(integer) : json_integer(integer);
    if (meta->array)
        (void)pfm_weights_meta_array_number(weights, meta->key, index, &number);
    else
        (void)pfm_weights_meta_number(weights, meta->key, &number);
    return pfm_json_number(number);
}

static json_t *describe_meta(const pfm_weights *weights, const pfm_meta *meta)
{
    if (!meta->array)
        return describe_element(weights, meta, 0);
    json_t *list = json_array();
    size_t shown = meta->count <= LONGEST_ARRAY ? meta->count : FIRST_ELEMENTS;
    for (size_t i = 0; i < shown; i++)
        list = pfm_json_add(list, describe_element(weights, meta, i));
    return shown == meta->count ? list : json_pack("{s:I, s:o}", "count", (json_int_t)meta->count, "first", list);
}

static pfm_status describe_weights(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    json_t *metadata = json_object();
    PFM_TRY(open_target(target, &weights, err));
    PFM_TRY(pfm_json_take(out, "format", json_string(pfm_weights_format(weights)), err));
    if (target->is_folder)
        PFM_TRY(pfm_inspect_json_file(target->path, "config.json", "config", out, err));
    PFM_TRY(pfm_json_take(out, "metadata", json_incref(metadata), err));
    for (size_t i = 0; i < weights->meta_count; i++)
        PFM_TRY(pfm_json_take(metadata, weights->metas[i].key, describe_meta(weights, &weights->metas[i]), err));
    PFM_TRY(pfm_inspect_tensors(weights, out, err));
done:
    json_decref(metadata);
    pfm_weights_close(weights);
    return status;
}

const pfm_inspector pfm_inspector_weights = {.kind = "weights", .probe = probe, .describe = describe_weights};
