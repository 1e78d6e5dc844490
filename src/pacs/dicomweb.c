#include "pacs/dicomweb.h"

#include "base/chance.h"
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "image/dicom_set.h"
#include "pacs/multipart.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 100, LARGEST_LIST = 64 << 20, LARGEST_STORED = 1 << 30, MOST_OBJECTS = 100000, LONGEST_VALUE = 256 };

/* ---- replies in JSON ---- */

static pfm_status collect(void *user, const void *bytes, size_t count, pfm_error *err)
{
    pfm_buffer *text = user;
    if (count > LARGEST_LIST - text->size)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "the server's reply has more than %d MiB; ask for less",
                             LARGEST_LIST >> 20);
    return pfm_buffer_append(text, bytes, count, err);
}

/* The first value of an attribute in DICOM's JSON (PS3.18, F); NULL where it has none. */
static const json_t *first_value(const json_t *object, const char *tag)
{
    return json_array_get(json_object_get(json_object_get(object, tag), "Value"), 0);
}

static bool is_uid(const char *text)
{
    return text != NULL && text[0] != '\0' && strlen(text) <= 64 && strspn(text, "0123456789.") == strlen(text) &&
           strstr(text, "..") == NULL && text[0] != '.';
}

/* ---- finding ---- */

static pfm_status append_encoded(pfm_buffer *out, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (isalnum(*c) || strchr("-._~*", *c) != NULL)
            PFM_TRY(pfm_buffer_append(out, c, 1, err));
        else
            PFM_TRY(pfm_buffer_append_format(out, err, "%%%02X", *c));
    }
done:
    return status;
}

static pfm_status append_query(pfm_buffer *out, const char *query, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t name = strspn(query, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    static const char *const ours[] = {"limit", "offset", "includefield"};
    if (name == 0 || name > 64 || query[name] != '=' || query[name + 1] == '\0' || strlen(query + name) > LONGEST_VALUE)
        PFM_FAIL(PFM_ERROR_USAGE, "a query is an attribute and its value, as Modality=CT or 00100020=123, and not '%.60s'",
                 query);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strlen(ours[i]) == name && strncmp(ours[i], query, name) == 0)
            PFM_FAIL(PFM_ERROR_USAGE, "%s is no attribute by which series are found; --limit says how many", ours[i]);
    PFM_TRY(pfm_buffer_append_string(out, "&", err));
    PFM_TRY(pfm_buffer_append(out, query, name + 1, err));
    PFM_TRY(append_encoded(out, query + name + 1, err));
done:
    return status;
}

typedef struct finding {
    pfm_dicomweb_series *found;
    size_t count, capacity, most;
} finding;

