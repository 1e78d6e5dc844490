#include "client/call_log.h"

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/process.h"
#include "base/try.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef struct entry {
    pfm_hash_hex key;
    bool cut_short;
    int attempts;
    char *reply, *error; /* at most one of the two */
} entry;

struct pfm_call_log {
    char *path;
    int descriptor;
    off_t size;
    entry **entries; /* [count], each by itself: the map borrows their keys */
    size_t count, capacity, replies;
    pfm_map by_key; /* -> entry */
};

static const char length_limit[] = "length"; /* OpenAI's finish_reason */

pfm_status pfm_call_log_key(const json_t *request, pfm_hash_hex out, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = pfm_json_append(&text, request, err);
    if (status == PFM_OK)
        status = pfm_hash_bytes(text.data, text.size, out, err);
    pfm_buffer_free(&text);
    return status;
}

static const entry *find(const pfm_call_log *log, const char *key)
{
    int64_t index = 0;
    return pfm_map_get(&log->by_key, key, strlen(key), &index) ? log->entries[index] : NULL;
}

const char *pfm_call_log_find(const pfm_call_log *log, const pfm_hash_hex key, bool *cut_short)
{
    const entry *found = find(log, key);
    if (found != NULL && cut_short != NULL)
        *cut_short = found->cut_short;
    return found != NULL ? found->reply : NULL;
}

size_t pfm_call_log_count(const pfm_call_log *log) { return log->replies; }

int pfm_call_log_attempts(const pfm_call_log *log, const pfm_hash_hex key)
{
    const entry *found = find(log, key);
    return found != NULL ? found->attempts : 0;
}

const char *pfm_call_log_error(const pfm_call_log *log, const pfm_hash_hex key)
{
    const entry *found = find(log, key);
    return found != NULL ? found->error : NULL;
}

/* The entry of a key, a new one where there was none. */
static pfm_status get_entry(pfm_call_log *log, const char *key, entry **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t index = 0;
    entry *added = NULL;
    if (pfm_map_get(&log->by_key, key, strlen(key), &index)) {
        *out = log->entries[index];
        return PFM_OK;
    }
    PFM_TRY(pfm_array_reserve(&log->entries, &log->capacity, log->count + 1, sizeof *log->entries, err));
    PFM_TRY(pfm_allocate(1, sizeof *added, &added, err));
    memcpy(added->key, key, sizeof added->key);
    PFM_TRY(pfm_map_set(&log->by_key, added->key, strlen(added->key), (int64_t)log->count, err));
    log->entries[log->count++] = added;
    *out = added;
    added = NULL;
done:
    free(added);
    return status;
}

/* The first reply of a key stays; reply and error NULL: a line that is no attempt. */
static pfm_status keep(pfm_call_log *log, const char *key, const char *reply, const char *error, const char *finish,
                       pfm_error *err)
{
    pfm_status status = PFM_OK;
    entry *of = NULL;
    PFM_TRY(get_entry(log, key, &of, err));
    if (of->reply != NULL || (reply == NULL && error == NULL))
        goto done;
    of->attempts++;
    free(of->error);
    of->error = NULL;
    if (reply == NULL) {
        PFM_TRY(pfm_string_copy(error, &of->error, err));
        goto done;
    }
    of->cut_short = finish != NULL && strcmp(finish, length_limit) == 0;
    PFM_TRY(pfm_string_copy(reply, &of->reply, err));
    log->replies++;
done:
    return status;
}

static bool is_key(const char *text)
{
    return text != NULL && strlen(text) == sizeof(pfm_hash_hex) - 1 && strspn(text, "0123456789abcdef") == strlen(text);
}

static pfm_status read_line(pfm_call_log *log, const json_t *line, size_t number, pfm_error *err)
{
    const char *key = json_string_value(json_object_get(line, "key"));
    const char *reply = json_string_value(json_object_get(line, "reply"));
    if (!is_key(key))
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s line %zu: is no line of a log of calls (it has no \"key\"); move the file away", log->path,
                             number);
    return keep(log, key, reply, json_string_value(json_object_get(line, "error")),
                json_string_value(json_object_get(line, "finish_reason")), err);
}

/* What a kill left behind the last whole line. */
static pfm_status trim(pfm_call_log *log, size_t size, pfm_error *err)
{
    if (ftruncate(log->descriptor, (off_t)size) != 0)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot write %s: %s", log->path, strerror(errno));
    log->size = (off_t)size;
    return PFM_OK;
}

