/* The published data sets, where they are at hand: the counts that their authors (and the folder's README) give. */
#include "data/corpus.h"
#include "data/dataset.h"
#include "test.h"

static void check(const char *name, const char *split, const char *language, double share, size_t rows, size_t images,
                  size_t closed)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    pfm_dataset_options options = {.language = language, .seed = 42, .validate_share = share};
    assert_ok(pfm_dataset_load(name, test_path(test_data_folder(), name), split, &options, &data, &err));
    assert_ok(pfm_dataset_check_images(data, &err));
    size_t count = 0;
    for (size_t i = 0; i < data->count; i++)
        count += data->rows[i].answer_type == PFM_ANSWER_CLOSED;
    assert_int_equal(data->count, rows);
    assert_int_equal(data->image_count, images);
    if (closed > 0)
        assert_int_equal(count, closed);
    pfm_dataset_free(data);
}

/* IU X-Ray's images are not at hand. */
static void check_reports(const char *split, size_t rows, size_t images)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const pfm_dataset_options options = {0};
    assert_ok(pfm_dataset_load("iu_xray", test_path(test_data_folder(), "iu_xray"), split, &options, &data, &err));
    assert_int_equal(data->count, rows);
    assert_int_equal(data->image_count, images);
    pfm_dataset_free(data);
}

static void test_counts(void **state)
{
    (void)state;
    skip_without_data();
    check("slake", "train", "en", 0.1, 4919, 450, 1943);
    check("slake", "validate", "en", 0.1, 1043, 95, 418);
    check("slake", "train", "zh", 0.1, 4878, 450, 0);
    check("vqa_rad", "train", NULL, 0, 1797, 313, 1027);
    check("pathvqa", "train", NULL, 0, 4640, 600, 2253);
    check("medpix", "train", NULL, 0, 1636, 1636, 0);
    check("medpix", "validate", NULL, 0, 191, 191, 0);
    check("medexpqa", "train", "en", 0, 381, 0, 381);
    check("medexpqa", "dev", "es", 0, 55, 0, 55);
    check_reports("train", 2069, 4138);
    check_reports("validate", 296, 592);
}

/* The end of the word number `count` from here on; NULL where there are not so many. Each word has a blank before it. */
static const char *skip_words(const char *at, int count)
{
    for (; count > 0; count--) {
        if (at == NULL || at[0] != ' ')
            return NULL;
        at = at + 1 + strcspn(at + 1, " ");
    }
    return at;
}

static void append_words(const char *text, size_t length, pfm_buffer *out)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer words = {0};
    assert_ok(pfm_text_append_words(text, length, &words, &err));
    assert_ok(pfm_buffer_append_format(out, &err, " %s ", words.size == 0 ? "" : words.data));
    pfm_buffer_free(&words);
}

/* What the row is shown holds no eight words in a row of its own explanation. */
static void expect_no_leak(const pfm_row *row)
{
    pfm_buffer own = {0}, shown = {0};
    const char *explanation = json_string_value(json_object_get(row->extra, "explanation")),
               *end = strstr(row->question, "\nHere is the question:\n");
    append_words(explanation, strlen(explanation), &own);
    append_words(row->question, (size_t)(end - row->question), &shown);
    for (const char *at = own.data, *last; (last = skip_words(at, PFM_INDEX_OWN_WORDS)) != NULL; at = skip_words(at, 1)) {
        if (memmem(shown.data, shown.size, at, (size_t)(last - at) + 1) != NULL)
            fail_msg("row %s is shown \"%.*s\"", row->id, (int)(last - at), at);
    }
    pfm_buffer_free(&own);
    pfm_buffer_free(&shown);
}

static void check_retrieved(const char *split, const char *index)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const pfm_dataset_options options = {
        .language = "en", .grounding = "retrieved", .retrieval = {.index = index, .snippets = 4}};
    assert_ok(pfm_dataset_load("medexpqa", test_path(test_data_folder(), "medexpqa"), split, &options, &data, &err));
    for (size_t i = 0; i < data->count; i++) {
        assert_int_equal(json_array_size(json_object_get(data->rows[i].extra, "retrieved")), 4);
        expect_no_leak(&data->rows[i]);
    }
    pfm_dataset_free(data);
}

/* Of a corpus that knows no ids: only what is said tells whose explanation it is. */
static void test_retrieval(void **state)
{
    (void)state;
    skip_without_data();
    pfm_error err = PFM_ERROR_INIT;
    char *json = NULL, cases[2][512], index[512];
    static const char *const files[] = {"train.en.jsonl", "dev.en.jsonl"};
    const char *paths[] = {cases[0], cases[1]}, *columns[] = {"explanation"};
    for (size_t i = 0; i < 2; i++)
        (void)snprintf(cases[i], sizeof cases[i], "%s/medexpqa/%s", test_data_folder(), files[i]);
    (void)snprintf(index, sizeof index, "%s/cases.sqlite", test_scratch_folder());
    const pfm_index_options options = {.paths = paths,
                                       .path_count = 2,
                                       .out = index,
                                       .columns = columns,
                                       .column_count = 1,
                                       .search = "full_question",
                                       .id = "lang", /* which is none of a row's */
                                       .words = 100,
                                       .overlap = 20};
    assert_ok(pfm_index_build(NULL, &options, &json, &err));
    free(json);
    check_retrieved("train", index);
    check_retrieved("dev", index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts), cmocka_unit_test(test_retrieval)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
