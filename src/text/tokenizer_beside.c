/* The files beside a vocabulary, which say what it does not: tokenizer_config.json, special_tokens_map.json, added_tokens.json,
 * chat_template.jinja. A token that the vocabulary marks itself stays as it is there. */
#include "text/tokenizer_internal.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_TEMPLATE = 1 << 20 };

static pfm_status open_one(const char *folder, const char *name, pfm_status (*load)(const char *, json_t **, pfm_error *),
                           json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(pfm_path_join(folder, name, &path, err));
    if (pfm_path_exists(path))
        PFM_TRY(load(path, out, err));
    if (*out != NULL && !json_is_object(*out))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is not a JSON object", path);
done:
    free(path);
    return status;
}

pfm_status pfm_beside_open(const char *path, pfm_beside *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t length = (size_t)(pfm_path_name(path) - path);
    PFM_TRY(length == 0 ? pfm_string_copy(".", &out->folder, err) : pfm_string_copy_n(path, length, &out->folder, err));
    /* transformers writes a model_max_length of 31 digits where there is no limit */
    PFM_TRY(open_one(out->folder, "tokenizer_config.json", pfm_json_load_reals, &out->config, err));
    if (json_is_object(json_object_get(out->config, "added_tokens_decoder")))
        goto done; /* then the older files are not looked at, as in transformers */
    PFM_TRY(open_one(out->folder, "special_tokens_map.json", pfm_json_load, &out->special, err));
    PFM_TRY(open_one(out->folder, "added_tokens.json", pfm_json_load, &out->added, err));
done:
    return status;
}

void pfm_beside_close(pfm_beside *beside)
{
    json_decref(beside->config);
    json_decref(beside->special);
    json_decref(beside->added);
    free(beside->folder);
    *beside = (pfm_beside){0};
}

const char *pfm_beside_class(const pfm_beside *beside, size_t *length)
{
    static const char fast[] = "Fast";
    const char *name = pfm_member_text(beside->config, "tokenizer_class");
    *length = name == NULL ? 0 : strlen(name);
    if (*length > strlen(fast) && strcmp(name + *length - strlen(fast), fast) == 0)
        *length -= strlen(fast);
    return name;
}

/* The text of a token that is a string or an object with its content; or NULL. */
static const char *token_text(const json_t *value)
{
    return json_is_object(value) ? pfm_member_text(value, "content") : json_string_value(value);
}

/* The text of the token that has a role; the older file goes first, as in transformers. */
static const char *role_text(const pfm_beside *beside, const char *role)
{
    const char *text = token_text(json_object_get(beside->special, role));
    return text != NULL ? text : token_text(json_object_get(beside->config, role));
}

static pfm_status add_token(pfm_tokenizer *tokenizer, const char *text, int64_t id, const json_t *flags, bool special,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_added_token token = {.text = text,
                             .length = strlen(text),
                             .id = pfm_tokenizer_id(tokenizer, text),
                             .special = pfm_member_flag(flags, "special", special),
                             .single_word = pfm_member_flag(flags, "single_word", false),
                             .left_strip = pfm_member_flag(flags, "lstrip", false),
                             .right_strip = pfm_member_flag(flags, "rstrip", false)};
    token.normalized = pfm_member_flag(flags, "normalized", !token.special);
    if (token.id < 0) { /* the vocabulary's own id goes first */
        PFM_TRY(pfm_vocabulary_set(&tokenizer->vocabulary, text, token.length, id, err));
        token.id = (int32_t)id;
    }
    PFM_TRY(pfm_tokenizer_add_token(tokenizer, &token, err));
done:
    return status;
}

