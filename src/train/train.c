#include "pefomed/train.h"

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/try.h"
#include "train/audit.h"
#include "train/contexts.h"
#include "train/proof.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* What a training leaves in its folder, and what eval and compare add of it; nothing else there is touched. */
static const char *const traces[] = {"recipe.yaml", "adapter", "adapter-vision", "aligner.safetensors", "log.jsonl",
                                     "checkpoint",  "best",    "audit.json",     "README.md",           "scores",
                                     "stages",      "answers", "compare.json"};

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

static pfm_status set_path(pfm_recipe *recipe, const char *path, pfm_error *err)
{
    free(recipe->data.path);
    recipe->data.path = NULL;
    return pfm_string_copy(path, &recipe->data.path, err);
}

/* The run remembers where its data lie, so that eval needs no --data: those of the last stage's data set, of every stage. */
static pfm_status remember_data(pfm_recipe *recipe, const char *data, pfm_error *err)
{
    if (data == NULL)
        return PFM_OK;
    size_t count = recipe->stage_count;
    char *whole = realpath(data, NULL);
    const char *path = whole != NULL ? whole : data;
    pfm_status status = count == 0 ? set_path(recipe, path, err) : PFM_OK;
    for (size_t i = 0; status == PFM_OK && i < count; i++) {
        if (pfm_trainer_data(recipe, recipe->stages[i], path) != NULL)
            status = set_path(recipe->stages[i], path, err);
    }
    free(whole);
    return status;
}

/* Appends what differs between two recipes but for where data lie. */
static pfm_status compare_content(const pfm_recipe *here, const pfm_recipe *there, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *copies[2] = {NULL, NULL};
    PFM_TRY(pfm_recipe_copy(here, SIZE_MAX, &copies[0], err));
    PFM_TRY(pfm_recipe_copy(there, SIZE_MAX, &copies[1], err));
    pfm_recipe_forget_asides(copies[0]);
    pfm_recipe_forget_asides(copies[1]);
    PFM_TRY(pfm_recipe_compare(copies[0], copies[1], out, err));
done:
    pfm_recipe_free(copies[0]);
    pfm_recipe_free(copies[1]);
    return status;
}

/* The folder belongs to this process, and to this recipe: it is new, or its recipe.yaml is the same. Data may have moved
 * meanwhile. */
