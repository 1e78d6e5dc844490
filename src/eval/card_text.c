#include "eval/card_text.h"

#include "base/try.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_plain(const char *text)
{
    static const char *const reserved[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"};
    if (!isalpha((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (strcasecmp(text, reserved[i]) == 0)
            return false;
    }
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-")] == '\0';
}

pfm_status pfm_card_yaml(pfm_buffer *out, const char *text, pfm_error *err)
{
    if (is_plain(text))
        return pfm_buffer_append_string(out, text, err);
    json_t *value = json_string(text); /* a JSON string is a YAML string in double quotes */
    pfm_status status = value == NULL ? pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write a model card")
                                      : pfm_json_append(out, value, err);
    json_decref(value);
    return status;
}

pfm_status pfm_card_cell(pfm_buffer *out, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    while (*text != '\0') {
        size_t plain = strcspn(text, "|\r\n");
        PFM_TRY(pfm_buffer_append(out, text, plain, err));
        text += plain;
        if (*text != '\0')
            PFM_TRY(pfm_buffer_append_string(out, *text++ == '|' ? "\\|" : " ", err));
    }
done:
    return status;
}

pfm_status pfm_card_block(pfm_buffer *out, const char *language, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t longest = 2, length = strlen(text);
    for (const char *c = text; *c != '\0'; c++) {
        size_t run = strspn(c, "`");
        if (run > longest)
            longest = run;
        c += run > 0 ? run - 1 : 0;
    }
    for (size_t i = 0; i <= longest; i++)
        PFM_TRY(pfm_buffer_append(out, "`", 1, err));
    PFM_TRY(pfm_buffer_append_format(out, err, "%s\n%s%s", language, text, length > 0 && text[length - 1] == '\n' ? "" : "\n"));
    for (size_t i = 0; i <= longest; i++)
        PFM_TRY(pfm_buffer_append(out, "`", 1, err));
    PFM_TRY(pfm_buffer_append_string(out, "\n", err));
done:
    return status;
}

bool pfm_card_fits(const json_t *value, pfm_card_unit unit)
{
    switch (unit) {
    case PFM_CARD_TEXT: return json_is_string(value);
    case PFM_CARD_COUNT:
    case PFM_CARD_BYTES: return json_is_integer(value);
    case PFM_CARD_NUMBER:
    case PFM_CARD_SECONDS: return json_is_number(value);
    }
    return false;
}

static pfm_status append_count(pfm_buffer *out, long long count, pfm_error *err)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", count), first = digits[0] == '-';
    pfm_status status = PFM_OK;
    for (int i = 0; i < length && status == PFM_OK; i++) {
        if (i > first && (length - i) % 3 == 0)
            status = pfm_buffer_append(out, ",", 1, err);
        if (status == PFM_OK)
            status = pfm_buffer_append(out, digits + i, 1, err);
    }
    return status;
}

static pfm_status append_seconds(pfm_buffer *out, double seconds, pfm_error *err)
{
    if (seconds < 60)
        return pfm_buffer_append_format(out, err, "%.1f s", seconds);
    long long whole = (long long)(seconds + 0.5);
    if (whole < 3600)
        return pfm_buffer_append_format(out, err, "%lld min %02lld s", whole / 60, whole % 60);
    return pfm_buffer_append_format(out, err, "%lld h %02lld min", whole / 3600, whole / 60 % 60);
}

pfm_status pfm_card_value(pfm_buffer *out, const json_t *value, pfm_card_unit unit, pfm_error *err)
{
    double number = json_number_value(value);
    switch (unit) {
    case PFM_CARD_TEXT: return pfm_card_cell(out, json_string_value(value), err);
    case PFM_CARD_COUNT: return append_count(out, (long long)json_integer_value(value), err);
    case PFM_CARD_NUMBER: return pfm_buffer_append_format(out, err, "%.4g", number);
    case PFM_CARD_SECONDS: return append_seconds(out, number, err);
    case PFM_CARD_BYTES: break;
    }
    bool large = number >= 1073741824.0;
    return pfm_buffer_append_format(out, err, large ? "%.2f GiB" : "%.0f MiB", number / (large ? 1073741824.0 : 1048576.0));
}
