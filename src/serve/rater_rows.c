#include "serve/rater_rows.h"

#include "base/try.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- who ---- */

static pfm_status find(pfm_store *store, const char *hash, pfm_rater *out, bool *found, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    PFM_TRY(pfm_store_query(store, &statement, err, "SELECT study, rater FROM study_raters WHERE link_hash = ?", "s", hash));
    PFM_TRY(pfm_store_step(store, statement, found, err));
    if (*found) {
        (void)snprintf(out->study, sizeof out->study, "%s", pfm_store_text(statement, 0));
        out->number = sqlite3_column_int64(statement, 1);
    }
done:
    sqlite3_finalize(statement);
    return status;
}

pfm_status pfm_rater_find(pfm_store *store, const char *secret, pfm_rater *out, bool *found, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex hash;
    *found = false;
    PFM_TRY(pfm_secret_hash(secret, hash, err));
    PFM_TRY(pfm_store_begin(store, err));
    status = pfm_store_end(store, find(store, hash, out, found, err), err);
done:
    return status;
}

/* The study went while it was asked about. */
static pfm_status refuse_gone(pfm_http_reply *reply, pfm_error *err)
{
    return pfm_http_refuse(reply, 404, "study_not_found", err, "the study is not there any more; its owner removed it");
}

/* *rubric = the study's; *closed = whether it takes no more. */
static pfm_status read_study(pfm_store *store, const pfm_rater *rater, pfm_http_reply *reply, json_t **rubric, bool *closed,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_store_query(store, &statement, err, "SELECT rubric, closed IS NOT NULL FROM studies WHERE id = ?", "s",
                            rater->study));
    PFM_TRY(pfm_store_step(store, statement, &row, err));
    if (!row)
        PFM_TRY(refuse_gone(reply, err));
    *closed = sqlite3_column_int(statement, 1) != 0;
    *rubric = json_loads(pfm_store_text(statement, 0), 0, NULL);
    if (*rubric == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read a rubric");
done:
    sqlite3_finalize(statement);
    return status;
}

/* ---- how far ---- */

/* {"count","done","next"} */
static pfm_status read_progress(pfm_store *store, const pfm_rater *rater, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_store_query(store, &statement, err,
                            "SELECT count(*), count(rated), min(CASE WHEN rated IS NULL THEN n END) FROM study_items "
                            "WHERE study = ? AND rater = ?",
                            "si", rater->study, rater->number));
    PFM_TRY(pfm_store_step(store, statement, &row, err));
    PFM_TRY(pfm_json_take(out, "count", json_integer(sqlite3_column_int64(statement, 0)), err));
    PFM_TRY(pfm_json_take(out, "done", json_integer(sqlite3_column_int64(statement, 1)), err));
    const bool all = sqlite3_column_type(statement, 2) == SQLITE_NULL;
    PFM_TRY(pfm_json_take(out, "next", all ? json_null() : json_integer(sqlite3_column_int64(statement, 2)), err));
done:
    sqlite3_finalize(statement);
    return status;
}

#define LAST_CHANGE                                                                                                            \
    "SELECT number, n FROM study_changes WHERE study = ? AND rater = ? AND undone = 0 ORDER BY number DESC LIMIT 1"

/* {"change","changed"} */
static pfm_status read_change(pfm_store *store, const pfm_rater *rater, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_store_query(store, &statement, err, LAST_CHANGE, "si", rater->study, rater->number));
    PFM_TRY(pfm_store_step(store, statement, &row, err));
    PFM_TRY(pfm_json_take(out, "change", row ? json_integer(sqlite3_column_int64(statement, 0)) : json_null(), err));
    PFM_TRY(pfm_json_take(out, "changed", row ? json_integer(sqlite3_column_int64(statement, 1)) : json_null(), err));
done:
    sqlite3_finalize(statement);
    return status;
}

static pfm_status read_state(pfm_store *store, const pfm_rater *rater, pfm_http_reply *reply, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *rubric = NULL;
    bool closed = false;
    PFM_TRY(read_study(store, rater, reply, &rubric, &closed, err));
    *out = json_pack("{s:O, s:O, s:O, s:O, s:b}", "instruction", json_object_get(rubric, "instruction"), "low",
                     json_object_get(rubric, "low"), "high", json_object_get(rubric, "high"), "levels",
                     json_object_get(rubric, "levels"), "closed", closed);
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not tell of a sheet");
    PFM_TRY(read_progress(store, rater, *out, err));
    PFM_TRY(read_change(store, rater, *out, err));
done:
    json_decref(rubric);
    return status;
}

