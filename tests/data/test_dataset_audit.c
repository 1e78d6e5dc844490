#include "pefomed/data.h"
#include "base/hash.h"
#include "make_data.h"
#include "pefomed/image.h"

#include <jansson.h>

#define ROW(qid, image, question, answer)                                                                                      \
    "{\"qid\":" #qid ",\"img_name\":\"" image "\",\"q_lang\":\"en\",\"question\":\"" question "\",\"answer\":\"" answer        \
    "\",\"answer_type\":\"OPEN\",\"modality\":\"CT\"}"

static void write_picture(const char *folder, const char *name, uint8_t value)
{
    pfm_error err = PFM_ERROR_INIT;
    make_file(folder, name, ""); /* makes the folders */
    uint8_t pixels[4 * 3 * 3];
    memset(pixels, value, sizeof pixels);
    pfm_image picture = {.width = 4, .height = 3, .rgb = pixels};
    assert_ok(pfm_image_write_png(&picture, test_path(folder, name), &err));
}

static json_t *audit(const char *dataset, const char *path, const char *language)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    pfm_context_options options = {.threads = 2};
    char *text = NULL;
    assert_ok(pfm_context_create(&options, &context, &err));
    assert_ok(pfm_data_audit(context, dataset, path, language, &text, &err));
    pfm_context_free(context);
    json_t *document = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(document);
    return document;
}

/* document.a.b.c... for keys (or array positions as "0") up to a NULL */
static const json_t *at(const json_t *document, const char *path)
{
    char copy[200];
    (void)snprintf(copy, sizeof copy, "%s", path);
    for (char *save = NULL, *key = strtok_r(copy, "/", &save); key != NULL; key = strtok_r(NULL, "/", &save))
        document = json_is_array(document) ? json_array_get(document, (size_t)atoi(key)) : json_object_get(document, key);
    if (document == NULL)
        fail_msg("the report has no %s", path);
    return document;
}
#define assert_count(document, path, n) assert_int_equal(json_integer_value(at(document, path)), n)
#define assert_text(document, path, value) assert_string_equal(json_string_value(at(document, path)), value)

static void check_leakage(const json_t *report)
{
    assert_int_equal(json_array_size(at(report, "leakage")), 3);
    assert_count(report, "leakage/0/questions", 0);  /* test, train */
    assert_count(report, "leakage/1/same_bytes", 1); /* test, validate */
    assert_count(report, "leakage/1/same_name", 1);
    assert_count(report, "leakage/1/questions", 1);
    assert_text(report, "leakage/2/a", "train");
    assert_text(report, "leakage/2/b", "validate");
    assert_count(report, "leakage/2/same_bytes", 1);
    assert_count(report, "leakage/2/same_name", 0);
    assert_count(report, "leakage/2/questions", 2);
    assert_text(report, "leakage/2/images/0/a", "a.png");
    assert_text(report, "leakage/2/images/0/b", "copy_of_a.png");
}

static void test_everything_that_can_be_wrong(void **state)
{
    (void)state;
    const char *folder = make_folder("wrong");
    write_picture(folder, "imgs/a.png", 1);
    write_picture(folder, "imgs/b.png", 2);
    write_picture(folder, "imgs/copy_of_a.png", 1);
    write_picture(folder, "imgs/d.png", 4);
    make_file(folder, "imgs/text.png", "this is a text, not an image");
    make_file(folder, "train.json",
              "[" ROW(1, "a.png", "Which organ?", "Lung") "," ROW(2, "a.png", "which organ? ", "lung") "," ROW(
                  3, "a.png", "Which organ?",
                  "Heart") "," ROW(4, "b.png", "Which organ?",
                                   "") "," ROW(5, "text.png", "Which organ?",
                                               "Lung") "," ROW(6, "gone.png", "Which organ?",
                                                               "Lung") "," ROW(7, "gone.png", "Which side?",
                                                                               "Left") "," ROW(8, "a.png", "Which organ?",
                                                                                               "heart") "]");
    make_file(folder, "validate.json",
              "[" ROW(1, "copy_of_a.png", "Which organ?", "Lung") "," ROW(3, "copy_of_a.png", "Which side?",
                                                                          "Left") "," ROW(2, "d.png", "Which?", "Lung") "]");
    make_file(folder, "test.json", "[" ROW(1, "d.png", "Which?", "Lung") "," ROW(2, "d.png", "Side?", "Left") "]");
    json_t *report = audit("phantom", folder, NULL);
    assert_count(report, "splits/0/questions", 2); /* the splits stand in the order of their files' names */
    assert_text(report, "splits/1/name", "train");
    assert_count(report, "splits/1/questions", 8);
    assert_count(report, "splits/1/images", 4);
    assert_count(report, "splits/1/answers", 4);
    assert_text(report, "splits/1/empty_answers/0", "4");
    assert_count(report, "splits/1/by/modality/CT", 8);
    assert_count(report, "splits/1/languages/en", 8);
    assert_true(json_is_null(at(report, "splits/1/patients")));
    assert_count(report, "images/files", 6);
    assert_count(report, "images/smallest/0", 4);
    assert_int_equal(json_array_size(at(report, "images/missing")), 1);
    assert_text(report, "images/missing/0/image", "gone.png");
    assert_count(report, "images/missing/0/rows", 2);
    assert_int_equal(json_array_size(at(report, "images/unreadable")), 1);
    assert_text(report, "images/unreadable/0/image", "text.png");
    assert_non_null(strstr(json_string_value(at(report, "images/unreadable/0/reason")), "text.png"));
    assert_int_equal(json_array_size(at(report, "images/duplicates")), 1);
    assert_int_equal(json_array_size(at(report, "images/duplicates/0/images")), 2);
    assert_text(report, "images/duplicates/0/images/1/image", "copy_of_a.png");
    assert_text(report, "images/duplicates/0/images/1/split", "validate");
    pfm_hash_hex hash;
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_hash_file(test_path(folder, "imgs/a.png"), hash, &err));
    assert_text(report, "images/duplicates/0/sha256", hash);
    assert_count(report, "questions/repeated", 3);
    assert_count(report, "questions/conflicting", 1);
    assert_text(report, "questions/examples/0/answers/1", "heart");
    check_leakage(report);
    assert_count(report, "problems", 7); /* missing, unreadable, duplicate, empty, conflict, two leaks */
    json_decref(report);
}

