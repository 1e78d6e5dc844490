#include "base/json.h"
#include "base/try.h"
#include "formats/fetch_internal.h"
#include "formats/fetch_list.h"
#include "pefomed/words.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BESIDE(name, file, bytes, sha256, member) {name, file, bytes, sha256, member},
static const pfm_fetch_beside beside[] = {PFM_FETCH_BESIDE_LIST(BESIDE){NULL, NULL, 0, NULL, NULL}};
#define LINE(name, what, license, file, bytes, sha256, package, member, url)                                                   \
    {name, what, license, file, bytes, sha256, package, member, url, beside},
static const pfm_fetch_source sources[] = {PFM_FETCH_LIST(LINE)};
enum { SOURCES = sizeof sources / sizeof *sources };

static const pfm_fetch_source *find_source(const char *name)
{
    for (int i = 0; i < SOURCES; i++) {
        if (strcmp(sources[i].name, name) == 0)
            return &sources[i];
    }
    return NULL;
}

static const char *nearest_name(const char *name)
{
    const char *names[SOURCES];
    for (int i = 0; i < SOURCES; i++)
        names[i] = sources[i].name;
    return pfm_words_nearest(name, names, SOURCES);
}

bool pfm_fetch_next_beside(const pfm_fetch_source *source, size_t *next, pfm_fetch_source *out)
{
    const pfm_fetch_beside *all = source->beside;
    while (all != NULL && all[*next].name != NULL) {
        const pfm_fetch_beside *file = &all[(*next)++];
        if (strcmp(file->name, source->name) == 0) {
            *out = *source;
            out->file = file->file;
            out->bytes = file->bytes;
            out->sha256 = file->sha256;
            out->member = file->member;
            out->url = NULL;
            return true;
        }
    }
    return false;
}

pfm_status pfm_fetch_sink_open(pfm_context *context, const pfm_fetch_source *source, const char *path, pfm_fetch_sink *out,
                               pfm_error *err)
{
    *out = (pfm_fetch_sink){.context = context, .source = source, .file = {.descriptor = -1}};
    pfm_status status = pfm_hash_create(&out->hash, err);
    return status == PFM_OK ? pfm_atomic_file_begin(path, &out->file, err) : status;
}

pfm_status pfm_fetch_sink_write(pfm_fetch_sink *sink, const void *bytes, size_t count, pfm_error *err)
{
    const pfm_fetch_source *source = sink->source;
    if (pfm_interrupted(sink->context))
        return pfm_error_set(err, PFM_ERROR_INTERRUPTED, "interrupted; the same command starts again");
    if (count > source->bytes - sink->received)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "%s: more came than the %zu bytes of %s", source->name, source->bytes,
                             source->file);
    sink->received += count;
    pfm_hash_update(sink->hash, bytes, count);
    pfm_report_progress(sink->context, source->name, "MB", (double)sink->received / 1e6, (double)source->bytes / 1e6, "");
    return pfm_atomic_file_write(&sink->file, bytes, count, err);
}

pfm_status pfm_fetch_sink_commit(pfm_fetch_sink *sink, pfm_error *err)
{
    const pfm_fetch_source *source = sink->source;
    pfm_hash_hex digest;
    pfm_hash_finish(sink->hash, digest);
    if (strcmp(digest, source->sha256) != 0)
        return pfm_error_set(err, PFM_ERROR_MISMATCH,
                             "%s: what came (%zu bytes, SHA-256 %s) is not %s (%zu bytes, SHA-256 %s); it was not kept",
                             source->name, sink->received, digest, source->file, source->bytes, source->sha256);
    return pfm_atomic_file_commit(&sink->file, err);
}

void pfm_fetch_sink_close(pfm_fetch_sink *sink)
{
    pfm_atomic_file_abort(&sink->file);
    pfm_hash_free(sink->hash);
    sink->hash = NULL;
}

/* *out = where the file of a source is or will be. */
static pfm_status place_of(const pfm_context *context, const pfm_fetch_source *source, char **out, pfm_error *err)
{
    return pfm_string_format(out, err, "%s/weights/%s/%s", pfm_context_home(context), source->name, source->file);
}

static bool has_size(const pfm_fetch_source *source, const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && (size_t)info.st_size == source->bytes;
}

/* The files are there with their right sizes; their hashes are for fetch to look at, not for every command. */
static bool is_here(const pfm_fetch_source *source, const char *path)
{
    pfm_fetch_source file;
    bool here = has_size(source, path);
    for (size_t next = 0; here && pfm_fetch_next_beside(source, &next, &file);) {
        char *beside_it = NULL;
        here = pfm_path_beside(path, file.file, &beside_it, NULL) == PFM_OK && has_size(&file, beside_it);
        free(beside_it);
    }
    return here;
}

static pfm_status is_file_right(const pfm_fetch_source *source, const char *path, bool *right, pfm_error *err)
{
    pfm_hash_hex digest = "";
    pfm_status status = has_size(source, path) ? pfm_hash_file(path, digest, err) : PFM_OK;
    *right = strcmp(digest, source->sha256) == 0;
    return status;
}

static pfm_status is_right(const pfm_fetch_source *source, const char *path, bool *right, pfm_error *err)
{
    pfm_fetch_source file;
    pfm_status status = is_file_right(source, path, right, err);
    for (size_t next = 0; status == PFM_OK && *right && pfm_fetch_next_beside(source, &next, &file);) {
        char *beside_it = NULL;
        status = pfm_path_beside(path, file.file, &beside_it, err);
        if (status == PFM_OK)
            status = is_file_right(&file, beside_it, right, err);
        free(beside_it);
    }
    return status;
}

