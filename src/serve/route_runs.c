/* Runs: which there are, what they were made with, their curves, and any two compared. */
#include "serve/routes.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "serve/server.h"
#include "serve/viewing.h"
#include "train/recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LARGEST_TEXT = 4 << 20, MOST_SCORES = 200 };

static pfm_status find_run(pfm_server *server, const char *name, pfm_http_reply *reply, char **path, pfm_error *err)
{
    const pfm_status status = pfm_catalogue_find(server->catalogue, PFM_LISTED_RUNS, name, path, err);
    return status != PFM_OK || *path != NULL
               ? status
               : pfm_http_refuse(reply, 404, "run_not_found", err, "there is no run %.200s; GET /api/runs lists them", name);
}

/* ---- a run ---- */

static bool has(const char *folder, const char *name)
{
    char *path = NULL;
    struct stat facts;
    const bool is = pfm_path_join(folder, name, &path, NULL) == PFM_OK && lstat(path, &facts) == 0;
    free(path);
    return is;
}

/* What training writes when it is done is what the run is for; until then somebody is at work in its folder. */
static const char *state_of(const char *folder)
{
    static const char *const results[] = {"adapter", "adapter-vision", "aligner.safetensors"};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (has(folder, results[i]))
            return "finished";
    return pfm_folder_is_held(folder) ? "training" : "interrupted";
}

/* A text of a run's folder; NULL where it is not there or cannot be read. */
static char *read_text(const char *folder, const char *name)
{
    char *path = NULL, *text = NULL;
    pfm_buffer bytes = {0};
    struct stat facts;
    if (pfm_path_join(folder, name, &path, NULL) == PFM_OK && lstat(path, &facts) == 0 && S_ISREG(facts.st_mode) &&
        pfm_file_read(path, LARGEST_TEXT, &bytes, NULL) == PFM_OK)
        text = bytes.data;
    else
        pfm_buffer_free(&bytes);
    free(path);
    return text;
}

static json_t *read_json(const char *folder, const char *name)
{
    char *text = read_text(folder, name);
    json_t *document = text != NULL ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return document;
}

/* {"validate-none": what eval wrote, ...}. */
static json_t *read_scores(const char *folder)
{
    char *path = NULL, **names = NULL;
    size_t count = 0;
    json_t *scores = json_object();
    if (pfm_path_join(folder, "scores", &path, NULL) == PFM_OK && pfm_path_is_folder(path))
        (void)(pfm_folder_list(path, &names, &count, NULL) == PFM_OK);
    for (size_t i = 0; i < count; i++) {
        char *ending = strrchr(names[i], '.');
        if (i < MOST_SCORES && ending != NULL && strcmp(ending, ".json") == 0) {
            json_t *score = read_json(path, names[i]);
            *ending = '\0';
            if (json_is_object(score))
                (void)json_object_set(scores, names[i], score);
            json_decref(score);
        }
        free(names[i]);
    }
    free(names);
    free(path);
    return scores;
}

/* Of the list: the figures alone. */
static json_t *brief_scores(const char *folder)
{
    static const char *const figures[] = {"profile", "n", "overall", "closed", "open", "recall_open", "metrics"};
    json_t *all = read_scores(folder), *brief = json_object(), *score;
    const char *name;
    json_object_foreach(all, name, score)
    {
        json_t *one = json_object();
        for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
            if (json_object_get(score, figures[i]) != NULL)
                (void)json_object_set(one, figures[i], json_object_get(score, figures[i]));
        (void)json_object_set_new(brief, name, one);
    }
    json_decref(all);
    return brief;
}

static pfm_status describe_brief(const pfm_listed *run, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *last = NULL;
    PFM_TRY(pfm_path_join(run->path, "log.jsonl", &path, err));
    if (pfm_run_log_last(path, &last, NULL) != PFM_OK)
        last = NULL; /* it may just be gone */
    *out = json_pack("{s:s, s:s, s:O?, s:O?, s:O?, s:O?, s:o}", "name", run->name, "state", state_of(run->path), "step",
                     json_object_get(last, "step"), "epoch", json_object_get(last, "epoch"), "stage",
                     json_object_get(last, "stage"), "loss", json_object_get(last, "loss"), "scores", brief_scores(run->path));
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the runs");
done:
    json_decref(last);
    free(path);
    return status;
}

pfm_status pfm_route_runs(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_listing runs = {0};
    json_t *list = json_array(), *document = NULL;
    PFM_TRY(pfm_view_check_query(request, NULL, err));
    PFM_TRY(pfm_catalogue_list(server->catalogue, PFM_LISTED_RUNS, &runs, err));
    for (size_t i = 0; i < runs.count; i++) {
        json_t *run = NULL;
        PFM_TRY(describe_brief(&runs.items[i], &run, err));
        list = pfm_json_add(list, run);
    }
    document = json_pack("{s:O, s:b}", "runs", list, "cut", runs.cut);
    PFM_TRY(pfm_http_reply_json(reply, document, err));
done:
    pfm_listing_free(&runs);
    json_decref(list);
    return status;
}

pfm_status pfm_route_run(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL, *recipe = NULL;
    json_t *audit = NULL, *document;
    PFM_TRY(pfm_view_check_query(request, NULL, err));
    PFM_TRY(find_run(server, request->places[0], reply, &path, err));
    recipe = read_text(path, "recipe.yaml");
    audit = read_json(path, "audit.json");
    document = json_pack("{s:s, s:s, s:s?, s:O?, s:o}", "name", request->places[0], "state", state_of(path), "recipe", recipe,
                         "audit", audit, "scores", read_scores(path));
    PFM_TRY(pfm_http_reply_json(reply, document, err));
done:
    free(path);
    free(recipe);
    json_decref(audit);
    return status;
}

