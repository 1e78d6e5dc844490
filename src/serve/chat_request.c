#include "serve/chat_request.h"

#include "base/base64.h"
#include "base/try.h"
#include "pefomed/image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_TURNS = 1024, MOST_STOPS = 16, MOST_FRAME = 1 << 20 };

typedef struct reading {
    pfm_chat_request *out;
    const pfm_chat_limits *limits;
} reading;

/* ---- single values ---- */

static pfm_status read_number(const char *key, const json_t *value, double low, double high, double *out, pfm_error *err)
{
    const double number = json_number_value(value);
    if (!json_is_number(value) || number < low || number > high)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s must be a number from %g to %g", key, low, high);
    *out = number;
    return PFM_OK;
}

static pfm_status read_whole(const char *key, const json_t *value, json_int_t low, json_int_t high, json_int_t *out,
                             pfm_error *err)
{
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < low || number > high)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s must be a whole number from %lld to %lld", key, (long long)low,
                             (long long)high);
    *out = number;
    return PFM_OK;
}

static pfm_status read_int(const char *key, const json_t *value, int low, int high, int *out, pfm_error *err)
{
    json_int_t number = 0;
    const pfm_status status = read_whole(key, value, low, high, &number, err);
    *out = status == PFM_OK ? (int)number : *out;
    return status;
}

static pfm_status read_flag(const char *key, const json_t *value, bool *out, pfm_error *err)
{
    if (!json_is_boolean(value))
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s must be true or false", key);
    *out = json_is_true(value);
    return PFM_OK;
}

static pfm_status read_text(const char *key, const json_t *value, const char **out, pfm_error *err)
{
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s must be a text without NUL characters", key);
    *out = json_string_value(value);
    return PFM_OK;
}

/* ---- images ---- */

/* "data:image/png;base64,...". */
static pfm_status read_uri(const char *uri, pfm_buffer *out, pfm_error *err)
{
    static const char scheme[] = "data:", encoded[] = ";base64";
    const char *comma = strchr(uri, ',');
    if (strncasecmp(uri, scheme, strlen(scheme)) != 0)
        return pfm_error_set(
            err, PFM_ERROR_USAGE,
            "an image must be a data URI (data:image/png;base64,...): this server opens no address and no file "
            "for those who ask");
    if (comma == NULL || (size_t)(comma - uri) < strlen(encoded) ||
        strncasecmp(comma - strlen(encoded), encoded, strlen(encoded)) != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "an image's data URI must be in base64 (data:image/png;base64,...)");
    return pfm_base64_decode(out, comma + 1, strlen(comma + 1), err);
}

static pfm_status add_image(reading *r, const char *uri, const json_t *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_request *out = r->out;
    static const char kept[] = "pefomed:";
    const json_t *frame = json_object_get(options, "frame"), *window = json_object_get(options, "window"),
                 *blank = json_object_get(options, "blank");
    pfm_error failure = PFM_ERROR_INIT;
    if (out->image_count == r->limits->images)
        PFM_FAIL(PFM_ERROR_USAGE, "there are more than the %zu images that this server takes in a request (--max-images)",
                 r->limits->images);
    PFM_TRY(pfm_array_reserve(&out->images, &out->image_capacity, out->image_count + 1, sizeof *out->images, err));
    pfm_chat_image *image = &out->images[out->image_count++];
    *image = (pfm_chat_image){0};
    if (frame != NULL)
        PFM_TRY(read_int("frame", frame, 0, MOST_FRAME, &image->frame, err));
    if (window != NULL)
        PFM_TRY(read_text("window", window, &image->window, err));
    PFM_TRY(pfm_image_check_window(image->window, err));
    if (blank != NULL)
        PFM_TRY(read_flag("blank", blank, &image->blank, err));
    if (strncmp(uri, kept, strlen(kept)) == 0) {
        image->kept = uri + strlen(kept);
        goto done;
    }
    status = read_uri(uri, &image->bytes, &failure);
    if (status != PFM_OK)
        PFM_FAIL(status, "image %zu: %s", out->image_count, failure.message);
    if (image->bytes.size == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "image %zu is empty", out->image_count);
done:
    return status;
}

