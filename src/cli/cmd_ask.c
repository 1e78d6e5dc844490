#include "cli.h"

#include <stdlib.h>
#include <string.h>

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

enum { MOST_ADAPTERS = 64, LONGEST_NAME = 100 };

/* "NAME=DIR", or DIR, whose last part is the name. */
static void name_adapter(const char *text, char name[LONGEST_NAME], pfm_named_adapter *out)
{
    const char *equals = strchr(text, '='), *slash = strrchr(text, '/');
    const bool named = equals != NULL && equals > text && (slash == NULL || strchr(text, '/') > equals);
    const char *begin = named || slash == NULL || slash[1] == '\0' ? text : slash + 1;
    (void)snprintf(name, LONGEST_NAME, "%.*s", named ? (int)(equals - text) : LONGEST_NAME - 1, begin);
    *out = (pfm_named_adapter){.name = name, .folder = named ? equals + 1 : text};
}

static pfm_status ask(cli_call *call, const char *const *images, int64_t max_tokens, pfm_error *err)
{
    const int last = cli_operand_count(call) - 1;
    pfm_named_adapter adapters[MOST_ADAPTERS];
    char names[MOST_ADAPTERS][LONGEST_NAME], *json = NULL;
    int count = 0;
    const char *const *given = cli_get_all(call, "adapter", &count);
    if (count > MOST_ADAPTERS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%d adapters are more than %d", count, MOST_ADAPTERS);
    for (int i = 0; i < count; i++)
        name_adapter(given[i], names[i], &adapters[i]);
    const pfm_ask_options options = {.run = cli_operand(call, 0),
                                     .images = images,
                                     .image_count = (size_t)last - 1,
                                     .question = cli_operand(call, last),
                                     .context = cli_get(call, "context"),
                                     .max_tokens = (int)max_tokens,
                                     .adapters = adapters,
                                     .adapter_count = (size_t)count,
                                     .write = cli_wants_json(call) ? NULL : write_piece};
    pfm_status status = pfm_ask(cli_context(call), &options, &json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, render, err);
    free(json);
    return status;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    int64_t max_tokens = 0;
    int last = cli_operand_count(call) - 1;
    const char **images = calloc((size_t)last, sizeof *images); /* one too many, so that there is always something */
    pfm_status status = cli_get_integer(call, "max-tokens", 1, 65536, &max_tokens, err);
    if (images == NULL)
        status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not list the images");
    for (int i = 1; images != NULL && i < last; i++)
        images[i - 1] = cli_operand(call, i);
    if (status == PFM_OK)
        status = ask(call, images, max_tokens, err);
    free(images);
    return status;
}

static const cli_option options[] = {
    {"context", "COLUMN=VALUE", "what chooses the experts of a run with peft.router: context, as modality=CT", NULL},
    {"max-tokens", "N", "the longest answer (default: the recipe's eval.max_tokens)", NULL},
    {"adapter", "[NAME=]DIR", "another adapter in place of the run's, or several that all answer; none: the base", NULL},
    CLI_WEIGHTS_OPTION,
    CLI_MEMORY_OPTION,
    {0},
};

const cli_command cmd_ask = {
    .name = "ask",
    .arguments = "RUN IMAGE... QUESTION [--max-tokens N] [--adapter [NAME=]DIR]... [--context COLUMN=VALUE] [--weights FORMAT] "
                 "[--memory SIZE]",
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
        "\"answers\".\n\n"
        "  pefomed ask runs/slake scan.jpg \"Which organ is abnormal?\"\n"
        "  pefomed ask runs/mine before.jpg after.jpg \"Before: <image> After: <image> What has changed?\"\n"
        "  pefomed ask runs/ct scan.jpg \"Is it normal?\" --adapter runs/ct --adapter mri=runs/mri --adapter none",
    .options = options,
    .min_operands = 2,
    .max_operands = -1,
    .needs_context = true,
    .run = run,
};
