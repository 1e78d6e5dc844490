#include "base/file.h"

#include "base/try.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static pfm_status refuse(pfm_error *err, const char *verb, const char *path)
{
    int reason = errno;
    const char *cure = "";
    if (reason == ENOSPC || reason == EDQUOT)
        cure = "; free some space and run the same command again";
    else if (reason == EROFS || reason == EACCES)
        cure = "; choose a folder you may use";
    return pfm_error_set(err, PFM_ERROR_IO, "cannot %s %s: %s%s", verb, path, strerror(reason), cure);
}

static pfm_status open_regular(const char *path, int *descriptor, size_t *size, pfm_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return refuse(err, "open", path);
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        if (!S_ISDIR(info.st_mode))
            errno = EINVAL;
        else
            errno = EISDIR;
        pfm_status status = refuse(err, "read", path);
        close(fd);
        return status;
    }
    *descriptor = fd;
    *size = (size_t)info.st_size;
    return PFM_OK;
}

pfm_status pfm_mapping_open(const char *path, pfm_mapping *out, pfm_error *err)
{
    int fd = -1;
    size_t size = 0;
    pfm_status status = open_regular(path, &fd, &size, err);
    if (status != PFM_OK)
        return status;
    *out = (pfm_mapping){0};
    if (size > 0) {
        void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = refuse(err, "map", path);
        else
            *out = (pfm_mapping){.data = data, .size = size};
    }
    close(fd);
    return status;
}

void pfm_mapping_close(pfm_mapping *mapping)
{
    if (mapping == NULL || mapping->data == NULL)
        return;
    munmap((void *)(uintptr_t)mapping->data, mapping->size);
    *mapping = (pfm_mapping){0};
}

void pfm_mapping_release(const pfm_mapping *mapping, const void *data, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)data + page - 1) / page * page, end = ((uintptr_t)data + size) / page * page;
    if (mapping->data != NULL && end > begin)
        (void)madvise((void *)begin, end - begin,
                      MADV_DONTNEED); /* a hint on a read-only mapping: it is read again if needed */
}

pfm_status pfm_file_read(const char *path, size_t limit, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int fd = -1;
    size_t size = 0;
    PFM_TRY(open_regular(path, &fd, &size, err));
    if (limit > 0 && size > limit)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has %zu bytes, more than the %zu that such a file may have", path, size, limit);
    PFM_TRY(pfm_array_reserve(&out->data, &out->capacity, size + 1, 1, err));
    while (out->size < size) {
        ssize_t got = read(fd, out->data + out->size, size - out->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            status = refuse(err, "read", path);
            goto done;
        }
        if (got == 0)
            break;
        out->size += (size_t)got;
    }
    out->data[out->size] = '\0';
done:
    if (fd >= 0)
        close(fd);
    return status;
}

pfm_status pfm_atomic_file_begin(const char *path, pfm_atomic_file *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *out = (pfm_atomic_file){.descriptor = -1};
    PFM_TRY(pfm_string_copy(path, &out->path, err));
    PFM_TRY(pfm_string_format(&out->temporary, err, "%s.tmp.%ld", path, (long)getpid()));
    out->descriptor = open(out->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out->descriptor < 0)
        status = refuse(err, "create", path);
done:
    if (status != PFM_OK) {
        free(out->path);
        free(out->temporary);
        *out = (pfm_atomic_file){.descriptor = -1};
    }
    return status;
}

