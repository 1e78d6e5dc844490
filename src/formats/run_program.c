#include "formats/fetch_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pfm_status start(char *const arguments[], const char *log, pid_t *child, pfm_error *err)
{
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not start %s", arguments[0]);
    int reason = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (reason == 0)
        reason = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (reason == 0)
        reason = posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    if (reason == 0)
        reason = posix_spawnp(child, arguments[0], &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (reason != 0)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot run %s: %s", arguments[0], strerror(reason));
    return PFM_OK;
}

pfm_status pfm_run_program(const pfm_context *context, char *const arguments[], const char *log, int *code, pfm_error *err)
{
    pid_t child = 0;
    pfm_status status = start(arguments, log, &child, err);
    if (status != PFM_OK)
        return status;
    const struct timespec pause = {.tv_nsec = 20000000};
    int result = 0;
    for (;;) {
        pid_t ended = waitpid(child, &result, WNOHANG);
        if (ended == child)
            break;
        if (ended < 0 && errno != EINTR)
            return pfm_error_set(err, PFM_ERROR_IO, "cannot wait for %s: %s", arguments[0], strerror(errno));
        if (pfm_interrupted(context)) {
            kill(child, SIGTERM);
            (void)waitpid(child, &result, 0);
            break;
        }
        nanosleep(&pause, NULL);
    }
    if (pfm_interrupted(context)) /* perhaps the child noticed first and ended by itself */
        return pfm_error_set(err, PFM_ERROR_INTERRUPTED, "interrupted; the same command starts again");
    *code = WIFEXITED(result) ? WEXITSTATUS(result) : -1;
    return PFM_OK;
}