/* {"50257": {"content": "  ", "special": false, ...}, ...} */
static pfm_status add_from_config(const pfm_beside *beside, pfm_tokenizer *tokenizer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(beside->config, "added_tokens_decoder"), key, value)
    {
        char *end = NULL;
        long long id = strtoll(key, &end, 10);
        const char *text = pfm_member_text(value, "content");
        if (text == NULL || *key == '\0' || *end != '\0')
            PFM_FAIL(PFM_ERROR_FORMAT,
                     "%s/tokenizer_config.json: the added token \"%.40s\" has no content or its id is no number",
                     beside->folder, key);
        PFM_TRY(add_token(tokenizer, text, id, value, false, err));
    }
done:
    return status;
}

static bool is_special(const pfm_beside *beside, const char *text)
{
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                        "sep_token", "cls_token", "mask_token"};
    bool found = false;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0] && !found; i++) {
        const char *role = role_text(beside, roles[i]);
        found = role != NULL && strcmp(role, text) == 0;
    }
    const json_t *lists[] = {json_object_get(beside->special, "additional_special_tokens"),
                             json_object_get(beside->config, "additional_special_tokens")};
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < json_array_size(lists[l]) && !found; i++) {
            const char *listed = token_text(json_array_get(lists[l], i));
            found = listed != NULL && strcmp(listed, text) == 0;
        }
    }
    return found;
}

/* {"<pad>": 32000, ...} */
static pfm_status add_from_list(const pfm_beside *beside, pfm_tokenizer *tokenizer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *text;
    json_t *id;
    json_object_foreach(beside->added, text, id)
    {
        if (!json_is_integer(id))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s/added_tokens.json: the id of the token \"%.40s\" is not a whole number",
                     beside->folder, text);
        PFM_TRY(add_token(tokenizer, text, json_integer_value(id), NULL, is_special(beside, text), err));
    }
done:
    return status;
}

/* Sets *id where a role is named; the token is then special. */
static pfm_status set_role(const pfm_beside *beside, pfm_tokenizer *tokenizer, const char *role, int32_t *id, pfm_error *err)
{
    const char *text = role_text(beside, role);
    if (text == NULL)
        return PFM_OK;
    *id = pfm_tokenizer_id(tokenizer, text);
    return *id < 0 || text[0] == '\0' ? PFM_OK : add_token(tokenizer, text, *id, NULL, true, err);
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

/* chat_template.jinja goes before the one in the config. */
static pfm_status set_template(const pfm_beside *beside, pfm_tokenizer *tokenizer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer file = {0};
    char *path = NULL, *copy = NULL;
    const char *text = find_template(beside->config);
    PFM_TRY(pfm_path_join(beside->folder, "chat_template.jinja", &path, err));
    if (pfm_path_exists(path)) {
        PFM_TRY(pfm_file_read(path, LARGEST_TEMPLATE, &file, err));
        text = file.data != NULL ? file.data : "";
    }
    if (text == NULL)
        goto done;
    PFM_TRY(pfm_string_copy(text, &copy, err));
    free(tokenizer->chat_template);
    tokenizer->chat_template = copy;
done:
    pfm_buffer_free(&file);
    free(path);
    return status;
}

static int32_t guess_end(const pfm_tokenizer *tokenizer)
{
    static const char *const names[] = {"<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "</s>"};
    int32_t id = -1;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && id < 0; i++)
        id = pfm_tokenizer_id(tokenizer, names[i]);
    return id;
}

pfm_status pfm_beside_apply(const pfm_beside *beside, pfm_tokenizer *tokenizer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(add_from_config(beside, tokenizer, err));
    PFM_TRY(add_from_list(beside, tokenizer, err));
    PFM_TRY(set_role(beside, tokenizer, "bos_token", &tokenizer->begin, err));
    PFM_TRY(set_role(beside, tokenizer, "eos_token", &tokenizer->end, err));
    PFM_TRY(set_role(beside, tokenizer, "unk_token", &tokenizer->unknown, err));
    PFM_TRY(set_role(beside, tokenizer, "pad_token", &tokenizer->padding, err));
    PFM_TRY(set_template(beside, tokenizer, err));
    if (tokenizer->end < 0)
        tokenizer->end = guess_end(tokenizer);
done:
    return status;
}
