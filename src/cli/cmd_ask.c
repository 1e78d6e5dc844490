#include "asking.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_CHOICES = 4096 };

/* Cuts "a|b|c" in place. */
static pfm_status cut_choices(char *text, const char **out, size_t *count, pfm_error *err)
{
    *count = 0;
    for (char *part = text, *end; part != NULL; part = end) {
        end = strchr(part, '|');
        if (end != NULL)
            *end++ = '\0';
        if (*part == '\0' || *count == MOST_CHOICES)
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "--choices are answers with | between them, as in \"yes|no\", at most %d", MOST_CHOICES);
        out[(*count)++] = part;
    }
    return PFM_OK;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    const int last = cli_operand_count(call) - 1;
    const char *choices = cli_get(call, "choices");
    pfm_ask_options options = {.question = cli_operand(call, last)};
    char *text = strdup(choices != NULL ? choices : "");
    const char **list = calloc(MOST_CHOICES, sizeof *list);
    pfm_status status = PFM_OK;
    if (text == NULL || list == NULL)
        status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read --choices");
    if (status == PFM_OK && choices != NULL)
        status = cut_choices(text, list, &options.choice_count, err);
    options.choices = list;
    if (status == PFM_OK)
        status = cli_ask(call, &options, last - 1, err);
    free(list);
    free(text);
    return status;
}

static const cli_option options[] = {
    {"choices", "A|B|...", "the answer is the likeliest of these; --json tells how likely each is", NULL},
    CLI_ASK_OPTIONS,
    {0},
};

const cli_command cmd_ask = {
    .name = "ask",
    .arguments = "RUN IMAGE... QUESTION [--choices \"A|B|...\"] " CLI_ASK_ARGUMENTS,
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
        "  pefomed ask runs/slake scan.jpg \"What is shown?\" --beams 4 --sequences 3 --json\n"
        "  pefomed ask runs/slake scan.jpg \"Is the liver healthy?\" --choices \"yes|no\"",
    .options = options,
    .min_operands = 2,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
