#include "cli.h"

#include <stdlib.h>

static void render(const json_t *document, FILE *out)
{
    size_t i = 0;
    json_t *run = NULL;
    json_array_foreach(json_object_get(document, "runs"), i, run)
        fprintf(out, "%-24s %6lld lines, last %.4g\n", json_string_value(json_object_get(run, "name")),
                (long long)json_integer_value(json_object_get(run, "lines")), json_number_value(json_object_get(run, "last")));
    fprintf(out, "%s\n", json_string_value(json_object_get(document, "out")));
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    enum { MOST = 256 }; /* as many words as the frame takes */
    const char *runs[MOST];
    char *document = NULL;
    int64_t smooth = 0;
    for (int i = 0; i < cli_operand_count(call); i++)
        runs[i] = cli_operand(call, i);
    pfm_status status = cli_get_integer(call, "smooth", 1, 1000000, &smooth, err);
    const pfm_plot_request request = {.runs = runs,
                                      .run_count = (size_t)cli_operand_count(call),
                                      .column = cli_get(call, "column"),
                                      .against = cli_get(call, "against"),
                                      .smooth = (int)smooth,
                                      .out = cli_get(call, "out")};
    if (status == PFM_OK)
        status = pfm_plot(&request, &document, err);
    if (status == PFM_OK)
        status = cli_print_text(call, document, render, err);
    free(document);
    return status;
}

static const cli_option options[] = {
    {"out", "FILE", "the figure, FILE.svg or FILE.png", NULL},
    {"column", "NAME", "a column of the log: loss (default), lr, grad_norm, ...", NULL},
    {"against", "NAME", "what runs to the right (default: step)", "step|epoch|samples|tokens|seconds"},
    {"smooth", "N", "a point is the mean of N lines of the log (default: by their number)", NULL},
    {0},
};

const cli_command cmd_plot = {
    .name = "plot",
    .arguments = "[NAME=]RUN... --out FILE.svg [--column NAME] [--against NAME] [--smooth N]",
    .summary = "draws learning curves of runs side by side",
    .details = "RUN is a run's folder or its log.jsonl.\n\n"
               "  pefomed plot runs/lora runs/dora --out curves.svg\n"
               "  pefomed plot small=runs/a large=runs/b --against samples --out curves.png",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};
