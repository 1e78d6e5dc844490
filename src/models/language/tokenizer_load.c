#include "models/language/tokenizer_load.h"

#include "base/file.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

/* The arrays of a GGUF file, gathered for pfm_tokenizer_create. The texts stay in the file. */
typedef struct gathered {
    pfm_text_view *tokens, *merges;
    int32_t *types;
    float *scores;
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

/* *found: the file has the array `key`, and it has an entry for every token. */
static pfm_status check_count(const pfm_weights *weights, const char *key, size_t tokens, bool *found, pfm_error *err)
{
    size_t count = pfm_weights_meta_array_count(weights, key);
    *found = count > 0;
    if (count > 0 && count != tokens)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: %s has %zu entries for %zu tokens", pfm_weights_path(weights), key,
                             count, tokens);
    return PFM_OK;
}

static pfm_status gather_scores(const pfm_weights *weights, gathered *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool found;
    const char *scores = "tokenizer.ggml.scores";
    PFM_TRY(check_count(weights, scores, out->token_count, &found, err));
    if (!found)
        goto done;
    PFM_TRY(pfm_allocate(out->token_count, sizeof *out->scores, &out->scores, err));
    for (size_t i = 0; i < out->token_count; i++) {
        double score = 0;
        if (!pfm_weights_meta_array_number(weights, scores, i, &score))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: %s[%zu] is not a number", pfm_weights_path(weights), scores, i);
        out->scores[i] = (float)score;
    }
done:
    return status;
}

static pfm_status gather(const pfm_weights *weights, gathered *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool found;
    const char *types = "tokenizer.ggml.token_type";
    PFM_TRY(gather_texts(weights, "tokenizer.ggml.tokens", &out->tokens, &out->token_count, err));
    PFM_TRY(gather_texts(weights, "tokenizer.ggml.merges", &out->merges, &out->merge_count, err));
    if (out->token_count == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s holds no tokenizer (no tokenizer.ggml.tokens)", pfm_weights_path(weights));
    PFM_TRY(gather_scores(weights, out, err));
    PFM_TRY(check_count(weights, types, out->token_count, &found, err));
    if (!found)
        goto done;
    PFM_TRY(pfm_allocate(out->token_count, sizeof *out->types, &out->types, err));
    for (size_t i = 0; i < out->token_count; i++) {
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

/* What the file says of spaces before words. UNSUPPORTED: it has the text changed in a way that this program does not know. */
static pfm_status get_prefix(const pfm_weights *weights, pfm_space_prefix *out, pfm_error *err)
{
    static const char *const unknown[] = {"tokenizer.ggml.remove_extra_whitespaces", "tokenizer.ggml.escape_whitespaces"};
    int64_t value = 1;
    (void)pfm_weights_meta_integer(weights, "tokenizer.ggml.add_space_prefix", &value);
    *out = value != 0 ? PFM_SPACE_EACH : PFM_SPACE_NONE;
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        value = (int64_t)i; /* extra spaces stay, and spaces are marked */
        (void)pfm_weights_meta_integer(weights, unknown[i], &value);
        if (value != (int64_t)i)
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: this program does not know tokenizers with %s %lld",
                                 pfm_weights_path(weights), unknown[i], (long long)value);
    }
    return PFM_OK;
}

pfm_status pfm_tokenizer_with_source(const pfm_weights *weights, pfm_tokenizer_use *use, void *user, pfm_error *err)
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
                                   .scores = arrays.scores,
                                   .token_count = arrays.token_count,
                                   .merges = arrays.merges,
                                   .merge_count = arrays.merge_count};
    if (source.model == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s does not say what kind of tokenizer it has (no tokenizer.ggml.model)",
                 pfm_weights_path(weights));
    PFM_TRY(get_prefix(weights, &source.prefix, err));
    PFM_TRY(get_id(weights, "tokenizer.ggml.bos_token_id", &source.begin, err));
    PFM_TRY(get_id(weights, "tokenizer.ggml.eos_token_id", &source.end, err));
    PFM_TRY(get_id(weights, "tokenizer.ggml.eot_token_id", &source.end_of_turn, err));
    PFM_TRY(get_id(weights, "tokenizer.ggml.unknown_token_id", &source.unknown, err));
    PFM_TRY(get_id(weights, "tokenizer.ggml.padding_token_id", &source.padding, err));
    if (use(&source, user, &inner) != PFM_OK)
        PFM_FAIL(inner.code, "%s: %s", pfm_weights_path(weights), inner.message);
