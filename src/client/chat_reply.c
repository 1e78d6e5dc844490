/* A reply comes from outside: any bytes at all. */
#include "base/json.h"
#include "base/try.h"
#include "client/client_internal.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SHOWN = 200 };

/* The beginning of a body as one line of plain characters, for a message. */
static const char *excerpt(const char *body, size_t size, char out[MOST_SHOWN + 1])
{
    size_t length = 0;
    for (size_t i = 0; i < size && length < MOST_SHOWN; i++) {
        const unsigned char c = (unsigned char)body[i];
        const bool blank = c <= ' ';
        if (blank && (length == 0 || out[length - 1] == ' '))
            continue;
        out[length++] = blank ? ' ' : c < 0x7F ? (char)c : '?';
    }
    out[length] = '\0';
    return out;
}

void pfm_chat_reply_free(pfm_chat_reply *reply)
{
    free(reply->text);
    free(reply->finish);
    json_decref(reply->usage);
    *reply = (pfm_chat_reply){0};
}

/* What is counted, as far as it is a number. */
static pfm_status read_usage(const json_t *usage, json_t **out, pfm_error *err)
{
    static const char *const counts[] = {"prompt_tokens", "completion_tokens", "total_tokens"};
    if (!json_is_object(usage))
        return PFM_OK;
    *out = json_object();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        json_t *count = json_object_get(usage, counts[i]);
        pfm_status status = json_is_integer(count) ? pfm_json_take(*out, counts[i], json_incref(count), err) : PFM_OK;
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

pfm_status pfm_chat_reply_read(const char *body, size_t size, pfm_chat_reply *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char shown[MOST_SHOWN + 1];
    json_error_t reason;
    json_t *document = json_loadb(body == NULL ? "" : body, size, 0, &reason);
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "the server's reply is not JSON (%.100s): %s", reason.text, excerpt(body, size, shown));
    const json_t *choice = json_array_get(json_object_get(document, "choices"), 0);
    const json_t *content = json_object_get(json_object_get(choice, "message"), "content");
    if (!json_is_string(content))
        PFM_FAIL(PFM_ERROR_FORMAT, "the server's reply has no text in choices[0].message.content: %s",
                 excerpt(body, size, shown));
    PFM_TRY(pfm_string_copy(json_string_value(content), &out->text, err));
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    if (finish != NULL)
        PFM_TRY(pfm_string_copy_n(finish, strnlen(finish, MOST_SHOWN), &out->finish, err));
    PFM_TRY(read_usage(json_object_get(document, "usage"), &out->usage, err));
done:
    json_decref(document);
    if (status != PFM_OK)
        pfm_chat_reply_free(out);
    return status;
}

/* OpenAI's servers say {"error":{"message"}}, others {"error"}, {"message"} or {"detail"}. */
static const char *message_of(const json_t *document)
{
    const json_t *error = json_object_get(document, "error");
    const json_t *tries[] = {json_object_get(error, "message"), error, json_object_get(document, "message"),
                             json_object_get(document, "detail")};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        if (json_is_string(tries[i]))
            return json_string_value(tries[i]);
    return NULL;
}

pfm_status pfm_chat_reply_refuse(long status, const char *body, size_t size, pfm_error *err)
{
    char shown[MOST_SHOWN + 1];
    json_t *document = size > 0 ? json_loadb(body, size, 0, NULL) : NULL;
    const char *message = message_of(document);
    if (message != NULL)
        (void)excerpt(message, strlen(message), shown);
    else
        (void)excerpt(body, size, shown);
    json_decref(document);
    const char *cure = status == 401 || status == 403 ? "; put its key into PEFOMED_API_KEY"
                       : status == 404                ? "; is the path of --url right, and the model's name?"
                       : status >= 300 && status < 400
                           ? "; it sends on to another address, which is not followed: give that as --url"
                           : "";
    return pfm_error_set(err, PFM_ERROR_NETWORK, "the server answered %ld%s%s%s", status, shown[0] != '\0' ? ": " : "", shown,
                         cure);
}
