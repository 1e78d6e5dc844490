#include "cli.h"

#include <stdlib.h>

static void write_piece(void *user, const char *text, size_t length)
{
    (void)user;
    (void)fwrite(text, 1, length, stdout);
    (void)fflush(stdout);
}

/* The answer has been written as it came; the line is ended. */
static void render(const json_t *document, FILE *out)
{
    (void)document;
    fputc('\n', out);
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    int64_t max_tokens = 0;
    char *json = NULL;
    int last = cli_operand_count(call) - 1;
    const char **images = calloc((size_t)last, sizeof *images); /* one too many, so that there is always something */
    pfm_status status = cli_get_integer(call, "max-tokens", 1, 65536, &max_tokens, err);
    if (images == NULL)
        status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not list the images");
    for (int i = 1; images != NULL && i < last; i++)
        images[i - 1] = cli_operand(call, i);
    pfm_ask_options options = {.run = cli_operand(call, 0),
                               .images = images,
                               .image_count = (size_t)last - 1,
                               .question = cli_operand(call, last),
                               .max_tokens = (int)max_tokens,
                               .write = cli_wants_json(call) ? NULL : write_piece};
    if (status == PFM_OK)
        status = pfm_ask(cli_context(call), &options, &json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, render, err);
    free(images);
    free(json);
    return status;
}

static const cli_option options[] = {
    {"max-tokens", "N", "the longest answer (default: the recipe's eval.max_tokens)", NULL},
    CLI_WEIGHTS_OPTION,
    CLI_MEMORY_OPTION,
    {0},
};

const cli_command cmd_ask = {
    .name = "ask",
    .arguments = "RUN IMAGE... QUESTION [--max-tokens N] [--weights FORMAT] [--memory SIZE]",
    .summary = "answers one question about an image, or several",
    .details =
        "The answer appears as it is made. --json gives {\"answer\",\"prompt\",\"tokens\",\"seconds\",\"probability\"}; "
        "the prompt is the\n"
        "exact text given to the model, with <image> where the visual tokens of an image stand. Several images come in their "
        "order before\n"
        "the question, or where it says <image>, once for each. A model of text alone (model.vision: none) is asked without "
        "an image.\n\n"
        "  pefomed ask runs/slake scan.jpg \"Which organ is abnormal?\"\n"
        "  pefomed ask runs/mine before.jpg after.jpg \"Before: <image> After: <image> What has changed?\"",
    .options = options,
    .min_operands = 2,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
