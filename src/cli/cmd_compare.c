#include "cli.h"

#include <stdlib.h>
#include <string.h>

static void render(const json_t *text, FILE *out) { fputs(json_string_value(text), out); }

static pfm_status print_table(cli_call *call, const char *json, const char *text, pfm_error *err)
{
    if (cli_wants_json(call))
        return cli_print_text(call, json, NULL, err);
    json_t *value = json_string(text);
    pfm_status status = cli_print(call, value, render, err);
    json_decref(value);
    return status;
}

/* Recipes that failed stand in the table; the exit status has to say so as well. */
static pfm_status report_failures(const json_t *document, pfm_error *err)
{
    size_t i = 0;
    json_t *recipe = NULL;
    const json_t *recipes = json_object_get(document, "recipes");
    json_array_foreach(recipes, i, recipe)
    {
        const char *message = json_string_value(json_object_get(recipe, "error"));
        if (message != NULL)
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%lld of %zu recipes failed; %s: %s; %s/table.txt has the others",
                                 (long long)json_integer_value(json_object_get(document, "failed")), json_array_size(recipes),
                                 json_string_value(json_object_get(recipe, "name")), message,
                                 json_string_value(json_object_get(document, "out")));
    }
    return PFM_OK;
}

static pfm_status finish(cli_call *call, const char *json, const char *text, pfm_error *err)
{
    json_t *document = json_loads(json, 0, NULL);
    if (document == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read the table");
    bool failed = json_integer_value(json_object_get(document, "failed")) > 0;
    pfm_status status = failed && cli_has(call, "quiet") ? PFM_OK : print_table(call, json, text, err);
    if (status == PFM_OK)
        status = report_failures(document, err);
    json_decref(document);
    return status;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    enum { MOST = 256 }; /* as many words as the frame takes */
    const char *recipes[MOST];
    int64_t seeds = 1, limit = 0;
    char *json = NULL, *text = NULL;
    pfm_status status = cli_get_integer(call, "seeds", 1, 100, &seeds, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "limit", 1, INT32_MAX, &limit, err);
    for (int i = 0; i < cli_operand_count(call); i++)
        recipes[i] = cli_operand(call, i);
    pfm_compare_options options = {.recipes = recipes,
                                   .recipe_count = cli_operand_count(call),
                                   .data = cli_get(call, "data"),
                                   .out = cli_get(call, "out"),
                                   .seeds = (int)seeds,
                                   .split = cli_get(call, "split"),
                                   .limit = (int)limit,
                                   .baseline = cli_get(call, "baseline"),
                                   .fresh = cli_has(call, "fresh")};
    options.sets = cli_get_all(call, "set", &options.set_count);
    if (status == PFM_OK)
        status = pfm_compare(cli_context(call), &options, &json, &text, err);
    if (status == PFM_OK)
        status = finish(call, json, text, err);
    free(json);
    free(text);
    return status;
}

static const cli_option options[] = {
    {"data", "PATH", "the data set's folder, for all (default: the recipes' data.path)", NULL},
    {"out", "DIR", "the folder of all runs and of the table (default: runs/compare)", NULL},
    {"seeds", "N", "runs of each recipe, --seed and those behind it (default: 1)", NULL},
    {"split", "NAME", "which split to score (default: the recipes' validation split)", NULL},
    {"limit", "N", "score the first N rows of a split only", NULL},
    {"baseline", "NAME", "the recipe that the others are compared with (default: the first)", NULL},
    {"set", "KEY=VALUE", "overrides a key of every recipe; may be given several times", NULL},
    {"fresh", NULL, "forget what DIR holds of these recipes", NULL},
    CLI_WEIGHTS_OPTION,
    CLI_MEMORY_OPTION,
    {0},
};

const cli_command cmd_compare = {
    .name = "compare",
    .arguments =
        "RECIPE... [--data PATH] [--out DIR] [--seeds N] [--split NAME] [--limit N] [--baseline NAME] [--set key=value]... "
        "[--fresh] [--weights FORMAT] [--memory SIZE]",
    .summary = "trains recipes on the same data and prints one table",
    .details =
        "Each recipe is trained and scored in a process of its own: trained parameters, time, memory, scores with intervals.\n"
        "A recipe may list compare.learning_rates: the best of them on its validation split, with the first seed, is used.\n"
        "Goes on by itself where DIR holds a part of it; Ctrl-C saves the state and exits with 130. Leaves DIR/table.txt,\n"
        "table.json, table.csv and plot.svg. docs/compare.md says how to read them.\n\n"
        "  pefomed compare recipes/ablation/*.yaml --data FOLDER --seeds 2\n"
        "  pefomed compare a.yaml b.yaml --data FOLDER --set train.steps=125 --set compare.learning_rates=3e-4,1e-3",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
