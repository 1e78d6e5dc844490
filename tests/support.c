#include "test.h"

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

const char *test_scratch_folder(void)
{
    static char path[] = "/tmp/pefomed-test-XXXXXX";
    static bool made;
    if (!made && mkdtemp(path) == NULL)
        fail_msg("cannot make a folder in /tmp");
    made = true;
    return path;
}

const char *test_path(const char *folder, const char *name)
{
    static char ring[8][4096];
    static int next;
    char *path = ring[next++ % 8];
    (void)snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    return path;
}
