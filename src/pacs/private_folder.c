#include "base/file.h"
#include "base/try.h"
#include "pacs/inbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pfm_status make(const char *path, pfm_error *err)
{
    if (mkdir(path, 0700) != 0 && !(errno == EEXIST && pfm_path_is_folder(path)))
        return pfm_error_set(err, PFM_ERROR_IO, "cannot create the folder %s: %s", path, strerror(errno));
    return PFM_OK;
}

pfm_status pfm_private_folder(const char *home, const char *name, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *serve = NULL, *path = NULL;
    PFM_TRY(pfm_folder_create(home, err));
    PFM_TRY(pfm_path_join(home, "serve", &serve, err));
    PFM_TRY(make(serve, err));
    PFM_TRY(pfm_path_join(serve, name, &path, err));
    PFM_TRY(make(path, err));
    if (chmod(path, 0700) != 0)
        PFM_FAIL(PFM_ERROR_IO, "cannot make the folder %s private: %s", path, strerror(errno));
    *out = path;
    path = NULL;
done:
    free(serve);
    free(path);
    return status;
}

bool pfm_private_folder_sync(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    return synced;
}

void pfm_private_folder_remove(const char *path)
{
    char **names = NULL;
    size_t count = 0;
    if (pfm_folder_list(path, &names, &count, NULL) != PFM_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        char *file = NULL;
        if (pfm_path_join(path, names[i], &file, NULL) == PFM_OK)
            (void)unlink(file);
        free(file);
        free(names[i]);
    }
    free(names);
    (void)rmdir(path);
}
