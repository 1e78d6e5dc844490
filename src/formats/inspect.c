#include "base/try.h"
#include "formats/inspect_internal.h"
#include "formats/inspect_list.h"
#include "pefomed/weights.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DECLARE(name) extern const pfm_inspector pfm_inspector_##name;
PFM_INSPECT_LIST(DECLARE)

#define ADDRESS(name) &pfm_inspector_##name,
static const pfm_inspector *const inspectors[] = {PFM_INSPECT_LIST(ADDRESS)};

enum { LONGEST_TEXT = 4096, FIRST_BYTES = 200 };

bool pfm_inspect_has(const pfm_inspect_target *target, const char *name)
{
    char *path = NULL;
    bool found = target->is_folder && pfm_path_join(target->path, name, &path, NULL) == PFM_OK && pfm_path_exists(path);
    free(path);
    return found;
}

bool pfm_inspect_ends_with(const char *text, const char *tail)
{
    size_t length = strlen(text), size = strlen(tail);
    return length >= size && strcmp(text + length - size, tail) == 0;
}

json_t *pfm_inspect_text(const char *text, size_t length)
{
    json_t *whole = length <= LONGEST_TEXT ? json_stringn(text, length) : NULL;
    if (whole != NULL)
        return whole;
    size_t first = length < FIRST_BYTES ? length : FIRST_BYTES;
    while (first > 0 && first < length && ((unsigned char)text[first] & 0xc0) == 0x80)
        first--; /* not within a character */
    json_t *begin = json_stringn(text, first);
    return json_pack("{s:I, s:o}", "length", (json_int_t)length, "first", begin == NULL ? json_string("(not UTF-8)") : begin);
}

pfm_status pfm_inspect_json_file(const char *folder, const char *name, const char *key, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *value = NULL;
    PFM_TRY(pfm_path_join(folder, name, &path, err));
    if (!pfm_path_exists(path))
        goto done;
    PFM_TRY(pfm_json_load(path, &value, err));
    status = pfm_json_take(out, key, value, err);
done:
    free(path);
    return status;
}

static pfm_status look(const char *path, pfm_inspect_target *out, pfm_error *err)
{
    struct stat info;
    *out = (pfm_inspect_target){.path = path};
    if (stat(path, &info) != 0)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    out->is_folder = S_ISDIR(info.st_mode);
    if (out->is_folder)
        return PFM_OK;
    int fd = S_ISREG(info.st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot open %s: %s", path,
                             S_ISREG(info.st_mode) ? strerror(errno) : "it is no file");
    ssize_t got = read(fd, out->head, sizeof out->head);
    close(fd);
    if (got < 0)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
    out->head_size = (size_t)got;
    out->bytes = (size_t)info.st_size;
    return PFM_OK;
}

static pfm_status describe(const pfm_inspect_target *target, json_t *out, pfm_error *err)
{
    size_t i = 0;
    while (!inspectors[i]->probe(target))
        i++;
    pfm_status status = pfm_json_take(out, "kind", json_string(inspectors[i]->kind), err);
    if (status == PFM_OK && !target->is_folder)
        status = pfm_json_take(out, "bytes", json_integer((json_int_t)target->bytes), err);
    return status == PFM_OK ? inspectors[i]->describe(target, out, err) : status;
}

pfm_status pfm_inspect(const pfm_context *context, const char *name_or_path, bool identifiers, char **json_out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    pfm_inspect_target target;
    json_t *document = json_object();
    PFM_TRY(pfm_model_path(context, name_or_path, &path, err));
    PFM_TRY(look(path, &target, err));
    target.identifiers = identifiers;
    PFM_TRY(pfm_json_take(document, "path", pfm_inspect_text(path, strlen(path)), err));
    PFM_TRY(describe(&target, document, err));
    PFM_TRY(pfm_json_print(document, json_out, err));
done:
    json_decref(document);
    free(path);
    return status;
}
