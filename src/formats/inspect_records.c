/* Files of records: JSON lines, JSON, CSV. */
#include "base/try.h"
#include "formats/inspect_internal.h"

#include <stdlib.h>

static bool is_lines(const char *path)
{
    return pfm_inspect_ends_with(path, ".jsonl") || pfm_inspect_ends_with(path, ".ndjson");
}

static bool is_json(const char *path)
{
    return pfm_inspect_ends_with(path, ".json") && !pfm_inspect_ends_with(path, ".index.json"); /* of weights */
}

static bool probe(const pfm_inspect_target *target)
{
    return !target->is_folder &&
           (is_lines(target->path) || is_json(target->path) || pfm_inspect_ends_with(target->path, ".csv"));
}

/* The command that takes such records; NULL: none does. */
static const char *command_for(const json_t *columns)
{
    static const struct {
        const char *column, *command;
    } commands[] = {{"prediction", "score"},
                    {"rater", "agree"},
                    {"attempts", "agree"},
                    {"question", "data table"},
                    {"report", "data table"}};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        size_t j = 0;
        const json_t *column = NULL;
        json_array_foreach(columns, j, column)
        {
            if (strcmp(json_string_value(column), commands[i].column) == 0)
                return commands[i].command;
        }
    }
    return NULL;
}

/* The keys of the first record; an object is one record. */
static pfm_status describe_records(json_t *records, const char *format, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *first = json_is_array(records) ? json_array_get(records, 0) : records, *columns = json_array(), *value = NULL;
    const char *key = NULL;
    json_object_foreach(first, key, value) { columns = pfm_json_add(columns, json_string(key)); }
    PFM_TRY(pfm_json_take(out, "columns", columns, err));
    PFM_TRY(pfm_json_take(out, "format", json_string(format), err));
    PFM_TRY(
        pfm_json_take(out, "records", json_integer(json_is_array(records) ? (json_int_t)json_array_size(records) : 1), err));
done:
    return status;
}

/* A CSV record ends at a line break outside of quotes; the first one names the columns (RFC 4180). */
static size_t count_records(const char *text, size_t size)
{
    size_t records = 0;
    bool quoted = false, any = false;
    for (size_t i = 0; i < size; i++) {
        quoted = quoted != (text[i] == '"');
        if (text[i] == '\n' && !quoted) {
            records += any;
            any = false;
        } else if (text[i] != '\r') {
            any = true;
        }
    }
    return records + any;
}

static pfm_status describe_csv(const char *path, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_file_read(path, 0, &text, err));
    json_t *columns = json_array();
    size_t records = count_records(text.data, text.size), end = strcspn(text.data, "\r\n");
    for (size_t begin = text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; begin < end;) {
        size_t length = strcspn(text.data + begin, ",\r\n");
        bool quotes = length >= 2 && text.data[begin] == '"' && text.data[begin + length - 1] == '"';
        columns = pfm_json_add(columns, pfm_inspect_text(text.data + begin + quotes, length - 2 * quotes));
        begin += length + 1;
    }
    PFM_TRY(pfm_json_take(out, "columns", columns, err));
    PFM_TRY(pfm_json_take(out, "format", json_string("csv"), err));
    PFM_TRY(pfm_json_take(out, "records", json_integer(records > 0 ? (json_int_t)records - 1 : 0), err));
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status describe(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *records = NULL;
    if (pfm_inspect_ends_with(target->path, ".csv")) {
        PFM_TRY(describe_csv(target->path, out, err));
    } else if (is_lines(target->path)) {
        PFM_TRY(pfm_json_load_lines(target->path, &records, err));
        PFM_TRY(describe_records(records, "jsonl", out, err));
    } else {
        PFM_TRY(pfm_json_load(target->path, &records, err));
        PFM_TRY(describe_records(records, "json", out, err));
    }
    const char *command = is_json(target->path) ? NULL : command_for(json_object_get(out, "columns"));
    PFM_TRY(
        pfm_json_take(out, "next", command == NULL ? json_null() : json_sprintf("pefomed %s %s", command, target->path), err));
done:
    json_decref(records);
    return status;
}

const pfm_inspector pfm_inspector_records = {.kind = "records", .probe = probe, .describe = describe};
