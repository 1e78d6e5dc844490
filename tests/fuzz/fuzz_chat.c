/* Any bytes as the body of a chat completion: reading must succeed or say why not, and what it gives is within its bounds. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pfm_chat_limits limits = {.images = 4, .answers = 8};
    pfm_error err = PFM_ERROR_INIT;
    pfm_chat_request request;
    if (pfm_chat_request_read((const char *)data, size, &limits, &request, &err) == PFM_OK)
        look(&request, &limits);
    else if (err.message[0] == '\0')
        abort();
    pfm_chat_request_free(&request);
    return 0;
}
