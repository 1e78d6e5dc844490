#include "base/file.h"
#include "eval/rating_files.h"
#include "test.h"

#include <math.h>

static pfm_error err = PFM_ERROR_INIT;
static const pfm_rating_options none = {0};

static const char *write_file(const char *name, const char *text)
{
    const char *path = test_path(test_scratch_folder(), name);
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
    return path;
}

static const pfm_rating_column *column(const pfm_ratings *r, pfm_rating_kind kind, const char *name)
{
    for (size_t c = 0; c < r->column_count; c++) {
        if (r->columns[c].kind == kind && strcmp(r->columns[c].name, name) == 0)
            return &r->columns[c];
    }
    fail_msg("no column %s", name);
    return NULL;
}

static double score(const pfm_ratings *r, pfm_rating_kind kind, const char *name, const char *item)
{
    for (size_t i = 0; i < r->item_count; i++) {
        if (strcmp(r->items[i], item) == 0)
            return column(r, kind, name)->scores[i];
    }
    fail_msg("no item %s", item);
    return 0;
}

/* What one file says, finished. */
static void read_one(const char *name, const char *text, pfm_ratings *out)
{
    *out = (pfm_ratings){0};
    assert_ok(pfm_ratings_read(out, write_file(name, text), &none, &err));
    assert_ok(pfm_ratings_finish(out, &err));
}

/* The same ratings in each form that people save them in. */
static void test_forms(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "item,rater,score\na,A,1\nb,A,\na,B,2.5\n",
        "\xef\xbb\xbfitem;rater;score\r\na;A;1\r\nb;A;NA\r\na;B;2,5\r\n",
        "sep=;\nscore;item;rater;;\n1;a;A\n;b;A;;\n2,5;a;B;;\n;;;;\n",
        "rater\titem\tscore\tnote\nA\ta\t1\t\"two\nlines\"\nA\tb\tnull\t\nB\ta\t2,5\t;\n",
        "{\"item\":\"a\",\"rater\":\"A\",\"score\":1}\n\n{\"item\":\"b\",\"rater\":\"A\",\"score\":null}\n"
        "{\"item\":\"a\",\"rater\":\"B\",\"score\":2.5}\n",
        "[{\"item\":\"a\",\"rater\":\"A\",\"score\":\"1\"},{\"item\":\"b\",\"rater\":\"A\"},{\"item\":\"a\",\"rater\":\"B\","
        "\"score\":2.5}]"};
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        pfm_ratings r;
        read_one("ratings.txt", forms[f], &r);
        assert_int_equal(r.item_count, 1);
        assert_true(score(&r, PFM_RATING_PERSON, "A", "a") == 1 && score(&r, PFM_RATING_PERSON, "B", "a") == 2.5);
        assert_true(score(&r, PFM_RATING_MEAN, "mean of people", "a") == 1.75);
        assert_int_equal(column(&r, PFM_RATING_PERSON, "A")->states[PFM_RATING_MISSING], 1);
        pfm_ratings_free(&r);
    }
}

static void test_verdicts(void **state)
{
    (void)state;
    pfm_ratings r;
    read_one(
        "gpt.verdicts.jsonl",
        "{\"id\":1,\"repeat\":0,\"score\":null,\"status\":\"failed\"}\n{\"id\":1,\"repeat\":1,\"score\":4,\"status\":\"ok\"}\n"
        "{\"id\":1,\"repeat\":0,\"score\":1,\"status\":\"ok\"}\n{\"id\":2,\"repeat\":0,\"score\":null,\"status\":"
        "\"unparsable\"}\n"
        "{\"id\":2,\"repeat\":1,\"score\":3,\"status\":\"ok\"}\n{\"id\":3,\"repeat\":0,\"score\":null,\"status\":\"failed\"}\n",
        &r);
    assert_int_equal(r.item_count, 2); /* the third has no score */
    assert_true(score(&r, PFM_RATING_JUDGE, "gpt", "1") == 2.5 && score(&r, PFM_RATING_JUDGE, "gpt", "2") == 3);
    const pfm_rating_column *gpt = column(&r, PFM_RATING_JUDGE, "gpt");
    assert_int_equal(gpt->states[PFM_RATING_OK], 3);
    assert_int_equal(gpt->states[PFM_RATING_UNPARSABLE], 1);
    assert_int_equal(gpt->states[PFM_RATING_FAILED], 1); /* of the two that failed one was asked again */
    pfm_ratings_free(&r);
    read_one("x.jsonl", "{\"id\":\"1\",\"score\":4,\"status\":\"ok\",\"judge\":\"llama\"}\n", &r);
    assert_true(score(&r, PFM_RATING_JUDGE, "llama", "1") == 4);
    pfm_ratings_free(&r);
}

static void test_metrics(void **state)
{
    (void)state;
    pfm_ratings r = {0};
    assert_ok(pfm_ratings_read(&r, write_file("r.csv", "item,rater,score\n1,A,2\n2,A,3\n"), &none, &err));
    assert_ok(pfm_ratings_read(&r, write_file("bleu.json", "{\"1\":0.25,\"2\":null,\"9\":1}"), &none, &err));
    assert_ok(pfm_ratings_read(
        &r,
        write_file(
            "p.jsonl",
            "{\"id\":1,\"image\":7,\"question\":\"q\",\"answer\":2,\"prediction\":\"x\",\"correct\":true,\"f1\":0.5}\n"
            "{\"id\":2,\"image\":7,\"question\":\"q\",\"answer\":2,\"prediction\":\"x\",\"correct\":false,\"f1\":null}\n"),
        &none, &err));
    char word[600];
    (void)snprintf(word, sizeof word, "other=%s", write_file("bleu.json", "{\"1\":0.75}"));
    assert_ok(pfm_ratings_read(&r, word, &none, &err));
    assert_ok(pfm_ratings_finish(&r, &err));
    assert_int_equal(pfm_ratings_count(&r, PFM_RATING_METRIC), 4);
    assert_int_equal(r.item_count, 2); /* what nobody rated is no item */
    assert_true(score(&r, PFM_RATING_METRIC, "bleu", "1") == 0.25 && isnan(score(&r, PFM_RATING_METRIC, "bleu", "2")));
    assert_true(score(&r, PFM_RATING_METRIC, "correct", "1") == 1 && score(&r, PFM_RATING_METRIC, "correct", "2") == 0);
    assert_true(score(&r, PFM_RATING_METRIC, "f1", "1") == 0.5 && score(&r, PFM_RATING_METRIC, "other", "1") == 0.75);
    pfm_ratings_free(&r);
}

