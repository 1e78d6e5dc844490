#include "pefomed/status.h"

#include <stdarg.h>
#include <stdio.h>

pfm_status pfm_error_set(pfm_error *err, pfm_status code, const char *format, ...)
{
    if (err == NULL || err->code != PFM_OK)
        return code;
    err->code = code;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    for (char *c = err->message; *c != '\0'; c++) {
        if (*c == '\n' || *c == '\r')
            *c = ' ';
    }
    return code;
}

const char *pfm_status_name(pfm_status code)
{
    switch (code) {
    case PFM_OK: return "ok";
    case PFM_ERROR_USAGE: return "usage";
    case PFM_ERROR_NO_MEMORY: return "no memory";
    case PFM_ERROR_IO: return "io";
    case PFM_ERROR_FORMAT: return "format";
    case PFM_ERROR_UNSUPPORTED: return "unsupported";
    case PFM_ERROR_MISMATCH: return "mismatch";
    case PFM_ERROR_NETWORK: return "network";
    case PFM_ERROR_INTERRUPTED: return "interrupted";
    case PFM_ERROR_NUMERIC: return "numeric";
    }
    return "unknown";
}
