/* Any bytes as the body of a chat completion: reading must succeed or say why not, what it gives is within its bounds, and a
 * text that the schema's machine takes for whole is JSON. */
#include "infer/json_shape.h"
#include "serve/chat_request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_marks(const char *text)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, "<image>")) != NULL; at++)
        count++;
    return count;
}

static void look(const pfm_chat_request *r, const pfm_chat_limits *limits)
{
    size_t images = 0;
    for (size_t i = 0; i < r->turn_count; i++) {
        images += r->turns[i].images;
        if (r->turns[i].text == NULL || r->turns[i].role == NULL || count_marks(r->turns[i].text) > strlen(r->turns[i].text))
            abort();
    }
    if (images != r->image_count || images > limits->images || r->answers < 1 || r->answers > limits->answers ||
        r->max_tokens < 0 || r->temperature < 0 || r->temperature > 2 || strcmp(r->turns[r->turn_count - 1].role, "user") != 0)
        abort();
    for (size_t i = 0; i < r->stop_count; i++)
        if (r->stop[i][0] == '\0')
            abort();
}

/* Goes on with the first byte that can come, of those in an order that the body chose, to the end of a text. */
static void write_one(const pfm_json_shape *shape, const uint8_t *data, size_t size)
{
    pfm_json_state state = pfm_json_begin();
    char text[256];
    size_t length = 0;
    while (length < sizeof text) {
        unsigned byte = data[length % size], tried = 0;
        pfm_json_state next = state;
        while (tried < 256 && !pfm_json_feed(shape, &next, (unsigned char)(byte + tried))) {
            next = state;
            tried++;
        }
        if (tried == 256 && !pfm_json_is_whole(shape, &state))
            abort(); /* a dead end */
        if (tried == 256)
            break;
        text[length++] = (char)(byte + tried);
        state = next;
    }
    json_t *value = json_loadb(text, length, JSON_DECODE_ANY, NULL);
    if (pfm_json_is_whole(shape, &state) && value == NULL)
        abort();
    json_decref(value);
}

static void hold(const pfm_chat_request *r, const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_json_shape *shape = NULL;
    if (pfm_json_shape_create(r->schema, &shape, &err) == PFM_OK)
        write_one(shape, data, size);
    else if (err.message[0] == '\0')
        abort();
    pfm_json_shape_free(shape);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pfm_chat_limits limits = {.images = 4, .answers = 8};
    pfm_error err = PFM_ERROR_INIT;
    pfm_chat_request request;
    if (pfm_chat_request_read((const char *)data, size, &limits, &request, &err) == PFM_OK) {
        look(&request, &limits);
        if (request.wants_json)
            hold(&request, data, size);
    } else if (err.message[0] == '\0')
        abort();
    pfm_chat_request_free(&request);
    return 0;
}
