#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "base/utf8.h"
#include "eval/judge_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_REPEATS = 1000, MOST_TOKENS = 65536, LONGEST_ID = 1000 };
static const size_t most_verdicts = 10000000;

/* ---- the items ---- */

/* What decides a verdict besides the server: rubric and row (both in the question), model, settings. */
static pfm_status name_asked(const pfm_judging *j, const char *question, char out[PFM_JUDGE_ASKED_LETTERS + 1], pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    pfm_hash_hex hash;
    PFM_TRY(pfm_buffer_append_format(&text, err, "%s\n%g %d\n", j->options->client.model, j->options->temperature,
                                     j->options->max_tokens));
    if (j->response_format != NULL)
        PFM_TRY(pfm_json_append(&text, j->response_format, err));
    PFM_TRY(pfm_buffer_append_string(&text, question, err));
    PFM_TRY(pfm_hash_bytes(text.data, text.size, hash, err));
    memcpy(out, hash, PFM_JUDGE_ASKED_LETTERS);
    out[PFM_JUDGE_ASKED_LETTERS] = '\0';
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status add_item(void *user, json_t *row, const pfm_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_judging *j = user;
    pfm_place_text where;
    pfm_number_text number;
    int64_t other = 0;
    const json_t *id = json_object_get(row, "id");
    const char *text = json_is_string(id) || json_is_integer(id) ? pfm_json_text(id, number) : NULL;
    if (text == NULL || text[0] == '\0' || strlen(text) > LONGEST_ID)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: has no \"id\", a text or whole number by which its verdict is known",
                 pfm_place_format(place, where));
    if (pfm_map_get(&j->by_id, text, strlen(text), &other))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the id %.60s is that of %s %zu already; ids must differ",
                 pfm_place_format(place, where), text, place->unit, j->items[other].line);
    PFM_TRY(pfm_array_reserve(&j->items, &j->capacity, j->count + 1, sizeof *j->items, err));
    pfm_judge_item *item = &j->items[j->count];
    item->unit = place->unit;
    item->line = place->number;
    PFM_TRY(pfm_string_copy(text, &item->id, err));
    item->row = json_incref(row);
    j->count++;
    PFM_TRY(pfm_map_set(&j->by_id, item->id, strlen(item->id), (int64_t)j->count - 1, err));
    PFM_TRY(pfm_rubric_question(j->rubric, j->response_format != NULL ? PFM_REPLY_JSON : PFM_REPLY_LINES, row, place,
                                &item->question, err));
    PFM_TRY(name_asked(j, item->question, item->asked, err));
done:
    return status;
}

/* ---- the files ---- */

static size_t length_without(const char *path, const char *const *endings)
{
    const size_t length = strlen(path);
    for (; *endings != NULL; endings++) {
        const size_t size = strlen(*endings);
        if (length > size && strcmp(path + length - size, *endings) == 0 && path[length - size - 1] != '/')
            return length - size;
    }
    return length;
}

static pfm_status name_files(pfm_judging *j, pfm_error *err)
{
    static const char *const of_rows[] = {".jsonl", ".ndjson", ".json", NULL}, *const of_lines[] = {".jsonl", NULL};
    pfm_status status = PFM_OK;
    const char *file = j->options->file, *out = j->options->out;
    if (out != NULL && out[0] == '\0')
        PFM_FAIL(PFM_ERROR_USAGE, "--out is empty; name the file of verdicts");
    if (out != NULL)
        PFM_TRY(pfm_string_copy(out, &j->verdicts_path, err));
    else
        PFM_TRY(pfm_string_format(&j->verdicts_path, err, "%.*s.verdicts.jsonl", (int)length_without(file, of_rows), file));
    PFM_TRY(pfm_string_format(&j->log_path, err, "%.*s.calls.jsonl", (int)length_without(j->verdicts_path, of_lines),
                              j->verdicts_path));
    if (strcmp(j->verdicts_path, file) == 0 || strcmp(j->log_path, file) == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "%s would be written over the predictions; name another file with --out", file);
done:
    return status;
}

/* What is no UTF-8 can stand in no JSON. */
static pfm_status check_options(const pfm_judge_options *o, pfm_error *err)
{
    const char *const texts[] = {o->file, o->out, o->rubric, o->client.model, o->dataset, o->constrain};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i] != NULL && !pfm_utf8_valid(texts[i], strlen(texts[i])))
            return pfm_error_set(err, PFM_ERROR_USAGE, "'%.200s' is not UTF-8; name files, model and data set in UTF-8",
                                 texts[i]);
    if (o->file == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "name a predictions file to judge");
    if (o->rubric == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "say with --rubric by what is judged; pefomed judge --list names what there is");
    if (o->client.url == NULL || o->client.model == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "who judges? Name a server and its model: --url http://localhost:8080/v1 --model NAME");
    if (o->repeats < 1 || o->repeats > MOST_REPEATS || o->max_tokens < 0 || o->max_tokens > MOST_TOKENS ||
        !(isnan(o->temperature) || (o->temperature >= 0 && o->temperature <= 100)))
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "an item is judged 1 to %d times, with at most %d tokens, at a temperature from 0 to 100",
                             MOST_REPEATS, MOST_TOKENS);
    return PFM_OK;
}

