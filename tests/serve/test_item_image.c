#include "serve/item_image.h"
#include "base/file.h"
#include "test.h"

#include <unistd.h>

static pfm_error err = PFM_ERROR_INIT;
static char folder[400];
static const char *const folders[] = {folder};

/* images/ with a file, one below, links inside and outside; secret.png beside it. */
static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s", test_path(test_scratch_folder(), "images"));
    assert_ok(pfm_folder_create(test_path(folder, "below"), &err));
    assert_ok(pfm_folder_create(test_path(test_scratch_folder(), "images-2"), &err));
    assert_ok(pfm_file_write(test_path(folder, "a.png"), "A", 1, &err));
    assert_ok(pfm_file_write(test_path(folder, "below/b c.png"), "B", 1, &err));
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), "secret.png"), "S", 1, &err));
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), "images-2/c.png"), "S", 1, &err));
    (void)unlink(test_path(folder, "in.png"));
    (void)unlink(test_path(folder, "out.png"));
    assert_int_equal(symlink("below/b c.png", test_path(folder, "in.png")), 0);
    assert_int_equal(symlink("../secret.png", test_path(folder, "out.png")), 0);
    return 0;
}

static void what_lies_in_the_folder(void **state)
{
    (void)state;
    static const char *const there[][2] = {
        {"a.png", "A"}, {"below/b c.png", "B"}, {"in.png", "B"}, {"./a.png", "A"}, {"below/../a.png", "A"}};
    for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
        pfm_buffer bytes = {0};
        assert_ok(pfm_item_image_read(folders, 1, there[i][0], &bytes, &err));
        assert_string_equal(bytes.data, there[i][1]);
        pfm_buffer_free(&bytes);
    }
}

static void what_does_not(void **state)
{
    (void)state;
    char absolute[500];
    (void)snprintf(absolute, sizeof absolute, "%s", test_path(folder, "a.png"));
    const char *const names[] = {"out.png",
                                 "../secret.png",
                                 "below/../../secret.png",
                                 "../images-2/c.png",
                                 "below",
                                 "",
                                 ".",
                                 "..",
                                 absolute,
                                 "/etc/passwd",
                                 "none.png",
                                 "a.png/"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        pfm_buffer bytes = {0};
        assert_error(pfm_item_image_read(folders, 1, names[i], &bytes, &err), PFM_ERROR_MISMATCH, "not in the folder");
        pfm_buffer_free(&bytes);
    }
}

static void names_on_lines(void **state)
{
    (void)state;
    static const char names[] = "a.png\nnone.png\nout.png\nin.png";
    static const bool here[] = {true, false, false, true};
    char *name = NULL;
    json_t *list = pfm_item_images_list(folders, 1, names);
    assert_int_equal(json_array_size(list), 4);
    for (size_t k = 0; k < 4; k++)
        assert_int_equal(json_is_true(json_array_get(list, k)), here[k]);
    json_decref(list);
    list = pfm_item_images_list(NULL, 0, names);
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
    assert_ok(pfm_item_image_name(names, 3, &name, &err));
    assert_string_equal(name, "in.png");
    free(name);
    assert_ok(pfm_item_image_name(names, 4, &name, &err));
    assert_null(name);
    assert_ok(pfm_item_image_name("", 0, &name, &err));
    assert_null(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_lies_in_the_folder), cmocka_unit_test(what_does_not),
                                       cmocka_unit_test(names_on_lines)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
