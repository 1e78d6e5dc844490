/* Reads a vocabulary as GPT-2 published it: vocab.json, and the merges in merges.txt beside it. The two do not say how a text
 * is cut; tokenizer_config.json names the class that knows, or config.json the model. Each is a line below. */
#include "text/tokenizer_internal.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_MERGES = 64 << 20 };

/* The tokenizers that transformers makes from the two files, and its names for their roles where no file says them. */
static const struct known {
    const char *class_name, *model_type;
    const char *pre; /* by tokenizer.ggml.pre */
    const char *begin, *padding;
} known[] = {
    {"GPT2Tokenizer", "gpt2", "gpt-2", "<|endoftext|>", NULL},
    {"CodeGenTokenizer", "phi", "phi-2", "<|endoftext|>", NULL},
    {"GPTNeoXTokenizer", "gpt_neox", "olmo", "<|endoftext|>", "<|padding|>"},
    {"Qwen2Tokenizer", "qwen2", "qwen2", NULL, "<|endoftext|>"},
};

static pfm_status find_known(const pfm_beside *beside, const char *path, const struct known **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *config = NULL;
    char *config_path = NULL;
    size_t length = 0;
    const char *name = pfm_beside_class(beside, &length), *type = NULL;
    if (name == NULL) {
        PFM_TRY(pfm_path_join(beside->folder, "config.json", &config_path, err));
        if (pfm_path_exists(config_path))
            PFM_TRY(pfm_json_load(config_path, &config, err));
        type = pfm_member_text(config, "model_type");
    }
    if (name == NULL && type == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s does not say how texts are cut; put the model's tokenizer_config.json or config.json "
                 "beside it, or better its tokenizer.json",
                 path);
    *out = NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0] && *out == NULL; i++) {
        bool by_class = name != NULL && strlen(known[i].class_name) == length && memcmp(known[i].class_name, name, length) == 0;
        if (by_class || (name == NULL && strcmp(known[i].model_type, type) == 0))
            *out = &known[i];
    }
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s: this program does not know how %s cuts texts; put the model's tokenizer.json beside it", path,
                 name != NULL ? name : type);
done:
    json_decref(config);
    free(config_path);
    return status;
}

/* merges := the lines of merges.txt, best first, without "#version: 0.2". */
static pfm_status read_merges(const char *path, json_t *merges, pfm_error *err)
{
    static const char version[] = "#version";
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_file_read(path, LARGEST_MERGES, &text, err));
    for (size_t at = 0, next; at < text.size; at = next) {
        const char *line = text.data + at, *newline = memchr(line, '\n', text.size - at);
        size_t length = newline == NULL ? text.size - at : (size_t)(newline - line);
        next = at + length + 1;
        if (length > 0 && line[length - 1] == '\r')
            length--;
        if (length == 0 || (length >= strlen(version) && memcmp(line, version, strlen(version)) == 0))
            continue;
        json_t *merge = json_stringn(line, length);
        if (merge == NULL)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: merge %zu is not UTF-8", path, json_array_size(merges));
        if (json_array_append_new(merges, merge) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", path);
    }
done:
    pfm_buffer_free(&text);
    return status;
}

/* ByteLevel's add_prefix_space, wherever it stands in the pre-tokenizer. */
static void set_prefix_space(json_t *pre)
{
    size_t index;
    json_t *part;
    json_array_foreach(json_object_get(pre, "pretokenizers"), index, part) set_prefix_space(part);
    if (json_object_get(pre, "add_prefix_space") != NULL)
        (void)json_object_set_new(pre, "add_prefix_space", json_true());
}

/* *out = what tokenizer.json would be. */
static pfm_status make_document(const char *path, const struct known *kind, const pfm_beside *beside, json_t **out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *merges_path = NULL;
    json_t *merges = json_array(), *model = json_object();
    json_t *vocabulary = NULL, *document = json_loads(pfm_gguf_pre_find(kind->pre)->pipeline, 0, NULL);
    PFM_TRY(pfm_json_load(path, &vocabulary, err));
    PFM_TRY(pfm_path_join(beside->folder, "merges.txt", &merges_path, err));
    PFM_TRY(read_merges(merges_path, merges, err));
    PFM_TRY(pfm_json_take(model, "type", json_string("BPE"), err));
    PFM_TRY(pfm_json_take(model, "vocab", json_incref(vocabulary), err));
    PFM_TRY(pfm_json_take(model, "merges", json_incref(merges), err));
    PFM_TRY(pfm_json_take(document, "model", json_incref(model), err));
    if (pfm_member_flag(beside->config, "add_prefix_space", false))
        set_prefix_space(json_object_get(document, "pre_tokenizer"));
    *out = json_incref(document);
done:
    json_decref(document);
    json_decref(model);
    json_decref(merges);
    json_decref(vocabulary);
    free(merges_path);
    return status;
}

static pfm_status set_role(pfm_tokenizer *tokenizer, const char *text, int32_t *id, pfm_error *err)
{
    *id = text == NULL ? -1 : pfm_tokenizer_id(tokenizer, text);
    if (*id < 0)
        return PFM_OK;
    pfm_added_token token = {.text = text, .length = strlen(text), .id = *id, .special = true};
    return pfm_tokenizer_add_token(tokenizer, &token, err);
}

/* The roles that transformers' classes have where no file names others. */
static pfm_status set_roles(pfm_tokenizer *tokenizer, const struct known *kind, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(set_role(tokenizer, "<|endoftext|>", &tokenizer->end, err));
    tokenizer->unknown = tokenizer->end;
    PFM_TRY(set_role(tokenizer, kind->begin, &tokenizer->begin, err));
    PFM_TRY(set_role(tokenizer, kind->padding, &tokenizer->padding, err));
done:
    return status;
}

pfm_status pfm_tokenizer_load_merges(const char *path, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_tokenizer *tokenizer = NULL;
    const struct known *kind = NULL;
    json_t *document = NULL;
    pfm_beside beside = {0};
    PFM_TRY(pfm_beside_open(path, &beside, err));
    PFM_TRY(find_known(&beside, path, &kind, err));
    PFM_TRY(make_document(path, kind, &beside, &document, err));
    PFM_TRY(pfm_tokenizer_begin_json(path, document, &tokenizer, err));
    PFM_TRY(set_roles(tokenizer, kind, err));
    PFM_TRY(pfm_beside_apply(&beside, tokenizer, err));
    PFM_TRY(pfm_tokenizer_seal(tokenizer, err));
    *out = tokenizer;
    tokenizer = NULL;
done:
    pfm_beside_close(&beside);
    json_decref(document);
    pfm_tokenizer_free(tokenizer);
    return status;
}
