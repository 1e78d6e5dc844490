#include "serve/run_log.h"

#include "base/try.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MOST_POINTS = 1000,
    EXACT_POINTS = 200,
    MOST_SERIES = 64,
    MOST_STAGES = 64,
    MOST_LOGS = 16,
    MOST_LINE = 1 << 20,
    CHUNK = 1 << 18,
    END_BYTES = 64 /* by which what was read is known again */
};
/* Of a log, over all its series: 64 MiB. */
static const size_t most_values = (size_t)1 << 22;

typedef struct series {
    char *name;
    double *steps, *values;
    size_t count, step_capacity, capacity;
} series;

typedef struct stage {
    double step;
    char *name;
} stage;

typedef struct run_log {
    char *path;
    uint64_t used;
    dev_t device;
    ino_t inode;
    off_t read; /* the end of the last whole line */
    char end[END_BYTES];
    size_t end_size;
    unsigned begun; /* how often it was read from its beginning */
    double step;    /* the last one; -infinity: none yet */
    size_t lines, values;
    series series[MOST_SERIES];
    size_t series_count;
    stage stages[MOST_STAGES];
    size_t stage_count;
} run_log;

struct pfm_run_logs {
    pthread_mutex_t lock;
    run_log *logs[MOST_LOGS];
    uint64_t clock;
};

/* ---- thinning ---- */

size_t pfm_curve_thin(const double *values, size_t count, size_t most, size_t exact, size_t *keep)
{
    size_t kept = 0;
    if (count <= most) {
        for (size_t i = 0; i < count; i++)
            keep[kept++] = i;
        return kept;
    }
    const size_t early = count - exact, stretches = (most - exact - 1) / 2;
    keep[kept++] = 0;
    for (size_t s = 0; s < stretches; s++) {
        const size_t begin = 1 + (early - 1) * s / stretches, end = 1 + (early - 1) * (s + 1) / stretches;
        size_t low = begin, high = begin;
        for (size_t i = begin; i < end; i++) {
            low = values[i] < values[low] ? i : low;
            high = values[i] > values[high] ? i : high;
        }
        if (begin < end)
            keep[kept++] = low < high ? low : high;
        if (low != high)
            keep[kept++] = low < high ? high : low;
    }
    for (size_t i = early; i < count; i++)
        keep[kept++] = i;
    return kept;
}

/* ---- lines ---- */

static void forget_lines(run_log *log)
{
    for (size_t i = 0; i < log->series_count; i++) {
        free(log->series[i].name);
        free(log->series[i].steps);
        free(log->series[i].values);
    }
    for (size_t i = 0; i < log->stage_count; i++)
        free(log->stages[i].name);
    log->series_count = log->stage_count = log->lines = log->values = log->end_size = 0;
    log->read = 0;
    log->step = -INFINITY;
    log->begun++;
}

static void free_log(run_log *log)
{
    if (log == NULL)
        return;
    forget_lines(log);
    free(log->path);
    free(log);
}

static pfm_status find_series(run_log *log, const char *name, series **out, pfm_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < log->series_count; i++) {
        if (strcmp(log->series[i].name, name) == 0) {
            *out = &log->series[i];
            return PFM_OK;
        }
    }
    if (log->series_count == MOST_SERIES)
        return PFM_OK;
    series *s = &log->series[log->series_count];
    *s = (series){0};
    const pfm_status status = pfm_string_copy(name, &s->name, err);
    if (status == PFM_OK) {
        log->series_count++;
        *out = s;
    }
    return status;
}

static pfm_status add_point(run_log *log, const char *name, double step, double value, pfm_error *err)
{
    pfm_status status = PFM_OK;
    series *s;
    if (!isfinite(value))
        return PFM_OK;
    PFM_TRY(find_series(log, name, &s, err));
    if (s == NULL)
        goto done;
    if (log->values >= most_values)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "the log holds more than %zu numbers, which are not drawn", most_values);
    PFM_TRY(pfm_array_reserve(&s->steps, &s->step_capacity, s->count + 1, sizeof *s->steps, err));
    PFM_TRY(pfm_array_reserve(&s->values, &s->capacity, s->count + 1, sizeof *s->values, err));
    s->steps[s->count] = step;
    s->values[s->count++] = value;
    log->values++;
done:
    return status;
}

static pfm_status note_stage(run_log *log, double step, const char *name, pfm_error *err)
{
    if (name == NULL || log->stage_count == MOST_STAGES ||
        (log->stage_count > 0 && strcmp(log->stages[log->stage_count - 1].name, name) == 0))
        return PFM_OK;
    stage *s = &log->stages[log->stage_count];
    const pfm_status status = pfm_string_copy(name, &s->name, err);
    if (status == PFM_OK) {
        s->step = step;
        log->stage_count++;
    }
    return status;
}

