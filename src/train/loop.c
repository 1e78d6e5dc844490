/* The course of a stage: from the state on, step by step, with its log, validations and checkpoints. */
#include "train/proof.h"

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/try.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Keeps the log's lines of steps that are done and drops those behind: they will be computed again. */
static pfm_status trim_log(const char *path, int64_t steps_done, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    if (!pfm_path_exists(path))
        return pfm_file_write(path, "", 0, err);
    PFM_TRY(pfm_file_read(path, 0, &text, err));
    size_t keep = 0;
    int64_t lines = 0;
    for (size_t i = 0; i < text.size && lines < steps_done; i++) {
        if (text.data[i] == '\n') {
            lines++;
            keep = i + 1;
        }
    }
    if (lines < steps_done)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has %lld lines, the checkpoint is at step %lld; start anew with --fresh", path,
                 (long long)lines, (long long)steps_done);
    if (keep < text.size)
        PFM_TRY(pfm_file_write(path, text.data, keep, err));
done:
    pfm_buffer_free(&text);
    return status;
}

static pfm_status open_log(pfm_trainer *trainer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(pfm_path_join(trainer->folder, "log.jsonl", &path, err));
    PFM_TRY(trim_log(path, trainer->state.step, err));
    trainer->log = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (trainer->log < 0)
        PFM_FAIL(PFM_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
done:
    free(path);
    return status;
}

static bool is_staged(const pfm_trainer *trainer) { return trainer->session->whole->stage_count > 0; }

/* Steps of the stage that are done. */
static int64_t steps_done(const pfm_trainer *trainer) { return trainer->state.step - trainer->first; }

static bool is_over(const pfm_trainer *trainer) { return steps_done(trainer) == trainer->steps; }

/* What was measured after a step, negative where nothing was. */
typedef struct measured {
    double validation_loss, change; /* change: of the logits, by the stage */
} measured;

static pfm_status write_log(pfm_trainer *trainer, const pfm_step_result *result, const measured *more, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer line = {0};
    const pfm_progress_state *s = &trainer->state;
    double epoch = (double)steps_done(trainer) * trainer->session->recipe->train.batch / (double)trainer->train_set->count;
    PFM_TRY(pfm_buffer_append_format(&line, err, "{\"step\":%lld,", (long long)s->step));
    if (is_staged(trainer))
        PFM_TRY(pfm_buffer_append_format(&line, err, "\"stage\":\"%s\",", trainer->session->recipe->name));
    PFM_TRY(pfm_buffer_append_format(&line, err,
                                     "\"epoch\":%.4f,\"loss\":%.6g,\"lr\":%.6g,\"grad_norm\":%.6g,\"tokens\":%lld,"
                                     "\"samples\":%lld,\"seconds\":%.3f,\"read_seconds\":%.4f,\"rss_bytes\":%lld",
                                     epoch, result->loss, result->learning_rate, result->gradient_norm, (long long)s->tokens,
                                     (long long)s->samples, s->seconds, result->reading, (long long)pfm_process_memory()));
    PFM_TRY(pfm_routing_append(&result->routing, "", &line, err));
    PFM_TRY(pfm_routing_append(&result->vision_routing, "vision_", &line, err));
    if (more->validation_loss >= 0)
        PFM_TRY(pfm_buffer_append_format(&line, err, ",\"validation_loss\":%.6g", more->validation_loss));
    if (more->change >= 0)
        PFM_TRY(pfm_buffer_append_format(&line, err, ",\"logits_change\":%.6g", more->change));
    PFM_TRY(pfm_buffer_append_string(&line, "}\n", err));
    ssize_t put = write(trainer->log, line.data,
                        line.size); /* one call: a line is there whole or, after a power cut, cut off and trimmed */
    if (put != (ssize_t)line.size)
        PFM_FAIL(PFM_ERROR_IO, "cannot write %s/log.jsonl: %s; free some space and run the same command again", trainer->folder,
                 put < 0 ? strerror(errno) : "no space left");
done:
    pfm_buffer_free(&line);
    return status;
}

/* A run's folder of its own with the state as it is; its recipe ends with this stage. */
static pfm_status save_state(const pfm_trainer *trainer, const char *folder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    pfm_recipe *recipe = NULL;
    const pfm_session *session = trainer->session;
    PFM_TRY(pfm_run_save(folder, session->recipe->model.language, session->model, session->peft, err));
    PFM_TRY(pfm_path_join(folder, "recipe.yaml", &path, err));
    PFM_TRY(pfm_recipe_copy(session->whole, session->stage + 1, &recipe, err));
    PFM_TRY(pfm_recipe_save(recipe, path, err));
done:
    pfm_recipe_free(recipe);
    free(path);
    return status;
}

static pfm_status save_best(const pfm_trainer *trainer, pfm_error *err)
{
    char *folder = NULL;
    pfm_status status = pfm_path_join(trainer->output, "best", &folder, err);
    if (status == PFM_OK)
        status = save_state(trainer, folder, err);
    free(folder);
    return status;
}

/* step: of the stage. */
static bool validates_after(const pfm_trainer *trainer, int64_t step)
{
    if (trainer->validate_set == NULL)
        return false;
    if (step == trainer->steps)
        return true;
    int64_t every = trainer->session->recipe->train.validate_every;
    if (every > 0)
        return step % every == 0;
    double rows = (double)trainer->train_set->count, batch = trainer->session->recipe->train.batch;
    return floor((double)step * batch / rows) > floor((double)(step - 1) * batch / rows);
}

static pfm_status validate(pfm_trainer *trainer, measured *more, pfm_error *err)
{
    pfm_status status = pfm_trainer_validate(trainer, &more->validation_loss, err);
    if (status == PFM_OK)
        pfm_log(trainer->session->context, PFM_LOG_INFO, "step %lld of %lld: validation loss %.4f",
                (long long)trainer->state.step, (long long)trainer->total, more->validation_loss);
    return status;
}

static pfm_status prove(pfm_trainer *trainer, measured *more, pfm_error *err)
{
    pfm_status status = pfm_trainer_prove(trainer, &more->change, err);
    if (status == PFM_OK)
        pfm_log(trainer->session->context, PFM_LOG_INFO, "stage %s changed the logits of %d fixed rows by %.3g of their norm",
                trainer->session->recipe->name, PFM_PROOF_ROWS, more->change);
    return status;
}

static pfm_status finish_step(pfm_trainer *trainer, const pfm_step_result *result, pfm_error *err)
{
    pfm_status status = PFM_OK;
    measured more = {-1, -1};
    pfm_progress_state *state = &trainer->state;
    if (validates_after(trainer, steps_done(trainer)))
        PFM_TRY(validate(trainer, &more, err));
    if (is_staged(trainer) && is_over(trainer))
        PFM_TRY(prove(trainer, &more, err));
    PFM_TRY(write_log(trainer, result, &more, err));
    if (more.validation_loss >= 0 && (state->best_loss < 0 || more.validation_loss < state->best_loss)) {
        state->best_loss = more.validation_loss;
        state->best_step = state->step;
        PFM_TRY(save_best(trainer, err));
    }
    if (is_over(trainer) && state->step < trainer->total) /* before the checkpoint: whoever finds that finds this too */
        PFM_TRY(save_state(trainer, trainer->output, err));
done:
    return status;
}

static pfm_status save_checkpoint(const pfm_trainer *trainer, pfm_error *err)
{
    const pfm_model *model = trainer->session->model;
    if (fsync(trainer->log) != 0)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot write %s/log.jsonl: %s", trainer->folder, strerror(errno));
    return pfm_checkpoint_save(trainer->folder, &trainer->identity, model, &trainer->state, trainer->before,
                               PFM_PROOF_ROWS * (size_t)model->language.vocabulary, err);
}

static void report(const pfm_trainer *trainer, double loss)
{
    char note[160];
    double batch = trainer->session->recipe->train.batch;
    const char *name = is_staged(trainer) ? trainer->session->recipe->name : "";
    (void)snprintf(note, sizeof note, "%s%sloss %.4f", name, name[0] != '\0' ? ", " : "", loss);
    pfm_report_progress(trainer->session->context, "training", "samples", (double)trainer->state.samples,
                        (double)trainer->state.samples + (double)(trainer->steps - steps_done(trainer)) * batch, note);
}

pfm_status pfm_trainer_run(pfm_trainer *trainer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_progress_state *state = &trainer->state;
    double shown = -1;
    PFM_TRY(open_log(trainer, err));
    while (!is_over(trainer)) {
        pfm_step_result result;
        double start = pfm_process_clock();
        PFM_TRY(pfm_trainer_step(trainer, steps_done(trainer), &result, err));
        state->step++;
        state->tokens += result.tokens;
        state->samples += result.samples;
        state->seconds += pfm_process_clock() - start;
        shown = shown < 0 ? result.loss : 0.95 * shown + 0.05 * result.loss;
        report(trainer, shown);
        PFM_TRY(finish_step(trainer, &result, err));
        bool stop = pfm_interrupted(trainer->session->context);
        if (stop || is_over(trainer) || steps_done(trainer) % trainer->session->recipe->train.checkpoint_every == 0)
            PFM_TRY(save_checkpoint(trainer, err));
        if (stop && state->step < trainer->total)
            PFM_FAIL(PFM_ERROR_INTERRUPTED,
                     "stopped after step %lld of %lld, which is saved; the same command goes on from there",
                     (long long)state->step, (long long)trainer->total);
    }
done:
    return status;
}
