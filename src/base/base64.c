#include "base/base64.h"

#include "base/try.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pfm_status pfm_base64_append(pfm_buffer *out, const void *data, size_t size, pfm_error *err)
{
    enum { AT_ONCE = 3 * 256 };
    pfm_status status = PFM_OK;
    const unsigned char *bytes = data;
    char text[AT_ONCE / 3 * 4];
    for (size_t begin = 0; begin < size; begin += AT_ONCE) {
        const size_t end = size - begin < AT_ONCE ? size : begin + AT_ONCE;
        size_t length = 0;
        for (size_t i = begin; i < end; i += 3) {
            const unsigned second = i + 1 < end ? bytes[i + 1] : 0, third = i + 2 < end ? bytes[i + 2] : 0;
            const unsigned three = (unsigned)bytes[i] << 16 | second << 8 | third;
            text[length++] = digits[three >> 18];
            text[length++] = digits[three >> 12 & 63];
            text[length++] = i + 1 < end ? digits[three >> 6 & 63] : '=';
            text[length++] = i + 2 < end ? digits[three & 63] : '=';
        }
        PFM_TRY(pfm_buffer_append(out, text, length, err));
    }
done:
    return status;
}

enum { SPACE = 64, OTHER = 65 };

static void fill_values(unsigned char values[256])
{
    memset(values, OTHER, 256);
    for (unsigned i = 0; i < 64; i++)
        values[(unsigned char)digits[i]] = (unsigned char)i;
    for (const char *c = " \t\r\n"; *c != '\0'; c++)
        values[(unsigned char)*c] = SPACE;
}

static pfm_status refuse(size_t place, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "character %zu is no base64, or the text ends within a byte", place + 1);
}

pfm_status pfm_base64_decode(pfm_buffer *out, const char *text, size_t size, pfm_error *err)
{
    enum { AT_ONCE = 768 };
    pfm_status status = PFM_OK;
    unsigned char values[256], bytes[AT_ONCE];
    size_t length = 0, at = 0;
    uint32_t held = 0;
    int bits = 0;
    fill_values(values);
    for (; at < size && text[at] != '='; at++) {
        const unsigned value = values[(unsigned char)text[at]];
        if (value == SPACE)
            continue;
        if (value == OTHER)
            return refuse(at, err);
        held = held << 6 | value;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        bytes[length++] = (unsigned char)(held >> bits);
        if (length == AT_ONCE) {
            PFM_TRY(pfm_buffer_append(out, bytes, length, err));
            length = 0;
        }
    }
    if (bits == 6)
        return refuse(size, err);
    for (; at < size; at++)
        if (text[at] != '=' && values[(unsigned char)text[at]] != SPACE)
            return refuse(at, err);
    PFM_TRY(pfm_buffer_append(out, bytes, length, err));
done:
    return status;
}
