/* Every path that is answered, a line each. A {place} stands for one part of a path. */
#ifndef PFM_SERVE_ROUTES_H
#define PFM_SERVE_ROUTES_H

#include "serve/http.h"

struct pfm_server;

/* Whom a route answers: PUBLIC anyone, for what tells nothing of patients; OWNER those who show the token; RATER those who show
 * the secret of a rater's link. */
typedef enum pfm_route_who { PFM_ROUTE_OWNER, PFM_ROUTE_PUBLIC, PFM_ROUTE_RATER } pfm_route_who;

/* clang-format off */
#define PFM_ROUTE_LIST(X)                                                                                                      \
    X(GET,  "/",                    page,             PUBLIC)                                                                  \
    X(GET,  "/page/{file}",         page_file,        PUBLIC)                                                                  \
    X(GET,  "/api/openapi.json",    openapi,          PUBLIC)                                                                  \
    X(GET,  "/api/about",           about,            OWNER)                                                                   \
    X(POST, "/api/images",          image_open,       OWNER)                                                                   \
    X(POST, "/api/images/series",   image_series,     OWNER)                                                                   \
    X(DELETE, "/api/images/{id}",   image_close,      OWNER)                                                                   \
    X(GET,  "/api/images/{id}/picture", image_picture, OWNER)                                                                  \
    X(GET,  "/api/images/{id}/shown", image_shown,    OWNER)                                                                   \
    X(GET,  "/api/images/{id}/values", image_values,  OWNER)                                                                   \
    X(GET,  "/api/images/{id}/square", image_square,  OWNER)                                                                   \
    X(GET,  "/api/predictions",     predictions_list, OWNER)                                                                   \
    X(GET,  "/api/predictions/{name}", predictions,   OWNER)                                                                   \
    X(GET,  "/api/predictions/{name}/against/{other}", predictions_against, OWNER)                                             \
    X(GET,  "/api/predictions/{name}/images/{n}/{k}", predictions_image, OWNER)                                                \
    X(GET,  "/api/predictions/{name}/images/{n}/{k}/series", predictions_series, OWNER)                                        \
    X(GET,  "/api/runs",            runs,             OWNER)                                                                   \
    X(GET,  "/api/runs/{name}",     run,              OWNER)                                                                   \
    X(GET,  "/api/runs/{name}/log", run_log,          OWNER)                                                                   \
    X(GET,  "/api/runs/{name}/against/{other}", run_against, OWNER)                                                            \
    X(GET,  "/api/reports",         reports,          OWNER)                                                                   \
    X(POST, "/api/reports",         report_create,    OWNER)                                                                   \
    X(GET,  "/api/reports/{id}",    report,           OWNER)                                                                   \
    X(PUT,  "/api/reports/{id}",    report_edit,      OWNER)                                                                   \
    X(DELETE, "/api/reports/{id}",  report_remove,    OWNER)                                                                   \
    X(POST, "/api/reports/{id}/accept", report_accept, OWNER)                                                                  \
    X(GET,  "/api/reports/{id}/text", report_text,    OWNER)                                                                   \
    X(GET,  "/api/reports/{id}/sr", report_sr,        OWNER)                                                                   \
    X(GET,  "/api/studies",         studies,          OWNER)                                                                   \
    X(POST, "/api/studies",         study_create,     OWNER)                                                                   \
    X(GET,  "/api/studies/{id}",    study,            OWNER)                                                                   \
    X(PUT,  "/api/studies/{id}",    study_change,     OWNER)                                                                   \
    X(DELETE, "/api/studies/{id}",  study_remove,     OWNER)                                                                   \
    X(POST, "/api/studies/{id}/close", study_close,   OWNER)                                                                   \
    X(POST, "/api/studies/{id}/raters/{rater}/link", study_link, OWNER)                                                        \
    X(GET,  "/api/studies/{id}/agreement", study_agreement, OWNER)                                                             \
    X(GET,  "/api/studies/{id}/ratings", study_ratings, OWNER)                                                                 \
    X(GET,  "/api/studies/{id}/key", study_key,       OWNER)                                                                   \
    X(GET,  "/api/rate",            rate,             RATER)                                                                   \
    X(POST, "/api/rate/undo",       rate_undo,        RATER)                                                                   \
    X(GET,  "/api/rate/items/{n}",  rate_item,        RATER)                                                                   \
    X(PUT,  "/api/rate/items/{n}",  rate_give,        RATER)                                                                   \
    X(GET,  "/api/rate/items/{n}/images/{k}", rate_image, RATER)                                                               \
    X(GET,  "/api/rate/items/{n}/images/{k}/series", rate_series, RATER)                                                       \
    X(GET,  "/health",              health,           PUBLIC)                                                                  \
    X(GET,  "/metrics",             metrics,          OWNER)                                                                   \
    X(GET,  "/v1/models",           models,           OWNER)                                                                   \
    X(GET,  "/v1/models/{model}",   model,            OWNER)                                                                   \
    X(GET,  "/api/record",          record,           OWNER)                                                                   \
    X(POST, "/v1/chat/completions", chat_completions, OWNER)
/* clang-format on */

#define PFM_ROUTE_NUMBER(method, path, name, who) PFM_ROUTE_##name,
enum { PFM_ROUTE_LIST(PFM_ROUTE_NUMBER) PFM_ROUTE_COUNT };
#undef PFM_ROUTE_NUMBER

/* Answers one request. Called from many threads at once; on error the reply's status and code may say more. */
typedef pfm_status (*pfm_route_function)(struct pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply,
                                         pfm_error *err);

#define PFM_ROUTE_DECLARE(method, path, name, who)                                                                             \
    pfm_status pfm_route_##name(struct pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply,             \
                                pfm_error *err) PFM_MUST_CHECK;
PFM_ROUTE_LIST(PFM_ROUTE_DECLARE)
#undef PFM_ROUTE_DECLARE

typedef struct pfm_route {
    const char *method, *path, *name;
    pfm_route_function answer;
    pfm_route_who who;
} pfm_route;
extern const pfm_route pfm_routes[PFM_ROUTE_COUNT];

/* *out = the route of a method and a path, its places copied into the request (the caller frees them). NULL: there is none, and
 * *allowed (room for 64) = the methods that the path has, "" where it has none. HEAD is answered as GET. */
pfm_status pfm_route_find(pfm_http_request *request, const pfm_route **out, char allowed[64], pfm_error *err) PFM_MUST_CHECK;

#endif
