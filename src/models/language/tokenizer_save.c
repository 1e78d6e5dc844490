#include "models/language/tokenizer_save.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static pfm_status no_memory(pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the tokenizer");
}

static json_t *string_at(const pfm_weights *weights, const char *key, size_t i)
{
    const char *text = NULL;
    size_t length = 0;
    return pfm_weights_meta_array_string(weights, key, i, &text, &length) ? json_stringn(text, length) : NULL;
}

/* {"token": id, ...} in the order of the ids. */
static pfm_status make_vocabulary(const pfm_weights *weights, json_t *vocabulary, pfm_error *err)
{
    size_t count = pfm_weights_meta_array_count(weights, "tokenizer.ggml.tokens");
    for (size_t i = 0; i < count; i++) {
        const char *text = NULL;
        size_t length = 0;
        if (!pfm_weights_meta_array_string(weights, "tokenizer.ggml.tokens", i, &text, &length) ||
            json_object_setn_new(vocabulary, text, length, json_integer((json_int_t)i)) != 0)
            return no_memory(err);
    }
    return PFM_OK;
}

static pfm_status make_merges(const pfm_weights *weights, json_t *merges, pfm_error *err)
{
    size_t count = pfm_weights_meta_array_count(weights, "tokenizer.ggml.merges");
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(merges, string_at(weights, "tokenizer.ggml.merges", i)) != 0)
            return no_memory(err);
    }
    return PFM_OK;
}

/* GGUF's types 3 (control) and 4 (user defined) are added tokens; the former are special. */
static pfm_status make_added(const pfm_weights *weights, json_t *added, pfm_error *err)
{
    size_t count = pfm_weights_meta_array_count(weights, "tokenizer.ggml.token_type");
    for (size_t i = 0; i < count; i++) {
        int64_t type = 0;
        if (!pfm_weights_meta_array_integer(weights, "tokenizer.ggml.token_type", i, &type) || (type != 3 && type != 4))
            continue;
        json_t *token = json_pack("{s:I, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)i, "content",
                                  string_at(weights, "tokenizer.ggml.tokens", i), "single_word", 0, "lstrip", 0, "rstrip", 0,
                                  "normalized", 0, "special", type == 3);
        if (json_array_append_new(added, token) != 0)
            return no_memory(err);
    }
    return PFM_OK;
}

static pfm_status make_pre_tokenizer(const pfm_weights *weights, json_t **out, pfm_error *err)
{
    static const char byte_level[] = "{s:s, s:b, s:b, s:b}";
    const char *pre = pfm_weights_meta_string(weights, "tokenizer.ggml.pre", NULL);
    const char *kind = pfm_weights_meta_string(weights, "tokenizer.ggml.model", NULL);
    if (kind == NULL || strcmp(kind, "gpt2") != 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: a tokenizer of the kind '%s' cannot be written as tokenizer.json",
                             pfm_weights_path(weights), kind != NULL ? kind : "(not stated)");
    json_t *bytes = json_pack(byte_level, "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 1);
    if (pre == NULL || strcmp(pre, "gpt-2") == 0)
        *out = bytes;
    else if (strcmp(pre, "smollm") == 0)
        *out = json_pack("{s:s, s:[{s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Digits", "individual_digits",
                         1, bytes);
    else {
        json_decref(bytes);
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: the pre-tokenizer '%s' cannot be written as tokenizer.json",
                             pfm_weights_path(weights), pre);
    }
    return *out != NULL ? PFM_OK : no_memory(err);
}

