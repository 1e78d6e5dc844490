#include "base/json.h"
#include "base/try.h"
#include "client/client_internal.h"

#include <math.h>

/* How a picture is written: by its hash, or whole. */
typedef pfm_status (*image_writer)(const pfm_client_part *part, json_t **out, pfm_error *err);

static pfm_status name_image(const pfm_client_part *part, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex hash;
    const char *sha256 = part->image_sha256;
    if (sha256 == NULL) {
        PFM_TRY(pfm_hash_file(part->image, hash, err));
        sha256 = hash;
    }
    *out = json_pack("{s:s, s:s}", "type", "image", "sha256", sha256);
done:
    return status;
}

static pfm_status send_image(const pfm_client_part *part, json_t **out, pfm_error *err)
{
    pfm_buffer uri = {0};
    pfm_status status = pfm_client_image_append(part, &uri, err);
    if (status == PFM_OK)
        *out = json_pack("{s:s, s:{s:s}}", "type", "image_url", "image_url", "url", uri.data);
    pfm_buffer_free(&uri);
    return status;
}

/* A text alone is a string: servers of models that see nothing know no lists. */
static pfm_status write_content(const pfm_client_message *message, image_writer write_image, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array(), *part = NULL;
    if (message->count == 1 && message->parts[0].text != NULL) {
        *out = json_string(message->parts[0].text);
        goto done;
    }
    for (size_t i = 0; i < message->count; i++) {
        if (message->parts[i].text != NULL)
            part = json_pack("{s:s, s:s}", "type", "text", "text", message->parts[i].text);
        else
            PFM_TRY(write_image(&message->parts[i], &part, err));
        list = pfm_json_add(list, part);
        part = NULL;
    }
    *out = list;
    list = NULL;
done:
    json_decref(list);
    return status;
}

static pfm_status write_messages(const pfm_client_question *question, image_writer write_image, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array(), *content = NULL;
    for (size_t i = 0; i < question->message_count; i++) {
        PFM_TRY(write_content(&question->messages[i], write_image, &content, err));
        list = pfm_json_add(list, json_pack("{s:s, s:o}", "role", question->messages[i].role, "content", content));
        content = NULL;
    }
    PFM_TRY(pfm_json_take(out, "messages", list, err));
    list = NULL;
done:
    json_decref(list);
    return status;
}

static pfm_status write_settings(const pfm_client_question *question, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *stop = json_array();
    if (!isnan(question->temperature))
        PFM_TRY(pfm_json_take(out, "temperature", json_real(question->temperature), err));
    if (!isnan(question->top_p))
        PFM_TRY(pfm_json_take(out, "top_p", json_real(question->top_p), err));
    if (question->max_tokens > 0)
        PFM_TRY(pfm_json_take(out, "max_tokens", json_integer(question->max_tokens), err));
    if (question->seed >= 0)
        PFM_TRY(pfm_json_take(out, "seed", json_integer(question->seed), err));
    for (size_t i = 0; i < question->stop_count; i++)
        stop = pfm_json_add(stop, json_string(question->stop[i]));
    if (question->stop_count > 0)
        PFM_TRY(pfm_json_take(out, "stop", json_incref(stop), err));
    if (question->response_format != NULL)
        PFM_TRY(pfm_json_take(out, "response_format", json_deep_copy(question->response_format), err));
done:
    json_decref(stop);
    return status;
}

/* Texts that are no UTF-8 make no JSON. */
static pfm_status check_text(const pfm_client_question *question, const char *text, pfm_error *err)
{
    json_t *value = json_string(text);
    json_decref(value);
    return value != NULL ? PFM_OK
                         : pfm_error_set(err, PFM_ERROR_FORMAT,
                                         "the %s holds a text that is not UTF-8; a server takes no other", question->label);
}

static pfm_status check_texts(const pfm_client_question *question, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t m = 0; m < question->message_count; m++)
        for (size_t i = 0; status == PFM_OK && i < question->messages[m].count; i++)
            if (question->messages[m].parts[i].text != NULL)
                status = check_text(question, question->messages[m].parts[i].text, err);
    return status;
}

pfm_status pfm_chat_request_create(const char *url, const char *model, const pfm_client_question *question, json_t **out,
                                   pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *request = json_object();
    PFM_TRY(check_texts(question, err));
    PFM_TRY(pfm_json_take(request, "url", json_string(url), err));
    PFM_TRY(pfm_json_take(request, "model", json_string(model), err));
    PFM_TRY(write_messages(question, name_image, request, err));
    PFM_TRY(write_settings(question, request, err));
    if (question->repeat > 0)
        PFM_TRY(pfm_json_take(request, "repeat", json_integer(question->repeat), err));
    *out = request;
    request = NULL;
done:
    json_decref(request);
    return status;
}

pfm_status pfm_chat_body_append(const char *model, const pfm_client_question *question, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *body = json_object();
    PFM_TRY(pfm_json_take(body, "model", json_string(model), err));
    PFM_TRY(write_messages(question, send_image, body, err));
    PFM_TRY(write_settings(question, body, err));
    PFM_TRY(pfm_json_append(out, body, err));
done:
    json_decref(body);
    return status;
}
