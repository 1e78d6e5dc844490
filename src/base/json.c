#include "base/json.h"

#include "base/file.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static pfm_status load(const char *path, size_t flags, json_t **out, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_file_read(path, 0, &text, err));
    json_error_t reason;
    json_t *value = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | flags, &reason);
    if (value == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s line %d: not JSON: %s", path, reason.line, reason.text);
    *out = value;
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_json_load(const char *path, json_t **out, pfm_error *err) { return load(path, 0, out, err); }

pfm_status pfm_json_load_reals(const char *path, json_t **out, pfm_error *err)
{
    return load(path, JSON_DECODE_INT_AS_REAL, out, err);
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (strchr(" \t\r", text[i]) == NULL)
            return false;
    }
    return true;
}

pfm_status pfm_json_load_lines(const char *path, json_t **out, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = PFM_OK;
    json_t *values = json_array();
    if (values == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", path);
    PFM_TRY(pfm_file_read(path, 0, &text, err));
    size_t line = 0;
    for (size_t begin = 0; begin < text.size;) {
        const char *end = memchr(text.data + begin, '\n', text.size - begin);
        size_t length = end == NULL ? text.size - begin : (size_t)(end - (text.data + begin));
        line++;
        if (!is_blank(text.data + begin, length)) {
            json_error_t reason;
            json_t *value = json_loadb(text.data + begin, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &reason);
            if (value == NULL)
                PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: not JSON: %s", path, line, reason.text);
            if (json_array_append_new(values, value) != 0)
                PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", path);
        }
        begin += length + 1;
    }
    *out = values;
    values = NULL;
done:
    json_decref(values);
    pfm_buffer_free(&text);
    return status;
}

typedef struct dump {
    pfm_buffer *out;
    bool failed;
} dump;

static int take_text(const char *text, size_t size, void *user)
{
    dump *d = user;
    d->failed = d->failed || pfm_buffer_append(d->out, text, size, NULL) != PFM_OK;
    return d->failed ? -1 : 0;
}

/* Whether each piece arrived is kept here: jansson 2.14 does not always look. */
static pfm_status append_text(pfm_buffer *buffer, const json_t *value, size_t flags, pfm_error *err)
{
    dump d = {.out = buffer};
    const int code = json_dump_callback(value, take_text, &d, flags | JSON_ENCODE_ANY);
    return code == 0 && !d.failed ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write JSON");
}

pfm_status pfm_json_append(pfm_buffer *buffer, const json_t *value, pfm_error *err)
{
    const size_t size = buffer->size;
    const pfm_status status = append_text(buffer, value, JSON_COMPACT, err);
    if (status != PFM_OK && buffer->data != NULL) /* all of it or nothing */
        buffer->data[buffer->size = size] = '\0';
    return status;
}

pfm_status pfm_json_print(const json_t *value, char **out, pfm_error *err)
{
    pfm_buffer text = {0};
    const pfm_status status = append_text(&text, value, JSON_COMPACT, err);
    if (status != PFM_OK)
        pfm_buffer_free(&text);
    *out = text.data;
    return status;
}

pfm_status pfm_json_save(const char *path, const json_t *value, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = PFM_OK;
    PFM_TRY(append_text(&text, value, JSON_INDENT(2), err));
    PFM_TRY(pfm_buffer_append(&text, "\n", 1, err));
    PFM_TRY(pfm_file_write(path, text.data, text.size, err));
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_json_take(json_t *object, const char *key, json_t *value, pfm_error *err)
{
    if (value == NULL || json_object_set_new(object, key, value) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not set \"%s\" in a JSON object", key);
    return PFM_OK;
}

json_t *pfm_json_add(json_t *list, json_t *value)
{
    if (list != NULL && json_array_append_new(list, value) == 0) /* which takes the value also where it fails */
        return list;
    if (list == NULL)
        json_decref(value);
    json_decref(list);
    return NULL;
}

json_t *pfm_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }
