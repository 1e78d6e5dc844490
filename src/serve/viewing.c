#include "serve/viewing.h"

#include <stdlib.h>
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

long pfm_view_whole(const char *text)
{
    const size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits < 11 && text[digits] == '\0' ? strtol(text, NULL, 10) : -1;
}

pfm_status pfm_view_number(const pfm_http_request *request, const char *name, long low, long high, size_t missing, size_t *out,
                           pfm_error *err)
{
    const char *text = pfm_http_query(request, name);
    *out = missing;
    if (text == NULL)
        return PFM_OK;
    const long value = pfm_view_whole(text);
    *out = (size_t)value;
    return value >= low && value <= high
               ? PFM_OK
               : pfm_error_set(err, PFM_ERROR_USAGE, "%s must be a whole number from %ld to %ld", name, low, high);
}
