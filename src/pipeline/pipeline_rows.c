#include "base/context.h"
#include "base/file.h"
#include "base/try.h"
#include "eval/answers.h"
#include "eval/predictions.h"
#include "pipeline/pipeline_internal.h"
#include "pipeline/prompt_template.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text_place[] = "text", question_place[] = "question";
static const char ok[] = "ok", unparsable[] = "unparsable", failed[] = "failed";

bool pfm_pipeline_is_run(const char *name)
{
    const size_t length = strlen(name);
    char *recipe = NULL;
    if (!pfm_path_is_folder(name))
        return (length > 5 && strcmp(name + length - 5, ".yaml") == 0) ||
               (length > 4 && strcmp(name + length - 4, ".yml") == 0);
    const bool found = pfm_path_join(name, "recipe.yaml", &recipe, NULL) == PFM_OK && pfm_path_exists(recipe);
    free(recipe);
    return found;
}

/* ---- the data ---- */

static pfm_status load_run_recipe(const char *run, pfm_recipe **out, pfm_error *err)
{
    char *path = NULL;
    pfm_status status =
        pfm_path_is_folder(run) ? pfm_path_join(run, "recipe.yaml", &path, err) : pfm_string_copy(run, &path, err);
    if (status == PFM_OK)
        status = pfm_recipe_load(path, NULL, 0, out, err);
    free(path);
    return status;
}

/* A recipe says how a data set is read: that of the run, or one of the data set alone. */
static pfm_status find_recipe(pfm_pipeline_work *work, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pipeline_options *o = work->options;
    static const char nothing[] = "model: {vision: none}\n"; /* else recipes of text alone would be wrong */
    char *dataset = NULL, *language = NULL;
    const char *sets[2], *name = o->dataset;
    int count = 0;
    if (name == NULL && o->run != NULL && pfm_pipeline_is_run(o->run))
        return load_run_recipe(o->run, &work->recipe, err);
    if (name == NULL && o->data != NULL && !pfm_path_is_folder(o->data))
        name = "table";
    if (name == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "which data set is it? Say --dataset NAME; there are %s", pfm_dataset_names());
    if (!pfm_dataset_is_known(name))
        PFM_FAIL(PFM_ERROR_USAGE, "there is no data set '%.60s'; there are %s", name, pfm_dataset_names());
    PFM_TRY(pfm_string_format(&dataset, err, "data.dataset=%s", name));
    sets[count++] = dataset;
    if (o->language != NULL) {
        PFM_TRY(pfm_string_format(&language, err, "data.language=%s", o->language));
        sets[count++] = language;
    }
    PFM_TRY(pfm_recipe_parse(nothing, sizeof nothing - 1, "--dataset", sets, count, &work->recipe, err));
done:
    free(dataset);
    free(language);
    return status;
}

/* Of the file and, where that is not the first, of the frame. */
static pfm_status hash_image(const pfm_image_file *file, pfm_hash_hex out, pfm_error *err)
{
    char text[sizeof(pfm_hash_hex) + 40];
    pfm_status status = pfm_hash_file(file->path, out, err);
    if (status != PFM_OK || file->frame == 0)
        return status;
    const int length = snprintf(text, sizeof text, "%s frame %d", out, file->frame);
    return pfm_hash_bytes(text, (size_t)length, out, err);
}

static pfm_status load_dataset(pfm_pipeline_work *work, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pipeline_options *o = work->options;
    pfm_image_file *files = NULL;
    PFM_TRY(find_recipe(work, err));
    if (o->dataset == NULL && o->language != NULL && o->run != NULL && pfm_pipeline_is_run(o->run))
        PFM_FAIL(PFM_ERROR_USAGE, "the language of the data is that of %s; with --language say --dataset too", o->run);
    work->split = o->split != NULL ? o->split : work->recipe->data.validate;
    PFM_TRY(pfm_recipe_load_data(work->recipe, o->data, work->split, (size_t)o->limit, &work->dataset, err));
    pfm_dataset_tell_left_out(work->dataset, work->context);
    bool shows = false;
    for (size_t s = 0; s < work->pipeline->count; s++)
        shows |= work->pipeline->steps[s].images;
    if (!shows || work->dataset->image_count == 0)
        goto done;
    PFM_TRY(pfm_dataset_check_images(work->dataset, err));
    PFM_TRY(pfm_dataset_list_images(work->dataset, &files, err));
    PFM_TRY(pfm_allocate(work->dataset->image_count, sizeof *work->image_hashes, &work->image_hashes, err));
    for (size_t i = 0; i < work->dataset->image_count; i++)
        PFM_TRY(hash_image(&files[i], work->image_hashes[i], err));
done:
    free(files);
    return status;
}

