#include "serve/study_rows.h"

#include "base/chance.h"
#include "base/try.h"
#include "eval/sheet_key.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static pfm_status refuse_unknown(const char *id, pfm_http_reply *reply, pfm_error *err)
{
    return pfm_http_refuse(reply, 404, "study_not_found", err, "there is no study %.64s", id);
}

/* ---- making ---- */

static pfm_status draw_link(char **link, pfm_hash_hex hash, pfm_error *err)
{
    char secret[PFM_SECRET_LINK + 1];
    pfm_status status = pfm_chance_draw(secret, PFM_SECRET_LINK, err);
    if (status == PFM_OK)
        status = pfm_secret_hash(secret, hash, err);
    return status == PFM_OK ? pfm_string_format(link, err, "/#rate/%s", secret) : status;
}

/* What is shown of a row: all but the code and what is filled in. */
static pfm_status print_shown(const json_t *row, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *shown = json_object();
    for (size_t i = 0; i < PFM_SHEET_SHOWN; i++) {
        json_t *text = json_object_get(row, pfm_sheet_shown[i]);
        if (text != NULL)
            PFM_TRY(pfm_json_take(shown, pfm_sheet_shown[i], json_incref(text), err));
    }
    if (shown == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not keep a sheet");
    PFM_TRY(pfm_json_print(shown, out, err));
done:
    json_decref(shown);
    return status;
}

static pfm_status insert_sheet(pfm_store *store, const char *id, int64_t rater, const json_t *sheet, json_t *links,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex hash;
    char *link = NULL, *shown = NULL;
    PFM_TRY(draw_link(&link, hash, err));
    PFM_TRY(
        pfm_store_run(store, err, "INSERT INTO study_raters(study, rater, link_hash) VALUES(?, ?, ?)", "sis", id, rater, hash));
    if (json_array_append_new(links, json_pack("{s:I, s:s}", "rater", (json_int_t)rater, "link", link)) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not make a link");
    for (size_t i = 0; i < json_array_size(sheet); i++) {
        const json_t *row = json_array_get(sheet, i);
        PFM_TRY(print_shown(row, &shown, err));
        PFM_TRY(pfm_store_run(
            store, err, "INSERT INTO study_items(study, rater, n, code, shown, comment) VALUES(?, ?, ?, ?, ?, '')", "siiss", id,
            rater, (int64_t)i + 1, json_string_value(json_object_get(row, PFM_SHEET_CODE)), shown));
        free(shown);
        shown = NULL;
    }
done:
    free(link);
    free(shown);
    return status;
}

static pfm_status insert_study(pfm_store *store, const pfm_study_draft *draft, const char *id, json_t *links, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *rubric = NULL, *settings = NULL, *key = NULL;
    PFM_TRY(pfm_json_print(draft->rubric, &rubric, err));
    PFM_TRY(pfm_json_print(draft->settings, &settings, err));
    PFM_TRY(pfm_json_print(draft->key, &key, err));
    PFM_TRY(pfm_store_run(store, err,
                          "INSERT INTO studies(id, created, name, rubric, settings, sheet_key) VALUES(?, ?, ?, ?, ?, ?)",
                          "sissss", id, (int64_t)time(NULL), draft->name, rubric, settings, key));
    for (size_t i = 0; i < json_array_size(draft->sheets); i++)
        PFM_TRY(insert_sheet(store, id, (int64_t)i + 1, json_array_get(draft->sheets, i), links, err));
done:
    free(rubric);
    free(settings);
    free(key);
    return status;
}

pfm_status pfm_study_create(pfm_store *store, const pfm_study_draft *draft, pfm_study_id id, json_t **links, pfm_error *err)
{
    *links = NULL;
    pfm_status status = pfm_chance_draw(id, PFM_SECRET_ID, err);
    if (status == PFM_OK)
        status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    *links = json_array();
    status = *links != NULL ? insert_study(store, draft, id, *links, err)
                            : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not make a study");
    status = pfm_store_end(store, status, err);
    if (status != PFM_OK) {
        json_decref(*links);
        *links = NULL;
    }
    return status;
}

/* ---- telling ---- */

static pfm_status read_raters(pfm_store *store, const char *id, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    *out = json_array();
    PFM_TRY(pfm_store_query(store, &statement, err,
                            "SELECT rater, count(*), count(rated), count(score), sum(comment <> ''), max(rated) "
                            "FROM study_items WHERE study = ? GROUP BY rater ORDER BY rater",
                            "s", id));
    while (row) {
        PFM_TRY(pfm_store_step(store, statement, &row, err));
        if (!row)
            break;
        const bool begun = sqlite3_column_type(statement, 5) != SQLITE_NULL;
        *out = pfm_json_add(*out,
                            json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "rater", (json_int_t)sqlite3_column_int64(statement, 0),
                                      "count", (json_int_t)sqlite3_column_int64(statement, 1), "done",
                                      (json_int_t)sqlite3_column_int64(statement, 2), "scored",
                                      (json_int_t)sqlite3_column_int64(statement, 3), "comments",
                                      (json_int_t)sqlite3_column_int64(statement, 4), "last",
                                      begun ? json_integer(sqlite3_column_int64(statement, 5)) : json_null()));
    }
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not tell of the raters");
done:
    sqlite3_finalize(statement);
    return status;
}

#define STUDY "SELECT id, name, created, closed, rubric, settings FROM studies"

static pfm_status describe(pfm_store *store, sqlite3_stmt *row, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *raters = NULL, *rubric = json_loads(pfm_store_text(row, 4), 0, NULL);
    PFM_TRY(read_raters(store, pfm_store_text(row, 0), &raters, err));
    *out =
        json_pack("{s:s, s:s, s:I, s:o, s:O, s:[O,O], s:o, s:O}", "id", pfm_store_text(row, 0), "name", pfm_store_text(row, 1),
                  "created", (json_int_t)sqlite3_column_int64(row, 2), "closed",
                  sqlite3_column_type(row, 3) != SQLITE_NULL ? json_integer(sqlite3_column_int64(row, 3)) : json_null(),
                  "rubric", json_object_get(rubric, "name"), "scale", json_object_get(rubric, "low"),
                  json_object_get(rubric, "high"), "settings", json_loads(pfm_store_text(row, 5), 0, NULL), "raters", raters);
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not tell of a study");
done:
    json_decref(raters);
    json_decref(rubric);
    return status;
}

static pfm_status read_list(pfm_store *store, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    PFM_TRY(pfm_store_query(store, &statement, err, STUDY " ORDER BY created DESC, rowid DESC", ""));
    while (row) {
        json_t *study = NULL;
        PFM_TRY(pfm_store_step(store, statement, &row, err));
        if (row)
            PFM_TRY(describe(store, statement, &study, err));
        if (row && json_array_append_new(out, study) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the studies");
    }
done:
    sqlite3_finalize(statement);
    return status;
}

pfm_status pfm_study_list(pfm_store *store, json_t **out, pfm_error *err)
{
    *out = NULL;
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    *out = json_array();
    status = *out != NULL ? read_list(store, *out, err)
                          : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not list the studies");
    status = pfm_store_end(store, status, err);
    if (status != PFM_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}

static pfm_status read_study(pfm_store *store, const char *id, pfm_http_reply *reply, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_store_query(store, &statement, err, STUDY " WHERE id = ?", "s", id));
    PFM_TRY(pfm_store_step(store, statement, &row, err));
    if (!row)
        PFM_TRY(refuse_unknown(id, reply, err));
    PFM_TRY(describe(store, statement, out, err));
done:
    sqlite3_finalize(statement);
    return status;
}

pfm_status pfm_study_read(pfm_store *store, const char *id, pfm_http_reply *reply, json_t **out, pfm_error *err)
{
    *out = NULL;
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = pfm_store_end(store, read_study(store, id, reply, out, err), err);
    if (status != PFM_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}

/* ---- changing ---- */

/* Taken: ends the transaction of a statement that changed one study or none. */
static pfm_status end_change(pfm_store *store, pfm_status status, const char *id, pfm_http_reply *reply, pfm_error *err)
{
    if (status == PFM_OK && pfm_store_changes(store) == 0)
        status = refuse_unknown(id, reply, err);
    return pfm_store_end(store, status, err);
}

pfm_status pfm_study_close(pfm_store *store, const char *id, bool closed, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = closed ? pfm_store_run(store, err, "UPDATE studies SET closed = coalesce(closed, ?) WHERE id = ?", "is",
                                    (int64_t)time(NULL), id)
                    : pfm_store_run(store, err, "UPDATE studies SET closed = NULL WHERE id = ?", "s", id);
    return end_change(store, status, id, reply, err);
}

pfm_status pfm_study_remove(pfm_store *store, const char *id, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = pfm_store_run(store, err, "DELETE FROM studies WHERE id = ?", "s", id);
    status = end_change(store, status, id, reply, err);
    if (status == PFM_OK)
        pfm_store_empty_journal(store);
    return status;
}

pfm_status pfm_study_relink(pfm_store *store, const char *id, int64_t rater, pfm_http_reply *reply, char **link, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex hash;
    *link = NULL;
    PFM_TRY(draw_link(link, hash, err));
    PFM_TRY(pfm_store_begin(store, err));
    status = pfm_store_run(store, err, "UPDATE study_raters SET link_hash = ? WHERE study = ? AND rater = ?", "ssi", hash, id,
                           rater);
    if (status == PFM_OK && pfm_store_changes(store) == 0)
        status = pfm_http_refuse(reply, 404, "rater_not_found", err, "the study %.64s has no rater %lld, or is not there", id,
                                 (long long)rater);
    status = pfm_store_end(store, status, err);
done:
    if (status != PFM_OK) {
        free(*link);
        *link = NULL;
    }
    return status;
}

/* ---- sheets that come back ---- */

static json_t *describe_row(sqlite3_stmt *row)
{
    json_t *out = json_pack("{s:s}", PFM_SHEET_CODE, pfm_store_text(row, 0));
    json_t *shown = json_loads(pfm_store_text(row, 1), 0, NULL);
    const bool scored = sqlite3_column_type(row, 2) != SQLITE_NULL;
    const bool whole =
        out != NULL && shown != NULL && json_object_update(out, shown) == 0 &&
        json_object_set_new(out, PFM_SHEET_SCORE, scored ? json_integer(sqlite3_column_int64(row, 2)) : json_null()) == 0 &&
        json_object_set_new(out, PFM_SHEET_COMMENT, json_string(pfm_store_text(row, 3))) == 0;
    json_decref(shown);
    if (!whole) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static pfm_status read_sheets(pfm_store *store, const char *id, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    PFM_TRY(pfm_store_query(store, &statement, err,
                            "SELECT code, shown, score, comment FROM study_items WHERE study = ? ORDER BY rater, n", "s", id));
    while (row) {
        PFM_TRY(pfm_store_step(store, statement, &row, err));
        if (row && json_array_append_new(out, describe_row(statement)) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read the sheets");
    }
done:
    sqlite3_finalize(statement);
    return status;
}

static pfm_status read_key(pfm_store *store, const char *id, pfm_http_reply *reply, json_t **key, uint64_t *seed,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_store_query(store, &statement, err, "SELECT sheet_key FROM studies WHERE id = ?", "s", id));
    PFM_TRY(pfm_store_step(store, statement, &row, err));
    if (!row)
        PFM_TRY(refuse_unknown(id, reply, err));
    *key = json_loads(pfm_store_text(statement, 0), 0, NULL);
    if (*key == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read the key");
    *seed = (uint64_t)json_integer_value(json_object_get(*key, "seed"));
done:
    sqlite3_finalize(statement);
    return status;
}

pfm_status pfm_study_sheets(pfm_store *store, const char *id, pfm_http_reply *reply, json_t **key, json_t **rows,
                            uint64_t *seed, pfm_error *err)
{
    *key = *rows = NULL;
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = read_key(store, id, reply, key, seed, err);
    *rows = json_array();
    if (status == PFM_OK && *rows == NULL)
        status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read the sheets");
    if (status == PFM_OK)
        status = read_sheets(store, id, *rows, err);
    status = pfm_store_end(store, status, err);
    if (status != PFM_OK) {
        json_decref(*key);
        json_decref(*rows);
        *key = *rows = NULL;
    }
    return status;
}
