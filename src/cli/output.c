#include "cli_internal.h"

#include <stdarg.h>
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

bool cli_is_terminal(int descriptor)
{
    const char *kind = getenv("TERM");
    return isatty(descriptor) != 0 && (kind == NULL || strcmp(kind, "dumb") != 0);
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void format_time(double seconds, char out[32])
{
    long total = (long)(seconds + 0.5);
    if (total >= 3600)
        (void)snprintf(out, 32, "%ldh%02ldm", total / 3600, total / 60 % 60);
    else
        (void)snprintf(out, 32, "%ldm%02lds", total / 60, total % 60);
}

typedef struct text_line {
    char text[512];
    size_t length;
} text_line;

static void PFM_PRINTF(2, 3) add(text_line *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof out->text - out->length;
    int length = vsnprintf(out->text + out->length, room, format, arguments);
    va_end(arguments);
    if (length > 0)
        out->length += (size_t)length < room ? (size_t)length : room - 1;
}

/* "120/900 samples, 34.5 samples/s, 0m23s left, loss 0.412, 1.2 GiB": what stands behind the task and its bar. */
static void describe(const pfm_progress *progress, double rate, text_line *out)
{
    bool bytes = strcmp(progress->unit, "bytes") == 0;
    double scale = bytes ? 1.0 / (1 << 20) : 1;
    const char *unit = bytes ? "MiB" : progress->unit;
    int digits = bytes ? 1 : 0;
    add(out, "%.*f", digits, progress->done * scale);
    if (progress->total > 0)
        add(out, "/%.*f", digits, progress->total * scale);
    add(out, " %s", unit);
    if (rate > 0) {
        add(out, ", %.*f %s/s", rate * scale < 100 ? 1 : 0, rate * scale, unit);
        if (progress->done < progress->total) {
            char left[32];
            format_time((progress->total - progress->done) / rate, left);
            add(out, ", %s left", left);
        }
    }
    if (progress->note != NULL && progress->note[0] != '\0')
        add(out, ", %s", progress->note);
    if (progress->memory > 0)
        add(out, ", %.2f GiB", (double)progress->memory / (1 << 30));
}

/* One line of the terminal, never more: what does not fit is cut, the bar goes first. */
static void draw_bar(const pfm_progress *progress, const text_line *tail)
{
    enum { SHORTEST = 10, LONGEST = 40 };
    text_line line = {0};
    add(&line, "%s ", progress->task);
    int room = terminal_width() - 1, width = room - (int)line.length - (int)tail->length - 3;
    width = width > LONGEST ? LONGEST : width;
    if (width >= SHORTEST && progress->total > 0) {
        int full = (int)(progress->done / progress->total * width);
        add(&line, "[");
        for (int i = 0; i < width; i++)
            add(&line, "%c", i < full ? '#' : '.');
        add(&line, "] ");
    }
    add(&line, "%s", tail->text);
    fprintf(stderr, "\r\033[K%.*s", room, line.text);
    fflush(stderr);
}

void cli_show_progress(void *user, const pfm_progress *progress)
{
    static const double every_seconds[] = {5.0, 0.1}; /* a line, a bar */
    cli_progress_state *state = user;
    if (state->quiet)
        return;
    double time = now();
    if (strncmp(state->task, progress->task, sizeof state->task - 1) != 0 || progress->done < state->last_done) {
        cli_end_progress(state);
        (void)snprintf(state->task, sizeof state->task, "%s", progress->task);
        state->started = time;
        state->shown = state->terminal ? 0 : time;
        state->first_done = progress->done;
        state->last_done = -1;
    }
    bool over = progress->total > 0 && progress->done >= progress->total, told = over && state->last_done >= progress->total;
    state->last_done = progress->done;
    if (told || (!over && time - state->shown < every_seconds[state->terminal]))
        return;
    state->shown = time;
    double seconds = time - state->started;
    text_line tail = {0};
    describe(progress, seconds > 0.5 ? (progress->done - state->first_done) / seconds : 0, &tail);
    if (!state->terminal) {
        fprintf(stderr, "%s %s\n", progress->task, tail.text);
    } else {
        draw_bar(progress, &tail);
        state->open_line = true;
    }
    if (over)
        cli_end_progress(state);
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
    if (state->open_line)
        fputs("\r\033[K", stderr); /* the bar comes back below with the next progress */
    state->open_line = false;
    fprintf(stderr, "%s%s\n", level == PFM_LOG_WARNING ? "warning: " : "", message);
}
