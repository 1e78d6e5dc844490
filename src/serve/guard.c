#include "serve/guard.h"

#include "base/try.h"
#include "serve/rater_rows.h"

#include <string.h>
#include <strings.h>

/* Takes as long for every text of a length, so that nobody learns by the clock how much of a token is right. */
static bool same_secret(const char *a, const char *b)
{
    const size_t length = strlen(a), other = strlen(b);
    unsigned char differs = length != other;
    for (size_t i = 0; i < length; i++)
        differs |= (unsigned char)(a[i] ^ (other > 0 ? b[i % other] : 1));
    return differs == 0;
}

const char *pfm_guard_bearer(const pfm_http_request *request)
{
    static const char scheme[] = "Bearer ";
    const char *given = pfm_http_header(request, "Authorization");
    if (given == NULL || strncasecmp(given, scheme, strlen(scheme)) != 0)
        return NULL;
    given += strlen(scheme);
    while (*given == ' ')
        given++;
    return given;
}

static bool shows_token(const pfm_server *server, const pfm_http_request *request)
{
    const char *given = pfm_guard_bearer(request);
    return server->options->token == NULL || (given != NULL && same_secret(given, server->options->token));
}

pfm_status pfm_guard_refuse_rater(pfm_http_reply *reply, pfm_error *err)
{
    return pfm_http_refuse(reply, 401, "invalid_link", err,
                           "this link opens nothing (any more); ask the study's owner for a new one");
}

/* A rater's link opens that rater's sheet, and no link is a token, also where no token is wanted. */
static pfm_status check_who(const pfm_server *server, const pfm_http_request *request, pfm_route_who who, pfm_http_reply *reply,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rater rater;
    bool is_rater = false;
    const char *given = pfm_guard_bearer(request);
    if (who == PFM_ROUTE_OWNER && !shows_token(server, request))
        PFM_TRY(pfm_http_refuse(reply, 401, "invalid_api_key", err,
                                "the token is missing or wrong; send it as Authorization: Bearer TOKEN"));
    if (who == PFM_ROUTE_RATER ? given != NULL : given != NULL && server->options->token == NULL)
        PFM_TRY(pfm_rater_find(server->store, given, &rater, &is_rater, err));
    if (who == PFM_ROUTE_RATER && !is_rater)
        PFM_TRY(pfm_guard_refuse_rater(reply, err));
    if (who == PFM_ROUTE_OWNER && is_rater)
        PFM_TRY(pfm_http_refuse(reply, 403, "raters_link", err, "a rater's link opens that rater's sheet and nothing else"));
done:
    return status;
}

/* "127.0.0.1:8080", "[::1]", "localhost:8080": names that mean this machine. */
static bool is_local_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t length = strlen(names[i]);
        if (strncasecmp(host, names[i], length) == 0 && (host[length] == '\0' || host[length] == ':'))
            return true;
    }
    return false;
}

/* "https://host:port" is of the site that was asked. */
static bool is_own_origin(const char *origin, const char *host)
{
    const char *name = strstr(origin, "://");
    return name != NULL && host != NULL && strcasecmp(name + 3, host) == 0;
}

pfm_status pfm_guard_check(const pfm_server *server, const pfm_http_request *request, const pfm_route *route,
                           pfm_http_reply *reply, pfm_error *err)
{
    const char *host = pfm_http_header(request, "Host"), *origin = pfm_http_header(request, "Origin"),
               *site = pfm_http_header(request, "Sec-Fetch-Site"), *mode = pfm_http_header(request, "Sec-Fetch-Mode");
    const bool opens_page =
        site != NULL && mode != NULL && strcmp(mode, "navigate") == 0 && route != NULL && route->who == PFM_ROUTE_PUBLIC;
    if (server->is_loopback && host != NULL && !is_local_name(host))
        return pfm_http_refuse(reply, 403, "forbidden_host", err,
                               "this server is for this machine alone (127.0.0.1, localhost) and was asked as %.100s", host);
    if (origin != NULL && !is_own_origin(origin, host))
        return pfm_http_refuse(reply, 403, "cross_site", err, "a page of %.100s may not use this server", origin);
    if (site != NULL && !opens_page && strcmp(site, "cross-site") == 0)
        return pfm_http_refuse(reply, 403, "cross_site", err, "a page of another site may not use this server");
    if (route != NULL && route->who == PFM_ROUTE_PUBLIC)
        return PFM_OK;
    return check_who(server, request, route != NULL ? route->who : PFM_ROUTE_OWNER, reply, err);
}