done:
    free(arrays.tokens);
    free(arrays.merges);
    free(arrays.types);
    free(arrays.scores);
    return status;
}

static pfm_status make(const pfm_tokenizer_source *source, void *user, pfm_error *err)
{
    return pfm_tokenizer_create(source, user, err);
}

pfm_status pfm_tokenizer_load_weights(const pfm_weights *weights, pfm_tokenizer **out, pfm_error *err)
{
    return pfm_tokenizer_with_source(weights, make, out, err);
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

/* What a tokenizer can be read from, by its name or the end of it. */
static const struct source_file {
    const char *end;
    bool whole; /* the name is no longer */
    pfm_status (*load)(const char *path, pfm_tokenizer **out, pfm_error *err);
} source_files[] = {
    {"vocab.json", true, pfm_tokenizer_load_merges},
    {".json", false, pfm_tokenizer_load_json},
    {".model", false, pfm_tokenizer_load_sentencepiece},
    {"vocab.txt", true, pfm_tokenizer_load_wordpiece},
};

/* The names that they have in a folder, the best first. */
static const char *const in_folder[] = {"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"};

/* *out = the file of a folder that holds the tokenizer: the first of those, else the one file that ends in .gguf. */
static pfm_status find_in_folder(const char *folder, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t count = 0, found = 0, best = sizeof in_folder / sizeof in_folder[0];
    const char *name = NULL;
    PFM_TRY(pfm_folder_list(folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < best; j++) {
            if (strcmp(names[i], in_folder[j]) == 0) {
                name = names[i];
                best = j;
            }
        }
        if (ends_with(names[i], ".gguf") && best == sizeof in_folder / sizeof in_folder[0]) {
            name = names[i];
            found++;
        }
    }
    if (name == NULL)
        PFM_FAIL(
            PFM_ERROR_FORMAT,
            "the folder %s holds neither a tokenizer.json (or tokenizer.model, or vocab.json with merges.txt, or vocab.txt) "
            "nor a .gguf file",
            folder);
    if (found > 1 && ends_with(name, ".gguf"))
        PFM_FAIL(PFM_ERROR_USAGE, "the folder %s holds %zu .gguf files; name the one that is meant", folder, found);
    PFM_TRY(pfm_path_join(folder, name, out, err));
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return status;
}

/* Weights that hold no tokenizer, which then stands beside them. */
static bool is_weights_alone(const char *path)
{
    static const char *const ends[] = {".safetensors", ".index.json", ".bin", ".pt", ".pth"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (ends_with(path, ends[i]))
            return true;
    }
    return false;
}

pfm_status pfm_tokenizer_load(const char *path, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *inside = NULL, *folder = NULL;
    if (is_weights_alone(path))
        PFM_TRY(pfm_path_beside(path, ".", &folder, err));
    if (folder != NULL || pfm_path_is_folder(path))
        PFM_TRY(find_in_folder(folder != NULL ? folder : path, &inside, err));
    const char *file = inside != NULL ? inside : path;
    pfm_status (*load)(const char *path, pfm_tokenizer **out, pfm_error *err) = load_gguf;
    for (size_t i = 0; i < sizeof source_files / sizeof source_files[0] && load == load_gguf; i++) {
        const char *name = pfm_path_name(file);
        if (source_files[i].whole ? strcmp(name, source_files[i].end) == 0 : ends_with(name, source_files[i].end))
            load = source_files[i].load;
    }
    PFM_TRY(load(file, out, err));
done:
    free(folder);
    free(inside);
    return status;
}
