#include "serve/run_log.h"
#include "test.h"

#include "base/file.h"

#include <math.h>
#include <unistd.h>

/* ---- thinning ---- */

enum { MANY = 5000, MOST = 1000, EXACT = 200 };

static void thins(void **state)
{
    (void)state;
    static double values[MANY];
    size_t keep[MOST];
    for (size_t i = 0; i < MANY; i++)
        values[i] = sin((double)i / 300);
    values[1234] = 9;
    values[2345] = -9;
    const size_t kept = pfm_curve_thin(values, MANY, MOST, EXACT, keep);
    assert_true(kept <= MOST && kept > MOST / 2);
    bool highest = false, lowest = false;
    for (size_t i = 0; i < kept; i++) {
        assert_true(i == 0 || keep[i] > keep[i - 1]);
        highest |= keep[i] == 1234;
        lowest |= keep[i] == 2345;
    }
    assert_true(highest && lowest);
    assert_int_equal(keep[0], 0);
    for (size_t i = 0; i < EXACT; i++)
        assert_int_equal(keep[kept - 1 - i], MANY - 1 - i);
}

static void keeps_few(void **state)
{
    (void)state;
    double values[MOST + 1] = {0};
    size_t keep[MOST];
    assert_int_equal(pfm_curve_thin(values, 0, MOST, EXACT, keep), 0);
    assert_int_equal(pfm_curve_thin(values, MOST, MOST, EXACT, keep), MOST);
    assert_int_equal(keep[MOST - 1], MOST - 1);
    const size_t kept = pfm_curve_thin(values, MOST + 1, MOST, EXACT, keep);
    assert_true(kept <= MOST);
    assert_int_equal(keep[kept - 1], MOST);
}

/* ---- reading ---- */

