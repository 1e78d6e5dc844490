#include "serve/study_rows.h"
#include "serve/rater_rows.h"
#include "serve/report_rows.h"
#include "serve/store_migrations.h"
#include "serve/study_make.h"
#include "test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static pfm_error err = PFM_ERROR_INIT;
static pfm_http_reply reply;

static const char *fresh(const char *name)
{
    const char *path = test_path(test_scratch_folder(), name);
    (void)unlink(path);
    return path;
}

static int reset(void **state)
{
    (void)state;
    err = (pfm_error)PFM_ERROR_INIT;
    reply = (pfm_http_reply){0};
    return 0;
}

/* A study of two systems with eight texts each and two raters; secrets [2]. */
static void make(pfm_store *store, pfm_study_id id, char secrets[2][PFM_SECRET_LINK + 1])
{
    pfm_study_made made = {0};
    json_t *links = NULL, *systems = json_array();
    for (int s = 0; s < 2; s++) {
        pfm_buffer lines = {0};
        for (int i = 0; i < 8; i++)
            assert_ok(pfm_buffer_append_format(&lines, &err,
                                               "{\"id\": \"c%d\", \"question\": \"Q\", \"reference\": \"R %d\", "
                                               "\"prediction\": \"P %d %c\"}\n",
                                               i, i, i, s == 0 ? 'x' : 'y'));
        json_array_append_new(systems, json_pack("{s:s, s:s}", "name", s == 0 ? "alpha" : "omega", "predictions", lines.data));
        pfm_buffer_free(&lines);
    }
    json_t *request = json_pack("{s:s, s:s, s:i, s:i, s:o}", "name", "study", "rubric", "likert-report", "raters", 2,
                                "duplicates", 25, "systems", systems);
    assert_ok(pfm_study_make(request, NULL, 0, &made, &err));
    const pfm_study_draft draft = {.name = made.name,
                                   .rubric = made.rubric,
                                   .settings = made.settings,
                                   .key = made.drawn.key,
                                   .sheets = made.drawn.sheets};
    assert_ok(pfm_study_create(store, &draft, id, &links, &err));
    assert_int_equal(json_array_size(links), 2);
    for (size_t r = 0; r < 2; r++) {
        const char *link = json_string_value(json_object_get(json_array_get(links, r), "link"));
        assert_int_equal(strncmp(link, "/#rate/", 7), 0);
        (void)snprintf(secrets[r], PFM_SECRET_LINK + 1, "%s", link + 7);
    }
    json_decref(links);
    json_decref(request);
    pfm_study_made_free(&made);
}

static pfm_rater find(pfm_store *store, const char *secret)
{
    pfm_rater rater = {0};
    bool found = false;
    assert_ok(pfm_rater_find(store, secret, &rater, &found, &err));
    assert_true(found);
    return rater;
}

static int64_t figure(pfm_store *store, const pfm_rater *rater, const char *name)
{
    json_t *state = NULL;
    assert_ok(pfm_rater_state(store, rater, &reply, &state, &err));
    const json_t *value = json_object_get(state, name);
    assert_non_null(value);
    const int64_t out = json_is_null(value) ? -1 : (int64_t)json_integer_value(value);
    json_decref(state);
    return out;
}

/* The score of an item; -1: none, -2: it was not passed either. */
static int64_t score(pfm_store *store, const pfm_rater *rater, int64_t n, const char *comment)
{
    json_t *item = NULL;
    assert_ok(pfm_rater_item(store, rater, n, &reply, &item, &err));
    const json_t *value = json_object_get(item, "score");
    const int64_t out = json_is_integer(value)                        ? (int64_t)json_integer_value(value)
                        : json_is_true(json_object_get(item, "done")) ? -1
                                                                      : -2;
    assert_string_equal(json_string_value(json_object_get(item, "comment")), comment);
    json_decref(item);
    return out;
}

static pfm_status give(pfm_store *store, const pfm_rater *rater, int64_t n, int64_t value, const char *comment)
{
    const pfm_rater_given given = {.has_score = true, .score = value, .comment = comment};
    return pfm_rater_give(store, rater, n, &given, &reply, &err);
}

