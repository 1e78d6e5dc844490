/* The filters, tests, methods and functions that templates may use; a further one is a branch here. */
#include "text/jinja_internal.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static pfm_status refuse(const jinja_run *run, const char *what, const char *name, size_t length, pfm_jinja_value of)
{
    return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program does not know the %s %.*s of %s", what,
                      (int)(length < 40 ? length : 40), name, jinja_type_name(of));
}

static pfm_status demand_text(const jinja_run *run, pfm_jinja_value value, const char *where)
{
    return value.type == PFM_JINJA_TEXT
               ? PFM_OK
               : jinja_fail(run, PFM_ERROR_FORMAT, "%s stands where %s wants a text", jinja_type_name(value), where);
}

/* The value as text: what ~ and the filters of texts do first. */
static pfm_status to_text(const jinja_run *run, pfm_jinja_value value, pfm_jinja_value *out)
{
    return value.type == PFM_JINJA_TEXT ? (*out = value, PFM_OK) : jinja_concatenate(run, value, jinja_string("", 0), out);
}

/* Python's strip: white space, or any of the characters given. */
static pfm_status strip(const jinja_run *run, pfm_jinja_value text, pfm_jinja_value characters, bool left, bool right,
                        pfm_jinja_value *out)
{
    size_t begin = 0, end = text.length, length = 0;
    bool given = characters.type == PFM_JINJA_TEXT;
    if (given && jinja_code_points(characters.text, characters.length) != characters.length)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program strips characters of ASCII only");
    for (; left && begin < end; begin += length) {
        uint32_t code = pfm_utf8_decode(text.text + begin, end - begin, &length);
        if (given ? code > 0x7f || memchr(characters.text, (int)code, characters.length) == NULL
                  : !pfm_utf8_is_space(code) && !(code >= 0x1c && code <= 0x1f))
            break;
    }
    while (right && end > begin) {
        size_t last = end - 1;
        while (last > begin && ((unsigned char)text.text[last] & 0xc0) == 0x80)
            last--;
        uint32_t code = pfm_utf8_decode(text.text + last, end - last, &length);
        if (given ? code > 0x7f || memchr(characters.text, (int)code, characters.length) == NULL
                  : !pfm_utf8_is_space(code) && !(code >= 0x1c && code <= 0x1f))
            break;
        end = last;
    }
    *out = jinja_string(text.text + begin, end - begin);
    return PFM_OK;
}

/* text.split(separator): every part between separators. */
static pfm_status split(const jinja_run *run, pfm_jinja_value text, const jinja_arguments *arguments, pfm_jinja_value *out)
{
    pfm_jinja_value by = arguments->items[0], *parts = NULL;
    if (by.type != PFM_JINJA_TEXT || by.length == 0 || arguments->count != 1)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program knows split with one text only");
    size_t count = 1;
    const char *end = text.text + text.length;
    for (const char *at = text.text; (at = jinja_find(at, (size_t)(end - at), by.text, by.length)) != NULL; at += by.length)
        count++;
    JINJA_TRY(pfm_jinja_allocate(run->arena, count * sizeof *parts, &parts, run->err));
    const char *at = text.text;
    for (size_t i = 0; i < count; i++) {
        const char *hit = i + 1 == count ? end : jinja_find(at, (size_t)(end - at), by.text, by.length);
        parts[i] = jinja_string(at, (size_t)(hit - at));
        at = hit + by.length;
    }
    *out = jinja_list(parts, count);
    return PFM_OK;
}

