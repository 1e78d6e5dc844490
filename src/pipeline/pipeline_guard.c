/* What stands between texts about patients and a server that is another machine: judge's look for identifiers, before a step
 * asks. */
#include "base/try.h"
#include "eval/identifiers.h"
#include "eval/predictions.h"
#include "pipeline/pipeline_internal.h"

#include <stdlib.h>

static unsigned find_identifiers(const pfm_row *row, const char *prompt)
{
    unsigned found = pfm_identifiers_find(prompt);
    pfm_number_text number;
    const char *name = NULL;
    json_t *value = NULL;
    bool column = row->patient != NULL && pfm_identifier_stands_in(row->patient, prompt);
    json_object_foreach(row->extra, name, value)
    {
        const char *text = pfm_json_text(value, number);
        column = column || (text != NULL && pfm_identifier_column(name) && pfm_identifier_stands_in(text, prompt));
    }
    return found | (column ? 1U << PFM_IDENTIFIER_COLUMN : 0);
}

static pfm_status check_prompts(const pfm_pipeline_work *work, size_t step, const pfm_turn *turns, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    unsigned accepted = 0, all = 0;
    size_t rows = 0;
    pfm_buffer first = {0}, kinds = {0};
    PFM_TRY(pfm_identifier_kinds_read(work->options->accept_identifiers, &accepted, err));
    for (size_t i = 0; i < count; i++) {
        const pfm_row *row = work->cases[turns[i].number].row;
        const unsigned found = find_identifiers(row, turns[i].prompt) & ~accepted;
        all |= found;
        rows += found != 0;
        if (found == 0 || rows > 1)
            continue;
        PFM_TRY(pfm_identifier_kinds_list(found, ", ", &kinds, err));
        PFM_TRY(pfm_buffer_append_format(&first, err, "row %.60s: %s", row->id, kinds.data));
    }
    if (rows == 0)
        goto done;
    PFM_TRY(pfm_identifier_kinds_list(all, ",", &kinds, err));
    PFM_FAIL(
        PFM_ERROR_USAGE,
        "step %s: %zu of %zu prompts hold what looks like identifiers of patients, and none was sent (%s; kinds in all: %s): "
        "take them out; or, once you have read them and they are none, say --accept-identifiers %s",
        work->pipeline->steps[step].name, rows, count, first.data, kinds.data, kinds.data);
done:
    pfm_buffer_free(&first);
    pfm_buffer_free(&kinds);
    return status;
}

/* The log tells what was accepted. */
static pfm_status note_accepted(const pfm_pipeline_work *work, size_t step, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *note = json_pack("{s:s, s:s, s:s}", "url", pfm_client_url(work->clients[step]), "dataset", work->dataset->name,
                             "accepted_identifiers", work->options->accept_identifiers);
    if (note == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not note what was accepted");
    status = pfm_call_log_note(work->log, "a server that is another machine", note, err);
done:
    json_decref(note);
    return status;
}

pfm_status pfm_pipeline_check_options(const pfm_pipeline_work *work, pfm_error *err)
{
    unsigned accepted = 0;
    bool remote = false;
    for (size_t s = 0; s < work->pipeline->count; s++)
        remote = remote || (work->clients[s] != NULL && !pfm_client_is_local(work->clients[s]));
    if (work->options->accept_identifiers != NULL && !remote)
        return pfm_error_set(
            err, PFM_ERROR_USAGE,
            "--accept-identifiers is for a server that is another machine, and no step asks one; leave it out");
    return pfm_identifier_kinds_read(work->options->accept_identifiers, &accepted, err);
}

pfm_status pfm_pipeline_check_sent(const pfm_pipeline_work *work, size_t step, const pfm_turn *turns, size_t count,
                                   pfm_error *err)
{
    if (pfm_client_is_local(work->clients[step]))
        return PFM_OK;
    pfm_status status = check_prompts(work, step, turns, count, err);
    return status == PFM_OK && work->options->accept_identifiers != NULL ? note_accepted(work, step, err) : status;
}
