#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/try.h"
#include "pipeline/pipeline_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A step that says nothing itself is answered by what the command names. */
static pfm_status resolve_step(const pfm_pipeline_work *work, pfm_pipeline_step *step, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pipeline_options *o = work->options;
    step->images = step->images && !o->no_images;
    if (step->seed < 0)
        step->seed = (int64_t)work->context->seed;
    if (step->run != NULL)
        goto done;
    if (step->url == NULL && step->model == NULL && o->run != NULL) {
        PFM_TRY(pfm_string_copy(o->run, &step->run, err));
        goto done;
    }
    if (step->url == NULL && o->client.url != NULL)
        PFM_TRY(pfm_string_copy(o->client.url, &step->url, err));
    if (step->model == NULL && o->client.model != NULL)
        PFM_TRY(pfm_string_copy(o->client.model, &step->model, err));
    if (step->url == NULL && step->model == NULL)
        PFM_FAIL(
            PFM_ERROR_USAGE,
            "what answers the step %s? Name a run, a recipe or a language model behind the pipeline, or a server: --url URL "
            "--model NAME",
            step->name);
    if (step->url == NULL || step->model == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "the step %s has %s; a server is asked with both: --url URL --model NAME", step->name,
                 step->url == NULL ? "a model's name and no URL" : "a URL and no model's name");
done:
    return status;
}

static pfm_status resolve(const pfm_pipeline_work *work, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pipeline_options *o = work->options;
    bool run_used = o->run == NULL, server_used = o->client.url == NULL && o->client.model == NULL;
    if (o->run != NULL && (o->client.url != NULL || o->client.model != NULL))
        PFM_FAIL(PFM_ERROR_USAGE,
                 "both a run and a server are named for the steps that name none; a step of a file of one's own may "
                 "name its own (docs/pipelines.md)");
    for (size_t i = 0; i < work->pipeline->count; i++) {
        pfm_pipeline_step *step = &work->pipeline->steps[i];
        run_used |= step->run == NULL && step->url == NULL && step->model == NULL;
        server_used |= step->run == NULL && (step->url == NULL || step->model == NULL);
        PFM_TRY(resolve_step(work, step, err));
    }
    if (!server_used)
        PFM_FAIL(PFM_ERROR_USAGE, "every step of %s names what answers it; leave --url and --model out", o->file);
    if (!run_used && o->dataset != NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "every step of %s names what answers it; leave %s out", o->file, o->run);
done:
    return status;
}

static pfm_status save_resolved(const pfm_pipeline_work *work, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    char *path = NULL;
    PFM_TRY(pfm_path_join(work->options->out, "pipeline.yaml", &path, err));
    PFM_TRY(pfm_pipeline_write(work->pipeline, &text, err));
    PFM_TRY(pfm_file_write(path, text.data, text.size, err));
done:
    free(path);
    pfm_buffer_free(&text);
    return status;
}

/* The log, which is this process's alone; predictions of another time are gone, so that what stands there is of what the log
 * and the pipeline beside it say. */
static pfm_status open_folder(pfm_pipeline_work *work, const char *predictions, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *calls = NULL;
    PFM_TRY(pfm_folder_create(work->options->out, err));
    PFM_TRY(pfm_path_join(work->options->out, "calls.jsonl", &calls, err));
    PFM_TRY(pfm_call_log_open(calls, &work->log, err));
    PFM_TRY(save_resolved(work, err));
    (void)unlink(predictions); /* there may be none */
done:
    free(calls);
    return status;
}

static pfm_status do_step(pfm_pipeline_work *work, size_t s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pipeline_step *step = &work->pipeline->steps[s];
    pfm_turn *turns = NULL;
    size_t count = 0;
    PFM_TRY(pfm_pipeline_make_turns(work, s, &turns, &count, err));
    pfm_log(work->context, PFM_LOG_INFO, "step %zu of %zu, %s: %zu questions to %s", s + 1, work->pipeline->count, step->name,
            count, step->run != NULL ? step->run : step->url);
    if (count > 0 && step->run != NULL)
        PFM_TRY(pfm_pipeline_ask_local(work, step, turns, count, err));
    else if (count > 0)
        PFM_TRY(pfm_pipeline_ask_remote(work, s, turns, count, err));
    PFM_TRY(pfm_pipeline_take_turns(work, s, turns, count, err));
done:
    pfm_pipeline_free_turns(turns, count);
    return status;
}

static int count_state(const pfm_pipeline_work *work, const char *state)
{
    int count = 0;
    for (size_t i = 0; i < work->dataset->count; i++)
        count += strcmp(work->cases[i].state, state) == 0;
    return count;
}

