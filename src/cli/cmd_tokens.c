#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const cli_option options[] = {
    {"decode", NULL, "lists of ids to texts", NULL},
    {"chat", NULL, "lists of {role, content} to the text of the model's chat template", NULL},
    {0},
};

static bool is_blank(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (strchr(" \t\r\n", line[i]) == NULL)
            return false;
    }
    return true;
}

/* Prints the value, or with --json keeps it for the one document. */
static pfm_status give(const char *value, json_t *all, pfm_error *err)
{
    if (all == NULL)
        return puts(value) == EOF ? pfm_error_set(err, PFM_ERROR_IO, "cannot write to standard output") : PFM_OK;
    json_t *parsed = json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (parsed == NULL || json_array_append_new(all, parsed) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not keep the results");
    return PFM_OK;
}

static pfm_status convert_lines(const pfm_tokens *tokens, pfm_tokens_way way, json_t *all, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *line = NULL;
    size_t capacity = 0, number = 0;
    ssize_t length = 0;
    while (status == PFM_OK && (length = getline(&line, &capacity, stdin)) >= 0) {
        number++;
        if (is_blank(line, (size_t)length))
            continue;
        pfm_error inner = PFM_ERROR_INIT;
        char *value = NULL;
        status = pfm_tokens_convert(tokens, way, line, (size_t)length, &value, &inner);
        if (status == PFM_ERROR_USAGE) /* what stands in a line is no matter of the command line */
            status = PFM_ERROR_FORMAT;
        if (status != PFM_OK)
            pfm_error_set(err, status, "standard input line %zu: %s", number, inner.message);
        else
            status = give(value, all, err);
        free(value);
    }
    if (status == PFM_OK && ferror(stdin))
        status = pfm_error_set(err, PFM_ERROR_IO, "cannot read standard input: %s", strerror(errno));
    free(line);
    return status;
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    pfm_tokens *tokens = NULL;
    json_t *all = cli_wants_json(call) ? json_array() : NULL;
    bool decode = cli_has(call, "decode"), chat = cli_has(call, "chat");
    if (decode && chat)
        return pfm_error_set(err, PFM_ERROR_USAGE, "--decode and --chat exclude each other");
    pfm_status status = pfm_tokens_open(cli_context(call), cli_operand(call, 0), &tokens, err);
    if (status == PFM_OK)
        status = convert_lines(tokens, decode ? PFM_TOKENS_DECODE : chat ? PFM_TOKENS_CHAT : PFM_TOKENS_ENCODE, all, err);
    if (status == PFM_OK && all != NULL)
        status = cli_print(call, all, NULL, err);
    else if (fflush(stdout) != 0 && status == PFM_OK)
        status = pfm_error_set(err, PFM_ERROR_IO, "cannot write to standard output");
    json_decref(all);
    pfm_tokens_free(tokens);
    return status;
}

const cli_command cmd_tokens = {
    .name = "tokens",
    .arguments = "MODEL [--decode] [--chat] < LINES",
    .summary = "texts to token ids and back, and chats to prompts, line by line",
    .details =
        "Reads JSON values, one a line, from standard input and writes one for each: a string becomes the list of its ids\n"
        "(no special tokens are added; those that the text spells out, like <|im_end|>, are found), with --decode a list\n"
        "of ids becomes the string, with --chat a list of {\"role\", \"content\"} becomes what the model is given, with the\n"
        "beginning of its answer. MODEL is a name that fetch knows, a GGUF file, a tokenizer.json, a SentencePiece\n"
        "tokenizer.model, a vocab.json with merges.txt beside it, or a folder that holds one of these.\n\n"
        "  echo '\"Which organ is shown?\"' | pefomed tokens smollm2-135m-instruct",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .needs_context = true,
    .run = run,
};
