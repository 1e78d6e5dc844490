#include "data/format.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>

pfm_status pfm_records_take(pfm_records *records, json_t *object, size_t line, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (object == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read a table");
    PFM_TRY(pfm_array_reserve(&records->items, &records->capacity, records->count + 1, sizeof *records->items, err));
    PFM_TRY(pfm_array_reserve(&records->lines, &records->line_capacity, records->count + 1, sizeof *records->lines, err));
    records->items[records->count] = object;
    records->lines[records->count++] = line;
    object = NULL;
done:
    json_decref(object);
    return status;
}

void pfm_records_free(pfm_records *records)
{
    for (size_t i = 0; i < records->count; i++)
        json_decref(records->items[i]);
    free(records->items);
    free(records->lines);
    *records = (pfm_records){0};
}

/* A place in the text; fields are appended to `fields`, one after the other, each followed by a NUL. */
typedef struct reader {
    const char *next, *end, *file;
    size_t line; /* of next, from 1 */
    char separator;
    bool loose; /* as spreadsheets leave it */
    pfm_buffer fields;
    size_t field_count;
} reader;

static bool ends_field(const reader *state, char c) { return c == state->separator || c == '\r' || c == '\n'; }

static pfm_status read_quoted(reader *state, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t opened = state->line;
    for (state->next++;;) {
        const char *quote = memchr(state->next, '"', (size_t)(state->end - state->next));
        if (quote == NULL)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: the quote that opens here is never closed", state->file, opened);
        for (const char *c = state->next; c < quote; c++)
            state->line += *c == '\n';
        PFM_TRY(pfm_buffer_append(&state->fields, state->next, (size_t)(quote - state->next), err));
        state->next = quote + 1;
        if (state->next == state->end || *state->next != '"')
            break;
        PFM_TRY(pfm_buffer_append(&state->fields, "\"", 1, err)); /* "" within quotes is one */
        state->next++;
    }
    if (state->next < state->end && !ends_field(state, *state->next))
        PFM_FAIL(PFM_ERROR_FORMAT,
                 "%s line %zu: behind a closing quote stands '%c', not a comma; write a quote in a field as \"\"", state->file,
                 state->line, *state->next);
done:
    return status;
}

static pfm_status read_plain(reader *state, pfm_error *err)
{
    const char *begin = state->next;
    while (state->next < state->end && !ends_field(state, *state->next) && *state->next != '"')
        state->next++;
    if (state->next < state->end && *state->next == '"')
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s line %zu: a quote within an unquoted field; put the field in quotes and write \"\" for each",
                             state->file, state->line);
    return pfm_buffer_append(&state->fields, begin, (size_t)(state->next - begin), err);
}

/* Reads one record and the line's end behind it. */
static pfm_status read_record(reader *state, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer_clear(&state->fields);
    state->field_count = 0;
    for (;;) {
        if (state->next < state->end && *state->next == '"')
            PFM_TRY(read_quoted(state, err));
        else
            PFM_TRY(read_plain(state, err));
        PFM_TRY(pfm_buffer_append(&state->fields, "", 1, err));
        state->field_count++;
        if (state->next == state->end || *state->next != state->separator)
            break;
        state->next++;
    }
    if (state->next < state->end && *state->next == '\r')
        state->next++;
    if (state->next < state->end && *state->next == '\n')
        state->next++;
    state->line++;
done:
    return status;
}

static bool is_blank_line(const reader *state) { return state->field_count == 1 && state->fields.size == 1; }

static pfm_status check_header(const reader *header, pfm_error *err)
{
    const char *name = header->fields.data;
    for (size_t i = 0; i < header->field_count; i++, name += strlen(name) + 1) {
        if (name[0] == '\0')
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line 1: column %zu has no name", header->file, i + 1);
        const char *other = header->fields.data;
        for (size_t j = 0; j < i; j++, other += strlen(other) + 1) {
            if (strcmp(name, other) == 0)
                return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line 1: two columns are named '%s'", header->file, name);
        }
    }
    if (header->field_count == 1 && strpbrk(header->fields.data, ";\t") != NULL)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line 1: the columns must be separated by commas: %s", header->file,
                             header->fields.data);
    return PFM_OK;
}

/* Fewer fields are empty ones at the end; more are allowed where they are empty. */
static bool fits_loosely(const reader *state, size_t columns)
{
    const char *value = state->fields.data;
    for (size_t i = 0; i < state->field_count; i++, value += strlen(value) + 1) {
        if (i >= columns && value[0] != '\0')
            return false;
    }
    return true;
}

