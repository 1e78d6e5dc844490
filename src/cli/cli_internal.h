/* Shared between the frame's own files; commands do not include it. */
#ifndef PFM_CLI_INTERNAL_H
#define PFM_CLI_INTERNAL_H

#include "cli.h"

enum { CLI_MAX_VALUES = 256 };

typedef struct cli_value {
    const char *name;  /* the option's, from its table */
    const char *value; /* NULL for a switch */
} cli_value;

struct cli_call {
    const cli_command *command;
    const char *operands[CLI_MAX_VALUES];
    int operand_count;
    cli_value values[CLI_MAX_VALUES];
    int value_count;
    const char *listed[CLI_MAX_VALUES]; /* behind cli_get_all */
    pfm_context *context;
};

/* Splits argv (behind the command's name) into operands and options. USAGE on anything unknown, incomplete or too many. */
pfm_status cli_parse(cli_call *call, int argc, char **argv, pfm_error *err) PFM_MUST_CHECK;

/* A terminal that can draw a line over another. */
bool cli_is_terminal(int descriptor);

void cli_print_help(FILE *out);
void cli_print_command_help(const cli_command *command, FILE *out);

#endif
