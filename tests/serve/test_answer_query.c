#include "serve/answer_query.h"
#include "test.h"

#include "base/file.h"

#include <unistd.h>

static const char first[] =
    "{\"id\":\"1\",\"image\":\"a\",\"question\":\"Is the left lung "
    "clear?\",\"answer\":\"Yes\",\"prediction\":\"yes\",\"answer_type\":\"CLOSED\",\"modality\":\"CT\"}\n"
    "{\"id\":\"2\",\"image\":\"a\",\"question\":\"Which organ?\",\"answer\":\"Liver, "
    "left\",\"prediction\":\"spleen\",\"answer_type\":\"OPEN\",\"modality\":\"CT\"}\n"
    "{\"id\":\"3\",\"images\":[\"b\",\"c\"],\"image\":\"b\",\"question\":\"Which "
    "plane?\",\"answer\":\"Axial\",\"prediction\":\"axial\",\"answer_type\":\"OPEN\",\"modality\":\"MRI\",\"correct\":false}\n"
    "{\"id\":\"4\",\"image\":\"d\",\"question\":\"Is it "
    "normal?\",\"answer\":\"No\",\"prediction\":\"yes\",\"answer_type\":\"CLOSED\",\"modality\":\"MRI\",\"probability\":0.25}"
    "\n";
static const char second[] =
    "{\"id\":\"4\",\"image\":\"d\",\"question\":\"Is it normal?\",\"answer\":\"No\",\"prediction\":\"No.\"}\n"
    "{\"id\":\"1\",\"image\":\"a\",\"question\":\"Is the left lung clear?\",\"answer\":\"Yes\",\"prediction\":\"no\"}\n"
    "{\"id\":\"2\",\"image\":\"a\",\"question\":\"Which organ?\",\"answer\":\"Liver, left\",\"prediction\":\"Spleen!\"}\n"
    "{\"id\":\"9\",\"image\":\"z\",\"question\":\"Another?\",\"answer\":\"No\",\"prediction\":\"no\"}\n";

static pfm_answer_file *load(const char *name, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_answer_file *file = NULL;
    const char *path = test_path(test_scratch_folder(), name);
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    assert_ok(pfm_answer_file_load(path, name, &file, &err));
    return file;
}

/* The ids of the rows that are asked for, and what is told. */
static json_t *ask(const pfm_answer_file *file, pfm_answer_query query, const char *modality, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *told = NULL, *row;
    const char *values[32] = {NULL};
    char ids[64] = "";
    size_t i;
    assert_true(file->set.column_count <= 32);
    for (size_t c = 0; c < file->set.column_count; c++)
        if (strcmp(file->set.columns[c].name, "modality") == 0)
            values[c] = modality;
    query.values = values;
    query.count = query.count > 0 ? query.count : 100;
    assert_ok(pfm_answer_query_run(file, &query, &told, &err));
    json_array_foreach(json_object_get(told, "rows"), i, row)(void) strcat(ids, json_string_value(json_object_get(row, "id")));
    assert_string_equal(ids, wanted);
    return told;
}

static long number(const json_t *told, const char *key) { return (long)json_integer_value(json_object_get(told, key)); }

static long of_value(const json_t *list, const char *value, const char *key)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry) if (strcmp(json_string_value(json_object_get(entry, "value")), value) ==
                                           0) return number(entry, key);
    fail_msg("no value %s", value);
    return -1;
}

#define ANY .right = -1, .kind = -1