static pfm_status take_record(const reader *state, const pfm_buffer *header, size_t columns, size_t line, pfm_records *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *object = json_object();
    if (object == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", state->file);
    if (state->field_count != columns && !(state->loose && fits_loosely(state, columns)))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: %zu fields where the first line names %zu columns", state->file, line,
                 state->field_count, columns);
    const char *name = header->data, *value = state->fields.data;
    for (size_t i = 0; i < columns; i++) {
        if (json_object_set_new(object, name, json_string(value)) != 0)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: column '%s' is not UTF-8 text; save the table as UTF-8", state->file, line,
                     name);
        name += strlen(name) + 1;
        value += i + 1 < state->field_count ? strlen(value) + 1 : strlen(value); /* a missing one is empty */
    }
    PFM_TRY(pfm_records_take(out, json_incref(object), line, err));
done:
    json_decref(object);
    return status;
}

pfm_status pfm_csv_parse(const char *text, size_t length, const char *file, pfm_records *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    reader state = {.next = text, .end = text + length, .file = file, .line = 1, .separator = ','};
    pfm_buffer header = {0};
    if (length > 0 && memchr(text, '\0', length) != NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: holds zero bytes; a table is UTF-8 text", file);
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        state.next += 3;
    PFM_TRY(read_record(&state, err));
    PFM_TRY(check_header(&state, err));
    size_t columns = state.field_count;
    PFM_TRY(pfm_buffer_append(&header, state.fields.data, state.fields.size, err));
    while (state.next < state.end) {
        size_t line = state.line;
        PFM_TRY(read_record(&state, err));
        if (!is_blank_line(&state) || columns == 1)
            PFM_TRY(take_record(&state, &header, columns, line, out, err));
    }
done:
    pfm_buffer_free(&header);
    pfm_buffer_free(&state.fields);
    return status;
}

static bool is_empty_record(const reader *state) { return state->fields.size == state->field_count; }

/* What separates the columns of the first line, outside of quotes: tab, semicolon or comma, whichever occurs most. */
static char find_separator(const char *text, const char *end)
{
    static const char candidates[] = ",;\t";
    size_t counts[3] = {0}, best = 0;
    bool quoted = false;
    for (; text < end && (quoted || *text != '\n'); text++) {
        quoted ^= *text == '"';
        const char *at = quoted || *text == '\0' ? NULL : strchr(candidates, *text);
        if (at != NULL)
            counts[at - candidates]++;
    }
    for (size_t i = 1; i < 3; i++)
        best = counts[i] > counts[best] ? i : best;
    return candidates[best];
}

/* Columns without a name at the end are none. */
static void drop_unnamed(reader *header)
{
    while (header->field_count > 1 && header->fields.size >= 2 && header->fields.data[header->fields.size - 2] == '\0') {
        header->field_count--;
        header->fields.size--;
    }
}

pfm_status pfm_spreadsheet_parse(const char *text, size_t length, const char *file, char *separator, pfm_records *out,
                                 pfm_error *err)
{
    pfm_status status = PFM_OK;
    reader state = {.next = text, .end = text + length, .file = file, .line = 1, .loose = true};
    pfm_buffer header = {0};
    if (length > 0 && memchr(text, '\0', length) != NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: holds zero bytes (UTF-16?); save the table as CSV in UTF-8", file);
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        state.next += 3;
    if (state.end - state.next > 5 && memcmp(state.next, "sep=", 4) == 0 && strchr("\r\n", state.next[5]) != NULL) {
        state.separator = state.next[4];
        PFM_TRY(read_record(&state, err));
    } else {
        state.separator = find_separator(state.next, state.end);
    }
    PFM_TRY(read_record(&state, err));
    drop_unnamed(&state);
    PFM_TRY(check_header(&state, err));
    size_t columns = state.field_count;
    PFM_TRY(pfm_buffer_append(&header, state.fields.data, state.fields.size, err));
    while (state.next < state.end) {
        size_t line = state.line;
        PFM_TRY(read_record(&state, err));
        if (!is_empty_record(&state))
            PFM_TRY(take_record(&state, &header, columns, line, out, err));
    }
    *separator = state.separator;
done:
    pfm_buffer_free(&header);
    pfm_buffer_free(&state.fields);
    return status;
}
