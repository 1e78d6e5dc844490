#include "data/format.h"

#include <string.h>

pfm_status pfm_json_lines_parse(const char *text, size_t length, const char *file, pfm_records *out, pfm_error *err)
{
    size_t line = 0;
    for (size_t begin = 0; text != NULL && begin < length;) {
        const char *end = memchr(text + begin, '\n', length - begin);
        size_t size = end == NULL ? length - begin : (size_t)(end - (text + begin));
        size_t blank = 0;
        line++;
        while (blank < size && strchr(" \t\r", text[begin + blank]) != NULL)
            blank++;
        if (blank < size) {
            json_error_t reason;
            json_t *value = json_loadb(text + begin, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &reason);
            if (value == NULL)
                return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: not JSON: %s", file, line, reason.text);
            pfm_status status = pfm_records_take(out, value, line, err);
            if (status != PFM_OK)
                return status;
        }
        begin += size + 1;
    }
    return PFM_OK;
}
