#include "base/file.h"
#include "test.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_a_write_appears_whole(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *path = test_path(test_scratch_folder(), "whole");
    assert_ok(pfm_file_write(path, "first", 5, &err));
    pfm_atomic_file file;
    assert_ok(pfm_atomic_file_begin(path, &file, &err));
    assert_ok(pfm_atomic_file_write(&file, "sec", 3, &err));
    pfm_buffer text = {0};
    assert_ok(pfm_file_read(path, 0, &text, &err)); /* half a write is not seen */
    assert_string_equal(text.data, "first");
    pfm_atomic_file_abort(&file);
    pfm_buffer_free(&text);
    char **names = NULL;
    size_t count = 0;
    assert_ok(pfm_folder_list(test_scratch_folder(), &names, &count, &err)); /* an abort leaves nothing behind */
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "whole");
    free(names[0]);
    free(names);
}

static void test_errors_name_the_path(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer text = {0};
    pfm_mapping mapping;
    assert_error(pfm_file_read("/nowhere/at/all", 0, &text, &err), PFM_ERROR_IO, "/nowhere/at/all");
    assert_error(pfm_mapping_open("/tmp", &mapping, &err), PFM_ERROR_IO, "/tmp");
    assert_error(pfm_file_write("/proc/nothing", "x", 1, &err), PFM_ERROR_IO, "/proc/nothing");
    assert_error(pfm_folder_create("/proc/a/b", &err), PFM_ERROR_IO, "/proc/a");
    assert_error(pfm_file_write("/dev/full/x", "x", 1, &err), PFM_ERROR_IO, "/dev/full/x");
}

static void test_a_limit_is_kept(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *path = test_path(test_scratch_folder(), "ten");
    assert_ok(pfm_file_write(path, "0123456789", 10, &err));
    pfm_buffer text = {0};
    assert_error(pfm_file_read(path, 9, &text, &err), PFM_ERROR_FORMAT, "more than the 9");
    assert_ok(pfm_file_read(path, 10, &text, &err));
    assert_int_equal(text.size, 10);
    pfm_buffer_free(&text);
}

static void test_folders_and_paths(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *deep = test_path(test_scratch_folder(), "a/b/c");
    assert_ok(pfm_folder_create(deep, &err));
    assert_ok(pfm_folder_create(deep, &err));
    assert_true(pfm_path_is_folder(deep));
    char *path = NULL;
    assert_ok(pfm_path_join("x/", "y", &path, &err));
    assert_string_equal(path, "x/y");
    assert_string_equal(pfm_path_name(path), "y");
    free(path);
}

static void a_file_beside_another(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = test_scratch_folder();
    const struct {
        const char *path, *wanted;
    } cases[] = {{"models/a.gguf", "models/x"}, {"a.gguf", "./x"}, {"/a.gguf", "/x"}, {folder, test_path(folder, "x")}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = NULL;
        assert_ok(pfm_path_beside(cases[i].path, "x", &got, &err));
        assert_string_equal(got, cases[i].wanted);
        free(got);
    }
}

static void a_folder_is_held_by_one(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = test_scratch_folder();
    int first = -1, second = -1;
    assert_false(pfm_folder_is_held(folder));
    assert_ok(pfm_folder_hold(folder, &first, &err));
    assert_true(pfm_folder_is_held(folder));
    assert_error(pfm_folder_hold(folder, &second, &err), PFM_ERROR_IO, "another process is at work in");
    assert_int_equal(second, -1);
    close(first);
    assert_ok(pfm_folder_hold(folder, &second, &err));
    close(second);
    assert_false(pfm_folder_is_held(folder));
    assert_false(pfm_folder_is_held(test_path(folder, "none")));
    assert_error(pfm_folder_hold(test_path(folder, "none"), &first, &err), PFM_ERROR_IO, "none");
}

/* Whoever only looks whether a folder is held has a part of the lock for an instant. */
static void a_look_keeps_nobody_out(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = test_scratch_folder();
    int held = -1, ends[2], status;
    char byte;
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const int fd = open(folder, O_RDONLY | O_DIRECTORY);
        const bool looks = flock(fd, LOCK_SH) == 0 && write(ends[1], "x", 1) == 1;
        (void)usleep(5000);
        _exit(looks ? 0 : 1);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_ok(pfm_folder_hold(folder, &held, &err));
    close(held);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_write_appears_whole), cmocka_unit_test(test_errors_name_the_path),
        cmocka_unit_test(test_a_limit_is_kept),       cmocka_unit_test(a_file_beside_another),
        cmocka_unit_test(a_folder_is_held_by_one),    cmocka_unit_test(a_look_keeps_nobody_out),
        cmocka_unit_test(test_folders_and_paths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