/* Steps that come again take the place of those that were there. */
static void take_back(run_log *log, double step)
{
    for (size_t i = 0; i < log->series_count; i++) {
        series *s = &log->series[i];
        for (; s->count > 0 && s->steps[s->count - 1] >= step; s->count--)
            log->values--;
    }
    while (log->stage_count > 0 && log->stages[log->stage_count - 1].step >= step)
        free(log->stages[--log->stage_count].name);
    log->begun++;
}

static pfm_status add_line(run_log *log, const char *text, size_t size, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *key = NULL;
    json_t *value = NULL, *line = json_loadb(text, size, 0, NULL);
    const json_t *at = json_object_get(line, "step");
    if (!json_is_number(at))
        goto done;
    const double step = json_number_value(at);
    if (step <= log->step)
        take_back(log, step);
    log->step = step;
    log->lines++;
    PFM_TRY(note_stage(log, step, json_string_value(json_object_get(line, "stage")), err));
    json_object_foreach(line, key, value)
    {
        if (json_is_number(value) && strcmp(key, "step") != 0)
            PFM_TRY(add_point(log, key, step, json_number_value(value), err));
    }
done:
    json_decref(line);
    return status;
}

/* ---- reading on ---- */

static pfm_status refuse(const char *verb, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_IO, "the log cannot be %s: %s", verb, strerror(errno));
}

/* Whether what was read of the file is still there as it was: its end is, and so the file is no shorter. */
static bool goes_on(const run_log *log, int fd, const struct stat *facts)
{
    char end[END_BYTES];
    if (log->device != facts->st_dev || log->inode != facts->st_ino)
        return false;
    return pread(fd, end, log->end_size, log->read - (off_t)log->end_size) == (ssize_t)log->end_size &&
           memcmp(end, log->end, log->end_size) == 0;
}

static void note_end(run_log *log, const char *text, size_t size)
{
    log->end_size = size < END_BYTES ? size : END_BYTES;
    memcpy(log->end, text + size - log->end_size, log->end_size);
}

/* Whole lines of `text`; *used = their bytes. A longer line than any log has is passed over. */
static pfm_status add_lines(run_log *log, const char *text, size_t size, size_t *used, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *used = 0;
    for (;;) {
        const char *newline = memchr(text + *used, '\n', size - *used);
        if (newline == NULL)
            break;
        const size_t end = (size_t)(newline - text) + 1;
        PFM_TRY(add_line(log, text + *used, end - *used, err));
        *used = end;
    }
    if (*used == 0 && size >= MOST_LINE)
        *used = size;
    if (*used > 0)
        note_end(log, text, *used);
    log->read += (off_t)*used;
done:
    return status;
}

static pfm_status read_on(run_log *log, pfm_error *err)
{
    pfm_status status = PFM_OK;
    struct stat facts;
    char *text = NULL;
    size_t held = 0, used;
    const int fd = open(log->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &facts) != 0)
        PFM_TRY(refuse("opened", err));
    if (!S_ISREG(facts.st_mode))
        PFM_FAIL(PFM_ERROR_IO, "the log is no file");
    if (!goes_on(log, fd, &facts)) {
        forget_lines(log);
        log->device = facts.st_dev;
        log->inode = facts.st_ino;
    }
    PFM_TRY(pfm_allocate(MOST_LINE + CHUNK, 1, &text, err));
    for (;;) {
        const ssize_t got = pread(fd, text + held, CHUNK, log->read + (off_t)held);
        if (got < 0)
            PFM_TRY(refuse("read", err));
        if (got == 0)
            break;
        held += (size_t)got;
        PFM_TRY(add_lines(log, text, held, &used, err));
        memmove(text, text + used, held - used);
        held -= used;
    }
done:
    free(text);
    if (fd >= 0)
        close(fd);
    if (status != PFM_OK)
        forget_lines(log);
    return status;
}

/* ---- what is told ---- */

static json_t *describe_series(const series *s, double from)
{
    size_t keep[MOST_POINTS], first = s->count;
    while (first > 0 && s->steps[first - 1] > from)
        first--;
    const size_t kept = pfm_curve_thin(s->values + first, s->count - first, MOST_POINTS, EXACT_POINTS, keep);
    json_t *steps = json_array(), *values = json_array();
    for (size_t i = 0; i < kept; i++) {
        const double step = s->steps[first + keep[i]];
        steps =
            pfm_json_add(steps, step == floor(step) && fabs(step) < 1e15 ? json_integer((json_int_t)step) : json_real(step));
        values = pfm_json_add(values, json_real(s->values[first + keep[i]]));
    }
    return json_pack("{s:o, s:o}", "step", steps, "value", values);
}

