#include "train/recipe_table.h"

#include "base/try.h"
#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

static void *field_of(void *object, const recipe_key *key) { return (char *)object + key->offset; }
static const void *view_of(const void *object, const recipe_key *key) { return (const char *)object + key->offset; }
static size_t *count_of(void *object, const recipe_key *key) { return (size_t *)(void *)((char *)object + key->count_offset); }
static size_t view_count(const void *object, const recipe_key *key)
{
    return *(const size_t *)(const void *)((const char *)object + key->count_offset);
}

pfm_status pfm_recipe_refuse(const recipe_place *place, const recipe_key *key, pfm_error *err, const char *format, ...)
{
    char reason[600];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    if (place->line == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s: %s %s", place->file, key->name, reason);
    return pfm_error_set(err, PFM_ERROR_USAGE, "%s line %d: %s %s", place->file, place->line, key->name, reason);
}

/* "a whole number from 1 to 4096" */
static const char *allowed(const recipe_key *key, char text[200])
{
    const char *kind = key->type == RECIPE_INTEGER ? "a whole number" : "a number";
    if (key->choices != NULL)
        (void)snprintf(text, 200, "one of %s", key->choices);
    else if (key->type == RECIPE_BOOLEAN)
        (void)snprintf(text, 200, "true or false");
    else
        (void)snprintf(text, 200, "%s %s %.10g %s %.10g", kind, key->above ? "above" : "from", key->low,
                       key->above ? "and at most" : "to", key->high);
    return text;
}

static pfm_status refuse_value(const recipe_place *place, const recipe_key *key, const char *text, size_t length,
                               pfm_error *err)
{
    char may_be[200];
    int shown = length > 60 ? 60 : (int)length;
    return pfm_recipe_refuse(place, key, err, "cannot be '%.*s'; it is %s", shown, text, allowed(key, may_be));
}

/* A decimal number and nothing else: no hexadecimal, no infinity, no blanks. */
static bool parse_number(const char *text, size_t length, double *out)
{
    char copy[64];
    if (length == 0 || length >= sizeof copy || strspn(text, "+-.0123456789eE") < length)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    char *end = NULL;
    *out = strtod(copy, &end);
    return *end == '\0' && isfinite(*out);
}

/* *out = a number within the key's range, or false. */
static bool parse_within(const recipe_key *key, const char *text, size_t length, double *out)
{
    return parse_number(text, length, out) && *out >= key->low && *out <= key->high && !(key->above && *out == key->low);
}

static pfm_status set_number(void *object, const recipe_key *key, const char *text, size_t length, const recipe_place *place,
                             pfm_error *err)
{
    double value = 0;
    bool integer = key->type == RECIPE_INTEGER;
    if (integer && strcspn(text, ".eE") < length)
        return refuse_value(place, key, text, length, err);
    if (!parse_within(key, text, length, &value))
        return refuse_value(place, key, text, length, err);
    if (integer)
        *(int *)field_of(object, key) = (int)value;
    else
        *(double *)field_of(object, key) = value;
    return PFM_OK;
}

static bool is_choice(const char *choices, const char *text, size_t length)
{
    for (const char *word = choices; word != NULL; word = strchr(word, '|')) {
        word += *word == '|';
        if (strcspn(word, "|") == length && memcmp(word, text, length) == 0)
            return true;
    }
    return false;
}

/* A string must be one that can be written back: UTF-8 without a NUL. */
static bool is_text(const char *text, size_t length)
{
    return pfm_utf8_valid(text, length) && memchr(text, '\0', length) == NULL;
}

static pfm_status check_string(const recipe_key *key, const char *text, size_t length, const recipe_place *place,
                               pfm_error *err)
{
    if (length == 0)
        return pfm_recipe_refuse(place, key, err, "must not be empty");
    if (!is_text(text, length))
        return pfm_recipe_refuse(place, key, err, "must be UTF-8 text without zero bytes");
    return PFM_OK;
}

pfm_status pfm_recipe_set_text(void *object, const recipe_key *key, const char *text, size_t length, const recipe_place *place,
                               pfm_error *err)
{
    if (key->type == RECIPE_INTEGER || key->type == RECIPE_NUMBER)
        return set_number(object, key, text, length, place, err);
    if (key->type == RECIPE_BOOLEAN) {
        bool yes = length == 4 && memcmp(text, "true", 4) == 0;
        if (!yes && !(length == 5 && memcmp(text, "false", 5) == 0))
            return refuse_value(place, key, text, length, err);
        *(bool *)field_of(object, key) = yes;
        return PFM_OK;
    }
    if (key->type == RECIPE_CHOICE && !is_choice(key->choices, text, length))
        return refuse_value(place, key, text, length, err);
    if (key->type == RECIPE_TEXTS) { /* one in place of all */
        pfm_recipe_clear(object, key);
        return pfm_recipe_add_text(object, key, text, length, place, err);
    }
    pfm_status status = check_string(key, text, length, place, err);
    char *copy = NULL;
    if (status == PFM_OK)
        status = pfm_string_copy_n(text, length, &copy, err);
    if (status != PFM_OK)
        return status;
    pfm_recipe_clear(object, key);
    *(char **)field_of(object, key) = copy;
    return PFM_OK;
}

pfm_status pfm_recipe_set_null(void *object, const recipe_key *key, const recipe_place *place, pfm_error *err)
{
    if (!pfm_recipe_is_optional(key) && key->type != RECIPE_MEMBERS)
        return pfm_recipe_refuse(place, key, err, "has no value; give one or leave the key out");
    pfm_recipe_clear(object, key);
    return PFM_OK;
}

pfm_status pfm_recipe_add_text(void *object, const recipe_key *key, const char *text, size_t length, const recipe_place *place,
                               pfm_error *err)
{
    char ***list = field_of(object, key);
    size_t *count = count_of(object, key);
    double value = 0;
    pfm_status status = check_string(key, text, length, place, err);
    if (status == PFM_OK && key->choices != NULL && !is_choice(key->choices, text, length))
        return refuse_value(place, key, text, length, err);
    if (status == PFM_OK && key->high > 0 && !parse_within(key, text, length, &value))
        return refuse_value(place, key, text, length, err);
    for (size_t i = 0; status == PFM_OK && i < *count; i++) {
        if (strlen((*list)[i]) == length && memcmp((*list)[i], text, length) == 0)
            status = pfm_recipe_refuse(place, key, err, "names '%.*s' twice", (int)length, text);
    }
    if (status != PFM_OK)
        return status;
    char **grown = reallocarray(*list, *count + 1, sizeof **list);
    if (grown == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", key->name);
    *list = grown;
    status = pfm_string_copy_n(text, length, &grown[*count], err);
    *count += status == PFM_OK;
    return status;
}

pfm_status pfm_recipe_add_member(void *object, const recipe_key *key, const recipe_place *place, pfm_member **out,
                                 pfm_error *err)
{
    pfm_member **list = field_of(object, key);
    size_t *count = count_of(object, key);
    if (*count == RECIPE_MAX_ITEMS)
        return pfm_recipe_refuse(place, key, err, "has more than %d members", RECIPE_MAX_ITEMS);
    pfm_member *grown = reallocarray(*list, *count + 1, sizeof **list);
    if (grown == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", key->name);
    *list = grown;
    *out = &grown[(*count)++];
    **out = (pfm_member){0};
    return PFM_OK;
}

static void clear_members(pfm_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (const recipe_key *key = pfm_member_keys; key->name != NULL; key++)
            pfm_recipe_clear(&members[i], key);
    }
}

void pfm_recipe_clear(void *object, const recipe_key *key)
{
    if (key->type == RECIPE_STRING || key->type == RECIPE_OPTIONAL || key->type == RECIPE_CHOICE) {
        char **text = field_of(object, key);
        free(*text);
        *text = NULL;
    } else if (key->type == RECIPE_LIST || key->type == RECIPE_TEXTS) {
        char ***list = field_of(object, key);
        size_t *count = count_of(object, key);
        for (size_t i = 0; i < *count; i++)
            free((*list)[i]);
        free(*list);
        *list = NULL;
        *count = 0;
    } else if (key->type == RECIPE_MEMBERS) {
        pfm_member **list = field_of(object, key);
        size_t *count = count_of(object, key);
        clear_members(*list, *count);
        free(*list);
        *list = NULL;
        *count = 0;
    }
}

static const recipe_place copied = {"a copy", 0};

static pfm_status copy_members(void *to, const void *from, const recipe_key *key, pfm_error *err)
{
    const pfm_member *members = *(pfm_member *const *)view_of(from, key);
    for (size_t i = 0; i < view_count(from, key); i++) {
        pfm_member *member = NULL;
        pfm_status status = pfm_recipe_add_member(to, key, &copied, &member, err);
        for (const recipe_key *k = pfm_member_keys; status == PFM_OK && k->name != NULL; k++)
            status = pfm_recipe_copy_value(member, &members[i], k, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

pfm_status pfm_recipe_copy_value(void *to, const void *from, const recipe_key *key, pfm_error *err)
{
    const void *field = view_of(from, key);
    pfm_status status = PFM_OK;
    switch (key->type) {
    case RECIPE_STRING:
    case RECIPE_OPTIONAL:
    case RECIPE_CHOICE: {
        const char *text = *(char *const *)field;
        return text == NULL ? PFM_OK : pfm_string_copy(text, field_of(to, key), err);
    }
    case RECIPE_INTEGER: *(int *)field_of(to, key) = *(const int *)field; break;
    case RECIPE_NUMBER: *(double *)field_of(to, key) = *(const double *)field; break;
    case RECIPE_BOOLEAN: *(bool *)field_of(to, key) = *(const bool *)field; break;
    case RECIPE_LIST:
    case RECIPE_TEXTS: {
        char *const *items = *(char **const *)field;
        for (size_t i = 0; status == PFM_OK && i < view_count(from, key); i++)
            status = pfm_recipe_add_text(to, key, items[i], strlen(items[i]), &copied, err);
        break;
    }
    case RECIPE_MEMBERS: return copy_members(to, from, key, err);
    case RECIPE_STAGES: break;
    }
    return status;
}

static bool is_plain(const char *text)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-";
    return strchr(first, text[0]) != NULL && strspn(text, rest) == strlen(text) && strcasecmp(text, "null") != 0;
}

/* YAML's double-quoted style; line breaks of any kind and what YAML calls unprintable are written as numbers. */
static pfm_status append_string(pfm_buffer *out, const char *text, pfm_error *err)
{
    if (text[0] != '\0' && is_plain(text))
        return pfm_buffer_append_string(out, text, err);
    pfm_status status = PFM_OK;
    size_t length = strlen(text);
    PFM_TRY(pfm_buffer_append(out, "\"", 1, err));
    for (size_t i = 0; i < length;) {
        utf8proc_int32_t point = 0;
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(length - i), &point);
        if (used <= 0)
            PFM_FAIL(PFM_ERROR_FORMAT, "a recipe holds a string that is not UTF-8: %s", text);
        bool odd = point < 0x20 || (point >= 0x7f && point <= 0xa0) || point == 0x2028 || point == 0x2029 || point == 0xfeff ||
                   point == 0xfffe || point == 0xffff;
        if (point == '"' || point == '\\')
            PFM_TRY(pfm_buffer_append_format(out, err, "\\%c", (char)point));
        else if (odd)
            PFM_TRY(pfm_buffer_append_format(out, err, "\\u%04x", (unsigned)point));
        else
            PFM_TRY(pfm_buffer_append(out, text + i, (size_t)used, err));
        i += (size_t)used;
    }
    PFM_TRY(pfm_buffer_append(out, "\"", 1, err));
done:
    return status;
}

/* The shortest decimal that reads back as the same double. */
static pfm_status append_number(pfm_buffer *out, double value, pfm_error *err)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return pfm_buffer_append_string(out, text, err);
}

static pfm_status append_list(pfm_buffer *out, char *const *items, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_buffer_append(out, "[", 1, err));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            PFM_TRY(pfm_buffer_append(out, ", ", 2, err));
        PFM_TRY(append_string(out, items[i], err));
    }
    PFM_TRY(pfm_buffer_append(out, "]", 1, err));
done:
    return status;
}

