#include "base/json.h"
#include "base/try.h"
#include "formats/bitsandbytes.h"

#include <stdlib.h>

/* The names that Hugging Face's from_pretrained looks for, in its order; then those of adapters. */
static const char *const usual_names[] = {"model.safetensors",         "model.safetensors.index.json",
                                          "pytorch_model.bin",         "pytorch_model.bin.index.json",
                                          "adapter_model.safetensors", "adapter_model.bin"};

static bool ends_with(const char *text, const char *tail)
{
    size_t length = strlen(text), size = strlen(tail);
    return length >= size && strcmp(text + length - size, tail) == 0;
}

static bool is_weight_name(const char *name)
{
    return ends_with(name, ".gguf") || ends_with(name, ".safetensors") || ends_with(name, ".bin") || ends_with(name, ".pt") ||
           ends_with(name, ".pth") || ends_with(name, ".safetensors.index.json");
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* *out = the one weight file in a folder. */
static pfm_status search_folder(const char *folder, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t count = 0;
    const char *found = NULL;
    for (size_t i = 0; i < sizeof usual_names / sizeof *usual_names; i++) {
        PFM_TRY(pfm_path_join(folder, usual_names[i], out, err));
        if (pfm_path_exists(*out))
            return PFM_OK;
        free(*out);
        *out = NULL;
    }
    PFM_TRY(pfm_folder_list(folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (!is_weight_name(names[i]))
            continue;
        if (found != NULL)
            PFM_FAIL(PFM_ERROR_USAGE, "%s holds several weight files, %s and %s among them; name the one to use", folder, found,
                     names[i]);
        found = names[i];
    }
    if (found == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "%s holds no weight file (.gguf, .safetensors, .bin, .pt or .pth)", folder);
    PFM_TRY(pfm_path_join(folder, found, out, err));
done:
    free_names(names, count);
    return status;
}

/* A shard's name must stay in the folder of its index. */
static pfm_status check_shard_name(const char *shard, const char *index, pfm_error *err)
{
    if (shard == NULL || shard[0] == '\0' || strchr(shard, '/') != NULL || strcmp(shard, "..") == 0)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: weight_map names the file \"%s\"; it must be a name beside the index",
                             index, shard == NULL ? "(not a string)" : shard);
    return PFM_OK;
}

static pfm_status add_shards(pfm_weights *weights, json_t *map, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *folder = NULL, *shard_path = NULL;
    json_t *seen = json_object();
    const char *name = NULL;
    json_t *value = NULL;
    if (seen == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", path);
    PFM_TRY(pfm_string_copy_n(path, (size_t)(pfm_path_name(path) - path), &folder, err));
    json_object_foreach(map, name, value)
    {
        const char *shard = json_string_value(value);
        PFM_TRY(check_shard_name(shard, path, err));
        if (json_object_get(seen, shard) != NULL)
            continue;
        PFM_TRY(pfm_json_take(seen, shard, json_true(), err));
        free(shard_path);
        shard_path = NULL;
        PFM_TRY(pfm_path_join(folder, shard, &shard_path, err));
        PFM_TRY(pfm_weights_add_file(weights, shard_path, err));
    }
done:
    json_decref(seen);
    free(folder);
    free(shard_path);
    return status;
}

pfm_status pfm_weights_add_index(pfm_weights *weights, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *index = NULL;
    PFM_TRY(pfm_json_load(path, &index, err));
    json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has no \"weight_map\" of tensor names to files: it is no index of weight files", path);
    PFM_TRY(add_shards(weights, map, path, err));
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(map, name, value)
    {
        if (pfm_weights_find(weights, name) == NULL)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s promises the tensor %s in %s, which does not hold it", path, name,
                     json_string_value(value));
    }
    if (weights->count != json_object_size(map))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s lists %zu tensors, its files hold %zu", path, json_object_size(map), weights->count);
done:
    json_decref(index);
    return status;
}

pfm_status pfm_weights_open(const char *path, pfm_weights **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    char *found = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *weights, &weights, err));
    PFM_TRY(pfm_string_copy(path, &weights->path, err));
    if (pfm_path_is_folder(path))
        PFM_TRY(search_folder(path, &found, err));
    else
        PFM_TRY(pfm_string_copy(path, &found, err));
    if (ends_with(found, ".json"))
        PFM_TRY(pfm_weights_add_index(weights, found, err));
    else
        PFM_TRY(pfm_weights_add_file(weights, found, err));
    PFM_TRY(pfm_weights_join_nf4(weights, err));
    *out = weights;
    weights = NULL;
done:
    free(found);
    pfm_weights_close(weights);
    return status;
}
