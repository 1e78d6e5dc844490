#include "serve/routes.h"

#include "base/try.h"

#include <stdio.h>
#include <string.h>

#define ROUTE(method, path, name, who) {#method, path, #name, pfm_route_##name, PFM_ROUTE_##who},
const pfm_route pfm_routes[PFM_ROUTE_COUNT] = {PFM_ROUTE_LIST(ROUTE)};
#undef ROUTE

typedef struct matched {
    const char *begin[PFM_HTTP_PLACES];
    size_t length[PFM_HTTP_PLACES];
    int count;
} matched;

/* Part by part; a place takes one part that is not empty. */
static bool matches(const char *pattern, const char *path, matched *out)
{
    out->count = 0;
    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        const size_t length = strcspn(path, "/");
        if (length == 0 || out->count == PFM_HTTP_PLACES)
            return false;
        out->begin[out->count] = path;
        out->length[out->count++] = length;
        path += length;
        pattern += strcspn(pattern, "}") + 1;
    }
    return *path == '\0';
}

pfm_status pfm_route_find(pfm_http_request *request, const pfm_route **out, char allowed[64], pfm_error *err)
{
    pfm_status status = PFM_OK;
    matched found;
    const char *method = strcmp(request->method, "HEAD") == 0 ? "GET" : request->method;
    *out = NULL;
    allowed[0] = '\0';
    for (size_t i = 0; i < PFM_ROUTE_COUNT; i++) {
        if (!matches(pfm_routes[i].path, request->path, &found))
            continue;
        if (strcmp(pfm_routes[i].method, method) != 0) {
            const size_t length = strlen(allowed);
            (void)snprintf(allowed + length, 64 - length, "%s%s", length > 0 ? ", " : "", pfm_routes[i].method);
            continue;
        }
        for (int p = 0; p < found.count; p++)
            PFM_TRY(pfm_string_copy_n(found.begin[p], found.length[p], &request->places[p], err));
        *out = &pfm_routes[i];
        goto done;
    }
done:
    return status;
}