pfm_status pfm_rater_state(pfm_store *store, const pfm_rater *rater, pfm_http_reply *reply, json_t **out, pfm_error *err)
{
    *out = NULL;
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = pfm_store_end(store, read_state(store, rater, reply, out, err), err);
    if (status != PFM_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}

/* ---- items ---- */

typedef struct item_state {
    bool scored, done;
    int64_t score, rated;
    char *comment, *shown;
} item_state;

static void free_item(item_state *item)
{
    free(item->comment);
    free(item->shown);
}

static pfm_status read_item(pfm_store *store, const pfm_rater *rater, int64_t n, pfm_http_reply *reply, item_state *out,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_store_query(store, &statement, err,
                            "SELECT score, rated, comment, shown FROM study_items WHERE study = ? AND rater = ? AND n = ?",
                            "sii", rater->study, rater->number, n));
    PFM_TRY(pfm_store_step(store, statement, &row, err));
    if (!row)
        PFM_TRY(pfm_http_refuse(reply, 404, "item_not_found", err, "the sheet has no item %lld", (long long)n));
    out->scored = sqlite3_column_type(statement, 0) != SQLITE_NULL;
    out->score = sqlite3_column_int64(statement, 0);
    out->done = sqlite3_column_type(statement, 1) != SQLITE_NULL;
    out->rated = sqlite3_column_int64(statement, 1);
    PFM_TRY(pfm_string_copy(pfm_store_text(statement, 2), &out->comment, err));
    PFM_TRY(pfm_string_copy(pfm_store_text(statement, 3), &out->shown, err));
done:
    sqlite3_finalize(statement);
    return status;
}

/* The texts as the rubric shows them; one that is empty is left out unless it is what is rated. */
static json_t *list_parts(const json_t *rubric, const json_t *shown)
{
    size_t i = 0;
    json_t *part = NULL, *list = json_array();
    json_array_foreach(json_object_get(rubric, "parts"), i, part)
    {
        const char *column = json_string_value(json_object_get(part, "column"));
        const char *text = column != NULL ? json_string_value(json_object_get(shown, column)) : NULL;
        if (text != NULL && (text[0] != '\0' || strcmp(column, "text") == 0))
            list = pfm_json_add(list, json_pack("{s:O, s:s}", "title", json_object_get(part, "title"), "text", text));
    }
    return list;
}

