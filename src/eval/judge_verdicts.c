/* Where verdicts come from: the file of an earlier call, the server, the log. */
#include "base/context.h"
#include "base/file.h"
#include "base/try.h"
#include "eval/judge_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is there already ---- */

/* The item of a line; an error where it is of another file, rubric, model, setting or text. */
static pfm_status find_item(const pfm_judging *j, const pfm_verdict_line *line, const pfm_place *place, size_t *out,
                            pfm_error *err)
{
    pfm_place_text where;
    pfm_number_text number;
    int64_t index = 0;
    const char *id = pfm_json_text(line->id, number);
    if (!pfm_map_get(&j->by_id, id, strlen(id), &index))
        return pfm_error_set(err, PFM_ERROR_MISMATCH,
                             "%s: is the verdict on %.60s, which %s has not; name another file with --out",
                             pfm_place_format(place, where), id, j->options->file);
    *out = (size_t)index;
    if (line->asked != NULL && strcmp(line->asked, j->items[index].asked) != 0)
        return pfm_error_set(
            err, PFM_ERROR_MISMATCH,
            "%s: the verdict on %.60s is by another rubric, model or setting, or on another text; name another file "
            "with --out, or remove this one to judge anew",
            pfm_place_format(place, where), id);
    return PFM_OK;
}

/* Takes over what needs not be asked; what failed leaves the file, its calls stay in the log. */
static pfm_status take_over(void *user, const pfm_verdict_line *line, const pfm_place *place, bool *keep, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_judging *j = user;
    pfm_place_text where;
    size_t item = 0;
    const pfm_verdict *v = &line->verdict;
    PFM_TRY(find_item(j, line, place, &item, err));
    if (v->state == PFM_VERDICT_OK && (v->score < j->rubric->low || v->score > j->rubric->high))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: the score %d is not on the scale of %s, %d to %d", pfm_place_format(place, where),
                 v->score, j->rubric->name, j->rubric->low, j->rubric->high);
    if (line->repeat > j->options->repeats) /* of a call with more repeats: it stays */
        goto done;
    *keep = v->state != PFM_VERDICT_FAILED;
    pfm_verdict *known = pfm_judge_verdict(j, item, line->repeat);
    if (*keep && known->state != PFM_VERDICT_NONE)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: is a second verdict on %.60s of repeat %d; remove one of them",
                 pfm_place_format(place, where), j->items[item].id, line->repeat);
    if (*keep)
        *known = *v;
done:
    return status;
}

/* ---- questions ---- */

typedef struct questions {
    pfm_judging *j;
    pfm_client_question *items; /* [count] */
    pfm_client_part *parts;     /* [items of the file] */
    pfm_client_message *messages;
    char **labels;  /* [count] */
    size_t *places; /* [count] item * repeats + repeat - 1 */
    size_t count;
    pfm_client_answer *answers;
    pfm_verdict_file file;
    size_t asked, attempts, cut_short;
} questions;

static void free_questions(questions *q)
{
    for (size_t i = 0; i < q->count; i++) {
        if (q->labels != NULL)
            free(q->labels[i]);
        if (q->answers != NULL)
            pfm_client_answer_free(&q->answers[i]);
    }
    free(q->items);
    free(q->parts);
    free(q->messages);
    free(q->labels);
    free(q->places);
    free(q->answers);
    pfm_verdict_file_close(&q->file);
}

static pfm_status allocate_questions(questions *q, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate(q->count, sizeof *q->items, &q->items, err));
    PFM_TRY(pfm_allocate(q->count, sizeof *q->labels, &q->labels, err));
    PFM_TRY(pfm_allocate(q->count, sizeof *q->places, &q->places, err));
    PFM_TRY(pfm_allocate(q->count, sizeof *q->answers, &q->answers, err));
    PFM_TRY(pfm_allocate(q->j->count, sizeof *q->parts, &q->parts, err));
    PFM_TRY(pfm_allocate(q->j->count, sizeof *q->messages, &q->messages, err));
done:
    return status;
}

/* Of all verdicts that are not there; first repeats first, so that a judge who is stopped has seen every item once. */
static pfm_status make_questions(questions *q, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_judging *j = q->j;
    const size_t repeats = (size_t)j->options->repeats;
    for (size_t i = 0; i < j->count * repeats; i++)
        q->count += j->verdicts[i].state == PFM_VERDICT_NONE;
    PFM_TRY(allocate_questions(q, err));
    for (size_t i = 0; i < j->count; i++) {
        q->parts[i].text = j->items[i].question;
        q->messages[i] = (pfm_client_message){.role = "user", .parts = &q->parts[i], .count = 1};
    }
    size_t n = 0;
    for (size_t r = 0; r < repeats; r++) {
        for (size_t i = 0; i < j->count; i++) {
            if (j->verdicts[i * repeats + r].state != PFM_VERDICT_NONE)
                continue;
            PFM_TRY(pfm_string_format(&q->labels[n], err, "verdict %zu on %s", r + 1, j->items[i].id));
            q->places[n] = i * repeats + r;
            q->items[n] = (pfm_client_question){.label = q->labels[n],
                                                .messages = &q->messages[i],
                                                .message_count = 1,
                                                .temperature = j->options->temperature,
                                                .top_p = NAN,
                                                .max_tokens = j->options->max_tokens,
                                                .response_format = j->response_format,
                                                .seed = (int64_t)((pfm_context_seed(j->context) + r) & INT32_MAX),
                                                .repeat = (int)r + 1};
            n++;
        }
    }
done:
    return status;
}