/* A text, or a number as its text; a list's texts are lines. */
static pfm_status read_column(const pfm_row *row, const char *column, const char **out, pfm_error *err)
{
    const json_t *value = json_object_get(row->extra, column);
    *out = "";
    if (value == NULL || json_is_null(value))
        return PFM_OK;
    if (!json_is_string(value))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "the column %.60s of row %.60s is no text, and cannot stand for {text}",
                             column, row->id);
    *out = json_string_value(value);
    return PFM_OK;
}

static pfm_status refuse_column(const pfm_pipeline_work *work, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer names = {0};
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(work->dataset->rows[0].extra, name, value)
        PFM_TRY(pfm_buffer_append_format(&names, err, "%s%s", names.size > 0 ? ", " : "", name));
    PFM_FAIL(PFM_ERROR_USAGE, "no row has a column '%.60s' (--text); the first has %.600s", work->options->text_column,
             names.size > 0 ? names.data : "no further columns");
done:
    pfm_buffer_free(&names);
    return status;
}

static pfm_status make_cases(pfm_pipeline_work *work, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *column = work->options->text_column;
    bool found = false;
    PFM_TRY(pfm_allocate(work->dataset->count, sizeof *work->cases, &work->cases, err));
    for (size_t i = 0; i < work->dataset->count; i++) {
        pfm_case *c = &work->cases[i];
        c->row = &work->dataset->rows[i];
        c->state = ok;
        found |= column != NULL && json_object_get(c->row->extra, column) != NULL;
        PFM_TRY(read_column(c->row, column != NULL ? column : text_place, &c->text, err));
        PFM_TRY(pfm_allocate(work->pipeline->count, sizeof *c->results, &c->results, err));
    }
    if (column != NULL && !found && work->dataset->count > 0)
        PFM_TRY(refuse_column(work, err));
done:
    return status;
}

pfm_status pfm_pipeline_load_rows(pfm_pipeline_work *work, pfm_error *err)
{
    pfm_status status = load_dataset(work, err);
    return status == PFM_OK ? make_cases(work, err) : status;
}

/* ---- turns ---- */

static void cut_marks(char *text)
{
    for (char *mark = text; (mark = strstr(mark, PFM_IMAGE_MARK)) != NULL;) /* what closes up behind it may be one again */
        memmove(mark, mark + strlen(PFM_IMAGE_MARK), strlen(mark + strlen(PFM_IMAGE_MARK)) + 1), mark = text;
}

static size_t count_marks(const char *text)
{
    size_t count = 0;
    for (const char *mark = text; (mark = strstr(mark, PFM_IMAGE_MARK)) != NULL; mark += strlen(PFM_IMAGE_MARK))
        count++;
    return count;
}

/* A model's words are no marks, and where no images are shown nothing is. */
static pfm_status make_prompt(const pfm_pipeline_work *work, size_t step, const pfm_case *c, char **out, pfm_error *err)
{
    enum { PLACES = 2 };
    pfm_status status = PFM_OK;
    const pfm_pipeline_step *s = &work->pipeline->steps[step];
    const char *names[PLACES + PFM_PIPELINE_MOST_STEPS] = {question_place, text_place};
    const char *values[PLACES + PFM_PIPELINE_MOST_STEPS] = {c->row->question, c->text};
    for (size_t k = 0; k < step; k++) {
        names[PLACES + k] = work->pipeline->steps[k].name;
        values[PLACES + k] = c->results[k];
    }
    PFM_TRY(pfm_template_fill(s->prompt, names, values, PLACES + step, out, err));
    if (!s->images)
        cut_marks(*out);
    const size_t marks = count_marks(*out);
    if (marks > 0 && marks != c->row->image_count)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "step %s: row %.60s has %zu images, and its prompt %zu marks " PFM_IMAGE_MARK "; one an image, or none",
                 s->name, c->row->id, c->row->image_count, marks);
    if ((*out)[0] == '\0')
        PFM_FAIL(PFM_ERROR_USAGE, "step %s: the prompt of row %.60s is empty; say in its prompt what is asked", s->name,
                 c->row->id);