static pfm_status write_json_text(const jinja_run *run, const char *text, size_t length, pfm_buffer *where)
{
    static const char names[] = "\"\\\n\r\t\b\f", meant[] = "\"\\nrtbf";
    JINJA_TRY(pfm_buffer_append(where, "\"", 1, run->err));
    for (size_t i = 0; i < length; i++) {
        const char *known = text[i] != '\0' ? strchr(names, text[i]) : NULL;
        if (known != NULL)
            JINJA_TRY(pfm_buffer_append_format(where, run->err, "\\%c", meant[known - names]));
        else if ((unsigned char)text[i] < 0x20)
            JINJA_TRY(pfm_buffer_append_format(where, run->err, "\\u%04x", (unsigned)text[i]));
        else
            JINJA_TRY(pfm_buffer_append(where, &text[i], 1, run->err));
    }
    return pfm_buffer_append(where, "\"", 1, run->err);
}

/* As Python's json.dumps(value, ensure_ascii=False) writes it. */
static pfm_status write_json(const jinja_run *run, pfm_jinja_value value, int depth, pfm_buffer *where)
{
    if (depth > 100)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "tojson: more than 100 levels");
    switch (value.type) {
    case PFM_JINJA_NONE: return pfm_buffer_append_string(where, "null", run->err);
    case PFM_JINJA_BOOLEAN: return pfm_buffer_append_string(where, value.number ? "true" : "false", run->err);
    case PFM_JINJA_INTEGER: return jinja_write(run, value, where);
    case PFM_JINJA_TEXT: return write_json_text(run, value.text, value.length, where);
    case PFM_JINJA_LIST:
        for (size_t i = 0; i < value.length; i++) {
            JINJA_TRY(pfm_buffer_append_string(where, i == 0 ? "[" : ", ", run->err));
            JINJA_TRY(write_json(run, value.items[i], depth + 1, where));
        }
        return pfm_buffer_append_string(where, value.length == 0 ? "[]" : "]", run->err);
    case PFM_JINJA_DICT:
        if (value.dict->is_namespace)
            break;
        for (const pfm_jinja_entry *entry = value.dict->first; entry != NULL; entry = entry->next) {
            JINJA_TRY(pfm_buffer_append_string(where, entry == value.dict->first ? "{" : ", ", run->err));
            JINJA_TRY(write_json_text(run, entry->key, entry->length, where));
            JINJA_TRY(pfm_buffer_append_string(where, ": ", run->err));
            JINJA_TRY(write_json(run, entry->value, depth + 1, where));
        }
        return pfm_buffer_append_string(where, value.dict->first == NULL ? "{}" : "}", run->err);
    default: break;
    }
    return jinja_fail(run, PFM_ERROR_FORMAT, "tojson cannot write %s", jinja_type_name(value));
}

static pfm_status to_json(const jinja_run *run, pfm_jinja_value value, const jinja_arguments *arguments, pfm_jinja_value *out)
{
    if (arguments->count > 0 || arguments->keywords.first != NULL)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program knows tojson without arguments only");
    pfm_buffer json = {0};
    pfm_status status = write_json(run, value, 0, &json);
    if (status == PFM_OK)
        status = jinja_keep(run, &json, out);
    pfm_buffer_free(&json);
    return status;
}

static pfm_status count(const jinja_run *run, pfm_jinja_value value, pfm_jinja_value *out)
{
    size_t result = 0;
    if (value.type == PFM_JINJA_TEXT)
        result = jinja_code_points(value.text, value.length);
    else if (value.type == PFM_JINJA_LIST)
        result = value.length;
    else if (value.type == PFM_JINJA_DICT && !value.dict->is_namespace)
        for (const pfm_jinja_entry *entry = value.dict->first; entry != NULL; entry = entry->next)
            result++;
    else if (value.type != PFM_JINJA_UNDEFINED)
        return jinja_fail(run, PFM_ERROR_FORMAT, "%s has no length", jinja_type_name(value));
    *out = jinja_integer((int64_t)result);
    return PFM_OK;
}

