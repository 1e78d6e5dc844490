/* Reads tokenizer.json, and from the files beside it what that file does not say: the end of a turn and the chat template. */
#include "text/tokenizer_internal.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_TEMPLATE = 1 << 20 };

static pfm_status read_vocabulary(pfm_tokenizer *tokenizer, const json_t *model, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *vocabulary = json_object_get(model, "vocab");
    if (!json_is_object(vocabulary) || json_object_size(vocabulary) == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "the model of the tokenizer has no vocabulary");
    const char *text;
    json_t *id;
    json_object_foreach(vocabulary, text, id)
    {
        if (!json_is_integer(id))
            PFM_FAIL(PFM_ERROR_FORMAT, "the id of the token \"%.40s\" is not a whole number", text);
        PFM_TRY(pfm_vocabulary_set(&tokenizer->vocabulary, text, strlen(text), json_integer_value(id), err));
    }
done:
    return status;
}

static pfm_status read_added_token(pfm_tokenizer *tokenizer, const json_t *definition, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *content = json_object_get(definition, "content"), *id = json_object_get(definition, "id");
    if (!json_is_string(content) || !json_is_integer(id))
        PFM_FAIL(PFM_ERROR_FORMAT, "an added token has no content or no id");
    pfm_added_token token = {.text = json_string_value(content),
                             .length = json_string_length(content),
                             .special = pfm_member_flag(definition, "special", false),
                             .single_word = pfm_member_flag(definition, "single_word", false),
                             .left_strip = pfm_member_flag(definition, "lstrip", false),
                             .right_strip = pfm_member_flag(definition, "rstrip", false)};
    token.normalized = pfm_member_flag(definition, "normalized", !token.special);
    token.id = pfm_vocabulary_find(&tokenizer->vocabulary, token.text, token.length);
    if (token.id < 0) { /* the vocabulary's own id goes first */
        PFM_TRY(pfm_vocabulary_set(&tokenizer->vocabulary, token.text, token.length, json_integer_value(id), err));
        token.id = (int32_t)json_integer_value(id);
    }
    PFM_TRY(pfm_tokenizer_add_token(tokenizer, &token, err));
done:
    return status;
}

static pfm_status read_document(pfm_tokenizer *tokenizer, const json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *model = json_object_get(document, "model");
    const char *type = pfm_member_text(model, "type");
    if (!json_is_object(model))
        PFM_FAIL(PFM_ERROR_FORMAT, "it has no \"model\": not a tokenizer.json");
    if (type == NULL && json_is_array(json_object_get(model, "merges")))
        type = "BPE"; /* the oldest files do not say it */
    const pfm_model_kind *kind = pfm_model_kind_find(type == NULL ? "" : type, NULL);
    if (kind == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program does not know tokenizer models of type %s",
                 type == NULL ? "(none)" : type);
    PFM_TRY(read_vocabulary(tokenizer, model, err));
    PFM_TRY(pfm_tokenizer_set_pipeline(tokenizer, document, err));
    size_t index;
    json_t *token;
    json_array_foreach(json_object_get(document, "added_tokens"), index, token)
        PFM_TRY(read_added_token(tokenizer, token, err));
    PFM_TRY(kind->create_json(tokenizer, model, &tokenizer->model, err));
    tokenizer->kind = kind;
done:
    return status;
}

/* A token by its role: a string, or an object with its content. */
static int32_t find_role(const pfm_tokenizer *tokenizer, const json_t *config, const char *role)
{
    const json_t *value = json_object_get(config, role);
    const char *text = json_is_object(value) ? pfm_member_text(value, "content") : json_string_value(value);
    return text == NULL ? -1 : pfm_tokenizer_id(tokenizer, text);
}

/* A string, or a list of {"name", "template"} of which "default" is meant. */
static const char *find_template(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template");
    size_t index;
    json_t *item;
    json_array_foreach(value, index, item)
    {
        const char *name = pfm_member_text(item, "name");
        if (name != NULL && strcmp(name, "default") == 0)
            return pfm_member_text(item, "template");
    }
    return json_string_value(value);
}

static int32_t guess_end(const pfm_tokenizer *tokenizer)
{
    static const char *const names[] = {"<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "</s>"};
    int32_t id = -1;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && id < 0; i++)
        id = pfm_tokenizer_id(tokenizer, names[i]);
    return id;
}

static pfm_status read_config(pfm_tokenizer *tokenizer, const json_t *config, pfm_error *err)
{
    tokenizer->begin = find_role(tokenizer, config, "bos_token");
    tokenizer->end = find_role(tokenizer, config, "eos_token");
    tokenizer->unknown = find_role(tokenizer, config, "unk_token");
    tokenizer->padding = find_role(tokenizer, config, "pad_token");
    const char *template = find_template(config);
    return template == NULL ? PFM_OK : pfm_string_copy(template, &tokenizer->chat_template, err);
}

static pfm_status read_beside(pfm_tokenizer *tokenizer, const char *folder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *config = NULL;
    pfm_buffer template = {0};
    PFM_TRY(pfm_path_join(folder, "tokenizer_config.json", &path, err));
    if (pfm_path_exists(path)) /* transformers writes a model_max_length of 31 digits where there is no limit */
        PFM_TRY(pfm_json_load_reals(path, &config, err));
    PFM_TRY(read_config(tokenizer, config, err)); /* a missing one names nothing */
    free(path);
    path = NULL;
    PFM_TRY(pfm_path_join(folder, "chat_template.jinja", &path, err));
    if (pfm_path_exists(path)) { /* it goes before the one in the config */
        PFM_TRY(pfm_file_read(path, LARGEST_TEMPLATE, &template, err));
        free(tokenizer->chat_template);
        tokenizer->chat_template = NULL;
        PFM_TRY(pfm_string_copy_n(template.data, template.size, &tokenizer->chat_template, err));
    }
    if (tokenizer->end < 0)
        tokenizer->end = guess_end(tokenizer);
done:
    pfm_buffer_free(&template);
    json_decref(config);
    free(path);
    return status;
}

/* The folder that a path lies in. */
static pfm_status copy_folder(const char *path, char **out, pfm_error *err)
{
    size_t length = (size_t)(pfm_path_name(path) - path);
    return length == 0 ? pfm_string_copy(".", out, err) : pfm_string_copy_n(path, length, out, err);
}

pfm_status pfm_tokenizer_load_json(const char *path, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_tokenizer *tokenizer = NULL;
    json_t *document = NULL;
    char *folder = NULL;
    pfm_error inner = PFM_ERROR_INIT; /* the readers know no path */
    PFM_TRY(pfm_json_load(path, &document, err));
    PFM_TRY(pfm_allocate(1, sizeof *tokenizer, &tokenizer, err));
    if (read_document(tokenizer, document, &inner) != PFM_OK)
        PFM_FAIL(inner.code, "%s: %s", path, inner.message);
    json_decref(document); /* the largest part of the memory */
    document = NULL;
    PFM_TRY(copy_folder(path, &folder, err));
    PFM_TRY(read_beside(tokenizer, folder, err));
    PFM_TRY(pfm_tokenizer_seal(tokenizer, err));
    *out = tokenizer;
    tokenizer = NULL;
done:
    free(folder);
    json_decref(document);
    pfm_tokenizer_free(tokenizer);
    return status;
}
