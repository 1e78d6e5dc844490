/* Reports: drafted by a model, edited and accepted by a person, saved as text and as a structured report. The words are kept
 * in the store; images are not: a structured report needs them open. */
#include "serve/routes.h"

#include "base/try.h"
#include "image/image.h"
#include "pefomed/sr.h"
#include "serve/kept.h"
#include "serve/report_rows.h"
#include "serve/request_body.h"
#include "serve/server.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 1 << 18, MOST_IMAGES = 256 };

#define NOTICE "Not for clinical use."

/* ---- reading requests ---- */

static pfm_status read_version(const json_t *document, int64_t *out, pfm_error *err)
{
    const json_t *value = json_object_get(document, "version");
    *out = json_integer_value(value);
    return json_is_integer(value) ? PFM_OK
                                  : pfm_error_set(err, PFM_ERROR_USAGE, "version must be the version that was read, a number");
}

/* {"id","frame","window"} becomes what is kept of it. */
static pfm_status keep_image(pfm_server *server, const json_t *given, json_t *list, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *id = json_string_value(json_object_get(given, "id")), *window = NULL;
    const json_t *frame = json_object_get(given, "frame");
    const json_int_t number = json_integer_value(frame);
    pfm_shelf_image *image = NULL;
    if (id == NULL || (frame != NULL && !json_is_integer(frame)))
        PFM_FAIL(PFM_ERROR_USAGE, "images must be a list of {\"id\", \"frame\", \"window\"}");
    PFM_TRY(pfm_body_text(given, "window", "", MOST_TEXT, &window, err));
    PFM_TRY(pfm_image_check_window(window, err));
    PFM_TRY(pfm_kept_use(server, id, reply, &image, err));
    if (number < 0 || number >= image->applied.frames)
        PFM_FAIL(PFM_ERROR_USAGE, "an image has %d frames, from 0; there is no frame %lld", image->applied.frames,
                 (long long)number);
    if (json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s}", "hash", image->hash, "kind", image->applied.kind, "frame",
                                              number, "window", window)) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not keep a report");
done:
    pfm_shelf_give_back(server->shelf, image);
    return status;
}

/* ---- replies ---- */

/* The report with what only this moment knows: which of its images are open, and under which names. */
static pfm_status reply_with(pfm_server *server, const char *id, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *report = NULL, *image = NULL;
    size_t i = 0;
    PFM_TRY(pfm_report_read(server->store, id, reply, &report, err));
    json_array_foreach(json_object_get(report, "images"), i, image)
    {
        pfm_shelf_image *here = pfm_shelf_use_hash(server->shelf, json_string_value(json_object_get(image, "hash")));
        status = pfm_json_take(image, "id", here != NULL ? json_string(here->id) : json_null(), err);
        pfm_shelf_give_back(server->shelf, here);
        PFM_TRY(status);
        (void)json_object_del(image, "hash");
    }
    PFM_TRY(pfm_json_take(report, "notice", json_string(NOTICE), err));
    PFM_TRY(pfm_json_append(&reply->body, report, err));
done:
    json_decref(report);
    return status;
}

pfm_status pfm_route_reports(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)request;
    pfm_status status = PFM_OK;
    json_t *list = NULL, *document = NULL;
    PFM_TRY(pfm_report_list(server->store, &list, err));
    document = json_pack("{s:O, s:s}", "reports", list, "notice", NOTICE);
    PFM_TRY(pfm_http_reply_json(reply, document, err));
done:
    json_decref(list);
    return status;
}

pfm_status pfm_route_report(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    return reply_with(server, request->places[0], reply, err);
}

/* ---- from a draft to an accepted report ---- */