done:
    return status;
}

pfm_status pfm_pipeline_make_turns(const pfm_pipeline_work *work, size_t step, pfm_turn **out, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *count = 0;
    PFM_TRY(pfm_allocate(work->dataset->count, sizeof **out, out, err));
    for (size_t i = 0; i < work->dataset->count; i++) {
        const pfm_case *c = &work->cases[i];
        if (c->state != ok)
            continue;
        pfm_turn *turn = &(*out)[(*count)++];
        turn->number = i;
        PFM_TRY(make_prompt(work, step, c, &turn->prompt, err));
        PFM_TRY(pfm_string_format(&turn->label, err, "%s of %s", work->pipeline->steps[step].name, c->row->id));
    }
done:
    return status;
}

void pfm_pipeline_free_turns(pfm_turn *turns, size_t count)
{
    for (size_t i = 0; turns != NULL && i < count; i++) {
        free(turns[i].prompt);
        free(turns[i].label);
        pfm_client_answer_free(&turns[i].answer);
    }
    free(turns);
}

static pfm_status take_turn(pfm_pipeline_work *work, size_t step, const pfm_turn *turn, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pipeline_step *s = &work->pipeline->steps[step];
    pfm_case *c = &work->cases[turn->number];
    const pfm_client_answer *answer = &turn->answer;
    work->asked += answer->attempts > 0;
    work->attempts += answer->attempts;
    work->replayed += answer->attempts == 0 && answer->text != NULL;
    work->cut_short += answer->cut_short;
    if (answer->text == NULL) {
        c->state = failed;
        PFM_TRY(pfm_string_format(&c->error, err, "step %s: %s", s->name, answer->error != NULL ? answer->error : "no answer"));
        goto done;
    }
    PFM_TRY(pfm_take_apply(&s->take, answer->text, &c->results[step], err));
    if (c->results[step] != NULL) {
        if (step + 1 < work->pipeline->count)
            cut_marks(c->results[step]);
        goto done;
    }
    c->state = unparsable;
    PFM_TRY(pfm_string_format(&c->error, err, "step %s: nothing can be taken from the reply by %s%s%s", s->name,
                              pfm_take_names[s->take.kind], s->take.argument != NULL ? ": " : "",
                              s->take.argument != NULL ? s->take.argument : ""));
done:
    return status;
}

pfm_status pfm_pipeline_take_turns(pfm_pipeline_work *work, size_t step, const pfm_turn *turns, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; status == PFM_OK && i < count; i++)
        status = take_turn(work, step, &turns[i], err);
    return status;
}

/* ---- predictions ---- */

/* How the row has come out, beside what every prediction has. */
static pfm_status add_outcome(const pfm_pipeline_work *work, const pfm_case *c, json_t *prediction, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *steps = json_object();
    PFM_TRY(pfm_json_take(prediction, "status", json_string(c->state), err));
    if (c->error != NULL)
        PFM_TRY(pfm_json_take(prediction, "error", json_string(c->error), err));
    for (size_t s = 0; s < work->pipeline->count; s++)
        PFM_TRY(pfm_json_take(steps, work->pipeline->steps[s].name,
                              c->results[s] != NULL ? json_string(c->results[s]) : json_null(), err));
    PFM_TRY(pfm_json_take(prediction, "steps", json_incref(steps), err));
done:
    json_decref(steps);
    return status;
}

pfm_status pfm_pipeline_save_rows(const pfm_pipeline_work *work, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_score_profile *profile = NULL;
    json_t *predictions = json_array(), *prediction = NULL;
    PFM_TRY(pfm_score_profile_find(pfm_dataset_profile(work->dataset->name), &profile, err));
    for (size_t i = 0; i < work->dataset->count; i++) {
        const pfm_case *c = &work->cases[i];
        const char *result = c->results[work->pipeline->count - 1];
        PFM_TRY(pfm_prediction_create(c->row, profile, result != NULL ? result : "", NAN, &prediction, err));
        PFM_TRY(add_outcome(work, c, prediction, err));
        if (json_array_append(predictions, prediction) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not collect the predictions");
        json_decref(prediction);
        prediction = NULL;
    }
    PFM_TRY(pfm_predictions_save(path, predictions, err));
done:
    json_decref(prediction);
    json_decref(predictions);
    return status;
}
