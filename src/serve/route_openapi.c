/* The interface's own description (OpenAPI 3.1), a file that is a part of the program. */
#include "serve/routes.h"

#include "base/builtin_file.h"

extern const pfm_builtin_file pfm_interface_files[];

pfm_status pfm_route_openapi(struct pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)server;
    (void)request;
    (void)err;
    const pfm_builtin_file *file = pfm_builtin_find_file(pfm_interface_files, "openapi.json");
    reply->fixed = file->text;
    reply->fixed_size = file->size;
    return PFM_OK;
}
