/* Small data sets that the tests write into their scratch folder. */
#ifndef PFM_TESTS_MAKE_DATA_H
#define PFM_TESTS_MAKE_DATA_H

#include "base/file.h"
#include "test.h"

/* Writes folder/name (the folders above it are made), and returns folder. */
static inline const char *make_file(const char *folder, const char *name, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_ok(pfm_folder_create(path, &err));
    *slash = '/';
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    return folder;
}

/* A new folder for a data set; its name stays valid. */
static inline const char *make_folder(const char *name)
{
    static char paths[64][256];
    static int used;
    assert_true(used < 64);
    (void)snprintf(paths[used], sizeof paths[0], "%s/%s", test_scratch_folder(), name);
    return paths[used++];
}

#endif
