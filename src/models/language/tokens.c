#include "pefomed/tokens.h"

#include "base/json.h"
#include "base/try.h"
#include "models/language/tokenizer_load.h"
#include "pefomed/weights.h"

#include <stdlib.h>
#include <string.h>

struct pfm_tokens {
    pfm_tokenizer *tokenizer;
};

pfm_status pfm_tokens_open(const pfm_context *context, const char *model, pfm_tokens **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_tokens *tokens = NULL;
    char *path = NULL;
    PFM_TRY(pfm_model_path(context, model, &path, err));
    PFM_TRY(pfm_allocate(1, sizeof *tokens, &tokens, err));
    PFM_TRY(pfm_tokenizer_load(path, &tokens->tokenizer, err));
    *out = tokens;
    tokens = NULL;
done:
    pfm_tokens_free(tokens);
    free(path);
    return status;
}

void pfm_tokens_free(pfm_tokens *tokens)
{
    if (tokens == NULL)
        return;
    pfm_tokenizer_free(tokens->tokenizer);
    free(tokens);
}

static pfm_status encode(const pfm_tokens *tokens, const json_t *value, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_ids ids = {0};
    if (!json_is_string(value))
        PFM_FAIL(PFM_ERROR_FORMAT, "a string is wanted, like \"What is shown?\"");
    PFM_TRY(pfm_tokenizer_encode(tokens->tokenizer, json_string_value(value), json_string_length(value), true, &ids, err));
    PFM_TRY(pfm_buffer_append_string(out, "[", err));
    for (size_t i = 0; i < ids.count; i++)
        PFM_TRY(pfm_buffer_append_format(out, err, i == 0 ? "%d" : ",%d", ids.data[i]));
    PFM_TRY(pfm_buffer_append_string(out, "]", err));
done:
    pfm_ids_free(&ids);
    return status;
}

/* A JSON string on one line, also for readers that end lines at U+0085, U+2028 and U+2029. */
static pfm_status write_string(const pfm_buffer *text, pfm_buffer *out, pfm_error *err)
{
    static const char *const breaks[][2] = {{"\xc2\x85", "\\u0085"}, {"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"}};
    pfm_status status = PFM_OK;
    pfm_buffer json = {0};
    json_t *value = json_stringn(text->data == NULL ? "" : text->data, text->size);
    if (value == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write JSON");
    PFM_TRY(pfm_json_append(&json, value, err));
    const char *at = json.data;
    for (const char *c = at; *c != '\0'; c++) {
        for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
            if (strncmp(c, breaks[i][0], strlen(breaks[i][0])) != 0)
                continue;
            PFM_TRY(pfm_buffer_append(out, at, (size_t)(c - at), err));
            PFM_TRY(pfm_buffer_append_string(out, breaks[i][1], err));
            at = c + strlen(breaks[i][0]);
        }
    }
    PFM_TRY(pfm_buffer_append_string(out, at, err));
done:
    json_decref(value);
    pfm_buffer_free(&json);
    return status;
}

static pfm_status decode(const pfm_tokens *tokens, const json_t *value, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_ids ids = {0};
    pfm_buffer text = {0};
    if (!json_is_array(value))
        PFM_FAIL(PFM_ERROR_FORMAT, "a list of ids is wanted, like [1, 2]");
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *id = json_array_get(value, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            PFM_FAIL(PFM_ERROR_FORMAT, "number %zu of the list is no token id", i);
        PFM_TRY(pfm_ids_append(&ids, (int32_t)json_integer_value(id), err));
    }
    PFM_TRY(pfm_tokenizer_decode(tokens->tokenizer, ids.data, ids.count, false, &text, err));
    PFM_TRY(write_string(&text, out, err));
done:
    pfm_ids_free(&ids);
    pfm_buffer_free(&text);
    return status;
}

static pfm_status read_message(const json_t *value, size_t number, pfm_chat_message *out, pfm_error *err)
{
    const json_t *role = json_object_get(value, "role"), *content = json_object_get(value, "content");
    if (!json_is_string(role) || !json_is_string(content))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "message %zu is not {\"role\": a string, \"content\": a string}", number);
    if (json_object_size(value) != 2)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "message %zu has more than role and content", number);
    *out = (pfm_chat_message){json_string_value(role), json_string_value(content)};
    if (strlen(out->role) != json_string_length(role) || strlen(out->content) != json_string_length(content))
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "message %zu holds the character U+0000", number);
    return PFM_OK;
}

static pfm_status chat(const pfm_tokens *tokens, const json_t *value, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_message *messages = NULL;
    pfm_buffer text = {0};
    size_t count = json_array_size(value);
    if (!json_is_array(value))
        PFM_FAIL(PFM_ERROR_FORMAT, "a list of messages is wanted, like [{\"role\": \"user\", \"content\": \"Hello\"}]");
    PFM_TRY(pfm_allocate(count, sizeof *messages, &messages, err));
    for (size_t i = 0; i < count; i++)
        PFM_TRY(read_message(json_array_get(value, i), i, &messages[i], err));
    PFM_TRY(pfm_chat_render(tokens->tokenizer, messages, count, true, &text, err));
    PFM_TRY(write_string(&text, out, err));
done:
    free(messages);
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_tokens_convert(const pfm_tokens *tokens, pfm_tokens_way way, const char *json, size_t length, char **json_out,
                              pfm_error *err)
{
    static pfm_status (*const ways[])(const pfm_tokens *, const json_t *, pfm_buffer *, pfm_error *) = {
        [PFM_TOKENS_ENCODE] = encode, [PFM_TOKENS_DECODE] = decode, [PFM_TOKENS_CHAT] = chat};
    pfm_status status = PFM_OK;
    pfm_buffer out = {0};
    json_error_t reason;
    json_t *value = json_loadb(json, length, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &reason);
    if (value == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "not JSON: %s", reason.text);
    PFM_TRY(ways[way](tokens, value, &out, err));
    *json_out = out.data;
    out = (pfm_buffer){0};
done:
    json_decref(value);
    pfm_buffer_free(&out);
    return status;
}
