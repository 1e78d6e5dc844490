#include "asking.h"

static pfm_status run(cli_call *call, pfm_error *err)
{
    const char *indication = cli_get(call, "indication");
    const pfm_ask_options options = {.report = true, .question = indication != NULL ? indication : ""};
    return cli_ask(call, &options, cli_operand_count(call) - 1, err);
}

static const cli_option options[] = {
    {"indication", "TEXT", "why the pictures were taken, where the run's prompt has a place for it", NULL},
    CLI_ASK_OPTIONS,
    {0},
};

const cli_command cmd_report = {
    .name = "report",
    .arguments = "RUN IMAGE... [--indication TEXT] " CLI_ASK_ARGUMENTS,
    .summary = "writes a report on an image, or on several of one study",
    .details =
        "RUN was trained on captions or reports (recipes/medpix.yaml, recipes/pefomed-iu-xray.yaml). The prompt is the one "
        "that it was\n"
        "trained with; an indication stands where prompt.instruction says {question}. The report appears as it is made; "
        "--json gives\n"
        "{\"answer\",\"prompt\",\"tokens\",\"seconds\",\"probability\"} as `ask` does. How it is made says the recipe "
        "under eval, or an\n"
        "option here in its place (docs/decoding.md).\n\n"
        "  pefomed report runs/iu-xray frontal.png lateral.png --beams 3 --max-tokens 100\n"
        "  pefomed report runs/llava-rad chest.png --indication \"cough and fever\"",
    .options = options,
    .min_operands = 2,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
