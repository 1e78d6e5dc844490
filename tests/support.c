#include "test.h"

#include <ftw.h>
#include <unistd.h>

const char *test_data_folder(void)
{
    static char path[4096];
    const char *chosen = getenv("PFM_DATA");
    if (chosen == NULL)
        (void)snprintf(path, sizeof path, "%s/../shared/data", PFM_SOURCE_DIR);
    else
        (void)snprintf(path, sizeof path, "%s", chosen);
    return access(path, R_OK) == 0 ? path : NULL;
}

static char scratch[] = "/tmp/pefomed-test-XXXXXX";
static pid_t scratch_owner;

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static void remove_scratch(void)
{
    if (getpid() == scratch_owner) /* not a forked child */
        (void)nftw(scratch, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_scratch_folder(void)
{
    const char *chosen = getenv("PFM_SCRATCH");
    if (chosen != NULL)
        return chosen;
    if (scratch_owner == 0) {
        if (mkdtemp(scratch) == NULL)
            fail_msg("cannot make a folder in /tmp");
        scratch_owner = getpid();
        (void)atexit(remove_scratch);
    }
    return scratch;
}

const char *test_path(const char *folder, const char *name)
{
    static char ring[8][4096];
    static int next;
    char *path = ring[next++ % 8];
    (void)snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    return path;
}