/* {"type":"image_url","image_url":{"url","detail","window","frame","blank"}} and
 * {"type":"file","file":{"file_data","filename"}}. */
static pfm_status read_image_part(reading *r, const json_t *part, const char *type, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool file = strcmp(type, "file") == 0;
    const json_t *inner = json_object_get(part, type);
    const json_t *uri = json_is_string(inner) ? inner : json_object_get(inner, file ? "file_data" : "url");
    const char *text = NULL;
    if (file && json_object_get(inner, "file_id") != NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "file_id: this server keeps no files; send the file itself as file_data");
    PFM_TRY(read_text(file ? "file.file_data" : "image_url.url", uri, &text, err));
    PFM_TRY(add_image(r, text, json_is_object(inner) ? inner : NULL, err));
done:
    return status;
}

/* ---- messages ---- */

/* What a user's parts say together. Where images stand between texts their places are marked; in front of all texts, or behind
 * all, they stand where the run's prompt has them. */
static pfm_status read_parts(reading *r, const json_t *parts, pfm_chat_turn *turn, char **text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer said = {0}, marked = {0};
    const json_t *part = NULL;
    size_t i = 0;
    bool texts = false, before = false, after = false, between = false; /* where images stand, and whether there are texts */
    PFM_TRY(pfm_buffer_append(&said, "", 0, err));
    PFM_TRY(pfm_buffer_append(&marked, "", 0, err));
    json_array_foreach(parts, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "type")), *words = NULL;
        if (type != NULL && strcmp(type, "text") == 0) {
            PFM_TRY(read_text("text", json_object_get(part, "text"), &words, err));
            PFM_TRY(pfm_buffer_append_string(&said, words, err));
            PFM_TRY(pfm_buffer_append_string(&marked, words, err));
            texts = true;
            between = between || after;
        } else if (type != NULL && (strcmp(type, "image_url") == 0 || strcmp(type, "file") == 0)) {
            PFM_TRY(read_image_part(r, part, type, err));
            PFM_TRY(pfm_buffer_append_string(&marked, "<image>", err));
            turn->images++;
            before = before || !texts;
            after = after || texts;
        } else {
            PFM_FAIL(PFM_ERROR_USAGE, "a part of a message is of type %.40s; known are text, image_url and file",
                     type != NULL ? type : "(none)");
        }
    }
    between = between || (before && after);
    *text = between ? marked.data : said.data;
    *(between ? &marked : &said) = (pfm_buffer){0};
    turn->text = *text;
done:
    pfm_buffer_free(&said);
    pfm_buffer_free(&marked);
    return status;
}

static const char *role_of(const char *role)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    if (role != NULL && strcmp(role, "developer") == 0)
        return roles[0];
    for (size_t i = 0; role != NULL && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(role, roles[i]) == 0)
            return roles[i];
    return NULL;
}

static pfm_status read_message(reading *r, const json_t *message, size_t i, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_turn *turn = &r->out->turns[i];
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *content = json_object_get(message, "content");
    turn->role = role_of(role);
    if (turn->role == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "messages[%zu] has the role %.40s; known are system, developer, user and assistant", i,
                 role != NULL ? role : "(none)");
    if (strcmp(turn->role, "system") == 0 && i > 0)
        PFM_FAIL(PFM_ERROR_USAGE, "messages[%zu] is a system message; there may be one, and it comes first", i);
    if (json_array_size(json_object_get(message, "tool_calls")) > 0)
        PFM_FAIL(PFM_ERROR_USAGE, "messages[%zu].tool_calls: this server's models call no tools", i);
    if (json_is_array(content))
        PFM_TRY(read_parts(r, content, turn, &r->out->texts[i], err));
    else
        PFM_TRY(read_text("a message's content", content, &turn->text, err));
done:
    return status;
}

