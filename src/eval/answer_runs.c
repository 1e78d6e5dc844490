#include "eval/answer_runs.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static pfm_status add_run(pfm_answer_runs *system, const char *name, bool reports, pfm_answer_set **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t names = system->capacity;
    PFM_TRY(pfm_array_reserve(&system->names, &names, system->run_count + 1, sizeof *system->names, err));
    PFM_TRY(pfm_array_reserve(&system->runs, &system->capacity, system->run_count + 1, sizeof *system->runs, err));
    system->names[system->run_count] = name;
    system->runs[system->run_count] = (pfm_answer_set){
        .reports = reports, .profile = system->profile, .networks = system->networks, .number_columns = system->number_columns};
    *out = &system->runs[system->run_count++];
done:
    return status;
}

typedef struct joiner {
    pfm_answer_set *set;
    const json_t *extra;
    size_t joined;
} joiner;

static pfm_status add_joined(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    joiner *join = user;
    pfm_number_text number;
    const char *id = pfm_json_text(json_object_get(row, "id"), number);
    json_t *more = id == NULL ? NULL : json_object_get(join->extra, id);
    if (more != NULL) {
        join->joined++;
        if (json_object_update_missing(row, more) != 0)
            return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not add columns to a prediction");
    }
    return pfm_answer_set_add(join->set, row, place, err);
}

pfm_status pfm_answer_runs_add_file(pfm_answer_runs *system, const char *path, const json_t *extra, bool reports,
                                    pfm_error *err)
{
    pfm_status status = PFM_OK;
    joiner join = {.extra = extra};
    PFM_TRY(add_run(system, path, reports, &join.set, err));
    PFM_TRY(
        pfm_rows_read(path, extra == NULL ? pfm_answer_set_add : add_joined, extra == NULL ? (void *)join.set : &join, err));
    if (extra != NULL && join.joined == 0)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: none of its ids is among the rows that were to add columns to it", path);
done:
    return status;
}

pfm_status pfm_answer_runs_add_rows(pfm_answer_runs *system, const json_t *predictions, bool reports, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_answer_set *set = NULL;
    PFM_TRY(add_run(system, NULL, reports, &set, err));
    PFM_TRY(pfm_rows_visit(predictions, pfm_answer_set_add, set, err));
done:
    return status;
}

static const char *name_or(const char *name, const char *otherwise) { return name != NULL ? name : otherwise; }

/* The first id of `a` that `b` lacks, or NULL. */
static const char *find_lacking(const pfm_answer_set *a, const pfm_answer_set *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (!pfm_intern_find(&b->ids, a->ids.texts[i], strlen(a->ids.texts[i]), NULL))
            return a->ids.texts[i];
    }
    return NULL;
}

static void take_kind(pfm_answer_set *set, pfm_answer_row *row, const pfm_answer_row *from)
{
    if (row->kind_given || !from->kind_given)
        return;
    row->kind = from->kind;
    row->kind_given = true;
    set->kinds_given++;
}

/* Equal as answers are, and of several references each. */
static pfm_status compare_references(const pfm_answer_set *a, const pfm_answer_row *row, const pfm_answer_set *b,
                                     const pfm_answer_row *partner, bool *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = row->reference_count == partner->reference_count;
    for (size_t r = 0; *out && r < row->reference_count; r++) {
        PFM_TRY(pfm_vqa_correct(pfm_answer_references(a, row)[r], pfm_answer_references(b, partner)[r], out, err));
        *out &= pfm_answer_weights(a, row)[r] == pfm_answer_weights(b, partner)[r];
    }
done:
    return status;
}

pfm_status pfm_answer_set_match(pfm_answer_set *a, const char *a_name, pfm_answer_set *b, const char *b_name, size_t *order,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *lacking = find_lacking(a, b), *owner = name_or(a_name, "the first"), *other = name_or(b_name, "the second");
    if (lacking == NULL && a->count != b->count) {
        lacking = find_lacking(b, a);
        const char *kept = owner;
        owner = other;
        other = kept;
    }
    if (lacking != NULL)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s has the id %s, %s lacks it; compare predictions of the same questions", owner, lacking,
                 other);
    for (size_t i = 0; i < a->count; i++) {
        bool same = false;
        (void)pfm_intern_find(&b->ids, a->ids.texts[i], strlen(a->ids.texts[i]), &order[i]);
        pfm_answer_row *row = &a->rows[i], *partner = &b->rows[order[i]];
        take_kind(a, row, partner);
        take_kind(b, partner, row);
        PFM_TRY(compare_references(a, row, b, partner, &same, err));
        if (!same)
            PFM_FAIL(PFM_ERROR_MISMATCH,
                     "%s and %s give different answers to the id %s; compare predictions of the same questions", owner, other,
                     a->ids.texts[i]);
    }
done:
    return status;
}

static void take_means(pfm_answer_runs *system)
{
    for (size_t i = 0; i < system->runs[0].count; i++) {
        for (size_t r = 0; r < system->run_count; r++) {
            const pfm_answer_row *row = &system->runs[r].rows[system->order[r][i]];
            system->correct[i] += row->correct;
            system->recall[i] += row->recall;
        }
        system->correct[i] /= (double)system->run_count;
        system->recall[i] /= (double)system->run_count;
    }
}

pfm_status pfm_answer_runs_finish(pfm_answer_runs *system, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t rows = system->run_count == 0 ? 0 : system->runs[0].count;
    if (rows == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "there are no predictions to score");
    PFM_TRY(pfm_allocate(system->run_count, sizeof *system->order, &system->order, err));
    PFM_TRY(pfm_allocate(rows, sizeof *system->correct, &system->correct, err));
    PFM_TRY(pfm_allocate(rows, sizeof *system->recall, &system->recall, err));
    for (size_t r = 0; r < system->run_count; r++) {
        PFM_TRY(pfm_allocate(rows, sizeof **system->order, &system->order[r], err));
        PFM_TRY(pfm_answer_set_match(&system->runs[0], system->names[0], &system->runs[r], system->names[r], system->order[r],
                                     err));
    }
    take_means(system);
done:
    return status;
}

json_t *pfm_answer_runs_files(const pfm_answer_runs *system)
{
    json_t *files = json_array();
    for (size_t r = 0; r < system->run_count && files != NULL; r++) {
        json_t *name = system->names[r] == NULL ? json_null() : json_string(system->names[r]);
        if (name == NULL || json_array_append_new(files, name) != 0) {
            json_decref(files);
            files = NULL;
        }
    }
    return files;
}

void pfm_answer_runs_free(pfm_answer_runs *system)
{
    if (system == NULL)
        return;
    for (size_t r = 0; r < system->run_count; r++) {
        pfm_answer_set_free(&system->runs[r]);
        if (system->order != NULL)
            free(system->order[r]);
    }
    free(system->order);
    free(system->runs);
    free(system->names);
    free(system->correct);
    free(system->recall);
    *system = (pfm_answer_runs){0};
}