pfm_status pfm_route_report_create(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    static const char *const keys[] = {"model", "indication", "text", "complete", "images", NULL};
    pfm_status status = PFM_OK;
    json_t *document = NULL;
    pfm_report_draft draft = {.images = json_array()};
    pfm_report_id id;
    PFM_TRY(pfm_body_read(request, keys, &document, err));
    PFM_TRY(pfm_body_text(document, "model", NULL, MOST_TEXT, &draft.model, err));
    PFM_TRY(pfm_body_text(document, "indication", "", MOST_TEXT, &draft.indication, err));
    PFM_TRY(pfm_body_text(document, "text", NULL, MOST_TEXT, &draft.text, err));
    const json_t *complete = json_object_get(document, "complete"), *images = json_object_get(document, "images");
    if (complete != NULL && !json_is_boolean(complete))
        PFM_FAIL(PFM_ERROR_USAGE, "complete must be true or false");
    if (images != NULL && (!json_is_array(images) || json_array_size(images) > MOST_IMAGES))
        PFM_FAIL(PFM_ERROR_USAGE, "images must be a list of at most %d", MOST_IMAGES);
    draft.complete = !json_is_false(complete);
    for (size_t i = 0; i < json_array_size(images); i++)
        PFM_TRY(keep_image(server, json_array_get(images, i), draft.images, reply, err));
    PFM_TRY(pfm_report_create(server->store, &draft, id, err));
    PFM_TRY(reply_with(server, id, reply, err));
    reply->status = 201;
done:
    json_decref(draft.images);
    json_decref(document);
    return status;
}

pfm_status pfm_route_report_edit(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    static const char *const keys[] = {"text", "version", NULL};
    pfm_status status = PFM_OK;
    json_t *document = NULL;
    const char *text = NULL;
    int64_t version = 0;
    PFM_TRY(pfm_body_read(request, keys, &document, err));
    PFM_TRY(pfm_body_text(document, "text", NULL, MOST_TEXT, &text, err));
    PFM_TRY(read_version(document, &version, err));
    PFM_TRY(pfm_report_edit(server->store, request->places[0], version, text, reply, err));
    PFM_TRY(reply_with(server, request->places[0], reply, err));
done:
    json_decref(document);
    return status;
}

/* Who accepts it; both NULL where that is not told (absent, null or empty). */
static pfm_status read_observer(const json_t *document, const char **observer, const char **organization, pfm_error *err)
{
    enum { MOST_NAME = 1024 };
    pfm_status status = PFM_OK;
    const struct {
        const char *key, **value;
    } names[] = {{"observer", observer}, {"organization", organization}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!json_is_null(json_object_get(document, names[i].key)))
            PFM_TRY(pfm_body_text(document, names[i].key, "", MOST_NAME, names[i].value, err));
        if (*names[i].value != NULL && **names[i].value == '\0')
            *names[i].value = NULL;
    }
    if (*observer != NULL || *organization != NULL)
        PFM_TRY(pfm_sr_check_observer(*observer, *organization, err));
done:
    return status;
}

pfm_status pfm_route_report_accept(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    static const char *const keys[] = {"version", "observer", "organization", NULL};
    const char *observer = NULL, *organization = NULL;
    pfm_status status = PFM_OK;
    json_t *document = NULL;
    int64_t version = 0;
    PFM_TRY(pfm_body_read(request, keys, &document, err));
    PFM_TRY(read_version(document, &version, err));
    PFM_TRY(read_observer(document, &observer, &organization, err));
    PFM_TRY(pfm_report_accept(server->store, request->places[0], version, observer, organization, reply, err));
    PFM_TRY(reply_with(server, request->places[0], reply, err));
done:
    json_decref(document);
    return status;
}

pfm_status pfm_route_report_remove(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    const pfm_status status = pfm_report_remove(server->store, request->places[0], reply, err);
    return status == PFM_OK ? pfm_buffer_append_string(&reply->body, "{}", err) : status;
}

/* ---- saving ---- */

