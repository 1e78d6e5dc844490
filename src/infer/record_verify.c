/* Whether a record of answers is as it was written. */
#include "pefomed/record.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "infer/record_line.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

typedef struct verifying {
    const char *path, *text; /* [size] all of the file */
    size_t size;
    pfm_hash_hex head; /* "": none is known */
    /* Of what was read so far: */
    size_t at, line;                       /* where the next line begins, and its number from 1 */
    uint64_t sequence, answers, last_line; /* the last entry's number and line */
    pfm_hash_hex prev, last;
    pfm_record_time first_time, last_time;
    uint64_t head_line; /* 0: not found */
    json_t *torn;
    /* Of the first entry that is broken; kind NULL: none is. */
    uint64_t broken_line, broken_sequence;
    const char *kind;
    char reason[200];
} verifying;

/* Where the line that begins at a place ends: at its newline, or at the end of the file. */
static size_t line_end(const verifying *v, size_t begin)
{
    const char *newline = memchr(v->text + begin, '\n', v->size - begin);
    return newline != NULL ? (size_t)(newline - v->text) : v->size;
}

static size_t next_line(const verifying *v, size_t end) { return end < v->size ? end + 1 : end; }

static void break_at(verifying *v, uint64_t line, uint64_t sequence, const char *kind, const char *format, ...)
    PFM_PRINTF(5, 6);
static void break_at(verifying *v, uint64_t line, uint64_t sequence, const char *kind, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(v->reason, sizeof v->reason, format, arguments);
    va_end(arguments);
    v->broken_line = line;
    v->broken_sequence = sequence;
    v->kind = kind;
}

/* ---- lines that are no entry ---- */

/* Looks behind such a line for an entry that tells of torn bytes which are exactly these. *found: it is there, and reading goes
 * on with it. */
static pfm_status pass_torn(verifying *v, bool *found, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_record_line line = {0};
    pfm_hash_hex hash;
    size_t at = v->at, lines = 0;
    *found = false;
    while (at < v->size && !line.whole) { /* the next entry */
        const size_t end = line_end(v, at);
        PFM_TRY(pfm_record_line_read(v->text + at, end - at, &line, err));
        if (line.whole)
            break;
        at = next_line(v, end);
        lines++;
    }
    const size_t bytes = at - v->at;
    if (!line.whole || !line.is_event || bytes != line.torn + 1)
        goto done;
    PFM_TRY(pfm_hash_bytes(v->text + v->at, line.torn, hash, err));
    *found = strcmp(hash, line.torn_hash) == 0;
    if (!*found)
        goto done;
    v->torn = pfm_json_add(v->torn, json_pack("{s:I, s:I}", "line", (json_int_t)v->line, "bytes", (json_int_t)line.torn));
    v->at = at;
    v->line += lines;
done:
    return status;
}

static pfm_status take_other(verifying *v, size_t end, pfm_error *err)
{
    bool found = false;
    pfm_status status = pass_torn(v, &found, err);
    if (status != PFM_OK || found)
        return status;
    if (end == v->size) { /* a kill left it, and nobody has gone on since */
        v->torn =
            pfm_json_add(v->torn, json_pack("{s:I, s:I}", "line", (json_int_t)v->line, "bytes", (json_int_t)(end - v->at)));
        v->at = end;
        return PFM_OK;
    }
    break_at(v, v->line, pfm_record_line_sequence(v->text + v->at, end - v->at), "changed",
             "the line is not as it was written: its hash is another");
    return PFM_OK;
}

/* ---- entries that are out of place ---- */

/* Whether a number comes behind the line that is read. */
static uint64_t find_later(const verifying *v, uint64_t sequence)
{
    uint64_t line = v->line + 1;
    for (size_t at = next_line(v, line_end(v, v->at)); at < v->size; line++) {
        const size_t end = line_end(v, at);
        if (pfm_record_line_sequence(v->text + at, end - at) == sequence)
            return line;
        at = next_line(v, end);
    }
    return 0;
}

static void tell_gap(verifying *v, uint64_t sequence)
{
    const uint64_t wanted = v->sequence + 1, later = find_later(v, wanted);
    if (later > 0)
        break_at(v, v->line, sequence, "reordered",
                 "entry %llu stands here, and entry %llu, which comes before it, in line %llu", (unsigned long long)sequence,
                 (unsigned long long)wanted, (unsigned long long)later);
    else if (sequence - wanted == 1)
        break_at(v, v->line, wanted, "missing", "entry %llu is missing before this line", (unsigned long long)wanted);
    else
        break_at(v, v->line, wanted, "missing", "entries %llu to %llu are missing before this line", (unsigned long long)wanted,
                 (unsigned long long)sequence - 1);
}