static pfm_status describe(const run_log *log, double from, const char *known, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char id[64];
    json_t *document = json_object(), *all = json_object(), *stages = json_array();
    (void)snprintf(id, sizeof id, "%llx-%u", (unsigned long long)log->inode, log->begun);
    const double behind = known != NULL && strcmp(known, id) == 0 ? from : -INFINITY;
    for (size_t i = 0; i < log->stage_count; i++)
        stages = pfm_json_add(stages, json_pack("{s:f, s:s}", "step", log->stages[i].step, "name", log->stages[i].name));
    PFM_TRY(pfm_json_take(document, "log", json_string(id), err));
    PFM_TRY(pfm_json_take(document, "step", pfm_json_number(log->step), err));
    PFM_TRY(pfm_json_take(document, "lines", json_integer((json_int_t)log->lines), err));
    PFM_TRY(pfm_json_take(document, "stages", json_incref(stages), err));
    for (size_t i = 0; i < log->series_count; i++)
        PFM_TRY(pfm_json_take(all, log->series[i].name, describe_series(&log->series[i], behind), err));
    PFM_TRY(pfm_json_take(document, "series", json_incref(all), err));
    *out = document;
    document = NULL;
done:
    json_decref(document);
    json_decref(all);
    json_decref(stages);
    return status;
}

/* The log's own place, or that of the one that was not asked for longest. */
static pfm_status find_log(pfm_run_logs *logs, const char *path, run_log **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    run_log *log = NULL;
    size_t place = 0;
    for (size_t i = 0; i < MOST_LOGS; i++) {
        if (logs->logs[i] != NULL && strcmp(logs->logs[i]->path, path) == 0) {
            *out = logs->logs[i];
            return PFM_OK;
        }
        if (logs->logs[place] != NULL && (logs->logs[i] == NULL || logs->logs[i]->used < logs->logs[place]->used))
            place = i;
    }
    PFM_TRY(pfm_allocate(1, sizeof *log, &log, err));
    log->step = -INFINITY;
    PFM_TRY(pfm_string_copy(path, &log->path, err));
    free_log(logs->logs[place]);
    logs->logs[place] = log;
    *out = log;
    log = NULL;
done:
    free(log);
    return status;
}

pfm_status pfm_run_logs_create(pfm_run_logs **out, pfm_error *err)
{
    const pfm_status status = pfm_allocate(1, sizeof **out, out, err);
    if (status == PFM_OK)
        (void)pthread_mutex_init(&(*out)->lock, NULL);
    return status;
}

void pfm_run_logs_free(pfm_run_logs *logs)
{
    if (logs == NULL)
        return;
    for (size_t i = 0; i < MOST_LOGS; i++)
        free_log(logs->logs[i]);
    (void)pthread_mutex_destroy(&logs->lock);
    free(logs);
}

pfm_status pfm_run_logs_read(pfm_run_logs *logs, const char *path, double from, const char *known, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    run_log *log = NULL;
    (void)pthread_mutex_lock(&logs->lock);
    PFM_TRY(find_log(logs, path, &log, err));
    log->used = ++logs->clock;
    PFM_TRY(read_on(log, err));
    PFM_TRY(describe(log, from, known, out, err));
done:
    (void)pthread_mutex_unlock(&logs->lock);
    return status;
}

pfm_status pfm_run_log_last(const char *path, json_t **out, pfm_error *err)
{
    enum { TAIL = 16 << 10 };
    pfm_status status = PFM_OK;
    struct stat facts;
    char *text = NULL;
    const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *out = NULL;
    if (fd < 0 || fstat(fd, &facts) != 0)
        PFM_TRY(refuse("opened", err));
    PFM_TRY(pfm_allocate(TAIL, 1, &text, err));
    const ssize_t size = pread(fd, text, TAIL, facts.st_size > TAIL ? facts.st_size - TAIL : 0);
    size_t end = size > 0 ? (size_t)size : 0;
    while (end > 0 && *out == NULL) {
        while (end > 0 && text[end - 1] != '\n')
            end--;
        size_t begin = end > 0 ? end - 1 : 0;
        while (begin > 0 && text[begin - 1] != '\n')
            begin--;
        json_t *line = end > 0 ? json_loadb(text + begin, end - begin, 0, NULL) : NULL;
        if (json_is_object(line) && json_is_number(json_object_get(line, "step")))
            *out = json_incref(line);
        json_decref(line);
        end = begin;
    }
done:
    free(text);
    if (fd >= 0)
        close(fd);
    return status;
}
