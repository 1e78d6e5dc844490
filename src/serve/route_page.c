/* The page: files that are a part of the program. */
#include "serve/routes.h"

#include "base/builtin_file.h"
#include "serve/server.h"

#include <string.h>

extern const pfm_builtin_file pfm_page_files[];

static const char *type_of(const char *file)
{
    static const struct {
        const char *ending, *type;
    } types[] = {{".html", "text/html; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".svg", "image/svg+xml"}};
    const char *ending = strrchr(file, '.');
    for (size_t i = 0; ending != NULL && i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].ending, ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

static pfm_status send_file(const char *name, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    const pfm_builtin_file *file = pfm_builtin_find_file(pfm_page_files, name);
    const char *known = pfm_http_header(request, "If-None-Match");
    if (file == NULL)
        return pfm_http_refuse(reply, 404, "unknown_path", err, "the page has no file %.100s", name);
    reply->page = true;
    reply->type = type_of(name);
    reply->tag = file->hash;
    if (known != NULL && strstr(known, file->hash) != NULL) {
        reply->status = 304;
        return PFM_OK;
    }
    reply->fixed = file->text;
    reply->fixed_size = file->size;
    return PFM_OK;
}

pfm_status pfm_route_page(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)server;
    return send_file("index.html", request, reply, err);
}

pfm_status pfm_route_page_file(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)server;
    return send_file(request->places[0], request, reply, err);
}