/* A series that is not known yet. */
static pfm_status add_series(finding *f, const json_t *object, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *study = json_string_value(first_value(object, "0020000D")),
               *series = json_string_value(first_value(object, "0020000E")),
               *modality = json_string_value(first_value(object, "00080060"));
    if (!is_uid(study) || !is_uid(series))
        PFM_FAIL(PFM_ERROR_FORMAT, "the server lists a series without the UIDs of study and series");
    for (size_t i = f->count; i > 0; i--)
        if (strcmp(f->found[i - 1].series, series) == 0 && strcmp(f->found[i - 1].study, study) == 0)
            goto done;
    if (f->count == f->most)
        goto done;
    PFM_TRY(pfm_array_reserve(&f->found, &f->capacity, f->count + 1, sizeof *f->found, err));
    pfm_dicomweb_series *one = &f->found[f->count++];
    *one = (pfm_dicomweb_series){0};
    (void)snprintf(one->study, sizeof one->study, "%s", study);
    (void)snprintf(one->series, sizeof one->series, "%s", series);
    if (modality != NULL && strspn(modality, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ") == strlen(modality))
        (void)snprintf(one->modality, sizeof one->modality, "%.16s", modality);
done:
    return status;
}

static pfm_status find_page(pfm_web *web, finding *f, const char *query, size_t offset, size_t *listed, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    char *path = NULL;
    json_t *list = NULL;
    long code = 0;
    const size_t page = f->most - f->count < PAGE ? f->most - f->count : PAGE;
    PFM_TRY(pfm_string_format(&path, err, "/series?limit=%zu&offset=%zu%s", page, offset, query));
    const pfm_web_request request = {
        .path = path, .accept = "application/dicom+json, application/json;q=0.9", .on_data = collect, .user = &text};
    PFM_TRY(pfm_web_ask(web, &request, &code, err));
    *listed = 0;
    if (text.size == 0) /* 204: nothing matches */
        goto done;
    list = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_array(list))
        PFM_FAIL(PFM_ERROR_FORMAT, "%.300s lists no series in JSON; is its URL that of DICOMweb?", pfm_web_url(web));
    *listed = json_array_size(list);
    for (size_t i = 0; i < *listed; i++)
        PFM_TRY(add_series(f, json_array_get(list, i), err));
done:
    json_decref(list);
    pfm_buffer_free(&text);
    free(path);
    return status;
}

pfm_status pfm_dicomweb_find(pfm_web *web, const char *const *query, size_t query_count, size_t most, pfm_dicomweb_series **out,
                             size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    finding f = {.most = most};
    size_t listed = 1;
    PFM_TRY(pfm_buffer_append(&text, "", 0, err));
    for (size_t i = 0; i < query_count; i++)
        PFM_TRY(append_query(&text, query[i], err));
    for (size_t offset = 0, before = SIZE_MAX; listed > 0 && f.count < most && f.count != before; offset += listed) {
        before = f.count; /* one that passes over the offset says the same again */
        PFM_TRY(find_page(web, &f, text.data, offset, &listed, err));
    }
    *out = f.found;
    *count = f.count;
    f.found = NULL;
done:
    free(f.found);
    pfm_buffer_free(&text);
    return status;
}

/* ---- fetching ---- */

typedef struct fetching {
    pfm_multipart *parts;
    const char *folder;
    pfm_atomic_file file;
    char *path;
    bool open;
    size_t size, most, objects, bytes;
} fetching;

static pfm_status begin_object(void *user, const char *type, pfm_error *err)
{
    fetching *f = user;
    if (strncmp(type, "application/dicom", 17) != 0 || strchr("; ", type[17]) == NULL)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "the server sends a part that is no DICOM object");
    if (f->objects == MOST_OBJECTS)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "a series has more than %d objects", MOST_OBJECTS);
    free(f->path);
    f->path = NULL;
    f->size = 0;
    pfm_status status = pfm_string_format(&f->path, err, "%s/%04zu.dcm", f->folder, f->objects + 1);
    if (status == PFM_OK)
        status = pfm_atomic_file_begin(f->path, &f->file, err);
    f->open = status == PFM_OK;
    return status;
}

static pfm_status take_object(void *user, const void *bytes, size_t count, pfm_error *err)
{
    fetching *f = user;
    if (count > f->most - f->size)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "an object of the server has more than %zu MiB (--max-object)",
                             f->most >> 20);
    f->size += count;
    return pfm_atomic_file_write(&f->file, bytes, count, err);
}

static pfm_status end_object(void *user, pfm_error *err)
{
    fetching *f = user;
    pfm_mapping mapping = {0};
    f->open = false;
    pfm_status status = pfm_atomic_file_commit(&f->file, err);
    if (status == PFM_OK)
        status = pfm_mapping_open(f->path, &mapping, err);
    if (status == PFM_OK && !pfm_dicom_begins(mapping.data, mapping.size, mapping.size))
        status = pfm_error_set(err, PFM_ERROR_FORMAT, "%s: what the server sent as DICOM is none", f->path);
    pfm_mapping_close(&mapping);
    f->objects++;
    f->bytes += f->size;
    return status;
}

static pfm_status begin_reply(void *user, const char *type, pfm_error *err)
{
    fetching *f = user;
    const pfm_multipart_sink sink = {begin_object, take_object, end_object, f};
    return pfm_multipart_create(type, &sink, &f->parts, err);
}

static pfm_status take_reply(void *user, const void *bytes, size_t count, pfm_error *err)
{
    fetching *f = user;
    return pfm_multipart_feed(f->parts, bytes, count, err);
}