static void given_and_taken_back(void **state)
{
    (void)state;
    pfm_store *store = NULL;
    pfm_study_id id;
    char secrets[2][PFM_SECRET_LINK + 1];
    assert_ok(pfm_store_open(fresh("given.sqlite"), &store, &err));
    make(store, id, secrets);
    const pfm_rater one = find(store, secrets[0]), two = find(store, secrets[1]);
    assert_string_equal(one.study, id);
    assert_int_equal(two.number, 2);
    assert_int_equal(figure(store, &one, "count"), 20);
    assert_int_equal(figure(store, &one, "next"), 1);
    assert_int_equal(figure(store, &one, "change"), -1);
    assert_ok(give(store, &one, 1, 3, "c"));
    assert_ok(give(store, &one, 1, 3, "c"));
    assert_int_equal(figure(store, &one, "change"), 1);
    const pfm_rater_given none = {.cannot_tell = true}, words = {.comment = "words"};
    assert_ok(pfm_rater_give(store, &one, 2, &none, &reply, &err));
    assert_ok(pfm_rater_give(store, &one, 3, &words, &reply, &err));
    assert_int_equal(score(store, &one, 1, "c"), 3);
    assert_int_equal(score(store, &one, 2, ""), -1);
    assert_int_equal(score(store, &one, 3, "words"), -2);
    assert_int_equal(figure(store, &one, "done"), 2);
    assert_int_equal(figure(store, &one, "next"), 3);
    assert_ok(give(store, &one, 1, 0, NULL));
    assert_int_equal(score(store, &one, 1, "c"), 0);
    assert_int_equal(figure(store, &one, "changed"), 1);
    for (int64_t change = 4; change >= 1; change--) {
        assert_int_equal(figure(store, &one, "change"), change);
        assert_ok(pfm_rater_undo(store, &one, change, &reply, &err));
        assert_ok(pfm_rater_undo(store, &one, change, &reply, &err));
        if (change == 4)
            assert_int_equal(score(store, &one, 1, "c"), 3);
    }
    for (int64_t n = 1; n <= 3; n++)
        assert_int_equal(score(store, &one, n, ""), -2);
    assert_ok(give(store, &one, 1, 2, NULL));
    assert_int_equal(figure(store, &one, "change"), 5);
    assert_int_equal(figure(store, &two, "done"), 0);
    pfm_store_close(store);
}

static void refused(pfm_status status, pfm_status code, unsigned http, const char *what)
{
    assert_error(status, code, what);
    assert_int_equal(reply.status, http);
    (void)reset(NULL);
}

static void what_is_refused(void **state)
{
    (void)state;
    pfm_store *store = NULL;
    pfm_study_id id;
    char secrets[2][PFM_SECRET_LINK + 1], *link = NULL;
    bool found = true;
    json_t *out = NULL;
    assert_ok(pfm_store_open(fresh("refused.sqlite"), &store, &err));
    make(store, id, secrets);
    pfm_rater one = find(store, secrets[0]), nobody;
    refused(give(store, &one, 1, 5, NULL), PFM_ERROR_USAGE, 400, "from 0 to 4");
    refused(give(store, &one, 1, -1, NULL), PFM_ERROR_USAGE, 400, "from 0 to 4");
    refused(give(store, &one, 21, 1, NULL), PFM_ERROR_USAGE, 404, "no item 21");
    refused(pfm_rater_undo(store, &one, 1, &reply, &err), PFM_ERROR_USAGE, 409, "changed meanwhile");
    assert_ok(give(store, &one, 1, 1, NULL));
    assert_ok(give(store, &one, 2, 1, NULL));
    refused(pfm_rater_undo(store, &one, 1, &reply, &err), PFM_ERROR_USAGE, 409, "changed meanwhile");
    assert_ok(pfm_study_close(store, id, true, &reply, &err));
    refused(give(store, &one, 1, 2, NULL), PFM_ERROR_USAGE, 409, "closed");
    refused(pfm_rater_undo(store, &one, 2, &reply, &err), PFM_ERROR_USAGE, 409, "closed");
    assert_ok(pfm_study_close(store, id, false, &reply, &err));
    assert_ok(give(store, &one, 1, 2, NULL));
    assert_ok(pfm_study_relink(store, id, 1, &reply, &link, &err));
    assert_ok(pfm_rater_find(store, secrets[0], &nobody, &found, &err));
    assert_false(found);
    assert_int_equal(find(store, link + 7).number, 1);
    free(link);
    refused(pfm_study_relink(store, id, 3, &reply, &link, &err), PFM_ERROR_USAGE, 404, "no rater 3");
    assert_ok(pfm_study_remove(store, id, &reply, &err));
    assert_ok(pfm_rater_find(store, secrets[1], &nobody, &found, &err));
    assert_false(found);
    refused(pfm_rater_state(store, &one, &reply, &out, &err), PFM_ERROR_USAGE, 404, "not there any more");
    refused(pfm_study_read(store, id, &reply, &out, &err), PFM_ERROR_USAGE, 404, "no study");
    refused(pfm_study_remove(store, id, &reply, &err), PFM_ERROR_USAGE, 404, "no study");
    pfm_store_close(store);
}

/* What was kept by the program before is there, and studies beside it. */
static void comes_from_the_version_before(void **state)
{
    (void)state;
    pfm_store *store = NULL;
    pfm_report_id report;
    pfm_study_id id;
    char secrets[2][PFM_SECRET_LINK + 1];
    json_t *out = NULL;
    const pfm_report_draft draft = {.model = "m", .indication = "", .text = "Kept.", .complete = true, .images = json_array()};
    const char *path = fresh("before.sqlite");
    assert_ok(pfm_store_open_with(path, pfm_store_migrations, 1, &store, &err));
    assert_ok(pfm_report_create(store, &draft, report, &err));
    pfm_store_close(store);
    assert_ok(pfm_store_open(path, &store, &err));
    make(store, id, secrets);
    assert_ok(pfm_report_read(store, report, &reply, &out, &err));
    assert_string_equal(json_string_value(json_object_get(out, "text")), "Kept.");
    json_decref(out);
    json_decref(draft.images);
    pfm_store_close(store);
}