static void check_place(verifying *v, const pfm_record_line *line)
{
    if (line->sequence > v->sequence + 1)
        tell_gap(v, line->sequence);
    else if (line->sequence <= v->sequence)
        break_at(v, v->line, line->sequence, "repeated", "entry %llu stands here again, behind entry %llu",
                 (unsigned long long)line->sequence, (unsigned long long)v->sequence);
    else if (strcmp(line->prev, v->prev) != 0 && v->sequence == 0)
        break_at(v, v->line, 1, "missing", "the first entry follows another one, which is not there");
    else if (strcmp(line->prev, v->prev) != 0)
        break_at(v, v->last_line, v->sequence, "changed",
                 "the line, with its hash, is another than the one that entry %llu was chained to",
                 (unsigned long long)line->sequence);
}

/* ---- all of it ---- */

static pfm_status take_line(verifying *v, pfm_error *err)
{
    pfm_record_line line;
    const size_t end = line_end(v, v->at);
    pfm_status status = pfm_record_line_read(v->text + v->at, end - v->at, &line, err);
    if (status != PFM_OK)
        return status;
    if (!line.whole)
        return take_other(v, end, err);
    check_place(v, &line);
    if (v->kind != NULL)
        return PFM_OK;
    v->sequence = line.sequence;
    v->answers += line.is_event ? 0 : 1;
    memcpy(v->last, line.hash, sizeof v->last);
    memcpy(v->last_time, line.time, sizeof v->last_time);
    if (line.sequence == 1)
        memcpy(v->first_time, line.time, sizeof v->first_time);
    if (v->head[0] != '\0' && strcmp(v->head, line.hash) == 0)
        v->head_line = v->line;
    status = pfm_hash_bytes(v->text + v->at, end - v->at, v->prev, err);
    v->at = next_line(v, end);
    v->last_line = v->line++;
    return status;
}

static pfm_status read_all(verifying *v, pfm_error *err)
{
    memcpy(v->prev, PFM_RECORD_NONE, sizeof v->prev);
    v->line = 1;
    while (v->at < v->size && v->kind == NULL) {
        pfm_status status = take_line(v, err);
        if (status != PFM_OK)
            return status;
    }
    if (v->kind == NULL && v->head[0] != '\0' && v->head_line == 0)
        break_at(v, v->line, v->sequence + 1, "cut",
                 "no entry has the hash %.12s...: the end was cut off, or all was written anew", v->head);
    return PFM_OK;
}

static json_t *describe_broken(const verifying *v)
{
    return v->kind == NULL ? json_null()
                           : json_pack("{s:I, s:I, s:s, s:s}", "line", (json_int_t)v->broken_line, "sequence",
                                       (json_int_t)v->broken_sequence, "kind", v->kind, "reason", v->reason);
}

static pfm_status describe(const verifying *v, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool any = v->sequence > 0;
    json_t *document =
        json_pack("{s:s, s:b, s:I, s:I, s:s?, s:s?, s:s?, s:O, s:o, s:o}", "file", v->path, "intact", v->kind == NULL,
                  "entries", (json_int_t)v->sequence, "answers", (json_int_t)v->answers, "first", any ? v->first_time : NULL,
                  "last", any ? v->last_time : NULL, "head", any ? v->last : NULL, "torn", v->torn, "head_found",
                  v->head_line > 0 ? json_integer((json_int_t)v->head_line) : json_null(), "broken", describe_broken(v));
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not tell what %s holds", v->path);
    PFM_TRY(pfm_json_print(document, json, err));
done:
    json_decref(document);
    return status;
}

static pfm_status take_head(const char *head, pfm_hash_hex out, pfm_error *err)
{
    if (head == NULL)
        return PFM_OK;
    for (size_t i = 0; i < sizeof(pfm_hash_hex) - 1; i++) {
        if (!isxdigit((unsigned char)head[i]))
            return pfm_error_set(err, PFM_ERROR_USAGE, "--head is the hash of an entry, 64 hexadecimal digits, and not '%.70s'",
                                 head);
        out[i] = (char)tolower((unsigned char)head[i]);
    }
    out[sizeof(pfm_hash_hex) - 1] = '\0';
    return head[sizeof(pfm_hash_hex) - 1] == '\0'
               ? PFM_OK
               : pfm_error_set(err, PFM_ERROR_USAGE, "--head is the hash of an entry, 64 hexadecimal digits, and not more");
}

/* Maps the file while nobody writes it, so that its last line is whole. */
static pfm_status map_file(const char *path, pfm_mapping *out, pfm_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot open the record %s: %s", path, strerror(errno));
    (void)flock(fd, LOCK_SH);
    pfm_status status = pfm_mapping_open(path, out, err);
    (void)close(fd);
    return status;
}

pfm_status pfm_record_verify(const char *path, const char *head, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    verifying v = {.path = path};
    pfm_mapping file = {0};
    v.torn = json_array();
    PFM_TRY(take_head(head, v.head, err));
    PFM_TRY(map_file(path, &file, err));
    v.text = (const char *)file.data;
    v.size = file.size;
    PFM_TRY(read_all(&v, err));
    PFM_TRY(describe(&v, json, err));
done:
    json_decref(v.torn);
    pfm_mapping_close(&file);
    return status;
}
