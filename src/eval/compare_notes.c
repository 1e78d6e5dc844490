#include "eval/compare_notes.h"

#include "base/file.h"
#include "base/try.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pfm_status PFM_PRINTF(3, 4) add(json_t *notes, pfm_error *err, const char *format, ...)
{
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_t *note = json_string(text);
    if (note == NULL || json_array_append_new(notes, note) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not add a note to the table");
    return PFM_OK;
}

/* The most rates that a recipe was tried with, and whether all were tried with as many. */
static size_t most_rates(const pfm_comparison *c, bool *equal)
{
    size_t most = 0;
    *equal = true;
    for (size_t i = 0; i < c->count; i++) {
        size_t count = c->contenders[i].rate_count;
        *equal &= i == 0 || count == most;
        most = count > most ? count : most;
    }
    return most;
}

static pfm_status note_choice(const pfm_comparison *c, json_t *notes, pfm_error *err)
{
    bool equal = true, same = strcmp(c->split, c->choice_split) == 0;
    size_t most = most_rates(c, &equal);
    if (most < 2 || !same)
        return PFM_OK;
    return add(
        notes, err,
        "learning rates were chosen on %s, the split that is scored: the more rates a recipe tries the better it looks%s",
        c->split, equal ? "; each tried as many" : ", and not all tried as many");
}

/* *out = the hash of the rows that a run learned from, from its audit; "" where the audit does not say. */
static pfm_status read_rows(const pfm_comparison *c, const pfm_contender *contender, pfm_hash_hex out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_compared_run run = {0};
    char *path = NULL;
    json_t *audit = NULL, *facts = NULL;
    const char *split = NULL;
    PFM_TRY(pfm_compared_run_locate(c, contender, &contender->rates[contender->chosen], c->context->seed, c->split, &run, err));
    PFM_TRY(pfm_path_join(run.folder, "audit.json", &path, err));
    PFM_TRY(pfm_json_load(path, &audit, err));
    out[0] = '\0';
    json_object_foreach(json_object_get(audit, "data"), split, facts)
    {
        const json_t *ungrounded = json_object_get(facts, "ungrounded_sha256");
        const char *hash = json_string_value(ungrounded != NULL ? ungrounded : json_object_get(facts, "sha256"));
        if (hash != NULL && strcmp(split, pfm_contender_stage(contender)->data.validate) != 0)
            (void)snprintf(out, sizeof(pfm_hash_hex), "%s", hash);
    }
done:
    free(run.folder);
    free(path);
    json_decref(audit);
    return status;
}

static bool same_ratios(const pfm_recipe *a, const pfm_recipe *b)
{
    bool same = a->data.mixture_count == b->data.mixture_count;
    for (size_t i = 0; same && i < a->data.mixture_count; i++)
        same = a->data.mixture[i].ratio == b->data.mixture[i].ratio;
    return same;
}

static json_int_t samples_of(const json_t *result, size_t index)
{
    return json_integer_value(json_object_get(json_array_get(json_object_get(result, "recipes"), index), "samples"));
}

/* Seed, data, group, batch and ratios decide which samples are seen, and in which order. */
static pfm_status note_samples(const pfm_comparison *c, size_t index, const json_t *result, json_t *notes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_contender *one = &c->contenders[index], *base = &c->contenders[c->baseline];
    const pfm_recipe *a = pfm_contender_stage(one), *b = pfm_contender_stage(base);
    pfm_hash_hex rows_a, rows_b;
    json_int_t seen_a = samples_of(result, index), seen_b = samples_of(result, c->baseline);
    PFM_TRY(read_rows(c, one, rows_a, err));
    PFM_TRY(read_rows(c, base, rows_b, err));
    if (seen_a != seen_b)
        return add(notes, err, "%s learned from %lld samples, %s from %lld", one->name, (long long)seen_a, base->name,
                   (long long)seen_b);
    if (strcmp(rows_a, rows_b) != 0 || one->recipe->stage_count != base->recipe->stage_count)
        return add(notes, err, "%s did not learn from the rows that %s learned from", one->name, base->name);
    if (a->data.group != b->data.group || a->train.batch != b->train.batch || !same_ratios(a, b))
        return add(notes, err, "%s saw the rows in another order than %s: data.group, train.batch or the mixture differ",
                   one->name, base->name);
done:
    return status;
}

static pfm_status collect(const pfm_comparison *c, const pfm_error *untrained, const json_t *result, json_t *notes,
                          pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_contender *base = &c->contenders[c->baseline];
    PFM_TRY(note_choice(c, notes, err));
    if (c->options->limit > 0)
        PFM_TRY(add(notes, err, "only the first %d rows of a split are scored", c->options->limit));
    if (base->error != NULL)
        PFM_TRY(add(notes, err, "%s, the baseline, failed: there are no differences to it", base->name));
    if (untrained->code != PFM_OK)
        PFM_TRY(add(notes, err, "the untrained model of %s could not be scored: %s", base->name, untrained->message));
    for (size_t i = 0; base->error == NULL && i < c->count; i++) {
        if (i != c->baseline && c->contenders[i].error == NULL)
            PFM_TRY(note_samples(c, i, result, notes, err));
    }
done:
    return status;
}

pfm_status pfm_comparison_notes(const pfm_comparison *c, const pfm_error *untrained, json_t *out, pfm_error *err)
{
    json_t *notes = json_array();
    pfm_status status = pfm_json_take(out, "notes", notes, err);
    return status == PFM_OK ? collect(c, untrained, out, notes, err) : status;
}
