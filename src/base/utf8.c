#include "base/utf8.h"

#include <utf8proc.h>

bool pfm_is_utf8(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        utf8proc_int32_t point = 0;
        const utf8proc_ssize_t used =
            utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(length - i), &point);
        if (used <= 0)
            return false;
        i += (size_t)used;
    }
    return true;
}