static void filters(void **state)
{
    (void)state;
    pfm_answer_file *file = load("first.jsonl", first);
    assert_int_equal(file->right, 1);
    json_decref(ask(file, (pfm_answer_query){ANY}, NULL, "1234"));
    json_decref(ask(file, (pfm_answer_query){.right = 1, .kind = -1}, NULL, "1")); /* 3 is wrong, as the file says */
    json_decref(ask(file, (pfm_answer_query){.right = 0, .kind = PFM_KIND_OPEN}, NULL, "23"));
    json_decref(ask(file, (pfm_answer_query){ANY}, "MRI", "34"));
    json_decref(ask(file, (pfm_answer_query){ANY}, "PET", ""));
    json_decref(ask(file, (pfm_answer_query){ANY, .from = 1, .count = 2}, NULL, "23"));
    json_decref(ask(file, (pfm_answer_query){ANY, .from = 9}, NULL, ""));
    static const struct {
        const char *words, *wanted;
    } words[] = {{"LEFT", "12"},    {"left lung", "1"},   {"lung  left", "1"},  {"lef", ""},     {"lef*", "12"},
                 {"spleen", "2"},   {"Liver,", "2"},      {"?!", "1234"},       {"yes no", "4"}, {"clear yes which", ""},
                 {"left*lung", ""}, {"lef* spleen", "2"}, {"lef* nowhere", ""}, {"*", "1234"},   {" ", "1234"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        json_decref(ask(file, (pfm_answer_query){ANY, .words = words[i].words}, NULL, words[i].wanted));
    pfm_answer_file_free(file);
}

static void counts(void **state)
{
    (void)state;
    pfm_answer_file *file = load("counts.jsonl", first);
    json_t *told = ask(file, (pfm_answer_query){.right = 0, .kind = PFM_KIND_CLOSED}, "MRI", "4");
    assert_int_equal(number(told, "n"), 4);
    assert_int_equal(number(told, "matching"), 1);
    const json_t *right = json_object_get(told, "right"), *kinds = json_object_get(told, "kinds"),
                 *column = json_array_get(json_object_get(told, "columns"), 0);
    assert_int_equal(number(right, "right"), 0); /* of closed ones of MRI */
    assert_int_equal(number(right, "wrong"), 1);
    assert_int_equal(of_value(kinds, "OPEN", "n"), 1); /* of wrong ones of MRI */
    assert_int_equal(of_value(kinds, "CLOSED", "n"), 1);
    assert_string_equal(json_string_value(json_object_get(column, "name")), "modality");
    assert_int_equal(of_value(json_object_get(column, "values"), "CT", "n"), 0); /* of wrong closed ones */
    assert_int_equal(of_value(json_object_get(column, "values"), "MRI", "n"), 1);
    json_decref(told);
    told = ask(file, (pfm_answer_query){ANY, .from = 2, .count = 1}, NULL, "3");
    const json_t *row = json_array_get(json_object_get(told, "rows"), 0);
    assert_int_equal(number(row, "n"), 2);
    assert_int_equal(json_array_size(json_object_get(row, "images")), 2);
    assert_true(json_is_false(json_object_get(row, "correct")));
    assert_true(json_is_null(json_object_get(row, "probability")));
    json_decref(told);
    pfm_answer_file_free(file);
}

static void compares(void **state)
{
    (void)state;
    pfm_answer_file *a = load("a.jsonl", first), *b = load("b.jsonl", second);
    json_decref(ask(a, (pfm_answer_query){ANY, .against = b}, NULL, "14"));
    json_decref(ask(a, (pfm_answer_query){ANY, .against = b, .differ = PFM_DIFFER_verdicts}, NULL, "14"));
    json_decref(ask(a, (pfm_answer_query){ANY, .against = b, .differ = PFM_DIFFER_better}, NULL, "1"));
    json_decref(ask(a, (pfm_answer_query){ANY, .against = b, .differ = PFM_DIFFER_worse}, NULL, "4"));
    json_t *told = ask(a, (pfm_answer_query){ANY, .against = b, .differ = PFM_DIFFER_all}, NULL, "1234");
    const json_t *against = json_object_get(told, "against"), *rows = json_object_get(told, "rows");
    assert_int_equal(number(against, "rows"), 3);
    assert_int_equal(number(against, "answers"), 2);
    assert_int_equal(number(against, "better"), 1);
    assert_int_equal(number(against, "worse"), 1);
    assert_int_equal(number(against, "neither"), 1);
    assert_int_equal(number(against, "both"), 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json_array_get(rows, 3), "other"), "prediction")),
                        "No.");
    assert_null(json_object_get(json_array_get(rows, 2), "other"));
    json_decref(told);
    pfm_answer_file *right =
        load("right.jsonl", "{\"id\":\"1\",\"image\":\"a\",\"question\":\"q\",\"answer\":\"Yes\",\"prediction\":\"yes!\"}");
    json_decref(ask(right, (pfm_answer_query){ANY, .against = a, .differ = PFM_DIFFER_better}, NULL, ""));
    json_decref(ask(right, (pfm_answer_query){ANY, .against = a}, NULL, "")); /* the same when normalised */
    pfm_answer_file_free(right);
    pfm_answer_file_free(a);
    pfm_answer_file_free(b);
}

