#include "cli_internal.h"

#include <signal.h>
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

static pfm_status open_context(cli_call *call, cli_progress_state *progress, pfm_error *err)
{
    int64_t threads = 0, seed = 42;
    pfm_status status = cli_get_integer(call, "threads", 1, 1024, &threads, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "seed", 0, INT64_MAX, &seed, err);
    if (status != PFM_OK || !call->command->needs_context)
        return status;
    const char *precision = cli_get(call, "precision");
    pfm_context_options options = {.threads = (int)threads,
                                   .seed = (uint64_t)seed,
                                   .precision = precision != NULL && strcmp(precision, "f32") == 0 ? PFM_PRECISION_F32
                                                                                                   : PFM_PRECISION_BF16,
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

static int run_command(const cli_command *command, int argc, char **argv)
{
    static cli_call call; /* too large for a stack frame, and there is one a process */
    call.command = command;
    pfm_error err = PFM_ERROR_INIT;
    pfm_status status = cli_parse(&call, argc, argv, &err);
    if (status == PFM_OK && cli_has(&call, "help")) {
        cli_print_command_help(command, stdout);
        return EXIT_DONE;
    }
    cli_progress_state progress = {.quiet = cli_has(&call, "quiet"), .terminal = isatty(STDERR_FILENO) != 0};
    if (status == PFM_OK)
        status = check_operands(&call, &err);
    if (status == PFM_OK)
        status = open_context(&call, &progress, &err);
    if (status == PFM_OK)
        status = command->run(&call, &err);
    cli_end_progress(&progress);
    pfm_context_free(call.context);
    return status == PFM_OK ? EXIT_DONE : report(&err, status);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--version") == 0) {
        printf("pefomed %s\n", pfm_version());
        return EXIT_DONE;
    }
    if (strcmp(name, "help") == 0 && argc > 2)
        name = argv[2];
    else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        cli_print_help(argc > 1 ? stdout : stderr);
        return argc > 1 ? EXIT_DONE : EXIT_USAGE;
    }
    const cli_command *command = find_command(name);
    if (command == NULL) {
        fprintf(stderr, "pefomed: error: there is no command '%s'; pefomed --help lists them\n", name);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "help") == 0) {
        cli_print_command_help(command, stdout);
        return EXIT_DONE;
    }
    return run_command(command, argc - 2, argv + 2);
}