pfm_status pfm_dicomweb_fetch(pfm_web *web, const pfm_dicomweb_series *series, size_t most_bytes, const char *folder,
                              size_t *objects, size_t *bytes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    fetching f = {.folder = folder, .most = most_bytes};
    char *path = NULL;
    long code = 0;
    PFM_TRY(pfm_string_format(&path, err, "/studies/%s/series/%s", series->study, series->series));
    const pfm_web_request request = {.path = path,
                                     .accept = "multipart/related; type=\"application/dicom\"; transfer-syntax=*",
                                     .on_type = begin_reply,
                                     .on_data = take_reply,
                                     .user = &f};
    PFM_TRY(pfm_web_ask(web, &request, &code, err));
    if (f.parts == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%.300s lists a series and sends nothing of it", pfm_web_url(web));
    PFM_TRY(pfm_multipart_finish(f.parts, err));
done:
    *objects = f.objects;
    *bytes = f.bytes;
    if (f.open)
        pfm_atomic_file_abort(&f.file);
    pfm_multipart_free(f.parts);
    free(f.path);
    free(path);
    return status;
}

/* ---- storing ---- */

/* What the server says became of it (PS3.18, 10.5.3). */
static pfm_status judge_stored(const pfm_buffer *reply, long code, pfm_error *err)
{
    json_t *json = reply->size > 0 ? json_loadb(reply->data, reply->size, 0, NULL) : NULL;
    const json_t *failed = json_object_get(json_object_get(json, "00081198"), "Value");
    const json_int_t reason = json_integer_value(first_value(json_array_get(failed, 0), "00081197"));
    const bool refused = code == 409 || json_array_size(failed) > 0;
    json_decref(json);
    if (!refused)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_NETWORK, "the server refuses it, with failure reason 0x%04X",
                         (unsigned)(reason & 0xFFFF));
}

static pfm_status make_body(const char *path, const char *boundary, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping mapping = {0};
    PFM_TRY(pfm_mapping_open(path, &mapping, err));
    if (!pfm_dicom_begins(mapping.data, mapping.size, mapping.size))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is no DICOM file, and others are not stored", path);
    if (mapping.size > LARGEST_STORED)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has more than %d MiB", path, LARGEST_STORED >> 20);
    PFM_TRY(pfm_buffer_append_format(out, err, "--%s\r\nContent-Type: application/dicom\r\n\r\n", boundary));
    PFM_TRY(pfm_buffer_append(out, mapping.data, mapping.size, err));
    PFM_TRY(pfm_buffer_append_format(out, err, "\r\n--%s--\r\n", boundary));
done:
    pfm_mapping_close(&mapping);
    return status;
}

pfm_status pfm_dicomweb_open(const char *url, const char *credentials, bool allow_remote, double timeout, pfm_web **out,
                             pfm_error *err)
{
    const pfm_web_options options = {.url = url,
                                     .allow_remote = allow_remote,
                                     .credentials = credentials,
                                     .variable = "PEFOMED_DICOMWEB_CREDENTIALS",
                                     .timeout = timeout};
    return pfm_web_create(&options, out, err);
}

pfm_status pfm_dicomweb_store(pfm_web *web, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer body = {0}, reply = {0};
    char boundary[33], type[128];
    long code = 0;
    PFM_TRY(pfm_chance_draw(boundary, sizeof boundary - 1, err));
    (void)snprintf(type, sizeof type, "multipart/related; type=\"application/dicom\"; boundary=%s", boundary);
    PFM_TRY(make_body(path, boundary, &body, err));
    const pfm_web_request request = {.path = "/studies",
                                     .accept = "application/dicom+json",
                                     .body = body.data,
                                     .body_size = body.size,
                                     .content_type = type,
                                     .on_data = collect,
                                     .conflict = true,
                                     .user = &reply};
    PFM_TRY(pfm_web_ask(web, &request, &code, err));
    PFM_TRY(judge_stored(&reply, code, err));
done:
    pfm_buffer_free(&body);
    pfm_buffer_free(&reply);
    return status;
}
