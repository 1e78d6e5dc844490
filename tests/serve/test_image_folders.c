#include "serve/image_folders.h"
#include "test.h"

#include "base/file.h"

#include <unistd.h>

static void put(const char *path)
{
    pfm_error err = PFM_ERROR_INIT;
    char *above = strdup(path);
    assert_non_null(above);
    *strrchr(above, '/') = '\0';
    assert_ok(pfm_folder_create(above, &err));
    assert_ok(pfm_file_write(path, "x", 1, &err));
    free(above);
}

static void check_found(const char *const *folders, size_t count, const char *name, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    char *path = NULL;
    assert_ok(pfm_image_folders_find(folders, count, name, &path, &err));
    if (wanted == NULL)
        assert_null(path);
    else
        assert_string_equal(path, wanted);
    free(path);
}

static void finds(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *root = realpath(test_scratch_folder(), NULL), data[300], image[320], secret[320], link[320], beside[320];
    assert_non_null(root);
    (void)snprintf(data, sizeof data, "%s/data", root);
    (void)snprintf(image, sizeof image, "%s/imgs/case1/a.jpg", data);
    (void)snprintf(secret, sizeof secret, "%s/secret.jpg", root);
    (void)snprintf(beside, sizeof beside, "%s/data-secret/b.jpg", root); /* its path begins as the folder's */
    (void)snprintf(link, sizeof link, "%s/imgs/link.jpg", data);
    put(image);
    put(secret);
    put(beside);
    put(test_path(root, "dbta/c.jpg")); /* as long as the folder's own */
    assert_int_equal(symlink(secret, link), 0);
    const char *const folders[] = {"/nonexistent", data};
    check_found(folders, 2, "imgs/case1/a.jpg", image);
    check_found(folders, 2, "case1/a.jpg", image); /* one folder below */
    check_found(folders, 2, image, image);         /* by its whole path */
    check_found(folders, 2, "case1/../case1/a.jpg", image);
    static const char *const strange[] = {"",
                                          "..",
                                          "../secret.jpg",
                                          "imgs/../../secret.jpg",
                                          "../data-secret/b.jpg",
                                          "../dbta/c.jpg",
                                          "link.jpg",
                                          "imgs/link.jpg",
                                          "/etc/passwd",
                                          "a.jpg",
                                          "case1/none.jpg"};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        check_found(folders, 2, strange[i], NULL);
    check_found(folders, 2, secret, NULL);
    check_found(folders, 2, data, NULL);
    check_found(NULL, 0, image, NULL);
    assert_error(pfm_image_folders_check(folders, 2, &err), PFM_ERROR_USAGE, "/nonexistent is no folder");
    assert_ok(pfm_image_folders_check(folders + 1, 1, &err));
    free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