/* selectattr("role", "equalto", "user"). */
static pfm_status select_items(const jinja_run *run, pfm_jinja_value list, const jinja_arguments *arguments,
                               pfm_jinja_value *out)
{
    pfm_jinja_value *chosen = NULL, name = arguments->items[0], test = arguments->items[1];
    size_t kept = 0;
    if (list.type != PFM_JINJA_LIST || name.type != PFM_JINJA_TEXT || (arguments->count > 1 && test.type != PFM_JINJA_TEXT))
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program knows selectattr of a list, with a name and a test, only");
    JINJA_TRY(pfm_jinja_allocate(run->arena, list.length * sizeof *chosen, &chosen, run->err));
    for (size_t i = 0; i < list.length; i++) {
        const pfm_jinja_value *member =
            list.items[i].type == PFM_JINJA_DICT ? jinja_dict_get(list.items[i].dict, name.text, name.length) : NULL;
        pfm_jinja_value value = member == NULL ? jinja_undefined("a member") : *member;
        bool holds = jinja_is_true(value);
        if (arguments->count > 1)
            JINJA_TRY(jinja_test(run, test.text, test.length, value, arguments->items[2], &holds));
        if (holds)
            chosen[kept++] = list.items[i];
    }
    *out = jinja_list(chosen, kept);
    return PFM_OK;
}

pfm_status jinja_filter(const jinja_run *run, const jinja_node *node, pfm_jinja_value value, const jinja_arguments *arguments,
                        pfm_jinja_value *out)
{
#define NAMED(literal) jinja_equals(node->text, node->length, literal)
    *out = value;
    bool list = value.type == PFM_JINJA_LIST;
    if (NAMED("tojson"))
        return to_json(run, value, arguments, out);
    if (arguments->keywords.first != NULL)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program does not know filters with named arguments");
    if (NAMED("length") || NAMED("count"))
        return count(run, value, out);
    if (NAMED("default")) {
        bool missing = value.type == PFM_JINJA_UNDEFINED || (jinja_is_true(arguments->items[1]) && !jinja_is_true(value));
        *out = !missing ? value : arguments->count > 0 ? arguments->items[0] : jinja_string("", 0);
        return PFM_OK;
    }
    if (NAMED("selectattr"))
        return select_items(run, value, arguments, out);
    if (NAMED("list") && list)
        return PFM_OK;
    if ((NAMED("first") || NAMED("last")) && list) {
        *out = jinja_undefined("the first or last item");
        if (value.length > 0)
            *out = value.items[NAMED("first") ? 0 : value.length - 1];
        return PFM_OK;
    }
    if (!NAMED("trim") && !NAMED("string"))
        return refuse(run, "filter", node->text, node->length, value);
    JINJA_TRY(to_text(run, value, out));
    return NAMED("trim") ? strip(run, *out, arguments->items[0], true, true, out) : PFM_OK;
#undef NAMED
}

pfm_status jinja_test(const jinja_run *run, const char *name, size_t length, pfm_jinja_value value, pfm_jinja_value argument,
                      bool *out)
{
#define NAMED(literal) jinja_equals(name, length, literal)
    pfm_jinja_type type = value.type;
    bool dict = type == PFM_JINJA_DICT && !value.dict->is_namespace, number = jinja_is_number(value);
    if (NAMED("defined") || NAMED("undefined"))
        *out = (type == PFM_JINJA_UNDEFINED) == NAMED("undefined");
    else if (NAMED("none"))
        *out = type == PFM_JINJA_NONE;
    else if (NAMED("string"))
        *out = type == PFM_JINJA_TEXT;
    else if (NAMED("mapping"))
        *out = dict;
    else if (NAMED("iterable") || NAMED("sequence"))
        *out = type == PFM_JINJA_TEXT || type == PFM_JINJA_LIST || dict || type == PFM_JINJA_UNDEFINED;
    else if (NAMED("number"))
        *out = number;
    else if (NAMED("integer"))
        *out = type == PFM_JINJA_INTEGER;
    else if (NAMED("boolean"))
        *out = type == PFM_JINJA_BOOLEAN;
    else if (NAMED("true") || NAMED("false"))
        *out = type == PFM_JINJA_BOOLEAN && (value.number != 0) == NAMED("true");
    else if (NAMED("odd") || NAMED("even"))
        *out = number && (value.number % 2 != 0) == NAMED("odd");
    else if (NAMED("equalto") || NAMED("eq") || NAMED("ne"))
        *out = jinja_same(value, argument) == !NAMED("ne");
    else
        return refuse(run, "test", name, length, value);
    return PFM_OK;
#undef NAMED
}