/* Everything that can be wrong is found before a file is made or a server asked. */
static pfm_status prepare(pfm_judging *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_judge_options *o = j->options;
    pfm_client_options client = o->client;
    client.allow_remote |= o->replay; /* which asks nobody */
    PFM_TRY(check_options(o, err));
    PFM_TRY(pfm_rubric_load(o->rubric, &j->rubric, err));
    if (o->constrain != NULL)
        PFM_TRY(pfm_rubric_response_format(j->rubric, o->constrain, &j->response_format, err));
    PFM_TRY(pfm_client_create(j->context, &client, &j->client, err));
    PFM_TRY(name_files(j, err));
    PFM_TRY(pfm_rows_read(o->file, add_item, j, err));
    if (j->count > most_verdicts / (size_t)o->repeats)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%zu items, %d times each, are more than %zu verdicts; judge parts of them", j->count,
                 o->repeats, most_verdicts);
    PFM_TRY(pfm_allocate(j->count * (size_t)o->repeats, sizeof *j->verdicts, &j->verdicts, err));
    PFM_TRY(pfm_judge_find_dataset(j, err));
    if (!o->replay)
        PFM_TRY(pfm_judge_check_remote(j, err));
    if (o->replay && !pfm_path_exists(j->log_path))
        PFM_FAIL(PFM_ERROR_IO, "there is no log %s from which verdicts could be replayed; without --replay they are asked for",
                 j->log_path);
    PFM_TRY(pfm_call_log_open(j->log_path, &j->log, err));
done:
    return status;
}

/* What a person should know beside the table. */
static pfm_status tell(const pfm_judging *j, pfm_error *err)
{
    size_t ok = 0;
    const size_t n = j->count * (size_t)j->options->repeats;
    for (size_t i = 0; i < n; i++)
        ok += j->verdicts[i].state == PFM_VERDICT_OK;
    if (ok == n)
        return PFM_OK;
    if (j->options->strict)
        return pfm_error_set(
            err, PFM_ERROR_NETWORK,
            "%zu of %zu verdicts failed or cannot be read (status and reply are in %s); the same command asks again "
            "for those that failed",
            n - ok, n, j->verdicts_path);
    pfm_log(
        j->context, PFM_LOG_WARNING,
        "%zu of %zu verdicts failed or cannot be read; they count as %d in mean_all, and the same command asks again for those "
        "that failed",
        n - ok, n, j->rubric->missing);
    return PFM_OK;
}

static void release(pfm_judging *j)
{
    for (size_t i = 0; i < j->count; i++) {
        json_decref(j->items[i].row);
        free(j->items[i].id);
        free(j->items[i].question);
    }
    free(j->items);
    pfm_map_free(&j->by_id);
    free(j->verdicts);
    free(j->verdicts_path);
    free(j->log_path);
    free(j->dataset);
    pfm_client_free(j->client);
    pfm_call_log_free(j->log);
    json_decref(j->response_format);
    pfm_rubric_free(j->rubric);
}

pfm_status pfm_judge(pfm_context *context, const pfm_judge_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_judging j = {.context = context, .options = options};
    PFM_TRY(prepare(&j, err));
    if (options->replay) {
        PFM_TRY(pfm_judge_replay(&j, err));
    } else {
        PFM_TRY(pfm_judge_note_remote(&j, err));
        PFM_TRY(pfm_judge_ask(&j, err));
    }
    PFM_TRY(tell(&j, err));
    PFM_TRY(pfm_judge_result(&j, json, err));
done:
    release(&j);
    return status;
}

/* ---- what there is ---- */

static pfm_status describe_file(const pfm_builtin_file *file, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rubric *rubric = NULL;
    json_t *levels = json_object(), *shows = json_array();
    char score[16];
    PFM_TRY(pfm_rubric_load(file->name, &rubric, err));
    for (size_t i = 0; i < rubric->level_count; i++) {
        (void)snprintf(score, sizeof score, "%d", rubric->levels[i].score);
        PFM_TRY(pfm_json_take(levels, score, json_string(rubric->levels[i].text), err));
    }
    for (size_t i = 0; i < rubric->part_count; i++)
        shows = pfm_json_add(shows, json_string(rubric->parts[i].title));
    *out = json_pack("{s:s, s:s?, s:[ii], s:s, s:O, s:O}", "name", rubric->name, "definition", rubric->definition, "scale",
                     rubric->low, rubric->high, "better", rubric->lower_is_better ? "lower" : "higher", "levels", levels,
                     "shows", shows);
done:
    json_decref(levels);
    json_decref(shows);
    pfm_rubric_free(rubric);
    return status;
}

pfm_status pfm_judge_list(char **json, pfm_error *err)
{
    return pfm_builtin_list(pfm_rubric_files, "rubrics", describe_file, json, err);
}
