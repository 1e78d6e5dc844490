#include "base/salt.h"
#include "base/file.h"
#include "test.h"

#include <sys/stat.h>

static void test_a_salt_is_made_once_and_is_its_owners_alone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *home = test_path(test_scratch_folder(), "home/deep");
    pfm_salt first, second, other;
    assert_ok(pfm_salt_load(home, &first, &err));
    assert_ok(pfm_salt_load(home, &second, &err));
    assert_memory_equal(&first, &second, sizeof first);
    assert_ok(pfm_salt_load(test_path(test_scratch_folder(), "elsewhere"), &other, &err));
    assert_memory_not_equal(&first, &other, sizeof first);
    struct stat info;
    assert_int_equal(stat(test_path(home, "salt"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    char **names = NULL;
    size_t count = 0;
    assert_ok(pfm_folder_list(home, &names, &count, &err)); /* nothing temporary stays */
    assert_int_equal(count, 1);
    free(names[0]);
    free(names);
}

static void test_what_is_no_salt_is_an_error(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *home = test_path(test_scratch_folder(), "damaged");
    pfm_salt salt;
    assert_ok(pfm_folder_create(home, &err));
    assert_ok(pfm_file_write(test_path(home, "salt"), "short", 5, &err));
    assert_error(pfm_salt_load(home, &salt, &err), PFM_ERROR_FORMAT, "has 5 bytes and not 32");
    assert_error(pfm_salt_load("/proc/nothing", &salt, &err), PFM_ERROR_IO, "/proc/nothing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_salt_is_made_once_and_is_its_owners_alone),
        cmocka_unit_test(test_what_is_no_salt_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
