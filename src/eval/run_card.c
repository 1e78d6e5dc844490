/* The model card of a run's folder, from what lies in it. */
#include "pefomed/evaluate.h"

#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "eval/card.h"
#include "train/recipe.h"

#include <stdlib.h>
#include <string.h>

typedef struct gathering {
    const char *run;
    json_t *facts, *audit;
} gathering;

/* *out = the document RUN/name, or NULL where there is none. */
static pfm_status load(const gathering *g, const char *name, json_t **out, pfm_error *err)
{
    char *path = NULL;
    pfm_status status = pfm_path_join(g->run, name, &path, err);
    *out = NULL;
    if (status == PFM_OK && pfm_path_exists(path))
        status = pfm_json_load(path, out, err);
    free(path);
    return status;
}

static pfm_status copy(const gathering *g, json_t *to, const char *key, const json_t *from, const char *from_key,
                       pfm_error *err)
{
    json_t *value = json_object_get(from, from_key);
    (void)g;
    return value == NULL || json_is_null(value) ? PFM_OK : pfm_json_take(to, key, json_incref(value), err);
}

/* Adds a name to a list that does not hold it; the list, as pfm_json_add. */
static json_t *add_name(json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (name == NULL || strcmp(json_string_value(json_array_get(list, i)), name) == 0)
            return list;
    }
    return name == NULL ? list : pfm_json_add(list, json_string(name));
}

/* The data sets and languages of every stage and mixture. */
static pfm_status add_datasets(const gathering *g, const pfm_recipe *recipe, pfm_error *err)
{
    json_t *datasets = json_array(), *languages = json_array();
    for (size_t i = 0; i < pfm_recipe_count_stages(recipe); i++) {
        const pfm_recipe *stage = pfm_recipe_get_stage(recipe, i);
        datasets = add_name(datasets, stage->data.dataset);
        languages = add_name(languages, stage->data.language);
        for (size_t m = 0; m < stage->data.mixture_count; m++) {
            datasets = add_name(datasets, stage->data.mixture[m].dataset);
            languages = add_name(languages, stage->data.mixture[m].language);
        }
    }
    bool any = languages == NULL || json_array_size(languages) > 0;
    pfm_status status = pfm_json_take(g->facts, "datasets", datasets, err);
    if (status == PFM_OK && any)
        return pfm_json_take(g->facts, "languages", languages, err);
    json_decref(languages);
    return status;
}

static pfm_status add_recipe(const gathering *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    pfm_recipe *recipe = NULL;
    pfm_buffer text = {0};
    PFM_TRY(pfm_path_join(g->run, "recipe.yaml", &path, err));
    PFM_TRY(pfm_recipe_load(path, NULL, 0, &recipe, err));
    pfm_recipe_forget_asides(recipe); /* where the data lie is nobody else's business */
    PFM_TRY(pfm_recipe_write(recipe, &text, err));
    PFM_TRY(pfm_json_take(g->facts, "recipe", json_string(text.data), err));
    PFM_TRY(pfm_json_take(g->facts, "base_models", json_pack("[s]", recipe->model.language), err));
    if (!pfm_recipe_sees(recipe))
        PFM_TRY(pfm_json_take(g->facts, "text_only", json_true(), err));
    PFM_TRY(add_datasets(g, recipe, err));
done:
    pfm_recipe_free(recipe);
    pfm_buffer_free(&text);
    free(path);
    return status;
}

