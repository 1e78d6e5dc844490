/* One run of a comparison: an ordinary run's folder, trained by train and answered by eval, and beside them compare.json, which
 * says what is done and of what recipe, seed and rows. */
#include "base/file.h"
#include "base/try.h"
#include "eval/child.h"
#include "eval/compare.h"
#include "pefomed/evaluate.h"
#include "pefomed/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char notes_name[] = "compare.json";

const pfm_recipe *pfm_contender_stage(const pfm_contender *contender)
{
    return pfm_recipe_get_stage(contender->recipe, pfm_recipe_count_stages(contender->recipe) - 1);
}

pfm_status pfm_compared_run_locate(const pfm_comparison *comparison, const pfm_contender *contender, const pfm_rate *rate,
                                   uint64_t seed, const char *split, pfm_compared_run *out, pfm_error *err)
{
    bool scored = strcmp(split, comparison->split) == 0;
    *out = (pfm_compared_run){.comparison = comparison,
                              .contender = contender,
                              .rate = rate,
                              .seed = seed,
                              .split = split,
                              .rows = scored ? contender->split_rows : contender->choice_rows};
    if (rate == NULL)
        return pfm_string_format(&out->folder, err, "%s/untrained", comparison->out);
    return pfm_string_format(&out->folder, err, "%s/%s/rate-%s/seed-%llu", comparison->out, contender->name, rate->text,
                             (unsigned long long)seed);
}

pfm_status pfm_compared_run_answers(const pfm_compared_run *run, char **out, pfm_error *err)
{
    return pfm_string_format(out, err, "%s/answers/%s.jsonl", run->folder, run->split);
}

static const char *precision_name(const pfm_comparison *c)
{
    return c->context->precision == PFM_PRECISION_F32 ? "f32" : "bf16";
}

static bool says(const json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && strcmp(text, wanted) == 0;
}

static bool says_number(const json_t *object, const char *key, int64_t wanted)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) && json_integer_value(value) == wanted;
}

static const char *recipe_hash(const pfm_compared_run *run)
{
    return run->rate != NULL ? run->rate->recipe : run->contender->rates[0].recipe;
}

/* *out = compare.json where it speaks of this recipe, seed and precision, else a new one. */
static pfm_status load_notes(const pfm_compared_run *run, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_comparison *c = run->comparison;
    char *path = NULL;
    json_t *notes = NULL;
    PFM_TRY(pfm_path_join(run->folder, notes_name, &path, err));
    if (!run->fresh && pfm_path_exists(path))
        PFM_TRY(pfm_json_load(path, &notes, err));
    if (!says(notes, "recipe", recipe_hash(run)) || !says_number(notes, "seed", (int64_t)run->seed) ||
        !says(notes, "precision", precision_name(c))) {
        json_decref(notes);
        notes = json_pack("{s:s,s:I,s:s,s:{}}", "recipe", recipe_hash(run), "seed", (json_int_t)run->seed, "precision",
                          precision_name(c), "answers");
        if (notes == NULL)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not keep what is done of %s", run->folder);
    }
    *out = notes;
    notes = NULL;
done:
    json_decref(notes);
    free(path);
    return status;
}

static pfm_status save_notes(const pfm_compared_run *run, const json_t *notes, pfm_error *err)
{
    char *path = NULL;
    pfm_status status = pfm_path_join(run->folder, notes_name, &path, err);
    if (status == PFM_OK)
        status = pfm_json_save(path, notes, err);
    free(path);
    return status;
}

static bool is_trained(const pfm_compared_run *run, const json_t *notes)
{
    return run->rate == NULL || json_is_object(json_object_get(notes, "trained"));
}

/* The answers that were given to these rows with weights in this form, or NULL. */
static const json_t *find_answers(const pfm_compared_run *run, const json_t *notes)
{
    const pfm_comparison *c = run->comparison;
    const json_t *answers = json_object_get(json_object_get(notes, "answers"), run->split);
    bool same = says(answers, "rows", run->rows) && says_number(answers, "weights", (int64_t)c->context->weights);
    return same ? json_object_get(answers, "scores") : NULL;
}