static void test_a_clean_set_has_no_problems(void **state)
{
    (void)state;
    const char *folder = make_folder("clean");
    write_picture(folder, "imgs/a.png", 1);
    write_picture(folder, "imgs/b.png", 2);
    make_file(folder, "train.json", "[" ROW(1, "a.png", "Which organ?", "Lung") "]");
    make_file(folder, "validate.json", "[" ROW(2, "b.png", "Which organ?", "Lung") "]");
    json_t *report = audit("slake", folder, "en");
    assert_count(report, "problems", 0);
    assert_text(report, "language", "en");
    assert_count(report, "leakage/0/questions", 0);
    json_decref(report);
}

/* Every image of a row is looked at, and a row that shares one of its images with a split leaks. */
static void test_each_of_several_images_counts(void **state)
{
    (void)state;
    const char *folder = make_folder("pairs");
    write_picture(folder, "a.png", 1);
    write_picture(folder, "b.png", 2);
    write_picture(folder, "c.png", 3);
    make_file(folder, "t.csv",
              "images,question,answer,split\na.png;b.png,Which?,Lung,train\nb.png;a.png,Which?,Heart,train\n"
              "c.png;gone.png,Which?,Lung,validate\nc.png;b.png,Which?,Lung,validate\n");
    json_t *report = audit("table", test_path(folder, "t.csv"), NULL);
    assert_count(report, "images/files", 4);
    assert_count(report, "splits/0/images", 2);
    assert_count(report, "splits/1/images", 3);
    assert_text(report, "images/missing/0/image", "gone.png");
    assert_count(report, "questions/repeated", 0); /* about the images in another order is another question */
    assert_count(report, "leakage/0/same_bytes", 1);
    assert_count(report, "leakage/0/same_name", 1);
    assert_count(report, "leakage/0/questions", 1);
    assert_text(report, "leakage/0/images/0/a", "b.png");
    json_decref(report);
}

static void test_patients_leak_too(void **state)
{
    (void)state;
    const char *folder = make_folder("patients");
    make_file(folder, "t.csv",
              "image,question,answer,patient,split\n"
              "a.png,q,x,p1,train\nb.png,q,x,p2,train\nc.png,q,x,p1,val\nd.png,q,x,,val\ne.png,q,x,p3,val\n");
    json_t *report = audit("table", test_path(folder, "t.csv"), NULL);
    assert_count(report, "splits/0/patients", 2);
    assert_count(report, "leakage/0/same_patient", 1);
    assert_count(report, "leakage/0/same_name", 0);
    assert_count(report, "leakage/0/questions", 1);
    assert_int_equal(json_array_size(at(report, "images/missing")), 5);
    json_decref(report);
}

static void test_what_is_counted_by_kind(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer text = {0};
    const char *folder = make_folder("kinds");
    assert_ok(pfm_buffer_append_string(&text, "image,question,answer,organ,accession,split\n", &err));
    for (int i = 0; i < 100; i++)
        assert_ok(
            pfm_buffer_append_format(&text, &err, "a%d.png,q,x,%s,n%d,%s\n", i, i % 3 == 0 ? "lung" : "heart", i, "train"));
    make_file(folder, "t.csv", text.data);
    pfm_buffer_free(&text);
    json_t *report = audit("table", test_path(folder, "t.csv"), NULL);
    assert_count(report, "splits/0/by/organ/lung", 34);
    assert_null(json_object_get(at(report, "splits/0/by"), "split"));
    assert_null(json_object_get(at(report, "splits/0/by"), "accession")); /* an identifier is no kind */
    json_decref(report);
}

static void test_errors(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    volatile int stop = 1;
    pfm_context_options options = {.threads = 1, .interrupt = &stop};
    char *text = NULL;
    assert_ok(pfm_context_create(&options, &context, &err));
    const char *empty = make_folder("empty");
    make_file(empty, "other.json", "[]");
    assert_error(pfm_data_audit(context, "nothing", "/", NULL, &text, &err), PFM_ERROR_USAGE, "no data set 'nothing'");
    assert_error(pfm_data_audit(context, "slake", empty, NULL, &text, &err), PFM_ERROR_FORMAT, "holds no split");
    make_file(empty, "train.json", "[" ROW(1, "a.png", "Which organ?", "Lung") "]");
    assert_error(pfm_data_audit(context, "slake", empty, "zh", &text, &err), PFM_ERROR_USAGE, "'zh'; it holds en");
    assert_error(pfm_data_audit(context, "slake", empty, NULL, &text, &err), PFM_ERROR_INTERRUPTED, "stopped");
    assert_null(text);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_that_can_be_wrong),  cmocka_unit_test(test_a_clean_set_has_no_problems),
        cmocka_unit_test(test_each_of_several_images_counts), cmocka_unit_test(test_patients_leak_too),
        cmocka_unit_test(test_what_is_counted_by_kind),       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