static void test_duplicates(void **state)
{
    (void)state;
    pfm_ratings r;
    read_one("d.csv", "item,rater,score,duplicate_of\na,A,2,\nb,A,3,\na2,A,1,a\n", &r);
    assert_int_equal(r.item_count, 2);
    assert_true(score(&r, PFM_RATING_DUPLICATE, "A", "a") == 1 && isnan(score(&r, PFM_RATING_DUPLICATE, "A", "b")));
    assert_true(score(&r, PFM_RATING_PERSON, "A", "a") == 2);
    pfm_ratings_free(&r);
}

static void refuse(const char *text, pfm_status code, const char *part)
{
    pfm_ratings r = {0};
    const double scale[] = {0, 1, 2, 3, 4};
    r.levels = scale;
    r.level_count = 5;
    assert_error(pfm_ratings_read(&r, write_file("bad", text), &none, &err), code, part);
    pfm_ratings_free(&r);
}

static void test_errors(void **state)
{
    (void)state;
    refuse("", PFM_ERROR_FORMAT, "bad is empty");
    refuse("item,rater,score\n", PFM_ERROR_FORMAT, "holds no rows");
    refuse("item,rater,score\na,A,5\n", PFM_ERROR_FORMAT, "line 2: the score 5 of a is not on the scale");
    refuse("item,rater,score\na,A,two\n", PFM_ERROR_FORMAT, "line 2: \"score\" is no number: two");
    refuse("item,rater,score\na,A,0x2\n", PFM_ERROR_FORMAT, "no number");
    refuse("item,rater,score\na,A,1e999\n", PFM_ERROR_FORMAT, "no number");
    refuse("item,rater,score\n\"a\nb\",A,1\n,A,1\n", PFM_ERROR_FORMAT, "line 4: \"item\" is missing");
    refuse("item,rater,score\na,,1\n", PFM_ERROR_FORMAT, "line 2: \"rater\" is missing");
    refuse("item,rater,score\na,A,1\nb,A,1\na,A,2\n", PFM_ERROR_FORMAT, "line 4: A scored a already");
    refuse("item,rater,score\na,A,1,9\n", PFM_ERROR_FORMAT, "4 fields where the first line names 3");
    refuse("item,rater,score\na,A,\"1\n", PFM_ERROR_FORMAT, "never closed");
    refuse("a,b\n1,2\n", PFM_ERROR_FORMAT, "neither item, rater and score");
    refuse("{\"item\":\"a\",\"rater\":\"A\",\"score\":[1]}\n", PFM_ERROR_FORMAT, "line 1: \"score\" is no number");
    refuse("{\"item\":\"a\",\"rater\":\"A\",\"score\":1\n", PFM_ERROR_FORMAT, "not JSON");
    refuse("{\"id\":1,\"repeat\":0,\"score\":7,\"status\":\"ok\"}\n", PFM_ERROR_FORMAT, "not on the scale");
    refuse("{\"id\":1,\"repeat\":0,\"score\":1,\"status\":\"maybe\"}\n", PFM_ERROR_FORMAT, "\"status\" ok with a number");
    refuse("{\"id\":1,\"repeat\":0,\"score\":null,\"status\":\"ok\"}\n", PFM_ERROR_FORMAT, "\"status\" ok with a number");
    refuse("{\"id\":1,\"repeat\":0,\"score\":1,\"status\":\"ok\"}\n{\"id\":1,\"repeat\":0,\"score\":1,\"status\":\"ok\"}\n",
           PFM_ERROR_FORMAT, "line 2: bad scored 1 already");
    refuse("{\"id\":1,\"text\":\"x\"}\n", PFM_ERROR_FORMAT, "no column holds numbers alone");
    refuse("item,score\nr1-0001,2\n", PFM_ERROR_USAGE, "--key");
}

static void test_apart(void **state)
{
    (void)state;
    pfm_ratings r = {0};
    assert_ok(pfm_ratings_read(&r, write_file("r.csv", "item,rater,score\n1,A,2\n"), &none, &err));
    assert_ok(pfm_ratings_read(&r, write_file("bleu.json", "{\"case1\":0.25}"), &none, &err));
    assert_error(pfm_ratings_finish(&r, &err), PFM_ERROR_MISMATCH, "none of the ids that have a number bleu is an item");
    pfm_ratings_free(&r);
    assert_ok(pfm_ratings_read(&r, write_file("bleu.json", "{\"case1\":0.25}"), &none, &err));
    assert_error(pfm_ratings_finish(&r, &err), PFM_ERROR_FORMAT, "nobody scored anything");
    pfm_ratings_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms),   cmocka_unit_test(test_verdicts),
                                       cmocka_unit_test(test_metrics), cmocka_unit_test(test_duplicates),
                                       cmocka_unit_test(test_errors),  cmocka_unit_test(test_apart)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
