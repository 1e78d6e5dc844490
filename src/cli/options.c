#include "cli_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const cli_option cli_common_options[] = {
    {"json", NULL, "print exactly one JSON document on stdout", NULL},
    {"quiet", NULL, "no progress, no messages", NULL},
    {"threads", "N", "how many threads to use (default: the cores there are)", NULL},
    {"seed", "N", "the seed of everything random (default 42)", NULL},
    {"precision", "P", "bf16 (default) or f32", "bf16|f32"},
    {"help", NULL, "show this help", NULL},
    {0},
};

static const cli_option *find_in(const cli_option *table, const char *name, size_t length)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (strlen(table->name) == length && strncmp(table->name, name, length) == 0)
            return table;
    }
    return NULL;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t length = strlen(value);
    for (const char *word = choices; word != NULL; word = strchr(word, '|')) {
        word += *word == '|';
        size_t size = strcspn(word, "|");
        if (size == length && strncmp(word, value, length) == 0)
            return true;
        if (word[size] == '\0')
            break;
        word += size;
    }
    return false;
}

static pfm_status add_value(cli_call *call, const cli_option *option, const char *value, pfm_error *err)
{
    if (call->value_count == CLI_MAX_VALUES)
        return pfm_error_set(err, PFM_ERROR_USAGE, "more than %d options were given", CLI_MAX_VALUES);
    if (value != NULL && option->choices != NULL && !is_choice(option->choices, value))
        return pfm_error_set(err, PFM_ERROR_USAGE, "--%s cannot be '%s'; it is one of %s", option->name, value,
                             option->choices);
    call->values[call->value_count++] = (cli_value){option->name, value};
    return PFM_OK;
}

static pfm_status unknown_option(const cli_call *call, const char *word, pfm_error *err)
{
    const char *names[CLI_MAX_VALUES], *command = call->command->name;
    const cli_option *const tables[] = {call->command->options, cli_common_options};
    size_t count = 0;
    for (size_t t = 0; t < 2; t++) {
        for (const cli_option *option = tables[t]; option != NULL && option->name != NULL && count < CLI_MAX_VALUES; option++)
            names[count++] = option->name;
    }
    char bare[64];
    (void)snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word, "="), word);
    const char *meant = pfm_words_nearest(bare + strspn(bare, "-"), names, count);
    if (meant != NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s has no option %s; did you mean --%s?", command, word, meant);
    return pfm_error_set(err, PFM_ERROR_USAGE, "%s has no option %s; pefomed %s --help lists them", command, word, command);
}

/* Takes the option in argv[*index], and its value from there or from the next argument, which moves *index. */
static pfm_status parse_option(cli_call *call, int argc, char **argv, int *index, pfm_error *err)
{
    const char *word = strcmp(argv[*index], "-h") == 0 ? "--help" : argv[*index];
    size_t length = strncmp(word, "--", 2) == 0 ? strcspn(word + 2, "=") : 0;
    const cli_option *option = length == 0 ? NULL : find_in(call->command->options, word + 2, length);
    if (option == NULL && length > 0)
        option = find_in(cli_common_options, word + 2, length);
    if (option == NULL)
        return unknown_option(call, word, err);
    const char *value = word[2 + length] == '=' ? word + 3 + length : NULL;
    if (option->argument == NULL && value != NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "--%s takes no value", option->name);
    if (option->argument != NULL && value == NULL) {
        if (*index + 1 == argc)
            return pfm_error_set(err, PFM_ERROR_USAGE, "--%s needs a value: --%s %s", option->name, option->name,
                                 option->argument);
        value = argv[++*index];
    }
    return add_value(call, option, value, err);
}

pfm_status cli_parse(cli_call *call, int argc, char **argv, pfm_error *err)
{
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1] != '\0') {
            pfm_status status = parse_option(call, argc, argv, &i, err);
            if (status != PFM_OK)
                return status;
        } else {
            if (call->operand_count == CLI_MAX_VALUES)
                return pfm_error_set(err, PFM_ERROR_USAGE, "more than %d arguments were given", CLI_MAX_VALUES);
            call->operands[call->operand_count++] = argv[i];
        }
    }
    return PFM_OK;
}

int cli_operand_count(const cli_call *call) { return call->operand_count; }

const char *cli_operand(const cli_call *call, int index) { return index < call->operand_count ? call->operands[index] : NULL; }

bool cli_has(const cli_call *call, const char *option)
{
    for (int i = 0; i < call->value_count; i++) {
        if (strcmp(call->values[i].name, option) == 0)
            return true;
    }
    return false;
}

const char *cli_get(const cli_call *call, const char *option)
{
    for (int i = call->value_count; i > 0; i--) {
        if (strcmp(call->values[i - 1].name, option) == 0)
            return call->values[i - 1].value;
    }
    return NULL;
}

const char *const *cli_get_all(const cli_call *call, const char *option, int *count)
{
    cli_call *writable = (cli_call *)(uintptr_t)call; /* the list is scratch space, not part of the call's meaning */
    *count = 0;
    for (int i = 0; i < call->value_count; i++) {
        if (strcmp(call->values[i].name, option) == 0)
            writable->listed[(*count)++] = call->values[i].value;
    }
    return call->listed;
}

pfm_status cli_get_integer(const cli_call *call, const char *option, int64_t low, int64_t high, int64_t *out, pfm_error *err)
{
    const char *text = cli_get(call, option);
    if (text == NULL)
        return PFM_OK;
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < low || value > high)
        return pfm_error_set(err, PFM_ERROR_USAGE, "--%s cannot be '%s'; give a whole number from %lld to %lld", option, text,
                             (long long)low, (long long)high);
    *out = value;
    return PFM_OK;
}

pfm_status cli_get_number(const cli_call *call, const char *option, double low, double high, double *out, pfm_error *err)
{
    const char *text = cli_get(call, option);
    if (text == NULL)
        return PFM_OK;
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= low && value <= high))
        return pfm_error_set(err, PFM_ERROR_USAGE, "--%s cannot be '%s'; give a number from %g to %g", option, text, low, high);
    *out = value;
    return PFM_OK;
}

pfm_context *cli_context(const cli_call *call) { return call->context; }

bool cli_wants_json(const cli_call *call) { return cli_has(call, "json"); }
