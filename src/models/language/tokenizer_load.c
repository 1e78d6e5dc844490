#include "models/language/tokenizer_load.h"

#include "base/file.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* The arrays of a GGUF file, gathered for pfm_tokenizer_create. The texts stay in the file. */
typedef struct gathered {
    pfm_text_view *tokens, *merges;
    int32_t *types;
    size_t token_count, merge_count;
} gathered;

static pfm_status gather_texts(const pfm_weights *weights, const char *key, pfm_text_view **out, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *count = pfm_weights_meta_array_count(weights, key);
    PFM_TRY(pfm_allocate(*count, sizeof **out, out, err));
    for (size_t i = 0; i < *count; i++) {
        if (!pfm_weights_meta_array_string(weights, key, i, &(*out)[i].data, &(*out)[i].length))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: %s[%zu] is not a string", pfm_weights_path(weights), key, i);
    }
done:
    return status;
}

static pfm_status gather(const pfm_weights *weights, gathered *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *types = "tokenizer.ggml.token_type";
    PFM_TRY(gather_texts(weights, "tokenizer.ggml.tokens", &out->tokens, &out->token_count, err));
    PFM_TRY(gather_texts(weights, "tokenizer.ggml.merges", &out->merges, &out->merge_count, err));
    if (out->token_count == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s holds no tokenizer (no tokenizer.ggml.tokens)", pfm_weights_path(weights));
    size_t count = pfm_weights_meta_array_count(weights, types);
    if (count == 0)
        goto done;
    if (count != out->token_count)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: %s has %zu entries for %zu tokens", pfm_weights_path(weights), types, count,
                 out->token_count);
    PFM_TRY(pfm_allocate(count, sizeof *out->types, &out->types, err));
    for (size_t i = 0; i < count; i++) {
        int64_t type = 0;
        if (!pfm_weights_meta_array_integer(weights, types, i, &type) || type < 0 || type > PFM_TOKEN_BYTE)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: %s[%zu] is not a token type", pfm_weights_path(weights), types, i);
        out->types[i] = (int32_t)type;
    }
done:
    return status;
}

static pfm_status get_id(const pfm_weights *weights, const char *key, int32_t *out, pfm_error *err)
{
    int64_t id = -1;
    *out = -1;
    if (!pfm_weights_meta_integer(weights, key, &id))
        return PFM_OK;
    if (id < 0 || id > INT32_MAX)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %s is %lld, which is no token", pfm_weights_path(weights), key,
                             (long long)id);
    *out = (int32_t)id;
    return PFM_OK;
}

pfm_status pfm_tokenizer_load_weights(const pfm_weights *weights, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    gathered arrays = {0};
    pfm_error inner = PFM_ERROR_INIT; /* the tokenizer knows no path */
    PFM_TRY(gather(weights, &arrays, err));
    pfm_tokenizer_source source = {.model = pfm_weights_meta_string(weights, "tokenizer.ggml.model", NULL),
                                   .pre = pfm_weights_meta_string(weights, "tokenizer.ggml.pre", NULL),
                                   .chat_template = pfm_weights_meta_string(weights, "tokenizer.chat_template", NULL),
                                   .tokens = arrays.tokens,
                                   .types = arrays.types,
                                   .token_count = arrays.token_count,
                                   .merges = arrays.merges,
                                   .merge_count = arrays.merge_count};
    if (source.model == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s does not say what kind of tokenizer it has (no tokenizer.ggml.model)",
                 pfm_weights_path(weights));
    PFM_TRY(get_id(weights, "tokenizer.ggml.bos_token_id", &source.begin, err));
    PFM_TRY(get_id(weights, "tokenizer.ggml.eos_token_id", &source.end, err));
    PFM_TRY(get_id(weights, "tokenizer.ggml.eot_token_id", &source.end_of_turn, err));
    PFM_TRY(get_id(weights, "tokenizer.ggml.unknown_token_id", &source.unknown, err));
    PFM_TRY(get_id(weights, "tokenizer.ggml.padding_token_id", &source.padding, err));
    if (pfm_tokenizer_create(&source, out, &inner) != PFM_OK)
        PFM_FAIL(inner.code, "%s: %s", pfm_weights_path(weights), inner.message);
done:
    free(arrays.tokens);
    free(arrays.merges);
    free(arrays.types);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static pfm_status load_gguf(const char *path, pfm_tokenizer **out, pfm_error *err)
{
    pfm_weights *weights = NULL;
    pfm_status status = pfm_weights_open(path, &weights, err);
    if (status == PFM_OK)
        status = pfm_tokenizer_load_weights(weights, out, err);
    pfm_weights_close(weights);
    return status;
}

/* *out = the file of a folder that holds the tokenizer: tokenizer.json, else the one file that ends in .gguf. */
static pfm_status find_in_folder(const char *folder, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t count = 0, found = 0;
    const char *name = NULL;
    PFM_TRY(pfm_folder_list(folder, &names, &count, err));
    for (size_t i = 0; i < count && (name == NULL || found > 0); i++) {
        if (strcmp(names[i], "tokenizer.json") == 0) {
            name = names[i];
            found = 0;
        } else if (ends_with(names[i], ".gguf")) {
            name = names[i];
            found++;
        }
    }
    if (name == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "the folder %s holds neither a tokenizer.json nor a .gguf file", folder);
    if (found > 1)
        PFM_FAIL(PFM_ERROR_USAGE, "the folder %s holds %zu .gguf files; name the one that is meant", folder, found);
    PFM_TRY(pfm_path_join(folder, name, out, err));
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return status;
}

pfm_status pfm_tokenizer_load(const char *path, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *inside = NULL;
    if (pfm_path_is_folder(path))
        PFM_TRY(find_in_folder(path, &inside, err));
    const char *file = inside != NULL ? inside : path;
    PFM_TRY(ends_with(file, ".json") ? pfm_tokenizer_load_json(file, out, err) : load_gguf(file, out, err));
done:
    free(inside);
    return status;
}