static pfm_status describe(const pfm_pipeline_work *work, double seconds, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:f, s:s}", "pipeline", work->pipeline->name, "dataset",
        work->dataset->name, "split", work->split, "n", (int)work->dataset->count, "ok", count_state(work, "ok"), "unparsable",
        count_state(work, "unparsable"), "failed", count_state(work, "failed"), "asked", (json_int_t)work->asked, "attempts",
        (json_int_t)work->attempts, "replayed", (json_int_t)work->replayed, "cut_short", (json_int_t)work->cut_short, "seconds",
        seconds, "out", work->options->out);
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "the path %s is not UTF-8", work->options->out);
    PFM_TRY(pfm_json_print(document, json, err));
done:
    json_decref(document);
    return status;
}

/* What a person should know beside the result. */
static pfm_status tell(const pfm_pipeline_work *work, pfm_error *err)
{
    const int missing = (int)work->dataset->count - count_state(work, "ok");
    const char *why = NULL;
    for (size_t i = 0; why == NULL && i < work->dataset->count; i++)
        why = work->cases[i].error;
    if (work->cut_short > 0)
        pfm_log(work->context, PFM_LOG_WARNING,
                "%lld replies were cut short by a limit of tokens (max_tokens, or the server's own)",
                (long long)work->cut_short);
    if (missing == 0)
        return PFM_OK;
    if (work->options->strict)
        return pfm_error_set(err, PFM_ERROR_NETWORK,
                             "%d of %zu rows have no prediction (%.300s); the same command asks again what failed", missing,
                             work->dataset->count, why);
    pfm_log(work->context, PFM_LOG_WARNING, "%d of %zu rows have no prediction, and count as empty ones; the first: %s",
            missing, work->dataset->count, why);
    return PFM_OK;
}

static pfm_status run_steps(pfm_pipeline_work *work, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const double started = pfm_process_clock();
    char *predictions = NULL;
    PFM_TRY(pfm_path_join(work->options->out, "predictions.jsonl", &predictions, err));
    PFM_TRY(open_folder(work, predictions, err));
    for (size_t s = 0; s < work->pipeline->count; s++)
        PFM_TRY(do_step(work, s, err));
    PFM_TRY(pfm_pipeline_save_rows(work, predictions, err));
    PFM_TRY(tell(work, err));
    PFM_TRY(describe(work, pfm_process_clock() - started, json, err));
done:
    free(predictions);
    return status;
}

static void release(pfm_pipeline_work *work)
{
    for (size_t i = 0; work->cases != NULL && i < work->dataset->count; i++) {
        for (size_t s = 0; work->cases[i].results != NULL && s < work->pipeline->count; s++)
            free(work->cases[i].results[s]);
        free(work->cases[i].results);
        free(work->cases[i].error);
    }
    free(work->cases);
    free(work->image_hashes);
    pfm_pipeline_close_remote(work);
    pfm_call_log_free(work->log);
    pfm_dataset_free(work->dataset);
    pfm_recipe_free(work->recipe);
    pfm_pipeline_free(work->pipeline);
}

pfm_status pfm_pipeline_run(pfm_context *context, const pfm_pipeline_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pipeline_work work = {.context = context, .options = options};
    PFM_TRY(pfm_pipeline_load(options->file, &work.pipeline, err));
    PFM_TRY(resolve(&work, err));
    PFM_TRY(pfm_pipeline_load_rows(&work, err));
    PFM_TRY(pfm_allocate(work.pipeline->count, sizeof(pfm_client *), &work.clients, err));
    for (size_t s = 0; s < work.pipeline->count; s++) {
        const pfm_pipeline_step *step = &work.pipeline->steps[s];
        PFM_TRY(step->run != NULL ? pfm_pipeline_check_local(&work, step, err) : pfm_pipeline_open_remote(&work, s, err));
    }
    PFM_TRY(pfm_pipeline_check_options(&work, err));
    PFM_TRY(run_steps(&work, json, err));
done:
    release(&work);
    return status;
}

static pfm_status describe_file(const pfm_builtin_file *file, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pipeline *pipeline = NULL;
    json_t *steps = json_array();
    PFM_TRY(pfm_pipeline_load(file->name, &pipeline, err));
    for (size_t s = 0; s < pipeline->count; s++)
        steps = pfm_json_add(steps, json_string(pipeline->steps[s].name));
    *out = json_pack("{s:s, s:s?, s:O}", "name", pipeline->name, "definition", pipeline->definition, "steps", steps);
done:
    json_decref(steps);
    pfm_pipeline_free(pipeline);
    return status;
}

pfm_status pfm_pipeline_list(char **json, pfm_error *err)
{
    return pfm_builtin_list(pfm_pipeline_files, "pipelines", describe_file, json, err);
}
