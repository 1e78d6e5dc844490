#include "eval/lower.h"

#include "base/try.h"

#include <string.h>
#include <utf8proc.h>

enum { CAPITAL_I_WITH_DOT = 0x130, CAPITAL_SIGMA = 0x3A3, SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2 };

/* Unicode's Case_Ignorable: marks, format characters, modifiers, and what may stand within a word. */
static bool is_ignorable(utf8proc_int32_t c)
{
    static const utf8proc_int32_t within[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,  0x5F4,  0x2018, 0x2019,
                                              0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
    for (size_t i = 0; i < sizeof within / sizeof within[0]; i++) {
        if (c == within[i])
            return true;
    }
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return false;
    }
}

/* Unicode's Cased: letters with a case, the two ordinal signs, and numerals and circled letters that have another case. */
static bool is_cased(utf8proc_int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT ||
           c == 0xAA || c == 0xBA || utf8proc_tolower(c) != c || utf8proc_toupper(c) != c;
}

/* The character of which `at` is the first byte. */
static utf8proc_int32_t read_character(const char *at, const char *end, size_t *bytes)
{
    utf8proc_int32_t c = 0;
    utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)at, (utf8proc_ssize_t)(end - at), &c);
    *bytes = length > 0 ? (size_t)length : 1;
    return length > 0 ? c : -1;
}

static bool cased_before(const char *begin, const char *at)
{
    while (at > begin) {
        size_t bytes = 0;
        const char *end = at--;
        while (at > begin && ((unsigned char)*at & 0xC0) == 0x80)
            at--;
        utf8proc_int32_t c = read_character(at, end, &bytes);
        if (c < 0 || !is_ignorable(c))
            return c >= 0 && is_cased(c);
    }
    return false;
}

static bool cased_behind(const char *at, const char *end)
{
    while (at < end) {
        size_t bytes = 0;
        utf8proc_int32_t c = read_character(at, end, &bytes);
        if (c < 0 || !is_ignorable(c))
            return c >= 0 && is_cased(c);
        at += bytes;
    }
    return false;
}

static pfm_status lower_unicode(const char *text, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *end = text + strlen(text);
    size_t bytes = 0;
    for (const char *at = text; at < end; at += bytes) {
        utf8proc_uint8_t made[4];
        utf8proc_int32_t c = read_character(at, end, &bytes);
        if (c < 0) {
            PFM_TRY(pfm_buffer_append(out, at, 1, err));
            continue;
        }
        if (c == CAPITAL_I_WITH_DOT) {
            PFM_TRY(pfm_buffer_append_string(out, "i\xCC\x87", err));
            continue;
        }
        if (c == CAPITAL_SIGMA)
            c = cased_before(text, at) && !cased_behind(at + bytes, end) ? FINAL_SIGMA : SIGMA;
        else
            c = utf8proc_tolower(c);
        PFM_TRY(pfm_buffer_append(out, made, (size_t)utf8proc_encode_char(c, made), err));
    }
done:
    return status;
}

pfm_status pfm_text_lower(const char *text, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer_clear(out);
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80)
            return lower_unicode(text, out, err);
    }
    PFM_TRY(pfm_buffer_append_string(out, text, err));
    for (size_t i = 0; i < out->size; i++) {
        if (out->data[i] >= 'A' && out->data[i] <= 'Z')
            out->data[i] = (char)(out->data[i] - 'A' + 'a');
    }
done:
    return status;
}
