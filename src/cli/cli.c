#include "cli_internal.h"

#include <string.h>

#define ADDRESS(name) &cmd_##name,
const cli_command *const cli_commands[] = {CLI_COMMANDS(ADDRESS) NULL};

static void print_options(const cli_option *options, FILE *out)
{
    for (; options != NULL && options->name != NULL; options++) {
        char left[64];
        (void)snprintf(left, sizeof left, "--%s %s", options->name, options->argument == NULL ? "" : options->argument);
        fprintf(out, "  %-22s %s\n", left, options->help);
    }
}

void cli_print_help(FILE *out)
{
    fputs("pefomed: fine-tunes multimodal language models on medical images, answers questions about them, scores it.\n\n"
          "usage: pefomed COMMAND ...\n\n",
          out);
    for (int i = 0; cli_commands[i] != NULL; i++)
        fprintf(out, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    fputs("\npefomed COMMAND --help shows a command's options, pefomed --version the version.\n"
          "A first run: script/demo, or pefomed train recipes/slake.yaml --data FOLDER --out runs/slake\n"
          "Not for clinical use.\n",
          out);
}

void cli_print_command_help(const cli_command *command, FILE *out)
{
    fprintf(out, "pefomed %s: %s\n\nusage: pefomed %s %s\n", command->name, command->summary, command->name,
            command->arguments);
    if (command->details != NULL)
        fprintf(out, "\n%s\n", command->details);
    if (command->options != NULL) {
        fputs("\noptions:\n", out);
        print_options(command->options, out);
    }
    fputs("\neverywhere:\n", out);
    print_options(cli_common_options, out);
}