static pfm_status save_json(const pfm_weights *weights, const char *folder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *pre = NULL, *document = json_object(), *added = json_array(), *vocabulary = json_object(), *merges = json_array();
    PFM_TRY(make_pre_tokenizer(weights, &pre, err));
    PFM_TRY(make_added(weights, added, err));
    PFM_TRY(make_vocabulary(weights, vocabulary, err));
    PFM_TRY(make_merges(weights, merges, err));
    PFM_TRY(pfm_json_take(document, "version", json_string("1.0"), err));
    PFM_TRY(pfm_json_take(document, "truncation", json_null(), err));
    PFM_TRY(pfm_json_take(document, "padding", json_null(), err));
    PFM_TRY(pfm_json_take(document, "added_tokens", json_incref(added), err));
    PFM_TRY(pfm_json_take(document, "normalizer", json_null(), err));
    PFM_TRY(pfm_json_take(document, "pre_tokenizer", json_incref(pre), err));
    PFM_TRY(pfm_json_take(document, "post_processor", json_null(), err));
    PFM_TRY(pfm_json_take(
        document, "decoder",
        json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1), err));
    PFM_TRY(pfm_json_take(document, "model",
                          json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:O, s:O}", "type", "BPE", "dropout", "unk_token",
                                    "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
                                    "ignore_merges", 0, "vocab", vocabulary, "merges", merges),
                          err));
    PFM_TRY(pfm_path_join(folder, "tokenizer.json", &path, err));
    PFM_TRY(pfm_json_save(path, document, err));
done:
    json_decref(pre);
    json_decref(document);
    json_decref(added);
    json_decref(vocabulary);
    json_decref(merges);
    free(path);
    return status;
}

static pfm_status save_config(const pfm_weights *weights, const char *folder, pfm_error *err)
{
    static const char *const ids[][2] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                         {"eos_token", "tokenizer.ggml.eos_token_id"},
                                         {"pad_token", "tokenizer.ggml.padding_token_id"},
                                         {"unk_token", "tokenizer.ggml.unknown_token_id"}};
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *document = json_object();
    PFM_TRY(pfm_json_take(document, "tokenizer_class", json_string("PreTrainedTokenizerFast"), err));
    PFM_TRY(pfm_json_take(document, "clean_up_tokenization_spaces", json_false(), err));
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        int64_t id = -1;
        if (pfm_weights_meta_integer(weights, ids[i][1], &id) && id >= 0)
            PFM_TRY(pfm_json_take(document, ids[i][0], string_at(weights, "tokenizer.ggml.tokens", (size_t)id), err));
    }
    const char *chat = pfm_weights_meta_string(weights, "tokenizer.chat_template", NULL);
    if (chat != NULL)
        PFM_TRY(pfm_json_take(document, "chat_template", json_string(chat), err));
    PFM_TRY(pfm_path_join(folder, "tokenizer_config.json", &path, err));
    PFM_TRY(pfm_json_save(path, document, err));
done:
    json_decref(document);
    free(path);
    return status;
}

/* Copies FROM's folder's file `name` where there is one. */
static pfm_status copy_file(const char *from, const char *folder, const char *name, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *source = NULL, *target = NULL;
    pfm_buffer text = {0};
    PFM_TRY(pfm_path_beside(from, name, &source, err));
    if (!pfm_path_exists(source))
        goto done;
    PFM_TRY(pfm_path_join(folder, name, &target, err));
    PFM_TRY(pfm_file_read(source, 0, &text, err));
    PFM_TRY(pfm_file_write(target, text.data, text.size, err));
done:
    free(source);
    free(target);
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_tokenizer_save(const pfm_weights *weights, const char *folder, pfm_error *err)
{
    static const char *const files[] = {
        "tokenizer.json",          "tokenizer.model",   "vocab.json",         "merges.txt", "tokenizer_config.json",
        "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"};
    pfm_status status = PFM_OK;
    if (strcmp(pfm_weights_format(weights), "gguf") == 0) {
        status = save_json(weights, folder, err);
        return status == PFM_OK ? save_config(weights, folder, err) : status;
    }
    for (size_t i = 0; status == PFM_OK && i < sizeof files / sizeof *files; i++)
        status = copy_file(pfm_weights_path(weights), folder, files[i], err);
    return status;
}