pfm_status pfm_route_report_text(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *report = NULL;
    PFM_TRY(pfm_report_read(server->store, request->places[0], reply, &report, err));
    const bool accepted = json_is_integer(json_object_get(report, "accepted"));
    PFM_TRY(pfm_buffer_append_format(&reply->body, err, "%s\n\n%s " NOTICE "\n",
                                     json_string_value(json_object_get(report, "text")),
                                     accepted ? "Drafted by a program and accepted by a person." : "A draft of a program."));
    reply->type = "text/plain; charset=utf-8";
done:
    json_decref(report);
    return status;
}

/* The images that the report is about, which must be open. */
static pfm_status open_source(const json_t *images, pfm_shelf *shelf, pfm_shelf_image **used, pfm_http_reply *reply,
                              pfm_sr **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_sr_image *sources = NULL;
    pfm_error failure = PFM_ERROR_INIT; /* its advice is for a command line */
    const size_t count = json_array_size(images);
    PFM_TRY(pfm_allocate(count, sizeof *sources, &sources, err));
    for (size_t i = 0; i < count; i++) {
        const json_t *image = json_array_get(images, i);
        used[i] = pfm_shelf_use_hash(shelf, json_string_value(json_object_get(image, "hash")));
        if (used[i] == NULL) {
            status = pfm_http_refuse(reply, 409, "images_gone", err,
                                     "the report's images are not open any more, and a structured report is filed under their "
                                     "patient; open them again");
            goto done;
        }
        sources[i] = (pfm_sr_image){.path = "an image",
                                    .frame = (int)json_integer_value(json_object_get(image, "frame")),
                                    .bytes = used[i]->bytes.data,
                                    .size = used[i]->bytes.size};
    }
    status = pfm_sr_open(sources, count, out, &failure);
    if (status != PFM_OK)
        PFM_FAIL(status, "%.*s; save it as text", (int)strcspn(failure.message, ";"), failure.message);
done:
    free(sources);
    return status;
}

static pfm_status make_sr(pfm_server *server, const json_t *report, const pfm_sr *sr, const char *kind, const char *language,
                          pfm_http_reply *reply, pfm_error *err)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    const char *indication = json_string_value(json_object_get(report, "indication"));
    const pfm_sr_text text = {.kind = kind,
                              .indication = indication,
                              .answer = json_string_value(json_object_get(report, "text")),
                              .complete = true, /* a person read it to its end */
                              .observer = json_string_value(json_object_get(report, "observer")),
                              .organization = json_string_value(json_object_get(report, "organization")),
                              .verified = json_integer_value(json_object_get(report, "accepted")),
                              .language = language,
                              .home = pfm_context_home(server->context)};
    const pfm_status status = pfm_sr_make(sr, &text, "of the report", &bytes, &size, err);
    if (status == PFM_OK)
        reply->body = (pfm_buffer){.data = (char *)bytes, .size = size, .capacity = size};
    return status;
}

pfm_status pfm_route_report_sr(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *report = NULL;
    pfm_shelf_image **used = NULL;
    pfm_sr *sr = NULL;
    const char *kind = pfm_http_query(request, "kind"), *language = pfm_http_query(request, "language");
    PFM_TRY(pfm_sr_check(kind, language, err));
    PFM_TRY(pfm_report_read(server->store, request->places[0], reply, &report, err));
    const json_t *images = json_object_get(report, "images");
    PFM_TRY(pfm_allocate(json_array_size(images), sizeof *used, &used, err));
    if (!json_is_integer(json_object_get(report, "accepted")))
        PFM_TRY(pfm_http_refuse(reply, 409, "not_accepted", err,
                                "the report is a draft; accept it, and it can go into an archive as a structured report"));
    PFM_TRY(open_source(images, server->shelf, used, reply, &sr, err));
    PFM_TRY(make_sr(server, report, sr, kind, language, reply, err));
    reply->type = "application/dicom";
done:
    for (size_t i = 0; used != NULL && i < json_array_size(json_object_get(report, "images")); i++)
        pfm_shelf_give_back(server->shelf, used[i]);
    free(used);
    pfm_sr_free(sr);
    json_decref(report);
    return status;
}