static pfm_status read_messages(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_request *out = r->out;
    const size_t count = json_array_size(value);
    if (count == 0 || count > MOST_TURNS)
        PFM_FAIL(PFM_ERROR_USAGE, "%s must be a list of 1 to %d messages", key, MOST_TURNS);
    PFM_TRY(pfm_allocate(count, sizeof *out->turns, &out->turns, err));
    PFM_TRY(pfm_allocate(count, sizeof *out->texts, &out->texts, err));
    out->turn_count = count;
    for (size_t i = 0; i < count; i++)
        PFM_TRY(read_message(r, json_array_get(value, i), i, err));
    if (strcmp(out->turns[count - 1].role, "user") != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "the last of the messages must be the user's, who is answered");
done:
    return status;
}

/* ---- settings ---- */

static pfm_status read_model(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    return read_text(key, value, &r->out->model, err);
}

static pfm_status read_stream(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    return read_flag(key, value, &r->out->stream, err);
}

static pfm_status read_stream_options(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    const json_t *usage = json_object_get(value, "include_usage");
    if (!json_is_object(value))
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s must be an object, as {\"include_usage\": true}", key);
    return usage != NULL ? read_flag("stream_options.include_usage", usage, &r->out->include_usage, err) : PFM_OK;
}

static pfm_status read_logprobs(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    return read_flag(key, value, &r->out->logprobs, err);
}

static pfm_status read_answers(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    return read_int(key, value, 1, r->limits->answers, &r->out->answers, err);
}

static pfm_status read_max_tokens(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    return read_int(key, value, 1, INT32_MAX, &r->out->max_tokens, err);
}

static pfm_status read_temperature(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    return read_number(key, value, 0, 2, &r->out->temperature, err);
}

static pfm_status read_top_p(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    return read_number(key, value, 1e-6, 1, &r->out->top_p, err);
}

static pfm_status read_min_p(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    return read_number(key, value, 0, 1, &r->out->min_p, err);
}

static pfm_status read_top_k(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    return read_int(key, value, 0, INT32_MAX, &r->out->top_k, err);
}

static pfm_status read_penalty(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    return read_number(key, value, 0.1, 10, &r->out->repetition_penalty, err);
}

static pfm_status read_seed(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    json_int_t seed = 0;
    const pfm_status status = read_whole(key, value, 0, INT64_MAX, &seed, err);
    r->out->seed = status == PFM_OK ? (int64_t)seed : -1;
    return status;
}

static pfm_status read_stop(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_request *out = r->out;
    const size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count > MOST_STOPS)
        PFM_FAIL(PFM_ERROR_USAGE, "%s may hold %d texts", key, MOST_STOPS);
    PFM_TRY(pfm_allocate(count, sizeof *out->stop, &out->stop, err));
    for (size_t i = 0; i < count; i++) {
        PFM_TRY(read_text(key, json_is_array(value) ? json_array_get(value, i) : value, &out->stop[i], err));
        if (*out->stop[i] == '\0')
            PFM_FAIL(PFM_ERROR_USAGE, "%s holds an empty text, which would end every answer", key);
        out->stop_count = i + 1;
    }
done:
    return status;
}

/* OpenAI's json_schema, and json_object, beside which llama.cpp's servers take a schema. */
static pfm_status read_format(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    const json_t *named = json_object_get(value, "json_schema"),
                 *schema = json_object_get(named != NULL ? named : value, "schema");
    if (type != NULL && strcmp(type, "text") == 0)
        return PFM_OK;
    if (type == NULL || (strcmp(type, "json_object") != 0 && strcmp(type, "json_schema") != 0))
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s.type must be text, json_object or json_schema", key);
    if (strcmp(type, "json_schema") == 0 && !json_is_object(schema))
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s.json_schema.schema is missing", key);
    r->out->wants_json = true;
    r->out->schema = json_is_null(schema) ? NULL : schema;
    return PFM_OK;
}

/* Who asks, and what the asking program keeps of it: nothing is done with it here. */
static pfm_status pass_over(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    (void)r;
    (void)key;
    (void)value;
    (void)err;
    return PFM_OK;
}