/* ---- answers ---- */

static pfm_status read_answer(const pfm_judging *j, const pfm_client_answer *answer, pfm_verdict *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = (pfm_verdict){.state = PFM_VERDICT_FAILED};
    if (answer->text != NULL && j->response_format != NULL)
        status = pfm_verdict_read_json(j->rubric, answer->text, out, err);
    else if (answer->text != NULL)
        pfm_verdict_read(j->rubric, answer->text, out);
    out->attempts = answer->logged;
    return status;
}

static pfm_verdict_line line_of(const questions *q, size_t question, const pfm_client_answer *answer)
{
    const pfm_judging *j = q->j;
    const size_t place = q->places[question], repeats = (size_t)j->options->repeats;
    const pfm_judge_item *item = &j->items[place / repeats];
    return (pfm_verdict_line){.model = j->options->client.model,
                              .id = json_object_get(item->row, "id"),
                              .repeat = (int)(place % repeats) + 1,
                              .asked = item->asked,
                              .verdict = j->verdicts[place],
                              .reply = answer->text,
                              .error = answer->text == NULL ? answer->error : NULL};
}

static pfm_status on_answer(void *user, size_t question, const pfm_client_answer *answer, pfm_error *err)
{
    questions *q = user;
    pfm_status status = read_answer(q->j, answer, &q->j->verdicts[q->places[question]], err);
    if (status != PFM_OK)
        return status;
    q->asked += answer->attempts > 0;
    q->attempts += (size_t)answer->attempts;
    q->cut_short += answer->cut_short;
    const pfm_verdict_line line = line_of(q, question, answer);
    return pfm_verdict_file_append(&q->file, &line, err);
}

pfm_status pfm_judge_ask(pfm_judging *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    questions q = {.j = j, .file = {.descriptor = -1}};
    PFM_TRY(pfm_verdicts_read(j->verdicts_path, take_over, j, true, err));
    PFM_TRY(make_questions(&q, err));
    PFM_TRY(pfm_verdict_file_open(j->verdicts_path, &q.file, err));
    if (q.count == 0)
        goto done;
    pfm_client_listen(j->client, on_answer, &q);
    PFM_TRY(pfm_client_ask(j->client, j->log, q.items, q.count, q.answers, err));
    pfm_log(j->context, PFM_LOG_INFO, "%zu of %zu verdicts were missing: %zu asked for in %zu attempts, %zu known to the log",
            q.count, j->count * (size_t)j->options->repeats, q.asked, q.attempts, q.count - q.asked);
    if (q.cut_short > 0)
        pfm_log(j->context, PFM_LOG_WARNING,
                "%zu replies were cut short by a limit of tokens (--max-tokens, or the server's own)", q.cut_short);
done:
    free_questions(&q);
    return status;
}

/* ---- replay ---- */

/* What the file of verdicts says must be what the log's reply says. */
static pfm_status compare(void *user, const pfm_verdict_line *line, const pfm_place *place, bool *keep, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_judging *j = user;
    pfm_place_text where;
    size_t item = 0;
    *keep = true;
    PFM_TRY(find_item(j, line, place, &item, err));
    if (line->repeat > j->options->repeats)
        goto done;
    const pfm_verdict *said = pfm_judge_verdict(j, item, line->repeat);
    if (said->state != line->verdict.state || (said->state == PFM_VERDICT_OK && said->score != line->verdict.score))
        PFM_FAIL(PFM_ERROR_MISMATCH,
                 "%s: the verdict on %.60s is not what the reply in %s says; name another file with --out, or remove the line",
                 pfm_place_format(place, where), j->items[item].id, j->log_path);
done:
    return status;
}

/* The file, where there was none, in the order of the items. */
static pfm_status write_verdicts(const questions *q, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    for (size_t n = 0; n < q->count; n++) {
        const pfm_verdict_line line = line_of(q, n, &q->answers[n]);
        PFM_TRY(pfm_verdict_line_write(&line, &text, err));
    }
    PFM_TRY(pfm_file_write(q->j->verdicts_path, text.data, text.size, err));
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_judge_replay(pfm_judging *j, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t missing = 0, first = 0;
    questions q = {.j = j, .file = {.descriptor = -1}};
    PFM_TRY(make_questions(&q, err));
    PFM_TRY(pfm_client_recall(j->client, j->log, q.items, q.count, q.answers, err));
    for (size_t n = 0; n < q.count; n++) {
        const bool known = q.answers[n].text != NULL || q.answers[n].error != NULL;
        first = missing == 0 ? n : first;
        missing += !known;
        if (known)
            PFM_TRY(read_answer(j, &q.answers[n], &j->verdicts[q.places[n]], err));
    }
    if (missing > 0)
        PFM_FAIL(PFM_ERROR_MISMATCH,
                 "%s has no call for %zu of %zu verdicts by this URL, model, rubric and seed, the first the %.100s; the same "
                 "command without --replay asks for them",
                 j->log_path, missing, q.count, q.labels[first]);
    if (pfm_path_exists(j->verdicts_path))
        PFM_TRY(pfm_verdicts_read(j->verdicts_path, compare, j, false, err));
    else
        PFM_TRY(write_verdicts(&q, err));
done:
    free_questions(&q);
    return status;
}
