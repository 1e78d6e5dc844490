#include "cli_internal.h"

#include <string.h>

#define ADDRESS(name) &cmd_##name,
const cli_command *const cli_commands[] = {CLI_COMMANDS(ADDRESS) NULL};

static int option_width(const cli_option *option)
{
    return (int)strlen(option->name) + (option->argument == NULL ? 0 : 1 + (int)strlen(option->argument));
}

/* The widest option of both tables; what is wider than the limit has its help on the next line. */
static int column_width(const cli_option *own)
{
    enum { LIMIT = 26 };
    const cli_option *const tables[] = {own, cli_common_options};
    int width = 0;
    for (int t = 0; t < 2; t++) {
        for (const cli_option *option = tables[t]; option != NULL && option->name != NULL; option++) {
            if (option_width(option) > width && option_width(option) <= LIMIT)
                width = option_width(option);
        }
    }
    return width;
}

static void print_options(const cli_option *options, int width, FILE *out)
{
    for (; options != NULL && options->name != NULL; options++) {
        bool valued = options->argument != NULL;
        fprintf(out, "  --%s%s%s", options->name, valued ? " " : "", valued ? options->argument : "");
        int gap = width - option_width(options);
        if (gap < 0)
            fprintf(out, "\n%*s", width + 4, "");
        fprintf(out, "%*s%s\n", 2 + (gap > 0 ? gap : 0), "", options->help);
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
        print_options(command->options, column_width(command->options), out);
    }
    fputs("\neverywhere:\n", out);
    print_options(cli_common_options, column_width(command->options), out);
}