pfm_status pfm_route_run_log(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    static const char *const known[] = {"from", "log", NULL};
    pfm_status status = PFM_OK;
    char *folder = NULL, *path = NULL, *end = NULL;
    json_t *document = NULL;
    const char *from = pfm_http_query(request, "from");
    double step = -INFINITY;
    PFM_TRY(pfm_view_check_query(request, known, err));
    if (from != NULL) {
        step = strtod(from, &end);
        if (end == from || *end != '\0' || !isfinite(step))
            PFM_FAIL(PFM_ERROR_USAGE, "from must be the number of a step");
    }
    PFM_TRY(find_run(server, request->places[0], reply, &folder, err));
    PFM_TRY(pfm_path_join(folder, "log.jsonl", &path, err));
    PFM_TRY(pfm_run_logs_read(server->logs, path, step, pfm_http_query(request, "log"), &document, err));
    PFM_TRY(pfm_json_take(document, "state", json_string(state_of(folder)), err));
    PFM_TRY(pfm_http_reply_json(reply, json_incref(document), err));
done:
    json_decref(document);
    free(folder);
    free(path);
    return status;
}

/* ---- two runs ---- */

static pfm_status list_difference(void *user, const char *key, const char *a, const char *b, pfm_error *err)
{
    json_t *list = user, *entry = json_pack("{s:s, s:s, s:s}", "key", key, "a", a, "b", b);
    if (json_array_append_new(list, entry) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not compare the recipes");
    return PFM_OK;
}

static pfm_status list_last(void *user, const char *key, const char *a, const char *b, pfm_error *err)
{
    char name[160];
    (void)snprintf(name, sizeof name, "last stage: %s", key);
    return list_difference(user, name, a, b, err);
}

/* Of recipes of different numbers of stages also what differs between the last ones. */
static pfm_status compare_recipes(const pfm_recipe *a, const pfm_recipe *b, json_t *out, pfm_error *err)
{
    const pfm_status status = pfm_recipe_visit_differences(a, b, list_difference, out, err);
    if (status != PFM_OK || a->stage_count == b->stage_count)
        return status;
    return pfm_recipe_visit_differences(a->stage_count > 0 ? a->stages[a->stage_count - 1] : a,
                                        b->stage_count > 0 ? b->stages[b->stage_count - 1] : b, list_last, out, err);
}

/* The folder is not told: its name may be a person's. */
static pfm_status load_recipe(const char *folder, const char *name, pfm_recipe **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_error reason = PFM_ERROR_INIT;
    char *text = read_text(folder, "recipe.yaml");
    if (text == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "the recipe of %.100s cannot be read", name);
    if (pfm_recipe_parse(text, strlen(text), "recipe.yaml", NULL, 0, out, &reason) != PFM_OK)
        PFM_FAIL(PFM_ERROR_FORMAT, "the recipe of %.100s cannot be used: %.200s", name, reason.message);
done:
    free(text);
    return status;
}

/* Files of predictions that both runs' folders hold under the same name. */
static pfm_status list_files(pfm_server *server, const char *a, const char *b, json_t *list, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_listing files = {0};
    char *other = NULL;
    const size_t length = strlen(a);
    PFM_TRY(pfm_catalogue_list(server->catalogue, PFM_LISTED_PREDICTIONS, &files, err));
    for (size_t i = 0; i < files.count; i++) {
        const pfm_listed *file = &files.items[i];
        if (strncmp(file->path, a, length) != 0 || file->path[length] != '/')
            continue;
        PFM_TRY(pfm_path_join(b, file->path + length + 1, &other, err));
        for (size_t k = 0; k < files.count; k++)
            if (strcmp(files.items[k].path, other) == 0 &&
                json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "file", file->path + length + 1, "a", file->name, "b",
                                                      files.items[k].name)) != 0)
                PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list the predictions of both runs");
        free(other);
        other = NULL;
    }
done:
    free(other);
    pfm_listing_free(&files);
    return status;
}

pfm_status pfm_route_run_against(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *a = NULL, *b = NULL;
    pfm_recipe *left = NULL, *right = NULL;
    json_t *recipes = json_array(), *files = json_array(), *document;
    PFM_TRY(pfm_view_check_query(request, NULL, err));
    PFM_TRY(find_run(server, request->places[0], reply, &a, err));
    PFM_TRY(find_run(server, request->places[1], reply, &b, err));
    PFM_TRY(load_recipe(a, request->places[0], &left, err));
    PFM_TRY(load_recipe(b, request->places[1], &right, err));
    PFM_TRY(compare_recipes(left, right, recipes, err));
    PFM_TRY(list_files(server, a, b, files, err));
    document = json_pack("{s:O, s:{s:o, s:o}, s:O}", "recipes", recipes, "scores", "a", read_scores(a), "b", read_scores(b),
                         "files", files);
    PFM_TRY(pfm_http_reply_json(reply, document, err));
done:
    free(a);
    free(b);
    pfm_recipe_free(left);
    pfm_recipe_free(right);
    json_decref(recipes);
    json_decref(files);
    return status;
}