pfm_status jinja_method(const jinja_run *run, const jinja_node *node, pfm_jinja_value self, const jinja_arguments *arguments,
                        pfm_jinja_value *out)
{
    const char *name = node->value.text;
    size_t length = node->value.type == PFM_JINJA_TEXT ? node->value.length : 0;
    const pfm_jinja_value *first = &arguments->items[0];
#define NAMED(literal) jinja_equals(name, length, literal)
    if (self.type == PFM_JINJA_UNDEFINED)
        return jinja_fail(run, PFM_ERROR_FORMAT, "'%s' is undefined", self.text);
    if (arguments->keywords.first != NULL)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program does not know methods with named arguments");
    if (self.type != PFM_JINJA_TEXT)
        return refuse(run, "method", name, length, self);
    if (NAMED("strip") || NAMED("lstrip") || NAMED("rstrip"))
        return strip(run, self, *first, !NAMED("rstrip"), !NAMED("lstrip"), out);
    if (NAMED("split"))
        return split(run, self, arguments, out);
    if (NAMED("startswith") || NAMED("endswith")) {
        JINJA_TRY(demand_text(run, *first, "startswith or endswith"));
        size_t at = NAMED("endswith") && self.length >= first->length ? self.length - first->length : 0;
        *out = jinja_boolean(self.length >= first->length && memcmp(self.text + at, first->text, first->length) == 0);
        return PFM_OK;
    }
    return refuse(run, "method", name, length, self);
#undef NAMED
}

static pfm_status make_namespace(const jinja_run *run, const jinja_arguments *arguments, pfm_jinja_value *out)
{
    if (arguments->count > 0)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program knows namespace with named arguments only");
    *out = (pfm_jinja_value){.type = PFM_JINJA_DICT};
    JINJA_TRY(pfm_jinja_allocate(run->arena, sizeof *out->dict, &out->dict, run->err));
    *out->dict = arguments->keywords;
    out->dict->is_namespace = true;
    return PFM_OK;
}

static pfm_status format_now(const jinja_run *run, const jinja_arguments *arguments, pfm_jinja_value *out)
{
    char format[200] = {0}, text[800] = {0};
    time_t now = time(NULL);
    struct tm parts;
    JINJA_TRY(demand_text(run, arguments->items[0], "strftime_now"));
    if (arguments->items[0].length >= sizeof format || localtime_r(&now, &parts) == NULL)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "strftime_now cannot use this format");
    memcpy(format, arguments->items[0].text, arguments->items[0].length);
    pfm_buffer kept = {.data = text, .size = strftime(text, sizeof text, format, &parts)};
    return jinja_keep(run, &kept, out);
}

bool jinja_is_function(const char *name, size_t length)
{
    static const char *const names[] = {"raise_exception", "namespace", "strftime_now"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (jinja_equals(name, length, names[i]))
            return true;
    }
    return false;
}

pfm_status jinja_function(const jinja_run *run, const char *name, size_t length, const jinja_arguments *arguments,
                          pfm_jinja_value *out)
{
    if (jinja_equals(name, length, "namespace"))
        return make_namespace(run, arguments, out);
    if (arguments->keywords.first != NULL)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program does not know %s with named arguments", name);
    if (jinja_equals(name, length, "strftime_now"))
        return format_now(run, arguments, out);
    pfm_jinja_value text;
    JINJA_TRY(to_text(run, arguments->items[0], &text));
    return jinja_fail(run, PFM_ERROR_USAGE, "the template refuses these messages: %.*s",
                      (int)(text.length < 600 ? text.length : 600), text.text);
}
