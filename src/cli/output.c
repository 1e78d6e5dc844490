#include "cli_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

pfm_status cli_print(const cli_call *call, const json_t *document, void (*render)(const json_t *document, FILE *out),
                     pfm_error *err)
{
    if (document == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not make the result");
    if (!cli_wants_json(call) && render != NULL)
        render(document, stdout);
    else if (json_dumpf(document, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) != 0 || fputc('\n', stdout) == EOF)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot write to standard output");
    if (fflush(stdout) != 0 || ferror(stdout))
        return pfm_error_set(err, PFM_ERROR_IO, "cannot write to standard output");
    return PFM_OK;
}

pfm_status cli_print_text(const cli_call *call, const char *document, void (*render)(const json_t *document, FILE *out),
                          pfm_error *err)
{
    json_t *value = json_loads(document, JSON_DECODE_ANY, NULL);
    pfm_status status = cli_print(call, value, render, err);
    json_decref(value);
    return status;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static void format_time(double seconds, char out[32])
{
    long total = (long)(seconds + 0.5);
    if (total >= 3600)
        (void)snprintf(out, 32, "%ldh%02ldm", total / 3600, total / 60 % 60);
    else
        (void)snprintf(out, 32, "%ldm%02lds", total / 60, total % 60);
}

static void draw_bar(const pfm_progress *progress, const char *tail)
{
    int width = terminal_width() - (int)strlen(progress->task) - (int)strlen(tail) - 6;
    double share = progress->total > 0 ? progress->done / progress->total : 0;
    if (width > 40)
        width = 40;
    fprintf(stderr, "\r\033[K%s ", progress->task);
    if (width >= 5 && progress->total > 0) {
        fputc('[', stderr);
        for (int i = 0; i < width; i++)
            fputc(i < (int)(share * width) ? '#' : '.', stderr);
        fputs("] ", stderr);
    }
    fputs(tail, stderr);
    fflush(stderr);
}

void cli_show_progress(void *user, const pfm_progress *progress)
{
    cli_progress_state *state = user;
    if (state->quiet)
        return;
    double time = now();
    bool fresh = state->task != progress->task;
    if (fresh) {
        cli_end_progress(state);
        state->task = progress->task;
        state->started = time;
        state->shown = 0;
        state->first_done = progress->done;
    }
    bool over = progress->total > 0 && progress->done >= progress->total;
    if (!over && time - state->shown < (state->terminal ? 0.1 : 5.0) && !(fresh && state->terminal))
        return;
    state->shown = time;
    double rate = time > state->started ? (progress->done - state->first_done) / (time - state->started) : 0;
    char tail[256], left[32] = "";
    if (progress->total > 0 && rate > 0)
        format_time((progress->total - progress->done) / rate, left);
    (void)snprintf(tail, sizeof tail, "%.0f/%.0f %s%s%.1f/s%s%s%s%s", progress->done, progress->total, progress->unit, ", ",
                   rate, left[0] != '\0' ? ", left " : "", left, progress->note[0] != '\0' ? ", " : "", progress->note);
    if (state->terminal) {
        draw_bar(progress, tail);
        state->open_line = true;
    } else {
        fprintf(stderr, "%s %s\n", progress->task, tail);
    }
}

void cli_end_progress(cli_progress_state *state)
{
    if (state->open_line)
        fputc('\n', stderr);
    state->open_line = false;
}

void cli_show_log(void *user, pfm_log_level level, const char *message)
{
    cli_progress_state *state = user;
    if (state->quiet || level == PFM_LOG_DEBUG)
        return;
    cli_end_progress(state);
    fprintf(stderr, "%s%s\n", level == PFM_LOG_WARNING ? "warning: " : "", message);
}
