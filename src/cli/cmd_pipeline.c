#include "client_options.h"

#include <stdlib.h>

static void render_list(const json_t *document, FILE *out)
{
    size_t i = 0, s = 0;
    json_t *entry = NULL, *step = NULL;
    json_array_foreach(json_object_get(document, "pipelines"), i, entry)
    {
        const char *definition = json_string_value(json_object_get(entry, "definition"));
        fprintf(out, "%s:", json_string_value(json_object_get(entry, "name")));
        json_array_foreach(json_object_get(entry, "steps"), s, step)
            fprintf(out, "%s%s", s > 0 ? ", " : " ", json_string_value(step));
        fprintf(out, "\n  %s\n", definition != NULL ? definition : "");
    }
}

static long long number_of(const json_t *document, const char *key)
{
    return (long long)json_integer_value(json_object_get(document, key));
}

static void render(const json_t *document, FILE *out)
{
    fprintf(out, "%s on %s (%s): %lld rows, %lld with a prediction, %lld unparsable, %lld failed\n",
            json_string_value(json_object_get(document, "pipeline")), json_string_value(json_object_get(document, "dataset")),
            json_string_value(json_object_get(document, "split")), number_of(document, "n"), number_of(document, "ok"),
            number_of(document, "unparsable"), number_of(document, "failed"));
    fprintf(out, "%lld questions asked in %lld attempts, %lld answered by the log, %.1f s\n", number_of(document, "asked"),
            number_of(document, "attempts"), number_of(document, "replayed"),
            json_number_value(json_object_get(document, "seconds")));
    fprintf(out, "%s/predictions.jsonl\n", json_string_value(json_object_get(document, "out")));
}

static pfm_status run_pipeline(cli_call *call, char **json, pfm_error *err)
{
    int64_t limit = 0;
    pfm_pipeline_options options = {.file = cli_operand(call, 0),
                                    .run = cli_operand(call, 1),
                                    .dataset = cli_get(call, "dataset"),
                                    .data = cli_get(call, "data"),
                                    .language = cli_get(call, "language"),
                                    .split = cli_get(call, "split"),
                                    .text_column = cli_get(call, "text"),
                                    .no_images = cli_has(call, "no-images"),
                                    .accept_identifiers = cli_get(call, "accept-identifiers"),
                                    .out = cli_get(call, "out"),
                                    .strict = cli_has(call, "strict")};
    if (options.file == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "name a pipeline to run, as wanglab-two-calls; pefomed pipeline --list names all");
    if (options.out == NULL || options.out[0] == '\0')
        return pfm_error_set(err, PFM_ERROR_USAGE, "say with --out in which folder log and predictions go");
    pfm_status status = cli_get_integer(call, "limit", 1, INT32_MAX, &limit, err);
    options.limit = (int)limit;
    if (status == PFM_OK)
        status = cli_get_client(call, &options.client, err);
    return status == PFM_OK ? pfm_pipeline_run(cli_context(call), &options, json, err) : status;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    char *json = NULL;
    const bool list = cli_has(call, "list");
    pfm_status status = list ? pfm_pipeline_list(&json, err) : run_pipeline(call, &json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, list ? render_list : render, err);
    free(json);
    return status;
}

static const cli_option options[] = {
    {"data", "PATH", "the data set's folder or file (default: where RUN's recipe says)", NULL},
    {"dataset", "NAME", "which data set it is (default: that of RUN's recipe, or table)", NULL},
    {"language", "NAME", "of the data, where they are in several", NULL},
    {"split", "NAME", "which split (default: validate, or as RUN's recipe says)", NULL},
    {"limit", "N", "the first N rows only", NULL},
    {"text", "COLUMN", "the column that {text} stands for (default: text, where there is one)", NULL},
    {"no-images", NULL, "show no images, for models that see none", NULL},
    {"accept-identifiers", "KINDS",
     "of prompts for another machine: what looks like name,date,record,number,email,uid,age,column was read, and is none; or "
     "all",
     NULL},
    {"out", "FOLDER", "where log, predictions and the resolved pipeline go", NULL},
    {"strict", NULL, "fail, with all written, where a row has no prediction", NULL},
    {"list", NULL, "names the pipelines that are part of the program", NULL},
    CLI_CLIENT_OPTIONS,
    CLI_WEIGHTS_OPTION,
    CLI_MEMORY_OPTION,
    {0},
};

const cli_command cmd_pipeline = {
    .name = "pipeline",
    .arguments = "FILE (RUN | --url URL --model NAME) --data PATH [--dataset NAME] [--split NAME] [--limit N] [--text COLUMN] "
                 "[--no-images] [--accept-identifiers KINDS] --out FOLDER " CLI_CLIENT_ARGUMENTS " [--strict] | --list",
    .summary = "asks models in several calls, one made from the others' replies, about every case",
    .details =
        "FILE is the name of a pipeline, or a file of one's own (docs/pipelines.md): steps with a prompt each. RUN is a run, a "
        "recipe or\n"
        "a language model, and answers on this machine; --url names a server. FOLDER keeps every call in calls.jsonl: stopped "
        "or\n"
        "killed, the same command asks only what that does not answer yet. predictions.jsonl is for `pefomed score`.\n\n"
        "  pefomed pipeline wanglab-two-calls --dataset medpix_cases --data MEDPIX --url http://localhost:8080/v1 --model "
        "llava --out two-calls\n"
        "  pefomed pipeline wanglab-two-calls runs/mine --data cases.jsonl --split test --out two-calls\n"
        "  pefomed pipeline ./mine.yaml smollm2-135m-instruct --data cases.jsonl --no-images --out mine",
    .options = options,
    .min_operands = 0,
    .max_operands = 2,
    .needs_context = true,
    .run = run,
};
