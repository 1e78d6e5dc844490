#include "serve/report_rows.h"

#include "base/chance.h"
#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LISTED = 200 };

pfm_status pfm_report_create(pfm_store *store, const pfm_report_draft *draft, pfm_report_id id, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *images = NULL;
    const int64_t now = (int64_t)time(NULL);
    PFM_TRY(pfm_chance_draw(id, sizeof(pfm_report_id) - 1, err));
    PFM_TRY(pfm_json_print(draft->images, &images, err));
    PFM_TRY(pfm_store_begin(store, err));
    status = pfm_store_run(
        store, err,
        "INSERT INTO reports(id, created, changed, version, model, indication, draft, text, complete, images) "
        "VALUES(?, ?, ?, 1, ?, ?, ?, ?, ?, ?)",
        "siissssis", id, now, now, draft->model, draft->indication, draft->text, draft->text, (int64_t)draft->complete, images);
    status = pfm_store_end(store, status, err);
done:
    free(images);
    return status;
}

/* Taken. Why nothing was changed. */
static pfm_status refuse(pfm_store *store, const char *id, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_store_query(store, &statement, err, "SELECT accepted FROM reports WHERE id = ?", "s", id));
    PFM_TRY(pfm_store_step(store, statement, &row, err));
    if (!row)
        PFM_TRY(pfm_http_refuse(reply, 404, "report_not_found", err, "there is no report %.64s", id));
    if (sqlite3_column_type(statement, 0) != SQLITE_NULL)
        PFM_TRY(pfm_http_refuse(reply, 409, "accepted", err, "the report was accepted and cannot be changed any more"));
    status = pfm_http_refuse(reply, 409, "changed", err, "the report was changed meanwhile; read it again");
done:
    sqlite3_finalize(statement);
    return status;
}

pfm_status pfm_report_edit(pfm_store *store, const char *id, int64_t version, const char *text, pfm_http_reply *reply,
                           pfm_error *err)
{
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = pfm_store_run(store, err,
                           "UPDATE reports SET text = ?, changed = ?, version = version + 1 WHERE id = ? AND version = ? AND "
                           "accepted IS NULL",
                           "sisi", text, (int64_t)time(NULL), id, version);
    if (status == PFM_OK && pfm_store_changes(store) == 0)
        status = refuse(store, id, reply, err);
    return pfm_store_end(store, status, err);
}

pfm_status pfm_report_accept(pfm_store *store, const char *id, int64_t version, const char *observer, const char *organization,
                             pfm_http_reply *reply, pfm_error *err)
{
    const int64_t now = (int64_t)time(NULL);
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = pfm_store_run(
        store, err,
        "UPDATE reports SET accepted = ?, changed = ?, observer = ?, organization = ?, version = version + 1 WHERE "
        "id = ? AND version = ? AND accepted IS NULL",
        "iisssi", now, now, observer, organization, id, version);
    if (status == PFM_OK && pfm_store_changes(store) == 0)
        status = refuse(store, id, reply, err);
    return pfm_store_end(store, status, err);
}

pfm_status pfm_report_remove(pfm_store *store, const char *id, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = pfm_store_run(store, err, "DELETE FROM reports WHERE id = ?", "s", id);
    if (status == PFM_OK && pfm_store_changes(store) == 0)
        status = refuse(store, id, reply, err);
    status = pfm_store_end(store, status, err);
    if (status == PFM_OK)
        pfm_store_empty_journal(store);
    return status;
}

#define HEAD "id, accepted, version, created, changed, model, indication, complete"

static json_t *describe_head(sqlite3_stmt *row)
{
    const bool accepted = sqlite3_column_type(row, 1) != SQLITE_NULL;
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:s, s:s, s:b}", "id", pfm_store_text(row, 0), "state",
                     accepted ? "accepted" : "draft", "version", (json_int_t)sqlite3_column_int64(row, 2), "created",
                     (json_int_t)sqlite3_column_int64(row, 3), "changed", (json_int_t)sqlite3_column_int64(row, 4), "accepted",
                     accepted ? json_integer(sqlite3_column_int64(row, 1)) : json_null(), "model", pfm_store_text(row, 5),
                     "indication", pfm_store_text(row, 6), "complete", sqlite3_column_int(row, 7));
}

static json_t *text_or_null(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) != SQLITE_NULL ? json_string(pfm_store_text(row, column)) : json_null();
}

static pfm_status read_row(pfm_store *store, const char *id, pfm_http_reply *reply, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_store_query(store, &statement, err,
                            "SELECT " HEAD ", draft, text, images, observer, organization FROM reports WHERE id = ?", "s", id));
    PFM_TRY(pfm_store_step(store, statement, &row, err));
    if (!row)
        PFM_TRY(pfm_http_refuse(reply, 404, "report_not_found", err, "there is no report %.64s", id));
    *out = describe_head(statement);
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read a report");
    PFM_TRY(pfm_json_take(*out, "draft", json_string(pfm_store_text(statement, 8)), err));
    PFM_TRY(pfm_json_take(*out, "text", json_string(pfm_store_text(statement, 9)), err));
    PFM_TRY(pfm_json_take(*out, "images", json_loads(pfm_store_text(statement, 10), 0, NULL), err));
    PFM_TRY(pfm_json_take(*out, "observer", text_or_null(statement, 11), err));
    PFM_TRY(pfm_json_take(*out, "organization", text_or_null(statement, 12), err));
done:
    sqlite3_finalize(statement);
    return status;
}

pfm_status pfm_report_read(pfm_store *store, const char *id, pfm_http_reply *reply, json_t **out, pfm_error *err)
{
    *out = NULL;
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = pfm_store_end(store, read_row(store, id, reply, out, err), err);
    if (status != PFM_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}

static pfm_status read_list(pfm_store *store, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    *out = json_array();
    PFM_TRY(pfm_store_query(store, &statement, err, "SELECT " HEAD " FROM reports ORDER BY created DESC, id LIMIT ?", "i",
                            (int64_t)LISTED));
    while (row) {
        PFM_TRY(pfm_store_step(store, statement, &row, err));
        if (row)
            *out = pfm_json_add(*out, describe_head(statement));
    }
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the reports");
done:
    sqlite3_finalize(statement);
    return status;
}

pfm_status pfm_report_list(pfm_store *store, json_t **out, pfm_error *err)
{
    *out = NULL;
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = pfm_store_end(store, read_list(store, out, err), err);
    if (status != PFM_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}
