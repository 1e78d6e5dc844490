#include "asking.h"

static pfm_status run(cli_call *call, pfm_error *err)
{
    const int last = cli_operand_count(call) - 1;
    return cli_ask(call, &(pfm_ask_options){.question = cli_operand(call, last)}, last - 1, err);
}

static const cli_option options[] = {
    CLI_ASK_OPTIONS,
    {0},
};

const cli_command cmd_ask = {
    .name = "ask",
    .arguments = "RUN IMAGE... QUESTION " CLI_ASK_ARGUMENTS,
    .summary = "answers one question about an image, or several",
    .details =
        "The answer appears as it is made. --json gives {\"answer\",\"prompt\",\"tokens\",\"seconds\",\"probability\"}; "
        "the prompt is the\n"
        "exact text given to the model, with <image> where the visual tokens of an image stand. Several images come in their "
        "order before\n"
        "the question, or where it says <image>, once for each. A model of text alone (model.vision: none) is asked without "
        "an image.\n"
        "Each --adapter (a PEFT folder, or a run with its aligner) gives an answer, beside one base; --json then lists them "
        "as\n"
        "\"answers\". How the answer is made says the recipe under eval, or an option here in its place (docs/decoding.md).\n\n"
        "  pefomed ask runs/slake scan.jpg \"Which organ is abnormal?\"\n"
        "  pefomed ask runs/mine before.jpg after.jpg \"Before: <image> After: <image> What has changed?\"\n"
        "  pefomed ask runs/ct scan.jpg \"Is it normal?\" --adapter runs/ct --adapter mri=runs/mri --adapter none\n"
        "  pefomed ask runs/slake scan.jpg \"What is shown?\" --beams 4 --sequences 3 --json",
    .options = options,
    .min_operands = 2,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
