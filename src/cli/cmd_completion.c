#include "cli.h"

#include <string.h>

static void print_words(const cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++)
        printf(" --%s", options->name);
}

/* A case line for each option with choices, and one for those whose value is free: there the shell offers file names. */
static void print_values(const cli_command *command, const cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (options->argument == NULL)
            continue;
        if (options->choices == NULL) {
            printf("    %s:--%s) return;;\n", command == NULL ? "*" : command->name, options->name);
            continue;
        }
        printf("    %s:--%s) words='", command == NULL ? "*" : command->name, options->name);
        for (const char *c = options->choices; *c != '\0'; c++)
            putchar(*c == '|' ? ' ' : *c);
        printf("';;\n");
    }
}

/* The words behind `pefomed NAME`: the command's options, the common ones, or file names (the shell's own default). */
static void print_command(const cli_command *command)
{
    printf("    %s:-*) words='", command->name);
    print_words(command->options);
    print_words(cli_common_options);
    printf("';;\n");
}

static void print_names(void)
{
    for (int i = 0; cli_commands[i] != NULL; i++)
        printf(" %s", cli_commands[i]->name);
}

/* Writes a bash script that completes commands, options and choices, made from the tables that help is made from. */
static pfm_status run(cli_call *call, pfm_error *err)
{
    if (strcmp(cli_operand(call, 0), "bash") != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "completion knows bash only, not '%s'", cli_operand(call, 0));
    /* bash splits --probe=swap into three words, of which the middle one is "=". */
    printf("_pefomed() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=\n"
           "    if [ \"$word\" = = ]; then word=; else [ \"$before\" != = ] || before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
           "    COMPREPLY=()\n"
           "    [ \"$COMP_CWORD\" -gt 1 ] || command=\n"
           "    case $command:$before in\n"
           "    :*) words='--help --version help");
    print_names();
    printf("';;\n    help:help) words='");
    print_names();
    printf("';;\n");
    for (int i = 0; cli_commands[i] != NULL; i++)
        print_values(cli_commands[i], cli_commands[i]->options);
    print_values(NULL, cli_common_options);
    printf("    *)\n    case $command:$word in\n");
    for (int i = 0; cli_commands[i] != NULL; i++)
        print_command(cli_commands[i]);
    printf("    esac;;\n    esac\n"
           "    [ -z \"$words\" ] || COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "}\ncomplete -o default -F _pefomed pefomed\n");
    return PFM_OK;
}

const cli_command cmd_completion = {
    .name = "completion",
    .arguments = "bash",
    .summary = "writes a completion script for the shell",
    .details = "Once:     pefomed completion bash > ~/.local/share/bash-completion/completions/pefomed\n"
               "Or now:   source <(pefomed completion bash)",
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
