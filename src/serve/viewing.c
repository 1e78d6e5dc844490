#include "serve/viewing.h"

#include <string.h>

static bool is_known(void *user, const char *name)
{
    for (const char *const *known = user; known != NULL && *known != NULL; known++)
        if (strcmp(*known, name) == 0)
            return true;
    return false;
}

pfm_status pfm_view_check_query(const pfm_http_request *request, const char *const *known, pfm_error *err)
{
    const char *strange = pfm_http_query_other(request, is_known, (void *)(uintptr_t)known);
    return strange == NULL ? PFM_OK : pfm_error_set(err, PFM_ERROR_USAGE, "the query's %.100s says nothing here", strange);
}
