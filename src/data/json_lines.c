#include "data/format.h"

#include <string.h>

pfm_status pfm_json_lines_next(const char *text, size_t length, const char *file, pfm_json_line *at, pfm_error *err)
{
    at->value = NULL;
    if (at->next == 0 && length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* as Windows begins a file in UTF-8 */
        at->next = 3;
    while (at->value == NULL && text != NULL && at->next < length) {
        const char *begin = text + at->next, *end = memchr(begin, '\n', length - at->next);
        const size_t size = end == NULL ? length - at->next : (size_t)(end - begin);
        size_t blank = 0;
        at->line++;
        at->next += size + 1;
        while (blank < size && strchr(" \t\r", begin[blank]) != NULL)
            blank++;
        if (blank == size)
            continue;
        json_error_t reason;
        at->value = json_loadb(begin, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &reason);
        if (at->value == NULL)
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: not JSON: %s", file, at->line, reason.text);
    }
    return PFM_OK;
}

pfm_status pfm_json_lines_parse(const char *text, size_t length, const char *file, pfm_records *out, pfm_error *err)
{
    pfm_json_line at = {0};
    pfm_status status = pfm_json_lines_next(text, length, file, &at, err);
    while (status == PFM_OK && at.value != NULL) {
        status = pfm_records_take(out, at.value, at.line, err);
        if (status == PFM_OK)
            status = pfm_json_lines_next(text, length, file, &at, err);
    }
    return status;
}