static pfm_status append_members(pfm_buffer *out, const pfm_member *members, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_buffer_append(out, "[", 1, err));
    for (size_t i = 0; i < count; i++) {
        PFM_TRY(pfm_buffer_append_string(out, i > 0 ? ", {" : "{", err));
        for (const recipe_key *key = pfm_member_keys; key->name != NULL; key++) {
            PFM_TRY(
                pfm_buffer_append_format(out, err, "%s%s: ", key == pfm_member_keys ? "" : ", ", strrchr(key->name, '.') + 1));
            PFM_TRY(pfm_recipe_append_value(&members[i], key, out, err));
        }
        PFM_TRY(pfm_buffer_append(out, "}", 1, err));
    }
    PFM_TRY(pfm_buffer_append(out, "]", 1, err));
done:
    return status;
}

/* One text stands alone, several as a list, none as null. */
static pfm_status append_texts(pfm_buffer *out, char *const *items, size_t count, pfm_error *err)
{
    if (count == 0)
        return pfm_buffer_append_string(out, "null", err);
    return count == 1 ? append_string(out, items[0], err) : append_list(out, items, count, err);
}

pfm_status pfm_recipe_append_value(const void *object, const recipe_key *key, pfm_buffer *out, pfm_error *err)
{
    const void *field = view_of(object, key);
    switch (key->type) {
    case RECIPE_STRING:
    case RECIPE_OPTIONAL:
    case RECIPE_CHOICE: {
        const char *text = *(char *const *)field;
        return text == NULL ? pfm_buffer_append_string(out, "null", err) : append_string(out, text, err);
    }
    case RECIPE_INTEGER: return pfm_buffer_append_format(out, err, "%d", *(const int *)field);
    case RECIPE_NUMBER: return append_number(out, *(const double *)field, err);
    case RECIPE_BOOLEAN: return pfm_buffer_append_string(out, *(const bool *)field ? "true" : "false", err);
    case RECIPE_LIST: return append_list(out, *(char **const *)field, view_count(object, key), err);
    case RECIPE_TEXTS: return append_texts(out, *(char **const *)field, view_count(object, key), err);
    case RECIPE_MEMBERS: return append_members(out, *(pfm_member *const *)field, view_count(object, key), err);
    case RECIPE_STAGES: break; /* written by itself */
    }
    return PFM_OK;
}