/* What comes back: the sheets as they were drawn, with what was given, and the key that opens them. */
static void sheets_come_back(void **state)
{
    (void)state;
    pfm_store *store = NULL;
    pfm_study_id id;
    char secrets[2][PFM_SECRET_LINK + 1];
    json_t *key = NULL, *rows = NULL, *out = NULL;
    uint64_t seed = 0;
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = 1, .seed = 1};
    assert_ok(pfm_context_create(&options, &context, &err));
    assert_ok(pfm_store_open(fresh("back.sqlite"), &store, &err));
    make(store, id, secrets);
    for (size_t r = 0; r < 2; r++) {
        const pfm_rater rater = find(store, secrets[r]);
        for (int64_t n = 1; n <= 20; n++)
            assert_ok(give(store, &rater, n, (n + (int64_t)r) % 5, NULL));
    }
    assert_ok(pfm_study_sheets(store, id, &reply, &key, &rows, &seed, &err));
    assert_int_equal(json_array_size(rows), 40);
    assert_int_equal(json_array_size(json_object_get(key, "rows")), 40);
    assert_true(seed == (uint64_t)json_integer_value(json_object_get(key, "seed")));
    for (size_t i = 0; i < 40; i++) {
        const json_t *row = json_array_get(rows, i), *known = json_array_get(json_object_get(key, "rows"), i);
        assert_string_equal(json_string_value(json_object_get(row, "item")), json_string_value(json_object_get(known, "item")));
        assert_int_equal(json_integer_value(json_object_get(row, "score")), (i % 20 + 1 + i / 20) % 5);
    }
    assert_ok(pfm_sheets_agree(context, key, rows, &out, &err));
    assert_int_equal(json_array_size(json_object_get(out, "systems")), 2);
    json_decref(out);
    json_object_set_new(json_array_get(rows, 3), "text", json_string("another one"));
    assert_error(pfm_sheets_agree(context, key, rows, &out, &err), PFM_ERROR_MISMATCH, "is not what the sheet had");
    json_decref(key);
    json_decref(rows);
    pfm_store_close(store);
    pfm_context_free(context);
}

/* Rates one item after the other, and tells of each when it is acknowledged, until it is killed. */
static void rate_until_killed(const char *path, const char *secret, int acknowledged)
{
    pfm_store *store = NULL;
    pfm_rater rater;
    bool found = false;
    if (pfm_store_open(path, &store, NULL) != PFM_OK || pfm_rater_find(store, secret, &rater, &found, NULL) != PFM_OK || !found)
        _exit(1);
    for (unsigned char k = 0;; k++) {
        const pfm_rater_given given = {.has_score = true, .score = k % 5};
        if (pfm_rater_give(store, &rater, k % 20 + 1, &given, &reply, NULL) != PFM_OK || write(acknowledged, &k, 1) != 1)
            _exit(1);
    }
}

static void survives_kills(void **state)
{
    (void)state;
    enum { KILLS = 20 };
    pfm_store *store = NULL;
    pfm_study_id id;
    char secrets[2][PFM_SECRET_LINK + 1];
    int expected[20];
    const char *path = fresh("killed.sqlite");
    for (int n = 0; n < 20; n++)
        expected[n] = -2;
    assert_ok(pfm_store_open(path, &store, &err));
    make(store, id, secrets);
    pfm_store_close(store);
    for (int i = 0; i < KILLS; i++) {
        int ends[2], ended = 0, last = -1;
        unsigned char one;
        assert_int_equal(pipe(ends), 0);
        const pid_t writer = fork();
        if (writer == 0) {
            (void)close(ends[0]);
            rate_until_killed(path, secrets[0], ends[1]);
        }
        (void)close(ends[1]);
        for (int k = 0; k < 1 + 7 * i % 40; k++) {
            assert_int_equal(read(ends[0], &one, 1), 1);
            expected[one % 20] = one % 5;
            last = one;
        }
        (void)usleep((useconds_t)(137 * i % 1000));
        (void)kill(writer, SIGKILL);
        while (read(ends[0], &one, 1) == 1) {
            expected[one % 20] = one % 5;
            last = one;
        }
        (void)close(ends[0]);
        assert_int_equal(waitpid(writer, &ended, 0), writer);
        assert_true(WIFSIGNALED(ended));
        assert_ok(pfm_store_open(path, &store, &err));
        const pfm_rater rater = find(store, secrets[0]);
        const unsigned char next = (unsigned char)(last + 1); /* may be written and not yet told of */
        for (int n = 0; n < 20; n++) {
            const int64_t found = score(store, &rater, n + 1, "");
            assert_true(found == expected[n] || (n == next % 20 && found == next % 5));
            expected[n] = (int)found;
        }
        pfm_store_close(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(given_and_taken_back, reset),
        cmocka_unit_test_setup(what_is_refused, reset),
        cmocka_unit_test_setup(comes_from_the_version_before, reset),
        cmocka_unit_test_setup(sheets_come_back, reset),
        cmocka_unit_test_setup(survives_kills, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
