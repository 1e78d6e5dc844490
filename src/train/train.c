#include "pefomed/train.h"

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/try.h"
#include "train/audit.h"
#include "train/trainer.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* runs/NAME after the recipe's file. */
static pfm_status choose_folder(const pfm_train_options *options, char **out, pfm_error *err)
{
    if (options->out != NULL)
        return pfm_string_copy(options->out, out, err);
    const char *name = pfm_path_name(options->recipe);
    return pfm_string_format(out, err, "runs/%.*s", (int)strcspn(name, "."), name);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

/* What a training leaves in its folder; nothing else there is touched. */
static const char *const traces[] = {"recipe.yaml", "adapter",    "aligner.safetensors", "log.jsonl", "checkpoint",
                                     "best",        "audit.json", "README.md",           "scores"};

static pfm_status forget(const char *folder, pfm_error *err)
{
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
        char *path = NULL;
        pfm_status status = pfm_path_join(folder, traces[i], &path, err);
        if (status != PFM_OK)
            return status;
        bool failed = pfm_path_exists(path) && nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0;
        if (failed)
            status = pfm_error_set(err, PFM_ERROR_IO, "cannot remove %s, as --fresh asks", path);
        free(path);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

/* The run remembers where its data lie, so that eval needs no --data. */
static pfm_status remember_data(pfm_recipe *recipe, const char *data, pfm_error *err)
{
    if (data == NULL)
        return PFM_OK;
    char *whole = realpath(data, NULL), *path = NULL;
    pfm_status status = pfm_string_copy(whole != NULL ? whole : data, &path, err);
    free(whole);
    if (status == PFM_OK) {
        free(recipe->data.path);
        recipe->data.path = path;
    }
    return status;
}

/* The folder belongs to this recipe: it is new, or its recipe.yaml is the same. Data may have moved meanwhile. */
static pfm_status claim_folder(const char *folder, const pfm_recipe *recipe, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    pfm_recipe *there = NULL;
    pfm_buffer differences = {0};
    PFM_TRY(pfm_folder_create(folder, err));
    PFM_TRY(pfm_path_join(folder, "recipe.yaml", &path, err));
    if (pfm_path_exists(path)) {
        PFM_TRY(pfm_recipe_load(path, NULL, 0, &there, err));
        pfm_recipe here_without = *recipe, there_without = *there;
        here_without.data.path = there_without.data.path = NULL;
        PFM_TRY(pfm_recipe_compare(&here_without, &there_without, &differences, err));
        if (differences.size > 0)
            PFM_FAIL(PFM_ERROR_MISMATCH,
                     "%s holds a run of another recipe (%s); choose another --out, or --fresh to start anew", folder,
                     differences.data);
    } else {
        PFM_TRY(pfm_recipe_save(recipe, path, err));
    }
done:
    free(path);
    pfm_recipe_free(there);
    pfm_buffer_free(&differences);
    return status;
}

static pfm_status summarise(const pfm_trainer *trainer, int64_t resumed_at, char **json, pfm_error *err)
{
    const pfm_progress_state *s = &trainer->state;
    const pfm_parameters *parameters = trainer->session->model->parameters;
    json_t *document = json_pack(
        "{s:s, s:I, s:I, s:f, s:I, s:I, s:f, s:I, s:I, s:I, s:I}", "run", trainer->folder, "steps", (json_int_t)s->step,
        "resumed_at", (json_int_t)resumed_at, "epochs", (double)s->samples / (double)trainer->train_set->count, "samples",
        (json_int_t)s->samples, "tokens", (json_int_t)s->tokens, "seconds", s->seconds, "trainable_parameters",
        (json_int_t)pfm_parameters_trainable(parameters), "total_parameters",
        (json_int_t)(pfm_parameters_total(parameters) + (int64_t)trainer->session->model->vision_parameters), "peak_bytes",
        (json_int_t)pfm_process_peak_memory(), "best_step", (json_int_t)s->best_step);
    if (document == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not make the summary");
    pfm_status status =
        pfm_json_take(document, "best_validation_loss", s->best_loss >= 0 ? json_real(s->best_loss) : json_null(), err);
    if (status == PFM_OK) {
        *json = json_dumps(document, JSON_COMPACT);
        if (*json == NULL)
            status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not make the summary");
    }
    json_decref(document);
    return status;
}

static pfm_status train(pfm_trainer *trainer, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_session *session = trainer->session;
    bool found = false;
    PFM_TRY(pfm_trainer_build(trainer, err));
    PFM_TRY(pfm_peft_check_targets(session->peft, err));
    PFM_TRY(claim_folder(trainer->folder, session->recipe, err));
    PFM_TRY(pfm_trainer_prepare(trainer, err));
    PFM_TRY(pfm_checkpoint_load(trainer->folder, &trainer->identity, session->model, &trainer->state, &found, err));
    int64_t resumed_at = trainer->state.step;
    if (found)
        pfm_log(session->context, PFM_LOG_INFO, "going on after step %lld of %lld", (long long)resumed_at,
                (long long)trainer->steps);
    PFM_TRY(pfm_audit_write(trainer, err));
    PFM_TRY(pfm_trainer_run(trainer, err));
    PFM_TRY(pfm_run_save(trainer->folder, session->recipe->model.language, session->model, session->peft, err));
    PFM_TRY(summarise(trainer, resumed_at, json, err));
done:
    return status;
}

pfm_status pfm_train(pfm_context *context, const pfm_train_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *recipe = NULL;
    pfm_session *session = NULL;
    pfm_trainer *trainer = NULL;
    char *folder = NULL;
    PFM_TRY(pfm_recipe_load(options->recipe, options->sets, options->set_count, &recipe, err));
    if (options->plan) {
        status = pfm_train_plan(context, recipe, options->data, json, err);
        goto done;
    }
    PFM_TRY(remember_data(recipe, options->data, err));
    PFM_TRY(choose_folder(options, &folder, err));
    if (options->fresh)
        PFM_TRY(forget(folder, err));
    pfm_recipe *given = recipe;
    recipe = NULL; /* the session owns it now */
    PFM_TRY(pfm_session_create(context, given, true, &session, err));
    PFM_TRY(pfm_trainer_create(session, NULL, &trainer, err));
    trainer->folder = folder;
    folder = NULL;
    PFM_TRY(train(trainer, json, err));
done:
    pfm_trainer_free(trainer);
    pfm_session_free(session);
    pfm_recipe_free(recipe);
    free(folder);
    return status;
}
