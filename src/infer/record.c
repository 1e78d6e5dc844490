#include "infer/record.h"

#include "base/context.h"
#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "infer/record_line.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_TORN_LINES = 16 };

struct pfm_record {
    char *path;
    int descriptor;
    pthread_mutex_t lock; /* of what follows; between processes the file's own */
    bool known;           /* what follows is of the file as this process left it */
    off_t size;
    uint64_t sequence; /* of the last entry */
    pfm_hash_hex hash, line_hash;
    /* Of bytes behind the last entry, which are none: */
    size_t torn; /* how many */
    pfm_hash_hex torn_hash;
    bool open_line; /* the file does not end with a newline */
};

static pfm_status refuse(const pfm_record *record, const char *what, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_IO, "cannot %s the record %s: %s", what, record->path, strerror(errno));
}

/* ---- where the chain ends ---- */

static pfm_status take_last(pfm_record *record, const char *text, size_t size, const pfm_record_line *line, pfm_error *err)
{
    record->sequence = line->sequence;
    memcpy(record->hash, line->hash, sizeof record->hash);
    return pfm_hash_bytes(text, size, record->line_hash, err);
}

/* Whether the bytes may be what is left of an entry, or what a file system puts in the place of bytes that it lost. */
static bool may_be_torn(const char *text, size_t size, bool first)
{
    size_t zeros = 0;
    const size_t begin = sizeof PFM_RECORD_BEGIN - 1;
    while (zeros < size && text[zeros] == '\0')
        zeros++;
    if (size == 0)
        return false;
    return (zeros == size && !first) || memcmp(text, PFM_RECORD_BEGIN, size < begin ? size : begin) == 0;
}

static size_t line_begin(const char *text, size_t end)
{
    const char *newline = end > 0 ? memrchr(text, '\n', end) : NULL;
    return newline != NULL ? (size_t)(newline - text) + 1 : 0;
}