pfm_status pfm_atomic_file_write(pfm_atomic_file *file, const void *bytes, size_t count, pfm_error *err)
{
    const char *next = bytes;
    while (count > 0) {
        ssize_t put = write(file->descriptor, next, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return refuse(err, "write", file->path);
        next += put;
        count -= (size_t)put;
    }
    return PFM_OK;
}

void pfm_atomic_file_abort(pfm_atomic_file *file)
{
    if (file == NULL || file->path == NULL)
        return;
    if (file->descriptor >= 0)
        close(file->descriptor);
    (void)unlink(file->temporary);
    free(file->path);
    free(file->temporary);
    *file = (pfm_atomic_file){.descriptor = -1};
}

/* *out = the folder that path lies in; release with free(). */
static pfm_status cut_folder(const char *path, char **out, pfm_error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return pfm_string_copy(".", out, err);
    return pfm_string_copy_n(path, slash == path ? 1 : (size_t)(slash - path), out, err);
}

/* Makes a rename in path's folder survive a power cut. Some file systems refuse to sync a folder: not an error. */
void pfm_folder_sync_of(const char *path)
{
    pfm_error ignored = PFM_ERROR_INIT;
    char *folder = NULL;
    if (cut_folder(path, &folder, &ignored) != PFM_OK)
        return;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(folder);
}

pfm_status pfm_atomic_file_commit(pfm_atomic_file *file, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (fsync(file->descriptor) != 0)
        status = refuse(err, "write", file->path);
    if (close(file->descriptor) != 0 && status == PFM_OK)
        status = refuse(err, "write", file->path);
    file->descriptor = -1;
    if (status == PFM_OK && rename(file->temporary, file->path) != 0)
        status = refuse(err, "replace", file->path);
    if (status == PFM_OK)
        pfm_folder_sync_of(file->path);
    pfm_atomic_file_abort(file); /* after a rename the temporary is gone and this only releases memory */
    return status;
}

pfm_status pfm_file_write(const char *path, const void *bytes, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_atomic_file file = {.descriptor = -1};
    PFM_TRY(pfm_atomic_file_begin(path, &file, err));
    PFM_TRY(pfm_atomic_file_write(&file, bytes, count, err));
    PFM_TRY(pfm_atomic_file_commit(&file, err));
done:
    pfm_atomic_file_abort(&file);
    return status;
}

bool pfm_path_exists(const char *path) { return access(path, F_OK) == 0; }

bool pfm_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

pfm_status pfm_folder_create(const char *path, pfm_error *err)
{
    char *copy = NULL;
    pfm_status status = pfm_string_copy(path, &copy, err);
    if (status != PFM_OK)
        return status;
    for (char *c = copy + 1; status == PFM_OK && copy[0] != '\0'; c++) {
        if (*c != '/' && *c != '\0')
            continue;
        char kept = *c;
        *c = '\0';
        if (mkdir(copy, 0777) != 0 && !(errno == EEXIST && pfm_path_is_folder(copy)))
            status = refuse(err, "create the folder", copy);
        *c = kept;
        if (kept == '\0')
            break;
    }
    free(copy);
    return status;
}

pfm_status pfm_folder_hold(const char *path, int *descriptor, pfm_error *err)
{
    enum { LOOKS = 100 };
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return refuse(err, "open", path);
    bool held = true;
    for (int i = 0; held && i < LOOKS; i++) { /* whoever only looks (pfm_folder_is_held) is soon gone */
        const struct timespec pause = {.tv_nsec = 1000000};
        if (i > 0)
            (void)nanosleep(&pause, NULL);
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            *descriptor = fd;
            return PFM_OK;
        }
        held = errno == EWOULDBLOCK;
    }
    pfm_status status =
        held ? pfm_error_set(err, PFM_ERROR_IO,
                             "another process is at work in %s; wait until it has ended, or name another folder", path)
             : refuse(err, "hold", path);
    close(fd);
    return status;
}

bool pfm_folder_is_held(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    return held;
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

pfm_status pfm_folder_list(const char *path, char ***out, size_t *count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t used = 0, capacity = 0;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        status = refuse(err, "open the folder", path);
        goto done;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        PFM_TRY(pfm_array_reserve(&names, &capacity, used + 1, sizeof *names, err));
        PFM_TRY(pfm_string_copy(entry->d_name, &names[used], err));
        used++;
    }
    if (used > 0)
        qsort(names, used, sizeof *names, compare_names);
    *out = names;
    *count = used;
done:
    if (folder != NULL)
        closedir(folder);
    if (status != PFM_OK) {
        for (size_t i = 0; i < used; i++)
            free(names[i]);
        free(names);
    }
    return status;
}

pfm_status pfm_path_join(const char *folder, const char *name, char **out, pfm_error *err)
{
    if (name[0] == '/' || folder[0] == '\0')
        return pfm_string_copy(name, out, err);
    size_t length = strlen(folder);
    return pfm_string_format(out, err, "%s%s%s", folder, folder[length - 1] == '/' ? "" : "/", name);
}

pfm_status pfm_path_beside(const char *path, const char *name, char **out, pfm_error *err)
{
    char *folder = NULL;
    if (pfm_path_is_folder(path))
        return pfm_path_join(path, name, out, err);
    pfm_status status = cut_folder(path, &folder, err);
    if (status == PFM_OK)
        status = pfm_path_join(folder, name, out, err);
    free(folder);
    return status;
}

const char *pfm_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}