static bool is_neutral(const json_t *value)
{
    const char *text = json_string_value(value);
    return (json_is_number(value) && json_number_value(value) == 0) || json_is_false(value) ||
           (json_is_array(value) && json_array_size(value) == 0) || (json_is_object(value) && json_object_size(value) == 0) ||
           (text != NULL && (strcmp(text, "none") == 0 || strcmp(text, "auto") == 0));
}

/* What would have to change the answer, and does not here, may be there as long as it says nothing. */
static pfm_status want_neutral(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    (void)r;
    return is_neutral(value) ? PFM_OK
                             : pfm_error_set(err, PFM_ERROR_USAGE, "%s cannot be had from this server; leave it out", key);
}

static const struct {
    const char *name;
    pfm_status (*read)(reading *r, const char *key, const json_t *value, pfm_error *err);
} keys[] = {
    {"model", read_model},
    {"messages", read_messages},
    {"stream", read_stream},
    {"stream_options", read_stream_options},
    {"n", read_answers},
    {"max_tokens", read_max_tokens},
    {"max_completion_tokens", read_max_tokens},
    {"temperature", read_temperature},
    {"top_p", read_top_p},
    {"min_p", read_min_p},
    {"top_k", read_top_k},
    {"repetition_penalty", read_penalty},
    {"seed", read_seed},
    {"stop", read_stop},
    {"logprobs", read_logprobs},
    {"response_format", read_format},
    {"user", pass_over},
    {"safety_identifier", pass_over},
    {"metadata", pass_over},
    {"store", pass_over},
    {"service_tier", pass_over},
    {"top_logprobs", want_neutral},
    {"presence_penalty", want_neutral},
    {"frequency_penalty", want_neutral},
    {"logit_bias", want_neutral},
    {"tools", want_neutral},
    {"tool_choice", want_neutral},
    {"parallel_tool_calls", pass_over},
    {"functions", want_neutral},
    {"function_call", want_neutral},
};

static pfm_status read_key(reading *r, const char *key, const json_t *value, pfm_error *err)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i].name, key) == 0)
            return json_is_null(value) ? PFM_OK
                                       : keys[i].read(r, key, value, err); /* clients write null for what is not said */
    return pfm_error_set(err, PFM_ERROR_USAGE, "'%.60s' is no key of a chat completion that this server knows", key);
}

pfm_status pfm_chat_request_read(const char *body, size_t size, const pfm_chat_limits *limits, pfm_chat_request *out,
                                 pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_error_t fault;
    const char *key = NULL;
    json_t *value = NULL;
    reading r = {out, limits};
    *out = (pfm_chat_request){.answers = 1,
                              .temperature = NAN,
                              .top_p = NAN,
                              .min_p = NAN,
                              .repetition_penalty = NAN,
                              .top_k = -1,
                              .seed = -1,
                              .document = json_loadb(body, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault)};
    if (out->document == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "the body is no JSON: %s (line %d, column %d)", fault.text, fault.line, fault.column);
    if (!json_is_object(out->document))
        PFM_FAIL(PFM_ERROR_FORMAT, "the body must be a JSON object");
    json_object_foreach(out->document, key, value) PFM_TRY(read_key(&r, key, value, err));
    if (out->model == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "model is missing; GET /v1/models lists those that there are");
    if (out->turn_count == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "messages is missing");
    if (out->include_usage && !out->stream)
        PFM_FAIL(PFM_ERROR_USAGE, "stream_options is for a streamed answer; set stream to true, or leave it out");
done:
    return status;
}

void pfm_chat_request_free(pfm_chat_request *request)
{
    for (size_t i = 0; request->texts != NULL && i < request->turn_count; i++)
        free(request->texts[i]);
    for (size_t i = 0; i < request->image_count; i++)
        pfm_buffer_free(&request->images[i].bytes);
    free(request->texts);
    free(request->turns);
    free(request->images);
    free(request->stop);
    json_decref(request->document);
    *request = (pfm_chat_request){0};
}