/* Looks from the end of the file [size] for the last entry. Lines behind it are torn only where the last one has no end. */
static pfm_status find_last(pfm_record *record, const char *text, size_t size, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_record_line line = {0};
    size_t end = size;
    record->open_line = text[size - 1] != '\n';
    for (int tried = 0; end > 0 && tried <= MOST_TORN_LINES; tried++) {
        const bool ended = text[end - 1] == '\n';
        const size_t last = ended ? end - 1 : end, begin = line_begin(text, last);
        PFM_TRY(pfm_record_line_read(text + begin, last - begin, &line, err));
        if (line.whole) {
            PFM_TRY(take_last(record, text + begin, last - begin, &line, err));
            break;
        }
        if (!record->open_line || !may_be_torn(text + begin, last - begin, begin == 0) || (ended && text[last - 1] == '}'))
            PFM_FAIL(
                PFM_ERROR_FORMAT,
                "%s does not end with an entry of a record of answers, so that none is added; `pefomed audit` says what is "
                "wrong, move it away or name another file",
                record->path);
        end = begin;
    }
    if (!line.whole && end > 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has no entry of a record of answers near its end; move it away", record->path);
    const size_t torn_begin = line.whole && end == size ? size : end;
    record->torn = size - torn_begin;
    PFM_TRY(pfm_hash_bytes(text + torn_begin, record->torn, record->torn_hash, err));
done:
    return status;
}

/* Under the file's lock: what others have appended. */
static pfm_status read_end(pfm_record *record, pfm_error *err)
{
    pfm_status status = PFM_OK;
    struct stat opened, named;
    pfm_mapping file = {0};
    if (fstat(record->descriptor, &opened) != 0)
        return refuse(record, "read", err);
    if (stat(record->path, &named) != 0 || named.st_dev != opened.st_dev || named.st_ino != opened.st_ino)
        PFM_FAIL(PFM_ERROR_IO, "the record %s was moved or removed while answers were being recorded; start again to go on",
                 record->path);
    if (record->known && opened.st_size == record->size)
        goto done;
    if (opened.st_size < record->size) /* of what was written or read: never less again */
        PFM_FAIL(PFM_ERROR_IO, "the record %s was cut from %lld to %lld bytes while answers were being recorded; move it away",
                 record->path, (long long)record->size, (long long)opened.st_size);
    record->known = false;
    record->sequence = 0;
    record->torn = 0;
    record->open_line = false;
    memcpy(record->line_hash, PFM_RECORD_NONE, sizeof record->line_hash);
    memcpy(record->hash, PFM_RECORD_NONE, sizeof record->hash);
    PFM_TRY(pfm_mapping_open(record->path, &file, err));
    if (file.size > 0)
        PFM_TRY(find_last(record, (const char *)file.data, file.size, err));
    record->size = (off_t)file.size;
    record->known = true;
done:
    pfm_mapping_close(&file);
    return status;
}

/* ---- appending ---- */

/* In one call, so that nothing of another process stands between; what a full disk cut short is taken back. */
static pfm_status write_whole(pfm_record *record, const pfm_buffer *text, pfm_error *err)
{
    ssize_t done;
    do
        done = write(record->descriptor, text->data, text->size);
    while (done < 0 && errno == EINTR);
    if (done == (ssize_t)text->size) {
        record->size += done;
        return PFM_OK;
    }
    const int why = done < 0 ? errno : ENOSPC;
    if (done > 0)
        (void)!ftruncate(record->descriptor, record->size); /* else the next one finds it torn */
    errno = why;
    return refuse(record, "write", err);
}

/* Appends a line to what is to be written, and makes it the last. */
static pfm_status add_line(pfm_record *record, const json_t *members, pfm_buffer *text, pfm_error *err)
{
    pfm_hash_hex hash, line_hash;
    pfm_status status = pfm_record_line_write(record->sequence + 1, members, record->line_hash, text, hash, line_hash, err);
    if (status != PFM_OK)
        return status;
    record->sequence++;
    memcpy(record->hash, hash, sizeof hash);
    memcpy(record->line_hash, line_hash, sizeof line_hash);
    return PFM_OK;
}

/* Says of torn bytes what they are. */
static pfm_status add_torn(pfm_record *record, pfm_buffer *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *event = NULL;
    if (record->open_line)
        PFM_TRY(pfm_buffer_append_string(text, "\n", err));
    record->open_line = false;
    if (record->torn == 0)
        goto done;
    event =
        json_pack("{s:s, s:I, s:s}", "event", PFM_RECORD_TORN, "bytes", (json_int_t)record->torn, "sha256", record->torn_hash);
    if (event == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not mend the record %s", record->path);
    PFM_TRY(add_line(record, event, text, err));
    record->torn = 0;
done:
    json_decref(event);
    return status;
}

static pfm_status lock_file(const pfm_record *record, pfm_error *err)
{
    while (flock(record->descriptor, LOCK_EX) != 0)
        if (errno != EINTR)
            return refuse(record, "lock", err);
    return PFM_OK;
}

/* What is torn is told of, members (NULL: nothing) are appended. */
static pfm_status append(pfm_record *record, const json_t *members, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(lock_file(record, err));
    PFM_TRY(read_end(record, err));
    record->known = false; /* until all is written, else it is read again */
    PFM_TRY(add_torn(record, &text, err));
    if (members != NULL)
        PFM_TRY(add_line(record, members, &text, err));
    if (text.size > 0)
        PFM_TRY(write_whole(record, &text, err));
    record->known = true;
done:
    (void)flock(record->descriptor, LOCK_UN);
    pfm_buffer_free(&text);
    return status;
}

static void tell(const pfm_record *record, pfm_record_receipt *out)
{
    *out = (pfm_record_receipt){.sequence = record->sequence};
    memcpy(out->hash, record->hash, sizeof out->hash);
}

pfm_status pfm_record_append(pfm_record *record, const json_t *members, pfm_record_receipt *out, pfm_error *err)
{
    (void)pthread_mutex_lock(&record->lock);
    pfm_status status = append(record, members, err);
    tell(record, out);
    (void)pthread_mutex_unlock(&record->lock);
    if (status == PFM_OK && fdatasync(record->descriptor) != 0) /* several at once wait for one disk */
        status = refuse(record, "write", err);
    return status;
}

void pfm_record_head(pfm_record *record, pfm_record_receipt *out)
{
    (void)pthread_mutex_lock(&record->lock);
    tell(record, out);
    (void)pthread_mutex_unlock(&record->lock);
}

/* ---- opening ---- */

static pfm_status open_file(pfm_record *record, pfm_error *err)
{
    struct stat found;
    const int flags = O_RDWR | O_APPEND | O_CLOEXEC;
    record->descriptor = open(record->path, flags | O_CREAT | O_EXCL, 0600);
    if (record->descriptor >= 0)
        pfm_folder_sync_of(record->path);
    else if (errno == EEXIST)
        record->descriptor = open(record->path, flags | O_NONBLOCK);
    if (record->descriptor < 0 || fstat(record->descriptor, &found) != 0)
        return refuse(record, "open", err);
    if (!S_ISREG(found.st_mode))
        return pfm_error_set(err, PFM_ERROR_USAGE, "the record %s is no file; name one", record->path);
    return PFM_OK;
}

pfm_status pfm_record_open(const pfm_context *context, const char *path, pfm_record **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_record *record = NULL;
    *out = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *record, &record, err));
    record->descriptor = -1;
    (void)pthread_mutex_init(&record->lock, NULL);
    PFM_TRY(pfm_string_copy(path, &record->path, err));
    PFM_TRY(open_file(record, err));
    PFM_TRY(lock_file(record, err)); /* no entry of another process is seen half written */
    PFM_TRY(read_end(record, err));
    if (record->torn > 0)
        pfm_log(
            context, PFM_LOG_WARNING,
            "the record %s ends with %zu bytes of an entry that was not written to its end; they stay, and an entry says so",
            path, record->torn);
    PFM_TRY(append(record, NULL, err));
    *out = record;
    record = NULL;
done:
    pfm_record_close(record);
    return status;
}

void pfm_record_close(pfm_record *record)
{
    if (record == NULL)
        return;
    if (record->descriptor >= 0)
        (void)close(record->descriptor);
    free(record->path);
    (void)pthread_mutex_destroy(&record->lock);
    free(record);
}
