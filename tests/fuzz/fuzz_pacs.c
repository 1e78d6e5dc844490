/* Any bytes as a file of rules, and as what a DICOMweb server sends, parts and lists in JSON: reading must succeed or say why
 * not. The first byte says which, and in what pieces the last two come. */
#include "client/web.h"
#include "pacs/dicomweb.h"
#include "pacs/multipart.h"
#include "pacs/pacs_rules.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char object[] = "/tmp/fuzz-pacs-XXXXXX"; /* a DICOM file */

static void remove_object(void) { (void)remove(object); }

static void make_object(void)
{
    char preamble[132] = "";
    memcpy(preamble + 128, "DICM", 4);
    const int fd = mkstemp(object);
    if (fd < 0 || write(fd, preamble, sizeof preamble) != (ssize_t)sizeof preamble || close(fd) != 0)
        abort();
    (void)atexit(remove_object);
}

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

/* ---- a server, in the place of client/web.c ---- */

struct pfm_web {
    const char *text; /* what it says next, pages parted by NULs */
    size_t size, piece;
};

const char *pfm_web_url(const pfm_web *web)
{
    (void)web;
    return "http://localhost/";
}

pfm_status pfm_web_create(const pfm_web_options *options, pfm_web **out, pfm_error *err)
{
    (void)options;
    *out = NULL;
    return pfm_error_set(err, PFM_ERROR_NETWORK, "there is no server");
}

pfm_status pfm_web_ask(pfm_web *web, const pfm_web_request *request, long *answered, pfm_error *err)
{
    const size_t length = strnlen(web->text, web->size);
    pfm_status status = PFM_OK;
    if (request->path[strcspn(request->path, " \r\n#")] != '\0')
        abort();
    *answered = length > 0 ? 200 : 204;
    for (size_t at = 0; status == PFM_OK && at < length; at += web->piece)
        status = request->on_data(request->user, web->text + at, length - at < web->piece ? length - at : web->piece, err);
    const size_t taken = length + (length < web->size);
    web->text += taken;
    web->size -= taken;
    return status;
}

static bool is_uid(const char *uid) { return uid[0] != '\0' && uid[strspn(uid, "0123456789.")] == '\0'; }

/* What is found names no folder and is found once. */
static void find_series(const char *text, size_t size, size_t piece)
{
    enum { MOST = 7 };
    static const char *const query[] = {"Modality=CT", "PatientName=A B/../&c"};
    pfm_web web = {text, size, piece};
    pfm_error err = PFM_ERROR_INIT;
    pfm_dicomweb_series *found = NULL;
    size_t count = 0;
    const pfm_status status = pfm_dicomweb_find(&web, query, 2, MOST, &found, &count, &err);
    if ((status != PFM_OK && (err.message[0] == '\0' || count > 0 || found != NULL)) || count > MOST)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (!is_uid(found[i].study) || !is_uid(found[i].series) || strstr(found[i].study, "..") != NULL ||
            strstr(found[i].series, "..") != NULL)
            abort();
        for (size_t k = 0; k < i; k++)
            if (strcmp(found[i].series, found[k].series) == 0 && strcmp(found[i].study, found[k].study) == 0)
                abort();
    }
    free(found);
}

/* What a server says became of the object that it was sent. */
static void store(const char *text, size_t size, size_t piece)
{
    pfm_web web = {text, size, piece};
    pfm_error err = PFM_ERROR_INIT;
    if (pfm_dicomweb_store(&web, object, &err) != PFM_OK && strncmp(err.message, "the server", 10) != 0)
        abort();
}

/* ---- rules ---- */

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
    static bool made;
    const char *text = (const char *)data + 1;
    const size_t piece = 1 + (data[0] >> 2);
    if (!made)
        make_object();
    made = true;
    switch (data[0] % 4) {
    case 0: read_rules(text, size - 1); break;
    case 1: find_series(text, size - 1, piece); break;
    case 2: store(text, size - 1, piece); break;
    default:
        if (cut(text, size - 1, piece) != cut(text, size - 1, size))
            abort();
    }
    return 0;
}
