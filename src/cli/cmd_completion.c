#include "cli.h"

#include <string.h>

static void print_words(const cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++)
        printf(" --%s", options->name);
}

static void print_choices(const cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (options->choices == NULL)
            continue;
        printf("            --%s) COMPREPLY=($(compgen -W '", options->name);
        for (const char *c = options->choices; *c != '\0'; c++)
            putchar(*c == '|' ? ' ' : *c);
        printf("' -- \"$word\")); return;;\n");
    }
}

/* Writes a bash script that completes commands, options, choices and file names, made from the same tables as the help. */
static pfm_status run(cli_call *call, pfm_error *err)
{
    if (strcmp(cli_operand(call, 0), "bash") != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "completion knows bash only, not '%s'", cli_operand(call, 0));
    printf("_pefomed() {\n    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W '--help --version");
    for (int i = 0; cli_commands[i] != NULL; i++)
        printf(" %s", cli_commands[i]->name);
    printf("' -- \"$word\")); return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (int i = 0; cli_commands[i] != NULL; i++) {
        printf("    %s)\n        words='", cli_commands[i]->name);
        print_words(cli_commands[i]->options);
        printf("'\n        case $before in\n");
        print_choices(cli_commands[i]->options);
        printf("        esac;;\n");
    }
    printf("    esac\n    case $before in\n");
    print_choices(cli_common_options);
    printf("    esac\n    words=\"$words");
    print_words(cli_common_options);
    printf("\"\n    case $word in\n        -*) COMPREPLY=($(compgen -W \"$words\" -- \"$word\"));;\n"
           "        *) COMPREPLY=($(compgen -f -- \"$word\"));;\n    esac\n}\ncomplete -o filenames -F _pefomed pefomed\n");
    return PFM_OK;
}

const cli_command cmd_completion = {
    .name = "completion",
    .arguments = "bash",
    .summary = "writes a completion script for the shell",
    .details = "Once:     pefomed completion bash > ~/.local/share/bash-completion/completions/pefomed\nOr now:   source "
               "<(pefomed completion bash)",
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