/* The parts and the data, with their hashes, from the audit. */
static pfm_status add_sources(const gathering *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    static const char *const parts[][2] = {{"vision", "vision encoder"}, {"language", "language model"}};
    json_t *list = json_array(), *data = json_array();
    PFM_TRY(pfm_json_take(g->facts, "parts", list, err));
    PFM_TRY(pfm_json_take(g->facts, "data", data, err));
    for (size_t i = 0; i < 2; i++) {
        const json_t *weights = json_object_get(json_object_get(g->audit, "weights"), parts[i][0]);
        if (weights == NULL)
            continue; /* a model that sees nothing has no vision encoder */
        json_t *part = json_pack("{s:s}", "part", parts[i][1]);
        if (json_array_append_new(list, part) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the model card");
        PFM_TRY(copy(g, part, "model", weights, "name", err));
        PFM_TRY(copy(g, part, "sha256", weights, "sha256", err));
    }
    const char *split;
    json_t *facts;
    json_object_foreach(json_object_get(g->audit, "data"), split, facts)
    {
        if (!json_is_object(facts))
            continue;
        json_t *row = json_pack("{s:s}", "split", split);
        if (json_array_append_new(data, row) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the model card");
        PFM_TRY(copy(g, row, "rows", facts, "rows", err));
        PFM_TRY(copy(g, row, "images", facts, "images", err));
        PFM_TRY(copy(g, row, "sha256", facts, "sha256", err));
    }
done:
    return status;
}

/* What each stage was and what it changed, from the audit. */
static pfm_status add_stages(const gathering *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *list = json_array(), *stage = NULL;
    static const char *const same[] = {"name", "first_step", "steps", "trainable_parameters", "logits_change"};
    size_t i = 0;
    PFM_TRY(pfm_json_take(g->facts, "stages", list, err));
    json_array_foreach(json_object_get(g->audit, "stages"), i, stage)
    {
        json_t *row = json_object();
        if (json_array_append_new(list, row) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the model card");
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            PFM_TRY(copy(g, row, same[k], stage, same[k], err));
        PFM_TRY(copy(g, row, "dataset", json_object_get(stage, "data"), "dataset", err));
    }
done:
    return status;
}

/* The last line of the log, and the best validation in it, of the last stage. */
static pfm_status add_log(const gathering *g, json_t *training, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *lines = NULL;
    const json_t *best = NULL, *last;
    PFM_TRY(pfm_path_join(g->run, "log.jsonl", &path, err));
    if (!pfm_path_exists(path))
        goto done;
    PFM_TRY(pfm_json_load_lines(path, &lines, err));
    last = json_array_get(lines, json_array_size(lines) > 0 ? json_array_size(lines) - 1 : 0);
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i), *loss = json_object_get(line, "validation_loss");
        const json_t *stage = json_object_get(line, "stage");
        if (stage != NULL && !json_equal(stage, json_object_get(last, "stage")))
            continue;
        if (loss != NULL &&
            (best == NULL || json_number_value(loss) < json_number_value(json_object_get(best, "validation_loss"))))
            best = line;
    }
    static const char *const same[][2] = {{"steps", "step"},          {"samples", "samples"}, {"tokens", "tokens"},
                                          {"epochs", "epoch"},        {"final_loss", "loss"}, {"seconds", "seconds"},
                                          {"peak_bytes", "rss_bytes"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        PFM_TRY(copy(g, training, same[i][0], last, same[i][1], err));
    PFM_TRY(copy(g, training, "best_loss", best, "validation_loss", err));
    PFM_TRY(copy(g, training, "best_step", best, "step", err));
done:
    json_decref(lines);
    free(path);
    return status;
}

static pfm_status add_training(const gathering *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *training = json_object();
    const json_t *machine = json_object_get(g->audit, "machine");
    PFM_TRY(pfm_json_take(g->facts, "training", training, err));
    PFM_TRY(copy(g, training, "seed", g->audit, "seed", err));
    PFM_TRY(copy(g, training, "precision", g->audit, "precision", err));
    PFM_TRY(copy(g, training, "started", g->audit, "time", err));
    PFM_TRY(copy(g, training, "machine", machine, "processor", err));
    PFM_TRY(copy(g, training, "cpu_level", machine, "kernels", err));
    PFM_TRY(copy(g, training, "threads", machine, "threads", err));
    PFM_TRY(copy(g, training, "trainable_parameters", g->audit, "trainable_parameters", err));
    PFM_TRY(copy(g, training, "total_parameters", g->audit, "total_parameters", err));
    PFM_TRY(add_log(g, training, err));
done:
    return status;
}

static pfm_status add_scores(const gathering *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *folder = NULL, **names = NULL, *path = NULL;
    size_t count = 0;
    json_t *scores = json_array(), *score = NULL;
    PFM_TRY(pfm_json_take(g->facts, "scores", scores, err));
    PFM_TRY(pfm_path_join(g->run, "scores", &folder, err));
    if (!pfm_path_is_folder(folder))
        goto done;
    PFM_TRY(pfm_folder_list(folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        free(path);
        path = NULL;
        PFM_TRY(pfm_path_join(folder, names[i], &path, err));
        PFM_TRY(pfm_json_load(path, &score, err));
        if (json_array_append_new(scores, score) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the model card");
    }
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(folder);
    free(path);
    return status;
}

pfm_status pfm_card(pfm_context *context, const char *run, pfm_error *err)
{
    (void)context;
    pfm_status status = PFM_OK;
    char *path = NULL;
    gathering g = {.run = run, .facts = json_object()};
    PFM_TRY(load(&g, "audit.json", &g.audit, err));
    PFM_TRY(pfm_json_take(g.facts, "name", json_string(pfm_path_name(run)), err));
    PFM_TRY(pfm_json_take(g.facts, "run", json_string(pfm_path_name(run)), err));
    PFM_TRY(add_recipe(&g, err));
    PFM_TRY(add_sources(&g, err));
    PFM_TRY(add_stages(&g, err));
    PFM_TRY(add_training(&g, err));
    PFM_TRY(add_scores(&g, err));
    PFM_TRY(pfm_path_join(run, "README.md", &path, err));
    PFM_TRY(pfm_model_card_write(path, g.facts, err));
done:
    json_decref(g.facts);
    json_decref(g.audit);
    free(path);
    return status;
}