static pfm_status show_item(pfm_store *store, const pfm_rater *rater, int64_t n, pfm_http_reply *reply, json_t **out,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    item_state item = {0};
    json_t *rubric = NULL, *shown = NULL;
    bool closed = false;
    PFM_TRY(read_study(store, rater, reply, &rubric, &closed, err));
    PFM_TRY(read_item(store, rater, n, reply, &item, err));
    shown = json_loads(item.shown, 0, NULL);
    const char *images = json_string_value(json_object_get(shown, "image"));
    *out = json_pack("{s:I, s:o, s:s, s:o, s:s, s:b}", "n", (json_int_t)n, "parts", list_parts(rubric, shown), "images",
                     images != NULL ? images : "", "score", item.scored ? json_integer(item.score) : json_null(), "comment",
                     item.comment, "done", item.done);
    if (*out == NULL || shown == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not show an item");
done:
    free_item(&item);
    json_decref(shown);
    json_decref(rubric);
    return status;
}

pfm_status pfm_rater_item(pfm_store *store, const pfm_rater *rater, int64_t n, pfm_http_reply *reply, json_t **out,
                          pfm_error *err)
{
    *out = NULL;
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    status = pfm_store_end(store, show_item(store, rater, n, reply, out, err), err);
    if (status != PFM_OK) {
        json_decref(*out);
        *out = NULL;
    }
    return status;
}

/* ---- giving and taking back ---- */

/* Refuses where the study takes nothing, or not this. */
static pfm_status check_given(pfm_store *store, const pfm_rater *rater, const pfm_rater_given *given, pfm_http_reply *reply,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *rubric = NULL;
    bool closed = false;
    PFM_TRY(read_study(store, rater, reply, &rubric, &closed, err));
    const int64_t low = json_integer_value(json_object_get(rubric, "low"));
    const int64_t high = json_integer_value(json_object_get(rubric, "high"));
    if (closed)
        PFM_TRY(pfm_http_refuse(reply, 409, "study_closed", err, "the study is closed and takes no more scores"));
    if (given->has_score && (given->score < low || given->score > high))
        PFM_TRY(pfm_http_refuse(reply, 400, "off_the_scale", err, "score must be a whole number from %lld to %lld",
                                (long long)low, (long long)high));
done:
    json_decref(rubric);
    return status;
}

/* Columns that may be NULL are bound as whether, and what. */
static pfm_status write_item(pfm_store *store, const pfm_rater *rater, int64_t n, const item_state *item, pfm_error *err)
{
    return pfm_store_run(store, err,
                         "UPDATE study_items SET score = CASE WHEN ? THEN ? END, rated = CASE WHEN ? THEN ? END, comment = ? "
                         "WHERE study = ? AND rater = ? AND n = ?",
                         "iiiissii", (int64_t)item->scored, item->score, (int64_t)item->done, item->rated, item->comment,
                         rater->study, rater->number, n);
}

static pfm_status write_change(pfm_store *store, const pfm_rater *rater, int64_t n, const item_state *before, pfm_error *err)
{
    return pfm_store_run(store, err,
                         "INSERT INTO study_changes(study, rater, number, time, n, score, comment, rated, undone) "
                         "SELECT ?1, ?2, 1 + coalesce((SELECT max(number) FROM study_changes WHERE study = ?1 AND rater = ?2), "
                         "0), ?3, ?4, CASE WHEN ?5 THEN ?6 END, ?7, CASE WHEN ?8 THEN ?9 END, 0",
                         "siiiiisii", rater->study, rater->number, (int64_t)time(NULL), n, (int64_t)before->scored,
                         before->score, before->comment, (int64_t)before->done, before->rated);
}

static pfm_status give(pfm_store *store, const pfm_rater *rater, int64_t n, const pfm_rater_given *given, pfm_http_reply *reply,
                       pfm_error *err)
{
    pfm_status status = PFM_OK;
    item_state before = {0};
    PFM_TRY(check_given(store, rater, given, reply, err));
    PFM_TRY(read_item(store, rater, n, reply, &before, err));
    item_state after = before;
    if (given->has_score || given->cannot_tell) {
        after.scored = given->has_score;
        after.score = given->has_score ? given->score : 0;
        after.done = true;
    }
    if (given->comment != NULL)
        after.comment = (char *)(uintptr_t)given->comment;
    if (after.done == before.done && after.scored == before.scored && (!after.scored || after.score == before.score) &&
        strcmp(after.comment, before.comment) == 0)
        goto done;
    after.rated = after.done ? (int64_t)time(NULL) : 0;
    PFM_TRY(write_change(store, rater, n, &before, err));
    PFM_TRY(write_item(store, rater, n, &after, err));
done:
    free_item(&before);
    return status;
}

pfm_status pfm_rater_give(pfm_store *store, const pfm_rater *rater, int64_t n, const pfm_rater_given *given,
                          pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    return pfm_store_end(store, give(store, rater, n, given, reply, err), err);
}

/* *undone: it was taken back; *last: it is the newest that was not. */
static pfm_status find_change(pfm_store *store, const pfm_rater *rater, int64_t change, bool *undone, bool *last, int64_t *n,
                              item_state *before, pfm_error *err)
{
    pfm_status status = PFM_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    PFM_TRY(pfm_store_query(store, &statement, err,
                            "SELECT undone, number = (SELECT max(number) FROM study_changes WHERE study = ?1 AND rater = ?2 "
                            "AND undone = 0), n, score, comment, rated FROM study_changes "
                            "WHERE study = ?1 AND rater = ?2 AND number = ?3",
                            "sii", rater->study, rater->number, change));
    PFM_TRY(pfm_store_step(store, statement, &row, err));
    *undone = row && sqlite3_column_int(statement, 0) != 0;
    *last = row && sqlite3_column_int(statement, 1) != 0;
    if (row) {
        *n = sqlite3_column_int64(statement, 2);
        before->scored = sqlite3_column_type(statement, 3) != SQLITE_NULL;
        before->score = sqlite3_column_int64(statement, 3);
        before->done = sqlite3_column_type(statement, 5) != SQLITE_NULL;
        before->rated = sqlite3_column_int64(statement, 5);
        PFM_TRY(pfm_string_copy(pfm_store_text(statement, 4), &before->comment, err));
    }
done:
    sqlite3_finalize(statement);
    return status;
}

static pfm_status undo(pfm_store *store, const pfm_rater *rater, int64_t change, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    static const pfm_rater_given nothing = {0};
    item_state before = {0};
    bool undone = false, last = false;
    int64_t n = 0;
    PFM_TRY(check_given(store, rater, &nothing, reply, err));
    PFM_TRY(find_change(store, rater, change, &undone, &last, &n, &before, err));
    if (undone)
        goto done;
    if (!last)
        PFM_TRY(pfm_http_refuse(reply, 409, "changed", err, "the sheet was changed meanwhile; read it again"));
    PFM_TRY(write_item(store, rater, n, &before, err));
    PFM_TRY(pfm_store_run(store, err, "UPDATE study_changes SET undone = 1 WHERE study = ? AND rater = ? AND number = ?", "sii",
                          rater->study, rater->number, change));
done:
    free_item(&before);
    return status;
}

pfm_status pfm_rater_undo(pfm_store *store, const pfm_rater *rater, int64_t change, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = pfm_store_begin(store, err);
    if (status != PFM_OK)
        return status;
    return pfm_store_end(store, undo(store, rater, change, reply, err), err);
}
