/* The program's frame: a command is one file with one `const cli_command` and one line in command_list.h. */
#ifndef PFM_CLI_H
#define PFM_CLI_H

#include "pefomed/pefomed.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct cli_option {
    const char *name;     /* without the dashes */
    const char *argument; /* what help calls its value, or NULL for a switch */
    const char *help;
    const char *choices; /* NULL, or words separated by '|', checked and completed */
} cli_option;

typedef struct cli_call cli_call;

typedef struct cli_command {
    const char *name;
    const char *arguments;          /* "RECIPE [--data PATH]": what stands behind the name in the usage line */
    const char *summary;            /* one line for the list of commands */
    const char *details;            /* a paragraph and examples for `help NAME`; NULL when the summary says it all */
    const cli_option *options;      /* ended by {0}; NULL for none */
    int min_operands, max_operands; /* max -1: any number */
    bool needs_context;             /* the call has a context: threads, kernels */
    pfm_status (*run)(cli_call *call, pfm_error *err);
} cli_command;

/* One line a command. */
#define CLI_DECLARE(name) extern const cli_command cmd_##name;
#define CLI_COMMANDS(X) CLI_COMMAND_LIST(X)
#include "command_list.h"
CLI_COMMANDS(CLI_DECLARE)
extern const cli_command *const cli_commands[]; /* ended by NULL */

/* For commands that compute with a language model: --memory, which the context then knows. */
#define CLI_MEMORY_OPTION                                                                                                      \
    {                                                                                                                          \
        "memory", "SIZE", "stay within so much memory, such as 12GiB, or refuse", NULL                                         \
    }
/* For commands that answer: --weights, which the context then knows. */
#define CLI_WEIGHTS_OPTION                                                                                                     \
    {                                                                                                                          \
        "weights", "FORMAT", "how frozen weights are kept: bf16 (default; f32 with --precision f32), q8_0, q4_1, q4_0",        \
            "bf16|q8_0|q4_1|q4_0"                                                                                              \
    }

/* What every command understands besides its own options. */
extern const cli_option cli_common_options[];

int cli_operand_count(const cli_call *call);
const char *cli_operand(const cli_call *call, int index);                             /* NULL past the last */
bool cli_has(const cli_call *call, const char *option);                               /* it was given */
const char *cli_get(const cli_call *call, const char *option);                        /* its last value, or NULL */
const char *const *cli_get_all(const cli_call *call, const char *option, int *count); /* every value, in order; borrowed */
/* *out = the option's number within low..high, untouched where it was not given; USAGE names the option and the range. */
pfm_status cli_get_integer(const cli_call *call, const char *option, int64_t low, int64_t high, int64_t *out, pfm_error *err);
pfm_status cli_get_number(const cli_call *call, const char *option, double low, double high, double *out, pfm_error *err);

pfm_context *cli_context(const cli_call *call); /* NULL unless the command needs one */
bool cli_wants_json(const cli_call *call);

/* Prints a result: with --json the document and nothing else, otherwise what `render` writes to stdout. NULL render: the
 * document, indented. IO when stdout cannot be written. */
pfm_status cli_print(const cli_call *call, const json_t *document, void (*render)(const json_t *document, FILE *out),
                     pfm_error *err) PFM_MUST_CHECK;
/* The same from the JSON text that the library returned. */
pfm_status cli_print_text(const cli_call *call, const char *document, void (*render)(const json_t *document, FILE *out),
                          pfm_error *err) PFM_MUST_CHECK;

/* Progress and messages on stderr: a bar on a terminal, else a line every few seconds. */
typedef struct cli_progress_state {
    bool quiet, terminal, open_line;
    char task[64]; /* empty: none yet */
    double started, shown, first_done, last_done;
} cli_progress_state;
void cli_show_progress(void *user, const pfm_progress *progress);
void cli_show_log(void *user, pfm_log_level level, const char *message);
void cli_end_progress(cli_progress_state *state);

#endif