static pfm_status read_lines(pfm_call_log *log, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping file = {0};
    json_t *line = NULL;
    PFM_TRY(pfm_mapping_open(log->path, &file, err));
    const char *text = (const char *)file.data;
    size_t number = 0, begin = 0;
    log->size = (off_t)file.size;
    while (begin < file.size) {
        const char *newline = memchr(text + begin, '\n', file.size - begin);
        if (newline == NULL)
            break;
        const size_t length = (size_t)(newline - (text + begin));
        json_error_t reason;
        number++;
        if (length > 0) {
            line = json_loadb(text + begin, length, JSON_REJECT_DUPLICATES, &reason);
            if (line == NULL)
                PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: not JSON: %s; remove the line, what it says is asked again", log->path,
                         number, reason.text);
            PFM_TRY(read_line(log, line, number, err));
            json_decref(line);
            line = NULL;
        }
        begin += length + 1;
    }
    if (begin < file.size)
        PFM_TRY(trim(log, begin, err));
done:
    json_decref(line);
    pfm_mapping_close(&file);
    return status;
}

pfm_status pfm_call_log_open(const char *path, pfm_call_log **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_call_log *log = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *log, &log, err));
    log->descriptor = -1;
    PFM_TRY(pfm_string_copy(path, &log->path, err));
    log->descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log->descriptor < 0)
        PFM_FAIL(PFM_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    if (flock(log->descriptor, LOCK_EX | LOCK_NB) != 0)
        PFM_FAIL(PFM_ERROR_IO, "another process is at work with %s; wait until it has ended, or name another place", path);
    PFM_TRY(read_lines(log, err));
    *out = log;
    log = NULL;
done:
    pfm_call_log_free(log);
    return status;
}

void pfm_call_log_free(pfm_call_log *log)
{
    if (log == NULL)
        return;
    for (size_t i = 0; i < log->count; i++) {
        free(log->entries[i]->reply);
        free(log->entries[i]->error);
        free(log->entries[i]);
    }
    free(log->entries);
    pfm_map_free(&log->by_key);
    if (log->descriptor >= 0)
        (void)close(log->descriptor);
    free(log->path);
    free(log);
}

static pfm_status describe(const pfm_call_line *line, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char time[32];
    pfm_process_time(time);
    PFM_TRY(pfm_json_take(out, "key", json_string(line->key), err));
    PFM_TRY(pfm_json_take(out, "label", json_string(line->label), err));
    PFM_TRY(pfm_json_take(out, "time", json_string(time), err));
    PFM_TRY(pfm_json_take(out, "attempt", json_integer(line->attempt), err));
    PFM_TRY(pfm_json_take(out, "status", line->status > 0 ? json_integer(line->status) : json_null(), err));
    PFM_TRY(pfm_json_take(out, "seconds", json_real(line->seconds), err));
    PFM_TRY(pfm_json_take(out, "request", json_incref(line->request), err));
    if (line->reply == NULL) {
        PFM_TRY(pfm_json_take(out, "error", json_string(line->error), err));
        goto done;
    }
    PFM_TRY(pfm_json_take(out, "reply", json_string(line->reply), err));
    PFM_TRY(pfm_json_take(out, "finish_reason", line->finish != NULL ? json_string(line->finish) : json_null(), err));
    PFM_TRY(pfm_json_take(out, "usage", line->usage != NULL ? json_incref(line->usage) : json_null(), err));
done:
    return status;
}

static pfm_status write_object(pfm_call_log *log, const json_t *object, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_json_append(&text, object, err));
    PFM_TRY(pfm_buffer_append(&text, "\n", 1, err));
    const ssize_t put = write(log->descriptor, text.data, text.size);
    if (put != (ssize_t)text.size) {
        const int reason = put < 0 ? errno : ENOSPC;
        (void)trim(log, (size_t)log->size, NULL); /* where that fails too the next opening does it */
        PFM_FAIL(PFM_ERROR_IO, "cannot write %s: %s; free some space and run the same command again", log->path,
                 strerror(reason));
    }
    log->size += put;
    (void)fdatasync(log->descriptor); /* of a file that cannot be synced, as a pipe, the line is written nevertheless */
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_call_log_append(pfm_call_log *log, const pfm_call_line *line, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *object = json_object();
    PFM_TRY(describe(line, object, err));
    PFM_TRY(write_object(log, object, err));
    PFM_TRY(keep(log, line->key, line->reply, line->error, line->finish, err));
done:
    json_decref(object);
    return status;
}

pfm_status pfm_call_log_note(pfm_call_log *log, const char *label, json_t *note, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex key;
    char time[32];
    json_t *object = json_object();
    PFM_TRY(pfm_call_log_key(note, key, err));
    if (find(log, key) != NULL)
        goto done;
    pfm_process_time(time);
    PFM_TRY(pfm_json_take(object, "key", json_string(key), err));
    PFM_TRY(pfm_json_take(object, "label", json_string(label), err));
    PFM_TRY(pfm_json_take(object, "time", json_string(time), err));
    PFM_TRY(pfm_json_take(object, "request", json_incref(note), err));
    PFM_TRY(write_object(log, object, err));
    PFM_TRY(keep(log, key, NULL, NULL, NULL, err));
done:
    json_decref(object);
    return status;
}
