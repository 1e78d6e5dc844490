#include "serve/catalogue.h"
#include "test.h"

#include "base/file.h"

#include <unistd.h>

static void put(const char *folder, const char *name, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    char *path = NULL, *above;
    assert_ok(pfm_path_join(folder, name, &path, &err));
    above = strdup(path);
    assert_non_null(above);
    *strrchr(above, '/') = '\0';
    assert_ok(pfm_folder_create(above, &err));
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    free(above);
    free(path);
}

static void put_run(const char *folder, const char *name)
{
    char part[128];
    (void)snprintf(part, sizeof part, "%s/recipe.yaml", name);
    put(folder, part, "model:\n");
    (void)snprintf(part, sizeof part, "%s/log.jsonl", name);
    put(folder, part, "");
}

static void check_names(pfm_catalogue *catalogue, pfm_listed_kind kind, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_listing listing = {0};
    char names[512] = "";
    assert_ok(pfm_catalogue_list(catalogue, kind, &listing, &err));
    for (size_t i = 0; i < listing.count; i++) {
        (void)strcat(names, i > 0 ? " " : "");
        (void)strcat(names, listing.items[i].name);
    }
    assert_string_equal(names, wanted);
    pfm_listing_free(&listing);
}

static const char prediction[] = "{\"id\":1,\"image\":\"a\",\"question\":\"q\",\"answer\":\"a\",\"prediction\":\"p\"}\n";

static void lists(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_catalogue *catalogue = NULL;
    const char *all = test_path(test_scratch_folder(), "lists");
    put_run(all, "one");
    put_run(all, "deep/er/two");
    put_run(all, "one/stages/inner"); /* a part of the run */
    put_run(all, ".hidden/three");
    put(all, "half/recipe.yaml", "");
    put(all, "one/answers/validate.jsonl", prediction);
    put(all, "array.json", "\xEF\xBB\xBF [\n {\"prediction\":\"p\",\"reference\":\"r\"}, {");
    put(all, "rows.jsonl", "{\"id\":1,\"question\":\"q\",\"answer\":\"a\"}\n");
    put(all, "other.txt", prediction);
    put(all, "cut.jsonl", "{\"prediction\":\"p\",\"answ");
    assert_int_equal(symlink("/etc", test_path(all, "link")), 0);
    assert_int_equal(symlink("one", test_path(all, "link-to-one")), 0);
    assert_int_equal(symlink("array.json", test_path(all, "link.json")), 0);
    assert_ok(pfm_catalogue_create(test_path(all, "one"), NULL, 0, NULL, 0, &catalogue, &err));
    check_names(catalogue, PFM_LISTED_RUNS, "deep:er:two one");
    check_names(catalogue, PFM_LISTED_PREDICTIONS, "array.json one:answers:validate.jsonl");
    static const char *const strange[] = {"",     ".",          "..", "one/", "/etc", "../lists/one", "ONE", "one:stages:inner",
                                          "deep", "link:passwd"};
    char *path = NULL;
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        assert_ok(pfm_catalogue_find(catalogue, PFM_LISTED_RUNS, strange[i], &path, &err));
        assert_null(path);
        assert_ok(pfm_catalogue_find(catalogue, PFM_LISTED_PREDICTIONS, strange[i], &path, &err));
        assert_null(path);
    }
    assert_ok(pfm_catalogue_find(catalogue, PFM_LISTED_RUNS, "deep:er:two", &path, &err));
    assert_true(pfm_path_is_folder(path));
    free(path);
    pfm_catalogue_free(catalogue);
}

static void sees_what_comes(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_catalogue *catalogue = NULL;
    const char *all = test_path(test_scratch_folder(), "comes");
    put_run(all, "one");
    assert_ok(pfm_catalogue_create(test_path(all, "one"), NULL, 0, NULL, 0, &catalogue, &err));
    check_names(catalogue, PFM_LISTED_RUNS, "one");
    put_run(all, "two");
    (void)usleep(1100000);
    check_names(catalogue, PFM_LISTED_RUNS, "one two");
    pfm_catalogue_free(catalogue);
}

static void tells_folders_apart(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_catalogue *catalogue = NULL;
    char a[300], b[300], inner[320];
    (void)snprintf(a, sizeof a, "%s/apart/x/runs", test_scratch_folder());
    (void)snprintf(b, sizeof b, "%s/apart/y/runs", test_scratch_folder());
    put_run(a, "one");
    put_run(b, "one");
    put_run(a, "p:q"); /* called as p/q would be */
    put_run(a, "p/q");
    (void)snprintf(inner, sizeof inner, "%s/one", a);
    const char *const folders[] = {a, b, inner}; /* the last lies in the first */
    assert_ok(pfm_catalogue_create(a, folders, 3, folders, 1, &catalogue, &err));
    check_names(catalogue, PFM_LISTED_RUNS, "runs:one runs:p:q runs:p:q~2 runs~2:one");
    check_names(catalogue, PFM_LISTED_PREDICTIONS, "");
    pfm_catalogue_free(catalogue);

    const char *const alone[] = {inner}; /* the folder is a run itself */
    assert_ok(pfm_catalogue_create(a, alone, 1, NULL, 0, &catalogue, &err));
    check_names(catalogue, PFM_LISTED_RUNS, "one");
    pfm_catalogue_free(catalogue);

    const char *const missing[] = {"/nonexistent"};
    assert_error(pfm_catalogue_create(a, missing, 1, NULL, 0, &catalogue, &err), PFM_ERROR_USAGE, "--runs wants one");
    assert_error(pfm_catalogue_create(a, NULL, 0, missing, 1, &catalogue, &err), PFM_ERROR_USAGE, "--predictions wants one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(sees_what_comes),
        cmocka_unit_test(tells_folders_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
