#include "eval/child.h"

#include "base/try.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What both processes know. The child tells by JSON lines: {"log":[level,message]}, {"progress":[task,unit,done,total,note,
 * memory]} and at its end {"result":[code,message,result]}. */
typedef struct child {
    const pfm_context *context; /* the parent's */
    uint64_t seed;
    pfm_child_function function;
    void *user;
    int *interrupt; /* shared: the parent sets it, so that the child need not care for signals */
    int pipe[2];
    pid_t parent, process;
    json_t *result; /* the parent's: the last line */
} child;

/* ---- the child's side ---- */

static bool write_all(int descriptor, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t put = write(descriptor, bytes, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        bytes += put;
        count -= (size_t)put;
    }
    return true;
}

/* Takes the line. */
static bool tell(const child *c, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);
    bool told = text != NULL && write_all(c->pipe[1], text, strlen(text)) && write_all(c->pipe[1], "\n", 1);
    free(text);
    json_decref(line);
    return told;
}

/* Text that may hold bytes that JSON cannot. */
static json_t *text_of(const char *text)
{
    json_t *value = json_string(text);
    return value != NULL ? value : json_string("(not UTF-8)");
}

static void tell_log(void *user, pfm_log_level level, const char *message)
{
    (void)tell(user, json_pack("{s:[i,o]}", "log", (int)level, text_of(message)));
}

static void tell_progress(void *user, const pfm_progress *p)
{
    (void)tell(user, json_pack("{s:[o,o,f,f,o,I]}", "progress", text_of(p->task), text_of(p->unit), p->done, p->total,
                               text_of(p->note), (json_int_t)p->memory));
}

static pfm_status work(child *c, json_t **result, pfm_error *err)
{
    const pfm_context *like = c->context;
    pfm_context *context = NULL;
    pfm_context_options options = {.threads = pfm_context_threads(like),
                                   .seed = c->seed,
                                   .precision = like->precision,
                                   .weights = like->weights,
                                   .memory = like->memory,
                                   .cpu_level = like->cpu_level,
                                   .home = like->home,
                                   .log = like->log == NULL ? NULL : tell_log,
                                   .progress = like->progress == NULL ? NULL : tell_progress,
                                   .user = c,
                                   .interrupt = c->interrupt};
    pfm_status status = pfm_context_create(&options, &context, err);
    if (status == PFM_OK)
        status = c->function(context, c->user, result, err);
    pfm_context_free(context);
    return status;
}

/* The threads of the parent's context are not here: only its settings are read. */
static void be_child(child *c)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *result = NULL;
    (void)close(c->pipe[0]);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != c->parent)
        _exit(1);
    pfm_status status = work(c, &result, &err);
    if (result == NULL)
        result = json_null();
    bool told = tell(c, json_pack("{s:[i,o,o]}", "result", (int)status, text_of(err.message), result));
    _exit(told ? 0 : 1); /* neither the parent's buffers nor its exit handlers are ours */
}

/* ---- the parent's side ---- */

static void take_line(child *c, const char *text, size_t length)
{
    json_t *line = json_loadb(text, length, 0, NULL);
    int level = 0;
    json_int_t memory = 0;
    const char *message = NULL;
    pfm_progress progress = {0};
    if (json_unpack(line, "{s:[i,s]}", "log", &level, &message) == 0)
        pfm_log(c->context, (pfm_log_level)level, "%s", message);
    else if (json_unpack(line, "{s:[s,s,F,F,s,I]}", "progress", &progress.task, &progress.unit, &progress.done, &progress.total,
                         &progress.note, &memory) == 0) {
        progress.memory = memory;
        c->context->progress(c->context->user, &progress);
    } else if (json_is_array(json_object_get(line, "result"))) {
        json_decref(c->result);
        c->result = json_incref(json_object_get(line, "result"));
    }
    json_decref(line);
}