static pfm_status claim_folder(const char *folder, const pfm_recipe *recipe, int *held, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    pfm_recipe *there = NULL;
    pfm_buffer differences = {0};
    PFM_TRY(pfm_folder_create(folder, err));
    if (*held < 0)
        PFM_TRY(pfm_folder_hold(folder, held, err));
    PFM_TRY(pfm_path_join(folder, "recipe.yaml", &path, err));
    if (pfm_path_exists(path)) {
        PFM_TRY(pfm_recipe_load(path, NULL, 0, &there, err));
        PFM_TRY(compare_content(recipe, there, &differences, err));
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
    json_t *document = json_pack("{s:s, s:I, s:I, s:f, s:I, s:I, s:f, s:I, s:I, s:I, s:I}", "run", trainer->folder, "steps",
                                 (json_int_t)s->step, "resumed_at", (json_int_t)resumed_at, "epochs",
                                 (double)(s->step - trainer->first) * trainer->session->recipe->train.batch /
                                     (double)trainer->train_set->count,
                                 "samples", (json_int_t)s->samples, "tokens", (json_int_t)s->tokens, "seconds", s->seconds,
                                 "trainable_parameters", (json_int_t)pfm_parameters_trainable(parameters), "total_parameters",
                                 (json_int_t)pfm_model_count_parameters(trainer->session->model), "peak_bytes",
                                 (json_int_t)pfm_process_peak_memory(), "best_step", (json_int_t)s->best_step);
    if (document == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not make the summary");
    pfm_status status =
        pfm_json_take(document, "best_validation_loss", s->best_loss >= 0 ? json_real(s->best_loss) : json_null(), err);
    if (status == PFM_OK)
        status = pfm_json_print(document, json, err);
    json_decref(document);
    return status;
}

/* A training of one or more stages. */
typedef struct course {
    pfm_context *context;
    const pfm_recipe *recipe;
    const char *data, *folder;
    int64_t *steps;                   /* [stages]; of a recipe without stages not known before it begins */
    int64_t first, total, resumed_at; /* first: steps before the stage at hand */
    pfm_run_identity identity;        /* the recipe's part alone */
    char *json;
    int held; /* the folder's descriptor, while the course lasts; -1: not yet */
} course;

/* A stage with its session: nothing but its rows is loaded, every size known. */
static pfm_status open_stage(const course *c, size_t stage, pfm_session **session, pfm_trainer **trainer, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *copy = NULL;
    PFM_TRY(pfm_recipe_copy(c->recipe, SIZE_MAX, &copy, err));
    PFM_TRY(pfm_session_create_stage(c->context, copy, stage, true, session, err));
    PFM_TRY(pfm_trainer_create(*session, c->data, trainer, err));
    PFM_TRY(pfm_trainer_build(*trainer, err));
    PFM_TRY(pfm_peft_check_targets((*session)->peft, err));
done:
    return status;
}

/* Every stage is opened once before the first begins: what is wrong with the last shows now, and all steps can be counted. */
static pfm_status survey_stage(course *c, size_t stage, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_session *session = NULL;
    pfm_trainer *trainer = NULL;
    PFM_TRY(open_stage(c, stage, &session, &trainer, err));
    PFM_TRY(pfm_dataset_check_images(trainer->train_set, err));
    if (trainer->validate_set != NULL)
        PFM_TRY(pfm_dataset_check_images(trainer->validate_set, err));
    c->steps[stage] = trainer->steps;
    c->total += trainer->steps;
    c->identity = trainer->identity;
done:
    pfm_trainer_free(trainer);
    pfm_session_free(session);
    return status;
}

/* The learned parts beside the aligner that a stage has, as bits. */
static unsigned parts_of(const pfm_recipe *stage)
{
    return (unsigned)stage->adapts << PFM_PART_PEFT | (unsigned)stage->adapts_norms << PFM_PART_NORMS;
}

/* What the stage begins or goes on with. */
static pfm_status load_state(const course *c, pfm_trainer *trainer, bool *found, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_session *session = trainer->session;
    bool staged = c->recipe->stage_count > 0;
    size_t stage = session->stage, count = PFM_PROOF_ROWS * (size_t)session->model->language.vocabulary;
    int64_t done = -1;
    if (staged)
        PFM_TRY(pfm_checkpoint_find(c->folder, &trainer->identity, &done, err));
    if (staged && done <= c->first) {
        if (stage > 0)
            PFM_TRY(pfm_checkpoint_begin_stage(c->folder, &trainer->identity, parts_of(c->recipe->stages[stage - 1]),
                                               session->model, &trainer->state, err));
        PFM_TRY(pfm_trainer_probe(trainer, &trainer->before, &count, err));
        *found = stage > 0;
        goto done;
    }
    if (staged)
        PFM_TRY(pfm_allocate(count, sizeof *trainer->before, &trainer->before, err));
    PFM_TRY(pfm_checkpoint_load(c->folder, &trainer->identity, session->model, &trainer->state, trainer->before, count, found,
                                err));
done:
    return status;
}

static pfm_status train_stage(course *c, size_t stage, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_session *session = NULL;
    pfm_trainer *trainer = NULL;
    bool found = false, last = stage + 1 == pfm_recipe_count_stages(c->recipe);
    PFM_TRY(open_stage(c, stage, &session, &trainer, err));
    PFM_TRY(pfm_trainer_place(trainer, c->first, c->steps != NULL ? c->total : trainer->steps, c->folder, err));
    PFM_TRY(claim_folder(c->folder, c->recipe, &c->held, err));
    PFM_TRY(pfm_trainer_prepare(trainer, err));
    PFM_TRY(load_state(c, trainer, &found, err));
    if (c->resumed_at < 0) {
        c->resumed_at = trainer->state.step;
        if (found)
            pfm_log(c->context, PFM_LOG_INFO, "going on after step %lld of %lld", (long long)c->resumed_at,
                    (long long)trainer->total);
    }
    PFM_TRY(pfm_audit_write(trainer, err));
    PFM_TRY(pfm_trainer_run(trainer, err));
    if (last)
        PFM_TRY(pfm_run_save(c->folder, session->recipe->model.language, session->model, session->peft, err));
    if (c->recipe->stage_count > 0)
        PFM_TRY(pfm_audit_write(trainer, err)); /* with what the stage changed */
    if (last)
        PFM_TRY(summarise(trainer, c->resumed_at, &c->json, err));
done:
    pfm_trainer_free(trainer);
    pfm_session_free(session);
    return status;
}

/* All stages from the one that the checkpoint is in. */
static pfm_status train_stages(course *c, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = pfm_recipe_count_stages(c->recipe), stage = 0;
    int64_t done = 0;
    c->resumed_at = -1;
    if (c->recipe->stage_count == 0)
        return train_stage(c, 0, err);
    PFM_TRY(pfm_allocate(count, sizeof *c->steps, &c->steps, err));
    for (size_t i = 0; i < count; i++)
        PFM_TRY(survey_stage(c, i, err));
    PFM_TRY(claim_folder(c->folder, c->recipe, &c->held, err));
    PFM_TRY(pfm_checkpoint_find(c->folder, &c->identity, &done, err));
    for (; stage + 1 < count && done >= c->first + c->steps[stage]; stage++)
        c->first += c->steps[stage];
    for (; stage < count; stage++) {
        PFM_TRY(train_stage(c, stage, err));
        c->first += c->steps[stage];
    }
done:
    free(c->steps);
    return status;
}

pfm_status pfm_train(pfm_context *context, const pfm_train_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recipe *recipe = NULL;
    char *folder = NULL;
    course c = {.context = context, .data = options->data, .held = -1};
    PFM_TRY(pfm_recipe_load(options->recipe, options->sets, options->set_count, &recipe, err));
    if (recipe->left_out != NULL)
        pfm_log(context, PFM_LOG_WARNING, "of the recipe these say nothing to peft.method: %s, and are left out: %s",
                recipe->peft.method, recipe->left_out);
    PFM_TRY(pfm_recipe_take_start(recipe, err));
    PFM_TRY(pfm_session_choose_layers(context, recipe, err));
    PFM_TRY(pfm_contexts_find(recipe, options->data, err));
    if (options->plan) {
        status = pfm_train_plan(context, recipe, options->data, json, err);
        goto done;
    }
    PFM_TRY(pfm_recipe_pin_index(recipe, err));
    PFM_TRY(remember_data(recipe, options->data, err));
    PFM_TRY(choose_folder(options, &folder, err));
    if (options->fresh && pfm_path_is_folder(folder)) {
        PFM_TRY(pfm_folder_hold(folder, &c.held, err));
        PFM_TRY(forget(folder, err));
    }
    c.recipe = recipe;
    c.folder = folder;
    PFM_TRY(train_stages(&c, err));
    *json = c.json;
done:
    if (c.held >= 0)
        close(c.held);
    pfm_recipe_free(recipe);
    free(folder);
    return status;
}
