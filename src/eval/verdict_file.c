#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "eval/verdict.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_COUNTED = 1000000 };

static const char *const state_names[] = {"", "ok", "unparsable", "failed"};

/* ---- a line as JSON ---- */

static json_t *write_counts(const int counts[PFM_ERROR_TYPES])
{
    json_t *object = json_object();
    for (int i = 0; i < PFM_ERROR_TYPES; i++) {
        const char type[2] = {(char)('A' + i), '\0'};
        if (json_object_set_new(object, type, json_integer(counts[i])) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static pfm_status describe(const pfm_verdict_line *line, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_verdict *v = &line->verdict;
    PFM_TRY(pfm_json_take(out, "id", json_deep_copy(line->id), err));
    PFM_TRY(pfm_json_take(out, "repeat", json_integer(line->repeat), err));
    PFM_TRY(pfm_json_take(out, "score", v->state == PFM_VERDICT_OK ? json_integer(v->score) : json_null(), err));
    PFM_TRY(pfm_json_take(out, "status", json_string(state_names[v->state]), err));
    PFM_TRY(pfm_json_take(out, "reply", line->reply != NULL ? json_string(line->reply) : json_null(), err));
    PFM_TRY(pfm_json_take(out, "attempts", json_integer(v->attempts), err));
    if (line->error != NULL)
        PFM_TRY(pfm_json_take(out, "error", json_string(line->error), err));
    if (v->has_significant)
        PFM_TRY(pfm_json_take(out, "significant", write_counts(v->significant), err));
    if (v->has_significant && v->has_insignificant)
        PFM_TRY(pfm_json_take(out, "insignificant", write_counts(v->insignificant), err));
    PFM_TRY(pfm_json_take(out, "judge", json_string(line->model), err));
    PFM_TRY(pfm_json_take(out, "asked", json_string(line->asked), err));
done:
    return status;
}

pfm_status pfm_verdict_line_write(const pfm_verdict_line *line, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *object = json_object();
    PFM_TRY(describe(line, object, err));
    PFM_TRY(pfm_json_append(out, object, err));
    PFM_TRY(pfm_buffer_append(out, "\n", 1, err));
done:
    json_decref(object);
    return status;
}

static bool read_whole(const json_t *value, json_int_t low, json_int_t high, int *out)
{
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < low || number > high)
        return false;
    *out = (int)number;
    return true;
}

static bool read_counts(const json_t *value, int counts[PFM_ERROR_TYPES], bool *has)
{
    *has = value != NULL && !json_is_null(value);
    for (int i = 0; *has && i < PFM_ERROR_TYPES; i++) {
        const char type[2] = {(char)('A' + i), '\0'};
        if (!read_whole(json_object_get(value, type), 0, MOST_COUNTED, &counts[i]))
            return false;
    }
    return true;
}

static bool read_line(const json_t *object, pfm_verdict_line *out)
{
    const json_t *attempts = json_object_get(object, "attempts"), *score = json_object_get(object, "score");
    const char *state = json_string_value(json_object_get(object, "status"));
    pfm_verdict *v = &out->verdict;
    *out = (pfm_verdict_line){.id = json_object_get(object, "id"),
                              .asked = json_string_value(json_object_get(object, "asked")),
                              .model = json_string_value(json_object_get(object, "judge")),
                              .reply = json_string_value(json_object_get(object, "reply")),
                              .error = json_string_value(json_object_get(object, "error"))};
    for (int i = PFM_VERDICT_OK; state != NULL && i <= PFM_VERDICT_FAILED; i++)
        if (strcmp(state, state_names[i]) == 0)
            v->state = (pfm_verdict_state)i;
    return (json_is_string(out->id) || json_is_integer(out->id)) && v->state != PFM_VERDICT_NONE &&
           read_whole(json_object_get(object, "repeat"), 1, INT32_MAX, &out->repeat) &&
           (v->state == PFM_VERDICT_OK ? read_whole(score, INT32_MIN, INT32_MAX, &v->score)
                                       : score == NULL || json_is_null(score)) &&
           (attempts == NULL || read_whole(attempts, 0, INT32_MAX, &v->attempts)) &&
           read_counts(json_object_get(object, "significant"), v->significant, &v->has_significant) &&
           read_counts(json_object_get(object, "insignificant"), v->insignificant, &v->has_insignificant);
}

/* ---- reading ---- */

static pfm_status visit(const char *text, size_t length, const pfm_place *place, pfm_verdict_function function, void *user,
                        bool *keep, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_place_text where;
    pfm_verdict_line line;
    json_error_t reason;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &reason);
    if (object == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: not JSON: %s; remove the line, what it says is taken from the log, or asked again",
                 pfm_place_format(place, where), reason.text);
    if (!read_line(object, &line))
        PFM_FAIL(PFM_ERROR_FORMAT,
                 "%s: is no verdict (id, repeat from 1, score, status ok, unparsable or failed); name another file with --out",
                 pfm_place_format(place, where));
    PFM_TRY(function(user, &line, place, keep, err));
done:
    json_decref(object);
    return status;
}

pfm_status pfm_verdicts_read(const char *path, pfm_verdict_function function, void *user, bool tidy, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_mapping file = {0};
    pfm_buffer kept = {0};
    pfm_place place = {path, "line", 0};
    if (!pfm_path_exists(path))
        return PFM_OK;
    PFM_TRY(pfm_mapping_open(path, &file, err));
    const char *text = (const char *)file.data;
    for (size_t begin = 0; begin < file.size;) {
        const char *newline = memchr(text + begin, '\n', file.size - begin);
        if (newline == NULL)
            break;
        const size_t length = (size_t)(newline - text) + 1 - begin;
        bool keep = true;
        place.number++;
        if (length > 1)
            PFM_TRY(visit(text + begin, length - 1, &place, function, user, &keep, err));
        if (keep && tidy)
            PFM_TRY(pfm_buffer_append(&kept, text + begin, length, err));
        begin += length;
    }
    if (tidy && kept.size != file.size)
        PFM_TRY(pfm_file_write(path, kept.size > 0 ? kept.data : "", kept.size, err));
done:
    pfm_buffer_free(&kept);
    pfm_mapping_close(&file);
    return status;
}

/* ---- writing ---- */

pfm_status pfm_verdict_file_open(const char *path, pfm_verdict_file *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    struct stat about;
    *out = (pfm_verdict_file){.descriptor = -1};
    PFM_TRY(pfm_string_copy(path, &out->path, err));
    out->descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (out->descriptor < 0 || fstat(out->descriptor, &about) != 0)
        PFM_FAIL(PFM_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    out->size = (size_t)about.st_size;
done:
    if (status != PFM_OK)
        pfm_verdict_file_close(out);
    return status;
}

pfm_status pfm_verdict_file_append(pfm_verdict_file *file, const pfm_verdict_line *line, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_verdict_line_write(line, &text, err));
    const ssize_t put = write(file->descriptor, text.data, text.size);
    if (put != (ssize_t)text.size) {
        const int reason = put < 0 ? errno : ENOSPC;
        if (put > 0 && ftruncate(file->descriptor, (off_t)file->size) != 0) {
            /* what is left is half a line, which the next reading passes over */
        }
        PFM_FAIL(PFM_ERROR_IO, "cannot write %s: %s; free some space and run the same command again", file->path,
                 strerror(reason));
    }
    file->size += text.size;
done:
    pfm_buffer_free(&text);
    return status;
}

void pfm_verdict_file_close(pfm_verdict_file *file)
{
    if (file->path == NULL)
        return;
    if (file->descriptor >= 0)
        (void)close(file->descriptor);
    free(file->path);
    *file = (pfm_verdict_file){.descriptor = -1};
}
