#include "base/utf8.h"

#include "base/try.h"

#include <utf8proc.h>

uint32_t pfm_utf8_decode(const char *text, size_t size, size_t *length)
{
    const unsigned char *s = (const unsigned char *)text;
    *length = 1;
    if (s[0] < 0x80)
        return s[0];
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return PFM_UTF8_INVALID;
    size_t wanted = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t code = s[0] & (0xffu >> (wanted + 1));
    /* The second byte's range excludes overlong forms, surrogates and what lies past U+10FFFF. */
    unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < wanted; i++, low = 0x80, high = 0xbf) {
        if (i == size || s[i] < low || s[i] > high)
            return PFM_UTF8_INVALID;
        code = code << 6 | (s[i] & 0x3fu);
        *length = i + 1;
    }
    return code;
}

size_t pfm_utf8_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80u | (code & 0x3fu));
    out[0] = (char)((0xf00u >> length & 0xffu) | code);
    return length;
}

/* The bytes from `begin` on that are well formed. */
static size_t valid_run(const char *text, size_t size, size_t begin)
{
    size_t i = begin;
    while (i < size) {
        size_t length;
        if ((unsigned char)text[i] < 0x80) {
            i++;
            continue;
        }
        if (pfm_utf8_decode(text + i, size - i, &length) == PFM_UTF8_INVALID)
            break;
        i += length;
    }
    return i - begin;
}

bool pfm_utf8_valid(const char *text, size_t size) { return valid_run(text, size, 0) == size; }

size_t pfm_utf8_pending(const char *text, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        unsigned char byte = (unsigned char)text[size - back];
        if (byte < 0x80)
            return 0;
        if (byte < 0xc0)
            continue; /* a continuation: look for its lead */
        size_t wanted = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4, length;
        if (wanted <= back || byte < 0xc2 || byte > 0xf4)
            return 0;
        (void)pfm_utf8_decode(text + size - back, back, &length);
        return length == back ? back : 0; /* shorter: ill formed already */
    }
    return 0;
}

pfm_status pfm_utf8_append_repaired(pfm_buffer *out, const char *text, size_t size, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < size;) {
        size_t run = valid_run(text, size, i), length = 0;
        PFM_TRY(pfm_buffer_append(out, text + i, run, err));
        i += run;
        if (i == size)
            break;
        (void)pfm_utf8_decode(text + i, size - i, &length);
        PFM_TRY(pfm_buffer_append(out, "\xef\xbf\xbd", 3, err));
        i += length;
    }
done:
    return status;
}

bool pfm_utf8_is_numeric(uint32_t code)
{
    if (code < 0x80)
        return code >= '0' && code <= '9';
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO;
}

bool pfm_utf8_is_space(uint32_t code)
{
    if (code < 0x80)
        return code == ' ' || (code >= '\t' && code <= '\r');
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return code == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP;
}

bool pfm_utf8_is_word(uint32_t code)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) || category == UTF8PROC_CATEGORY_PC ||
           code == 0x200c || code == 0x200d;
}
