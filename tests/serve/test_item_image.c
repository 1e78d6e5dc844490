#include "serve/item_image.h"
#include "base/file.h"
#include "test.h"

#include <unistd.h>

static pfm_error err = PFM_ERROR_INIT;
static char folder[400];
static const char *const folders[] = {folder};

/* images/ with a file, one below, links inside and outside; secret.png beside it. A name on several lines is one image. */
static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s", test_path(test_scratch_folder(), "images"));
    assert_ok(pfm_folder_create(test_path(folder, "below"), &err));
    assert_ok(pfm_file_write(test_path(folder, "a.png"), "A", 1, &err));
    assert_ok(pfm_file_write(test_path(folder, "below/b c.png"), "B", 1, &err));
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), "secret.png"), "S", 1, &err));
    (void)unlink(test_path(folder, "in.png"));
    (void)unlink(test_path(folder, "out.png"));
    assert_int_equal(symlink("below/b c.png", test_path(folder, "in.png")), 0);
    assert_int_equal(symlink("../secret.png", test_path(folder, "out.png")), 0);
    return 0;
}

static void names_on_lines(void **state)
{
    (void)state;
    static const char names[] = "a.png\na.png\nnone.png\na\nout.png\nbelow\nin.png\nnone.png\nbelow";
    static const bool here[] = {true, false, false, false, true, true};
    char *name = NULL;
    json_t *list = pfm_item_images_list(folders, 1, names);
    assert_int_equal(json_array_size(list), 6);
    for (size_t k = 0; k < 6; k++)
        assert_int_equal(json_is_true(json_array_get(list, k)), here[k]);
    json_decref(list);
    list = pfm_item_images_list(NULL, 0, names);
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
    assert_ok(pfm_item_image_name(names, 5, &name, &err));
    assert_string_equal(name, "in.png");
    free(name);
    assert_ok(pfm_item_image_name(names, 6, &name, &err));
    assert_null(name);
    assert_ok(pfm_item_image_name("", 0, &name, &err));
    assert_null(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_on_lines)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