/* ---- in the child ---- */

static pfm_status take_document(json_t *notes, const char *key, const char *text, pfm_error *err)
{
    json_t *document = text == NULL ? NULL : json_loads(text, 0, NULL);
    return pfm_json_take(notes, key, document, err);
}

static pfm_status train(pfm_context *context, const pfm_compared_run *run, json_t *notes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_compare_options *options = run->comparison->options;
    const char **sets = NULL;
    char *json = NULL;
    size_t count = (size_t)options->set_count;
    PFM_TRY(pfm_allocate(count + 1, sizeof *sets, &sets, err));
    for (size_t i = 0; i < count; i++)
        sets[i] = options->sets[i];
    if (run->rate->set != NULL)
        sets[count++] = run->rate->set;
    const pfm_train_options training = {.recipe = run->contender->path,
                                        .data = options->data,
                                        .out = run->folder,
                                        .sets = sets,
                                        .set_count = (int)count,
                                        .fresh = run->fresh};
    PFM_TRY(pfm_train(context, &training, &json, err));
    PFM_TRY(pfm_card(context, run->folder, err));
    PFM_TRY(take_document(notes, "trained", json, err));
    PFM_TRY(save_notes(run, notes, err));
done:
    free(json);
    free(sets);
    return status;
}

/* *out = the recipe's file, complete, for the untrained model; release with free(). */
static pfm_status write_recipe(const pfm_compared_run *run, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(pfm_folder_create(run->folder, err));
    PFM_TRY(pfm_path_join(run->folder, "recipe.yaml", &path, err));
    PFM_TRY(pfm_recipe_save(run->contender->recipe, path, err));
    *out = path;
    path = NULL;
done:
    free(path);
    return status;
}

static pfm_status answer(pfm_context *context, const pfm_compared_run *run, json_t *notes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_compare_options *options = run->comparison->options;
    char *folder = NULL, *out = NULL, *recipe = NULL, *json = NULL;
    json_t *entry = json_pack("{s:s,s:i}", "rows", run->rows, "weights", (int)context->weights);
    if (run->rate == NULL)
        PFM_TRY(write_recipe(run, &recipe, err));
    PFM_TRY(pfm_path_join(run->folder, "answers", &folder, err));
    PFM_TRY(pfm_folder_create(folder, err));
    PFM_TRY(pfm_compared_run_answers(run, &out, err));
    const pfm_eval_options evaluation = {.run = recipe != NULL ? recipe : run->folder,
                                         .data = options->data,
                                         .split = run->split,
                                         .limit = options->limit,
                                         .out = out};
    PFM_TRY(pfm_eval(context, &evaluation, &json, err));
    PFM_TRY(take_document(entry, "scores", json, err));
    PFM_TRY(pfm_json_take(json_object_get(notes, "answers"), run->split, json_incref(entry), err));
    PFM_TRY(save_notes(run, notes, err));
done:
    json_decref(entry);
    free(folder);
    free(out);
    free(recipe);
    free(json);
    return status;
}

/* A pfm_child_function whose user is a run. */
static pfm_status work(pfm_context *context, void *user, json_t **result, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_compared_run *run = user;
    json_t *notes = NULL;
    (void)result;
    PFM_TRY(load_notes(run, &notes, err));
    if (!is_trained(run, notes))
        PFM_TRY(train(context, run, notes, err));
    if (find_answers(run, notes) == NULL)
        PFM_TRY(answer(context, run, notes, err));
done:
    json_decref(notes);
    return status;
}

/* ---- in the parent ---- */

static void describe(const pfm_compared_run *run, char *out, size_t size)
{
    if (run->rate == NULL)
        (void)snprintf(out, size, "untrained %s", run->contender->name);
    else
        (void)snprintf(out, size, "%s at %s, seed %llu", run->contender->name, run->rate->text, (unsigned long long)run->seed);
}

