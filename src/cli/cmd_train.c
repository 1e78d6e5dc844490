#include "cli.h"

#include <stdlib.h>

static double number(const json_t *document, const char *key) { return json_number_value(json_object_get(document, key)); }

static void render_run(const json_t *document, FILE *out)
{
    double seconds = number(document, "seconds");
    fprintf(out, "trained      %.0f steps, %.2f epochs, %.0f samples in %.0f s (%.1f samples/s)\n", number(document, "steps"),
            number(document, "epochs"), number(document, "samples"), seconds,
            seconds > 0 ? number(document, "samples") / seconds : 0);
    fprintf(out, "parameters   %.0f trained of %.0f\n", number(document, "trainable_parameters"),
            number(document, "total_parameters"));
    fprintf(out, "peak memory  %.2f GiB\n", number(document, "peak_bytes") / 1073741824.0);
    const json_t *loss = json_object_get(document, "best_validation_loss");
    if (json_is_number(loss))
        fprintf(out, "validation   loss %.4f at best, after step %.0f\n", json_number_value(loss),
                number(document, "best_step"));
    const char *run = json_string_value(json_object_get(document, "run"));
    fprintf(out, "run          %s\n\nnext: pefomed eval %s\n", run, run);
}

static void render_plan(const json_t *document, FILE *out)
{
    fprintf(out, "trains       %.0f of %.0f parameters\n", number(document, "trainable_parameters"),
            number(document, "total_parameters"));
    fprintf(out, "memory       %.2f GiB at its peak, %.0f tokens at once%s\n", number(document, "peak_bytes") / 1073741824.0,
            number(document, "micro_batch_tokens"),
            json_is_true(json_object_get(document, "recompute")) ? ", blocks computed again in the backward" : "");
    fprintf(out, "time         about %.2f s a step on this machine\n", number(document, "seconds_per_step"));
    fprintf(out, "cache        %.1f MiB of image features on disk\n", number(document, "cache_bytes") / 1048576.0);
    const json_t *stages = json_object_get(document, "stages");
    for (size_t i = 0; json_array_size(stages) > 1 && i < json_array_size(stages); i++) {
        const json_t *stage = json_array_get(stages, i);
        fprintf(out, "stage %-6zu %s: trains %.0f parameters, %.2f GiB, about %.2f s a step\n", i + 1,
                json_string_value(json_object_get(stage, "name")), number(stage, "trainable_parameters"),
                number(stage, "peak_bytes") / 1073741824.0, number(stage, "seconds_per_step"));
    }
}

/* The model card stands beside what it describes; eval adds scores to it. */
static pfm_status write_card(const cli_call *call, const char *json, pfm_error *err)
{
    json_t *document = json_loads(json, 0, NULL);
    const char *run = json_string_value(json_object_get(document, "run"));
    pfm_status status = run == NULL ? pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the model card")
                                    : pfm_card(cli_context(call), run, err);
    json_decref(document);
    return status;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    pfm_train_options options = {.recipe = cli_operand(call, 0),
                                 .data = cli_get(call, "data"),
                                 .out = cli_get(call, "out"),
                                 .plan = cli_has(call, "plan"),
                                 .fresh = cli_has(call, "fresh")};
    options.sets = cli_get_all(call, "set", &options.set_count);
    char *json = NULL;
    pfm_status status = pfm_train(cli_context(call), &options, &json, err);
    if (status == PFM_OK && !options.plan)
        status = write_card(call, json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, options.plan ? render_plan : render_run, err);
    free(json);
    return status;
}

static const cli_option options[] = {
    {"data", "PATH", "the data set's folder (default: the recipe's data.path)", NULL},
    {"out", "RUN", "the run's folder (default: runs/ and the recipe's name)", NULL},
    {"set", "KEY=VALUE", "overrides a key of the recipe; may be given several times", NULL},
    {"plan", NULL, "say what it would take (parameters, memory, time) and stop", NULL},
    CLI_MEMORY_OPTION,
    {"fresh", NULL, "forget what RUN holds and start anew", NULL},
    {0},
};

const cli_command cmd_train = {
    .name = "train",
    .arguments = "RECIPE [--data PATH] [--out RUN] [--set key=value]... [--plan] [--memory SIZE] [--fresh]",
    .summary = "fine-tunes a model on a data set",
    .details = "Goes on by itself where RUN holds an unfinished run of the same recipe, to the same bits as without a break.\n"
               "Ctrl-C saves the state and exits with 130.\n\n"
               "  pefomed train recipes/slake.yaml --data FOLDER --out runs/slake\n"
               "  pefomed train recipes/slake.yaml --plan\n"
               "  pefomed train recipes/slake.yaml --set peft.rank=16 --set train.epochs=1",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .needs_context = true,
    .run = run,
};