static pfm_status make_folder(const char *path, pfm_error *err)
{
    char *folder = NULL;
    pfm_status status = pfm_string_copy_n(path, (size_t)(pfm_path_name(path) - path) - 1, &folder, err);
    if (status == PFM_OK)
        status = pfm_folder_create(folder, err);
    free(folder);
    return status;
}

/* A failure after which the other way may still succeed. */
static bool may_try_on(pfm_status status)
{
    return status == PFM_ERROR_NETWORK || status == PFM_ERROR_MISMATCH || status == PFM_ERROR_FORMAT || status == PFM_ERROR_IO;
}

static pfm_status bring(pfm_context *context, const pfm_fetch_source *source, pfm_fetch_way way, const char *path,
                        const char **from, pfm_error *err)
{
    pfm_error first = PFM_ERROR_INIT, second = PFM_ERROR_INIT;
    *from = "pip";
    pfm_status status = way == PFM_FETCH_HUB ? PFM_ERROR_NETWORK : pfm_fetch_pip(context, source, path, &first);
    if (status == PFM_OK)
        return PFM_OK;
    if (way == PFM_FETCH_PIP || (way == PFM_FETCH_ANY && (source->url == NULL || !may_try_on(status))))
        return pfm_error_set(err, status, "%s", first.message);
    if (way == PFM_FETCH_ANY)
        pfm_log(context, PFM_LOG_WARNING, "%s; trying the hub", first.message);
    *from = "hub";
    status = pfm_fetch_hub(context, source, path, &second);
    if (status == PFM_OK)
        return PFM_OK;
    if (way == PFM_FETCH_ANY && status != PFM_ERROR_INTERRUPTED)
        return pfm_error_set(err, status, "cannot fetch %s: %.350s; and %.350s", source->name, first.message, second.message);
    return pfm_error_set(err, status, "%s", second.message);
}

static pfm_status report(const pfm_fetch_source *source, const char *path, const char *from, char **json_out, pfm_error *err)
{
    if (json_out == NULL)
        return PFM_OK;
    json_t *document = json_pack("{s:s, s:s, s:I, s:s, s:s}", "name", source->name, "path", path, "bytes",
                                 (json_int_t)source->bytes, "sha256", source->sha256, "from", from);
    pfm_status status = document == NULL ? pfm_error_set(err, PFM_ERROR_USAGE, "the path %s is not UTF-8", path)
                                         : pfm_json_print(document, json_out, err);
    json_decref(document);
    return status;
}

pfm_status pfm_fetch_from(pfm_context *context, const pfm_fetch_source *source, pfm_fetch_way way, char **json_out,
                          pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    const char *from = "here";
    bool right = false;
    PFM_TRY(place_of(context, source, &path, err));
    PFM_TRY(is_right(source, path, &right, err));
    if (!right) {
        PFM_TRY(make_folder(path, err));
        PFM_TRY(bring(context, source, way, path, &from, err));
    }
    PFM_TRY(report(source, path, from, json_out, err));
done:
    free(path);
    return status;
}

pfm_status pfm_fetch(pfm_context *context, const char *name, pfm_fetch_way way, char **json_out, pfm_error *err)
{
    const pfm_fetch_source *source = find_source(name);
    if (source != NULL)
        return pfm_fetch_from(context, source, way, json_out, err);
    const char *nearest = nearest_name(name);
    return pfm_error_set(err, PFM_ERROR_USAGE, "fetch knows no weights named '%s'%s%s%s; pefomed fetch --list names all", name,
                         nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                         nearest == NULL ? "" : "'?");
}

static pfm_status list_one(const pfm_context *context, const pfm_fetch_source *source, json_t *models, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(place_of(context, source, &path, err));
    json_t *model =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s?, s:s, s:b}", "name", source->name, "what", source->what, "license",
                  source->license, "file", source->file, "bytes", (json_int_t)source->bytes, "sha256", source->sha256,
                  "package", source->package, "url", source->url, "path", path, "here", is_here(source, path));
    if (model == NULL || json_array_append_new(models, model) != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "the path %s is not UTF-8", path);
done:
    free(path);
    return status;
}

pfm_status pfm_fetch_list(const pfm_context *context, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *models = json_array();
    json_t *document = json_pack("{s:s, s:o}", "home", pfm_context_home(context), "models", models);
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "the path %s is not UTF-8", pfm_context_home(context));
    for (int i = 0; i < SOURCES; i++)
        PFM_TRY(list_one(context, &sources[i], models, err));
    PFM_TRY(pfm_json_print(document, json_out, err));
done:
    json_decref(document);
    return status;
}

static pfm_status refuse_path(const char *path, pfm_error *err)
{
    const char *nearest = nearest_name(path);
    return pfm_error_set(err, PFM_ERROR_IO, "there is no file or folder %s, and fetch knows no weights of this name%s%s%s",
                         path, nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                         nearest == NULL ? "" : "'?");
}

pfm_status pfm_model_path(const pfm_context *context, const char *name_or_path, char **out, pfm_error *err)
{
    const pfm_fetch_source *source = find_source(name_or_path);
    if (source == NULL)
        return pfm_path_exists(name_or_path) ? pfm_string_copy(name_or_path, out, err) : refuse_path(name_or_path, err);
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(place_of(context, source, &path, err));
    if (!is_here(source, path))
        PFM_FAIL(PFM_ERROR_IO, "%s is not on this machine yet; run: pefomed fetch %s", source->name, source->name);
    *out = path;
    path = NULL;
done:
    free(path);
    return status;
}