pfm_status pfm_compared_run_do(pfm_comparison *comparison, const pfm_compared_run *run, pfm_error *outcome, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *notes = NULL, *result = NULL;
    char what[160];
    describe(run, what, sizeof what);
    *outcome = (pfm_error)PFM_ERROR_INIT;
    comparison->visit++;
    if (pfm_interrupted(comparison->context))
        PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped before run %d of %d (%s); the same command goes on from there",
                 comparison->visit, comparison->visits, what);
    PFM_TRY(load_notes(run, &notes, err));
    bool trained = is_trained(run, notes), done = trained && find_answers(run, notes) != NULL;
    pfm_log(comparison->context, PFM_LOG_INFO, "run %d of %d: %s%s", comparison->visit, comparison->visits, what,
            done                           ? ", done before"
            : trained && run->rate != NULL ? ", trained before"
                                           : "");
    if (done)
        goto done;
    PFM_TRY(pfm_child_run(comparison->context, run->seed, work, (void *)(uintptr_t)run, &result, outcome, err));
    if (outcome->code == PFM_ERROR_INTERRUPTED)
        PFM_FAIL(PFM_ERROR_INTERRUPTED, "run %d of %d (%s): %s", comparison->visit, comparison->visits, what, outcome->message);
    if (outcome->code != PFM_OK)
        pfm_log(comparison->context, PFM_LOG_WARNING, "%s failed: %s", what, outcome->message);
done:
    json_decref(notes);
    json_decref(result);
    return status;
}

/* samples, seconds and peak_bytes from the log: the time of the steps alone, the most memory at the end of one. */
static pfm_status read_log(const pfm_compared_run *run, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *lines = NULL, *line = NULL;
    size_t i = 0;
    json_int_t peak = 0;
    PFM_TRY(pfm_path_join(run->folder, "log.jsonl", &path, err));
    PFM_TRY(pfm_json_load_lines(path, &lines, err));
    json_array_foreach(lines, i, line)
    {
        json_int_t bytes = json_integer_value(json_object_get(line, "rss_bytes"));
        peak = bytes > peak ? bytes : peak;
    }
    const json_t *last = json_array_get(lines, json_array_size(lines) - 1);
    const json_t *samples = json_object_get(last, "samples"), *seconds = json_object_get(last, "seconds");
    if (!json_is_integer(samples) || !json_is_number(seconds))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s does not end with a step's samples and seconds; compare --fresh trains anew", path);
    PFM_TRY(pfm_json_take(out, "samples", json_integer(json_integer_value(samples)), err));
    PFM_TRY(pfm_json_take(out, "seconds", json_real(json_number_value(seconds)), err));
    PFM_TRY(pfm_json_take(out, "peak_bytes", json_integer(peak), err));
done:
    json_decref(lines);
    free(path);
    return status;
}

static pfm_status copy_integer(const json_t *from, const char *key, json_t *to, pfm_error *err)
{
    return pfm_json_take(to, key, json_integer(json_integer_value(json_object_get(from, key))), err);
}

pfm_status pfm_compared_run_read(const pfm_compared_run *run, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *notes = NULL, *facts = json_object();
    PFM_TRY(load_notes(run, &notes, err));
    const json_t *scores = find_answers(run, notes), *trained = json_object_get(notes, "trained");
    if (scores == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s/%s lost what it said while compare ran", run->folder, notes_name);
    PFM_TRY(pfm_json_take(facts, "scores", json_incref((json_t *)(uintptr_t)scores), err));
    if (run->rate != NULL) {
        PFM_TRY(copy_integer(trained, "trainable_parameters", facts, err));
        PFM_TRY(copy_integer(trained, "total_parameters", facts, err));
        PFM_TRY(read_log(run, facts, err));
    }
    *out = facts;
    facts = NULL;
done:
    json_decref(notes);
    json_decref(facts);
    return status;
}
