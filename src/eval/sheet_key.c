#include "eval/sheet_key.h"

#include "base/hash.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

const char *const pfm_sheet_shown[PFM_SHEET_SHOWN] = {"image", "question", "reference", "text"};

static pfm_status check_row(const json_t *row, size_t number, const char *path, pfm_error *err)
{
    static const char *const texts[] = {"item", "rater", "id", "system"};
    const char *column = NULL;
    json_t *digest = NULL;
    bool good = json_is_object(json_object_get(row, "shown")) && json_is_boolean(json_object_get(row, "duplicate"));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        good &= json_is_string(json_object_get(row, texts[i]));
    json_object_foreach(json_object_get(row, "shown"), column, digest) good &= json_is_string(digest);
    if (good)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: row %zu of the key lacks item, rater, id, system, duplicate or shown",
                         path, number);
}

pfm_status pfm_sheet_key_read(json_t *document, const char *path, pfm_sheet_key *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = (pfm_sheet_key){.document = document};
    const json_t *scale = json_object_get(out->document, "scale");
    const char *format = json_string_value(json_object_get(out->document, "format"));
    out->rows = json_object_get(out->document, "rows");
    if (format == NULL || strcmp(format, "pefomed-sheets-key-1") != 0 || json_array_size(scale) != 2 ||
        !json_is_array(out->rows))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: is no key of sheets; pefomed sheets writes it beside the sheets' folder", path);
    for (size_t i = 0; i < json_array_size(json_object_get(out->document, "systems")); i++) {
        if (!json_is_string(json_object_get(json_array_get(json_object_get(out->document, "systems"), i), "name")))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: system %zu of the key has no name", path, i + 1);
    }
    out->low = json_number_value(json_array_get(scale, 0));
    out->high = json_number_value(json_array_get(scale, 1));
    out->system_count = json_array_size(json_object_get(out->document, "systems"));
    for (size_t i = 0; i < json_array_size(out->rows); i++) {
        const json_t *row = json_array_get(out->rows, i);
        PFM_TRY(check_row(row, i + 1, path, err));
        const char *code = json_string_value(json_object_get(row, "item"));
        PFM_TRY(pfm_map_set(&out->by_code, code, strlen(code), (int64_t)i, err));
    }
done:
    if (status != PFM_OK)
        pfm_sheet_key_free(out);
    return status;
}

pfm_status pfm_sheet_key_load(const char *path, pfm_sheet_key *out, pfm_error *err)
{
    json_t *document = NULL;
    *out = (pfm_sheet_key){0};
    const pfm_status status = pfm_json_load(path, &document, err);
    return status == PFM_OK ? pfm_sheet_key_read(document, path, out, err) : status;
}

void pfm_sheet_key_free(pfm_sheet_key *key)
{
    pfm_map_free(&key->by_code);
    json_decref(key->document);
    *key = (pfm_sheet_key){0};
}

const json_t *pfm_sheet_key_find(const pfm_sheet_key *key, const char *code)
{
    int64_t row = 0;
    return pfm_map_get(&key->by_code, code, strlen(code), &row) ? json_array_get(key->rows, (size_t)row) : NULL;
}

pfm_status pfm_sheet_cell_guard(const char *text, char **out, pfm_error *err)
{
    char first = text[strspn(text, " \t\r\n")];
    bool risky =
        first == '=' || first == '+' || first == '-' || first == '@' || text[0] == '\'' || text[0] == '\t' || text[0] == '\r';
    return pfm_string_format(out, err, "%s%s", risky ? "'" : "", text);
}

/* Spreadsheets change line ends and drop blanks at the ends of cells. */
pfm_status pfm_sheet_digest_of(const char *text, pfm_sheet_digest out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer plain = {0};
    pfm_hash_hex hex;
    text += strspn(text, " \t\r\n");
    for (; *text != '\0'; text++) {
        const char *c = *text == '\r' ? "\n" : text;
        PFM_TRY(pfm_buffer_append(&plain, c, 1, err));
        text += text[0] == '\r' && text[1] == '\n';
    }
    while (plain.size > 0 && strchr(" \t\n", plain.data[plain.size - 1]) != NULL)
        plain.size--;
    PFM_TRY(pfm_hash_bytes(plain.data == NULL ? "" : plain.data, plain.size, hex, err));
    memcpy(out, hex, sizeof(pfm_sheet_digest) - 1);
    out[sizeof(pfm_sheet_digest) - 1] = '\0';
done:
    pfm_buffer_free(&plain);
    return status;
}

pfm_status pfm_sheet_cell_check(const char *cell, const char *digest, bool *same, pfm_error *err)
{
    pfm_sheet_digest found;
    pfm_status status = pfm_sheet_digest_of(cell, found, err);
    *same = status == PFM_OK && strcmp(found, digest) == 0;
    if (status != PFM_OK || *same || cell[0] != '\'')
        return status;
    status = pfm_sheet_digest_of(cell + 1, found, err);
    *same = status == PFM_OK && strcmp(found, digest) == 0;
    return status;
}

pfm_status pfm_sheet_append_cell(pfm_buffer *out, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *guarded = NULL;
    PFM_TRY(pfm_sheet_cell_guard(text, &guarded, err));
    PFM_TRY(pfm_buffer_append_string(out, "\"", err));
    for (const char *c = guarded; *c != '\0'; c++)
        PFM_TRY(pfm_buffer_append(out, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1, err));
    PFM_TRY(pfm_buffer_append_string(out, "\"", err));
done:
    free(guarded);
    return status;
}