static void write_text(const char *path, const char *text, const char *mode)
{
    FILE *file = fopen(path, mode);
    assert_non_null(file);
    assert_int_equal(fputs(text, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
}

static json_t *read_log(pfm_run_logs *logs, const char *path, double from, const char *known)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *out = NULL;
    assert_ok(pfm_run_logs_read(logs, path, from, known, &out, &err));
    return out;
}

static size_t points(const json_t *log, const char *series)
{
    return json_array_size(json_object_get(json_object_get(json_object_get(log, "series"), series), "step"));
}

static double point(const json_t *log, const char *series, size_t i)
{
    return json_number_value(
        json_array_get(json_object_get(json_object_get(json_object_get(log, "series"), series), "value"), i));
}

static void follows(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_run_logs *logs = NULL;
    const char *path = test_path(test_scratch_folder(), "follow.jsonl");
    assert_ok(pfm_run_logs_create(&logs, &err));
    write_text(path,
               "{\"step\":1,\"stage\":\"a\",\"loss\":3.5,\"lr\":1e-3}\nrubbish\n{\"step\":2,\"stage\":\"b\",\"loss\":2.5}\n{"
               "\"step\":3,\"lo",
               "w");
    json_t *first = read_log(logs, path, -INFINITY, NULL);
    assert_int_equal(points(first, "loss"), 2);
    assert_int_equal(points(first, "lr"), 1);
    assert_int_equal(json_array_size(json_object_get(first, "stages")), 2);
    assert_int_equal(json_integer_value(json_object_get(first, "lines")), 2);
    const char *id = json_string_value(json_object_get(first, "log"));

    json_t *same = read_log(logs, path, 2, id);
    assert_int_equal(points(same, "loss"), 0);
    json_decref(same);

    write_text(path, "ss\":1.5}\n{\"step\":4,\"loss\":0.5}\n", "a");
    json_t *more = read_log(logs, path, 2, id);
    assert_int_equal(points(more, "loss"), 2);
    assert_true(point(more, "loss", 0) == 1.5);
    assert_string_equal(json_string_value(json_object_get(more, "log")), id);
    json_decref(more);
    json_decref(first);
    pfm_run_logs_free(logs);
}

/* A run that goes on after a kill computes some steps again: its log is another file, or an overwritten one. */
static void begins_anew(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_run_logs *logs = NULL;
    const char *path = test_path(test_scratch_folder(), "anew.jsonl");
    assert_ok(pfm_run_logs_create(&logs, &err));
    write_text(path, "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n", "w");
    json_t *first = read_log(logs, path, -INFINITY, NULL);
    const char *id = json_string_value(json_object_get(first, "log"));
    static const char trimmed[] = "{\"step\":1,\"loss\":3}\n";
    assert_ok(pfm_file_write(path, trimmed, strlen(trimmed), &err));
    json_t *now = read_log(logs, path, 2, id);
    assert_string_not_equal(json_string_value(json_object_get(now, "log")), id);
    assert_int_equal(points(now, "loss"), 1);
    json_decref(now);

    write_text(path, "{\"step\":1,\"loss\":7}\n{\"step\":2,\"loss\":6}\n", "w"); /* in place, and longer */
    now = read_log(logs, path, 2, id);
    assert_int_equal(points(now, "loss"), 2);
    assert_true(point(now, "loss", 0) == 7);
    json_decref(now);

    write_text(path, "{\"step\":2,\"loss\":5}\n", "a"); /* the same step again */
    now = read_log(logs, path, -INFINITY, NULL);
    assert_int_equal(points(now, "loss"), 2);
    assert_true(point(now, "loss", 1) == 5);
    json_decref(now);
    json_decref(first);
    pfm_run_logs_free(logs);
}

static void refuses(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_run_logs *logs = NULL;
    json_t *out = NULL;
    const char *folder = test_scratch_folder();
    assert_ok(pfm_run_logs_create(&logs, &err));
    assert_error(pfm_run_logs_read(logs, test_path(folder, "none.jsonl"), 0, NULL, &out, &err), PFM_ERROR_IO, "opened");
    assert_error(pfm_run_logs_read(logs, folder, 0, NULL, &out, &err), PFM_ERROR_IO, "no file");
    const char *link = test_path(folder, "link.jsonl");
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_error(pfm_run_logs_read(logs, link, 0, NULL, &out, &err), PFM_ERROR_IO, "opened");
    assert_null(out);
    pfm_run_logs_free(logs);
}

/* More logs than are kept, and one of long lines. */
static void keeps_within_bounds(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_run_logs *logs = NULL;
    char name[32];
    assert_ok(pfm_run_logs_create(&logs, &err));
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 40; i++) {
            (void)snprintf(name, sizeof name, "log-%d.jsonl", i);
            const char *path = test_path(test_scratch_folder(), name);
            write_text(path, "{\"step\":1,\"loss\":1}\n", round == 0 ? "w" : "a");
            json_t *log = read_log(logs, path, -INFINITY, NULL);
            assert_int_equal(points(log, "loss"), 1);
            json_decref(log);
        }
    const char *path = test_path(test_scratch_folder(), "long.jsonl");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 5 << 20; i++)
        (void)fputc('x', file);
    (void)fputs("\n{\"step\":8,\"loss\":1}\n", file);
    assert_int_equal(fclose(file), 0);
    json_t *log = read_log(logs, path, -INFINITY, NULL);
    assert_int_equal(points(log, "loss"), 1);
    json_decref(log);
    pfm_run_logs_free(logs);
}

static void tells_the_last(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    json_t *last = NULL;
    const char *path = test_path(test_scratch_folder(), "last.jsonl");
    write_text(path, "", "w");
    assert_ok(pfm_run_log_last(path, &last, &err));
    assert_null(last);
    write_text(path, "{\"step\":1}\n{\"step\":2}\n[]\n{\"step\":3,", "w");
    assert_ok(pfm_run_log_last(path, &last, &err));
    assert_int_equal(json_integer_value(json_object_get(last, "step")), 2);
    json_decref(last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thins),          cmocka_unit_test(keeps_few), cmocka_unit_test(follows),
        cmocka_unit_test(begins_anew),    cmocka_unit_test(refuses),   cmocka_unit_test(keeps_within_bounds),
        cmocka_unit_test(tells_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