static void measures_the_gap(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_answer_file *a = load("gap-a.jsonl", first), *b = load("gap-b.jsonl", second), *other;
    json_t *told = NULL;
    assert_ok(pfm_answer_gap(a, b, 42, &told, &err));
    assert_int_equal(number(told, "rows"), 3);
    assert_int_equal(number(told, "only_here"), 1);
    assert_int_equal(number(told, "only_there"), 1);
    const json_t *all = json_array_get(json_object_get(told, "groups"), 0);
    assert_true(json_is_null(json_object_get(all, "column")));
    assert_int_equal(number(all, "images"), 2);
    assert_true(json_number_value(json_object_get(all, "mean")) == 0);
    assert_int_equal(json_array_size(json_object_get(all, "ci95")), 2);
    assert_int_equal(json_array_size(json_object_get(told, "groups")), 5); /* all, two kinds, two modalities */
    const json_t *mri = json_array_get(json_object_get(told, "groups"), 4);
    assert_true(json_is_null(json_object_get(mri, "ci95"))); /* of one image */
    assert_true(json_number_value(json_object_get(mri, "mean")) == -100);
    json_decref(told);
    other = load("gap-c.jsonl", "{\"id\":\"1\",\"image\":\"a\",\"question\":\"q\",\"answer\":\"other\",\"prediction\":\"p\"}");
    assert_error(pfm_answer_gap(a, other, 42, &told, &err), PFM_ERROR_MISMATCH, "do not ask the same");
    pfm_answer_file_free(other);
    other = load("gap-d.jsonl", "{\"id\":\"x\",\"image\":\"a\",\"question\":\"q\",\"answer\":\"a\",\"prediction\":\"p\"}");
    assert_error(pfm_answer_gap(a, other, 42, &told, &err), PFM_ERROR_MISMATCH, "no question in common");
    pfm_answer_file_free(other);
    pfm_answer_file_free(a);
    pfm_answer_file_free(b);
}

static void reads_reports(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *told;
    pfm_answer_file *file = load(
        "reports.json", "[{\"id\":1,\"image\":\"a\",\"references\":[\"No mass.\",\"Clear.\"],\"prediction\":\"A mass.\"}]");
    told = ask(file, (pfm_answer_query){ANY, .words = "clear"}, NULL, "1");
    assert_true(json_is_null(json_object_get(told, "right")));
    json_decref(told);
    assert_error(pfm_answer_gap(file, file, 42, &told, &err), PFM_ERROR_UNSUPPORTED, "not right or wrong");
    pfm_answer_file_free(file);
}

static void refuses(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_answer_file *file = NULL;
    const char *path = test_path(test_scratch_folder(), "bad.jsonl");
    assert_ok(pfm_file_write(path, "{\"id\":1}\n", 9, &err));
    assert_error(pfm_answer_file_load(path, "bad", &file, &err), PFM_ERROR_FORMAT, "bad line 1");
    assert_ok(pfm_file_write(path, "", 0, &err));
    assert_error(pfm_answer_file_load(path, "bad", &file, &err), PFM_ERROR_FORMAT, "bad holds no rows");
    assert_error(pfm_answer_file_load(test_scratch_folder(), "bad", &file, &err), PFM_ERROR_IO, "not there");
    assert_null(file);
}

/* ---- files that are kept ---- */

static void keeps(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_answer_files *files = NULL;
    pfm_answer_file *one = NULL, *again = NULL, *changed = NULL, *others[40];
    char name[32];
    const char *path = test_path(test_scratch_folder(), "kept.jsonl");
    assert_ok(pfm_file_write(path, first, strlen(first), &err));
    assert_ok(pfm_answer_files_create(1 << 20, &files, &err));
    assert_ok(pfm_answer_files_use(files, path, "kept", &one, &err));
    assert_ok(pfm_answer_files_use(files, path, "kept", &again, &err));
    assert_ptr_equal(one, again);
    pfm_answer_files_give_back(files, again);
    assert_ok(pfm_file_write(path, second, strlen(second), &err));
    assert_ok(pfm_answer_files_use(files, path, "kept", &changed, &err));
    assert_ptr_not_equal(one, changed);
    assert_string_equal(one->set.ids.texts[0], "1"); /* still there for who uses it */
    assert_string_equal(changed->set.ids.texts[0], "4");
    pfm_answer_files_give_back(files, one);
    pfm_answer_files_give_back(files, changed);
    for (int i = 0; i < 40; i++) { /* more than have a place */
        (void)snprintf(name, sizeof name, "kept-%d.jsonl", i);
        const char *other = test_path(test_scratch_folder(), name);
        assert_ok(pfm_file_write(other, first, strlen(first), &err));
        assert_ok(pfm_answer_files_use(files, other, name, &others[i], &err));
    }
    for (int i = 0; i < 40; i++)
        pfm_answer_files_give_back(files, others[i]);
    pfm_answer_files_give_back(files, NULL);
    pfm_answer_files_free(files);

    assert_ok(pfm_answer_files_create(1, &files, &err)); /* nothing has room, and each is there while it is used */
    assert_ok(pfm_answer_files_use(files, path, "kept", &one, &err));
    assert_int_equal(one->set.count, 4);
    pfm_answer_files_give_back(files, one);
    pfm_answer_files_free(files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters),       cmocka_unit_test(counts),
        cmocka_unit_test(compares),      cmocka_unit_test(measures_the_gap),
        cmocka_unit_test(reads_reports), cmocka_unit_test(refuses),
        cmocka_unit_test(keeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
