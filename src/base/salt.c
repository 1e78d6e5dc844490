#include "base/salt.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/try.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes a fresh salt and gives it its name, unless another process was faster: the first one counts. */
static pfm_status make(const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_salt salt;
    char *temporary = NULL;
    int fd = -1;
    PFM_TRY(pfm_string_format(&temporary, err, "%s.XXXXXX", path));
    fd = mkstemp(temporary); /* its owner's alone */
    if (fd < 0 || getrandom(&salt, sizeof salt, 0) != (ssize_t)sizeof salt ||
        write(fd, &salt, sizeof salt) != (ssize_t)sizeof salt || fsync(fd) != 0 ||
        (link(temporary, path) != 0 && errno != EEXIST))
        PFM_FAIL(PFM_ERROR_IO,
                 "cannot make %s, by which this installation is known: %s; set PEFOMED_HOME to a folder you may use", path,
                 strerror(errno));
done:
    if (fd >= 0) {
        close(fd);
        (void)unlink(temporary);
    }
    free(temporary);
    return status;
}

pfm_status pfm_salt_load(const char *home, pfm_salt *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    pfm_buffer text = {0};
    PFM_TRY(pfm_folder_create(home, err));
    PFM_TRY(pfm_path_join(home, "salt", &path, err));
    if (!pfm_path_exists(path))
        PFM_TRY(make(path, err));
    PFM_TRY(pfm_file_read(path, sizeof *out, &text, err));
    if (text.size != sizeof *out)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has %zu bytes and not %zu, so that it is no salt; remove it, and a new one is made",
                 path, text.size, sizeof *out);
    memcpy(out, text.data, sizeof *out);
done:
    pfm_buffer_free(&text);
    free(path);
    return status;
}