/* Takes all whole lines out of the buffer. */
static void take_lines(child *c, pfm_buffer *buffer)
{
    size_t begin = 0;
    for (;;) {
        const char *end = buffer->size > begin ? memchr(buffer->data + begin, '\n', buffer->size - begin) : NULL;
        if (end == NULL)
            break;
        size_t length = (size_t)(end - (buffer->data + begin));
        take_line(c, buffer->data + begin, length);
        begin += length + 1;
    }
    if (begin > 0) {
        memmove(buffer->data, buffer->data + begin, buffer->size - begin);
        buffer->size -= begin;
    }
}

/* Listens until the child is gone. */
static pfm_status listen_to(child *c, pfm_error *err)
{
    enum { PATIENCE = 100 }; /* milliseconds until we look again whether the user wants to stop */
    pfm_status status = PFM_OK;
    pfm_buffer buffer = {0};
    char bytes[65536];
    for (;;) {
        struct pollfd ready = {.fd = c->pipe[0], .events = POLLIN};
        int count = poll(&ready, 1, PATIENCE);
        if (pfm_interrupted(c->context))
            __atomic_store_n(c->interrupt, 1, __ATOMIC_RELAXED);
        if (count <= 0)
            continue;
        ssize_t got = read(c->pipe[0], bytes, sizeof bytes);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            PFM_FAIL(PFM_ERROR_IO, "cannot hear from the process that works: %s", strerror(errno));
        if (got == 0)
            break;
        PFM_TRY(pfm_buffer_append(&buffer, bytes, (size_t)got, err));
        take_lines(c, &buffer);
    }
done:
    pfm_buffer_free(&buffer);
    return status;
}

static void judge_end(const child *c, int ended, json_t **result, pfm_error *outcome)
{
    int code = PFM_OK;
    const char *message = NULL;
    json_t *found = NULL;
    if (json_unpack(c->result, "[i,s,o]", &code, &message, &found) == 0) {
        if (code != PFM_OK)
            (void)pfm_error_set(outcome, (pfm_status)code, "%s", message);
        else if (!json_is_null(found))
            *result = json_incref(found);
    } else if (WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL) {
        (void)pfm_error_set(
            outcome, PFM_ERROR_NO_MEMORY,
            "the process was killed, as the system does when memory runs out; try --memory, or a smaller batch");
    } else if (WIFSIGNALED(ended)) {
        (void)pfm_error_set(outcome, PFM_ERROR_IO, "the process was ended by signal %d (%s)", WTERMSIG(ended),
                            strsignal(WTERMSIG(ended)));
    } else {
        (void)pfm_error_set(outcome, PFM_ERROR_IO, "the process ended without a word");
    }
}

static pfm_status start(child *c, pfm_error *err)
{
    if (pipe2(c->pipe, O_CLOEXEC) != 0)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot start a process: %s", strerror(errno));
    c->parent = getpid();
    c->process = fork();
    if (c->process == 0)
        be_child(c);
    if (c->process < 0)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot start a process: %s", strerror(errno));
    (void)close(c->pipe[1]);
    c->pipe[1] = -1;
    return PFM_OK;
}

pfm_status pfm_child_run(const pfm_context *context, uint64_t seed, pfm_child_function function, void *user, json_t **result,
                         pfm_error *outcome, pfm_error *err)
{
    pfm_status status = PFM_OK;
    child c = {.context = context, .seed = seed, .function = function, .user = user, .pipe = {-1, -1}, .process = -1};
    int ended = 0;
    *result = NULL;
    *outcome = (pfm_error)PFM_ERROR_INIT;
    void *shared = mmap(NULL, sizeof *c.interrupt, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not start a process");
    c.interrupt = shared;
    PFM_TRY(start(&c, err));
    status = listen_to(&c, err);
    if (status != PFM_OK)
        (void)kill(c.process, SIGKILL);
    while (waitpid(c.process, &ended, 0) < 0 && errno == EINTR) {
    }
    if (status == PFM_OK)
        judge_end(&c, ended, result, outcome);
done:
    for (int i = 0; i < 2; i++) {
        if (c.pipe[i] >= 0)
            (void)close(c.pipe[i]);
    }
    if (shared != MAP_FAILED)
        (void)munmap(shared, sizeof *c.interrupt);
    json_decref(c.result);
    return status;
}
