#include "cli_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

static volatile int interrupted; /* set by SIGINT and SIGTERM, read by long work */

static void on_signal(int number)
{
    (void)number;
    if (interrupted != 0)
        _exit(EXIT_INTERRUPTED); /* asked twice: what is on disk is whole at any moment */
    interrupted = 1;
}

static int report(const pfm_error *err, pfm_status status)
{
    fprintf(stderr, "pefomed: error: %s\n", err->message[0] != '\0' ? err->message : pfm_status_name(status));
    if (status == PFM_ERROR_INTERRUPTED)
        return EXIT_INTERRUPTED;
    return status == PFM_ERROR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static const cli_command *find_command(const char *name)
{
    for (int i = 0; cli_commands[i] != NULL; i++) {
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    }
    return NULL;
}

static pfm_weight_format weights_of(const cli_call *call)
{
    static const char *const names[] = {[PFM_WEIGHTS_Q8_0] = "q8_0", [PFM_WEIGHTS_Q4_0] = "q4_0", [PFM_WEIGHTS_Q4_1] = "q4_1"};
    const char *name = cli_get(call, "weights");
    for (int format = PFM_WEIGHTS_Q8_0; name != NULL && format <= PFM_WEIGHTS_Q4_1; format++)
        if (strcmp(name, names[format]) == 0)
            return (pfm_weight_format)format;
    return PFM_WEIGHTS_FULL;
}

/* "12GiB", "800MiB", or bytes. */
static pfm_status memory_of(const cli_call *call, uint64_t *out, pfm_error *err)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1}, {"MiB", 1048576}, {"GiB", 1073741824}, {"M", 1048576}, {"G", 1073741824}, {"MB", 1e6}, {"GB", 1e9}};
    const char *text = cli_get(call, "memory");
    char *end = NULL;
    const double number = text != NULL ? strtod(text, &end) : 0;
    for (size_t i = 0; end != NULL && end != text && i < sizeof units / sizeof *units; i++) {
        const double bytes = number * units[i].bytes;
        if (strcmp(end, units[i].name) != 0 || !(bytes >= 1) || bytes > 1e15)
            continue;
        *out = (uint64_t)bytes;
        return PFM_OK;
    }
    return text == NULL
               ? PFM_OK
               : pfm_error_set(err, PFM_ERROR_USAGE, "--memory cannot be '%s'; give a size such as 12GiB or 800MiB", text);
}

static pfm_status open_context(cli_call *call, cli_progress_state *progress, pfm_error *err)
{
    int64_t threads = 0, seed = 42;
    pfm_status status = cli_get_integer(call, "threads", 1, 1024, &threads, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "seed", 0, INT64_MAX, &seed, err);
    uint64_t memory = 0;
    if (status == PFM_OK)
        status = memory_of(call, &memory, err);
    if (status != PFM_OK || !call->command->needs_context)
        return status;
    struct sigaction action = {.sa_handler = on_signal}; /* what has no context ends at once, as programs do */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    const char *precision = cli_get(call, "precision");
    pfm_context_options options = {.threads = (int)threads,
                                   .seed = (uint64_t)seed,
                                   .precision = precision != NULL && strcmp(precision, "f32") == 0 ? PFM_PRECISION_F32
                                                                                                   : PFM_PRECISION_BF16,
                                   .weights = weights_of(call),
                                   .memory = memory,
                                   .log = cli_show_log,
                                   .progress = cli_show_progress,
                                   .user = progress,
                                   .interrupt = &interrupted};
    return pfm_context_create(&options, &call->context, err);
}

static pfm_status check_operands(const cli_call *call, pfm_error *err)
{
    const cli_command *command = call->command;
    if (call->operand_count < command->min_operands)
        return pfm_error_set(err, PFM_ERROR_USAGE, "too few arguments; usage: pefomed %s %s", command->name,
                             command->arguments);
    if (command->max_operands >= 0 && call->operand_count > command->max_operands)
        return pfm_error_set(err, PFM_ERROR_USAGE, "one argument too many: '%s'; usage: pefomed %s %s",
                             call->operands[command->max_operands], command->name, command->arguments);
    return PFM_OK;
}

/* Results are buffered: a full disk or a closed pipe shows when they are flushed. */
static pfm_status finish_output(pfm_error *err)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return pfm_error_set(err, PFM_ERROR_IO, "cannot write to standard output");
    return PFM_OK;
}

static int run_command(const cli_command *command, int argc, char **argv)
{
    static cli_call call; /* too large for a stack frame, and there is one a process */
    call.command = command;
    pfm_error err = PFM_ERROR_INIT;
    pfm_status status = cli_parse(&call, argc, argv, &err);
    cli_progress_state progress = {.quiet = cli_has(&call, "quiet"), .terminal = cli_is_terminal(STDERR_FILENO)};
    if (status == PFM_OK && cli_has(&call, "help")) {
        cli_print_command_help(command, stdout);
    } else {
        if (status == PFM_OK)
            status = check_operands(&call, &err);
        if (status == PFM_OK)
            status = open_context(&call, &progress, &err);
        if (status == PFM_OK)
            status = command->run(&call, &err);
        cli_end_progress(&progress);
        pfm_context_free(call.context);
    }
    if (status == PFM_OK)
        status = finish_output(&err);
    return status == PFM_OK ? EXIT_DONE : report(&err, status);
}

static pfm_status unknown_command(const char *name, pfm_error *err)
{
    if (name[0] == '-')
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "the command comes first, options such as %s behind it; pefomed --help lists commands", name);
    const char *names[CLI_MAX_VALUES];
    size_t count = 0;
    for (; cli_commands[count] != NULL && count < CLI_MAX_VALUES; count++)
        names[count] = cli_commands[count]->name;
    const char *meant = pfm_words_nearest(name, names, count);
    if (meant != NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "there is no command '%s'; did you mean '%s'? pefomed --help lists all",
                             name, meant);
    return pfm_error_set(err, PFM_ERROR_USAGE, "there is no command '%s'; pefomed --help lists them", name);
}

/* `pefomed help NAME`, `pefomed help`, `pefomed --help` and `pefomed --version`: what needs no command. */
static int run_without_command(int argc, char **argv)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_status status = PFM_OK;
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--version") == 0) {
        printf("pefomed %s\n", pfm_version());
    } else if (argc > 2 && strcmp(word, "help") == 0) {
        const cli_command *command = find_command(argv[2]);
        if (command != NULL)
            cli_print_command_help(command, stdout);
        else
            status = unknown_command(argv[2], &err);
    } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        cli_print_help(stdout);
    } else if (argc < 2) {
        status = pfm_error_set(&err, PFM_ERROR_USAGE, "which command? pefomed --help lists them");
    } else {
        status = unknown_command(word, &err);
    }
    if (status == PFM_OK)
        status = finish_output(&err);
    return status == PFM_OK ? EXIT_DONE : report(&err, status);
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const cli_command *command = argc > 1 ? find_command(argv[1]) : NULL;
    return command != NULL ? run_command(command, argc - 2, argv + 2) : run_without_command(argc, argv);
}
