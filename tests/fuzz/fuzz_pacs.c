/* Any bytes as a file of rules, and as what a DICOMweb server sends: reading must succeed or say why not. The first byte says
 * which, and in what pieces the second comes. */
#include "pacs/multipart.h"
#include "pacs/pacs_rules.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct seen {
    bool open;
    size_t bytes;
} seen;

static pfm_status begin(void *user, const char *type, pfm_error *err)
{
    seen *s = user;
    (void)err;
    if (s->open || strlen(type) > 127)
        abort();
    s->open = true;
    return PFM_OK;
}

static pfm_status take(void *user, const void *bytes, size_t count, pfm_error *err)
{
    seen *s = user;
    (void)bytes;
    (void)err;
    if (!s->open || count == 0)
        abort();
    s->bytes += count;
    return PFM_OK;
}

static pfm_status end(void *user, pfm_error *err)
{
    seen *s = user;
    (void)err;
    if (!s->open)
        abort();
    s->open = false;
    return PFM_OK;
}

/* A line with the type, then the body; in two ways of cutting it there are as many bytes of parts. */
static size_t cut(const char *text, size_t size, size_t piece)
{
    seen s = {0};
    const pfm_multipart_sink sink = {begin, take, end, &s};
    pfm_error err = PFM_ERROR_INIT;
    pfm_multipart *m = NULL;
    const char *body = memchr(text, '\n', size);
    char *type = strndup(text, body != NULL ? (size_t)(body - text) : size);
    if (type == NULL)
        return 0;
    pfm_status status = pfm_multipart_create(type, &sink, &m, &err);
    const size_t begin_at = body != NULL ? (size_t)(body - text) + 1 : size;
    for (size_t at = begin_at; status == PFM_OK && at < size; at += piece)
        status = pfm_multipart_feed(m, text + at, size - at < piece ? size - at : piece, &err);
    if (status == PFM_OK)
        status = pfm_multipart_finish(m, &err);
    if ((status == PFM_OK && s.open) || (status != PFM_OK && err.message[0] == '\0') || s.bytes > size)
        abort();
    pfm_multipart_free(m);
    free(type);
    return status == PFM_OK ? s.bytes : 0;
}

static void read_rules(const char *text, size_t size)
{
    static const pfm_pacs_series series = {"CT", "CHEST", "chest routine\nthorax"};
    pfm_pacs_rules rules;
    pfm_error err = PFM_ERROR_INIT;
    if (pfm_pacs_rules_parse("FILE", text, size, &rules, &err) != PFM_OK && err.message[0] == '\0')
        abort();
    for (size_t i = 0; i < rules.count; i++)
        (void)pfm_pacs_rule_matches(&rules.rules[i], &series);
    pfm_pacs_rules_free(&rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    if ((data[0] & 1) == 0)
        read_rules(text, size - 1);
    else if (cut(text, size - 1, 1 + (data[0] >> 1)) != cut(text, size - 1, size))
        abort();
    return 0;
}
