#include "base/file.h"
#include "base/try.h"
#include "data/corpus.h"
#include "data/medexpqa.h"
#include "eval/labels.h"
#include "failing.h"
#include "pefomed/context.h"
#include "pefomed/image.h"

static pfm_context *context; /* made while memory is still there */

static void write_text(const char *name, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), name), text, strlen(text), &err));
}

static pfm_status held_out(pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dataset *data = NULL;
    pfm_dataset_options options = {.seed = 42, .validate_share = 0.3};
    PFM_TRY(pfm_dataset_load("vqa_rad", test_scratch_folder(), "validate", &options, &data, err));
    assert_int_equal(data->count, 1);
done:
    pfm_dataset_free(data);
    return status;
}

static void test_held_out(void **state)
{
    (void)state;
    /* No string of 14 bytes or more: jansson 2.14 writes past its buffer when memory ends within one. */
    write_text("VQA_RAD Dataset Public.json",
               "[{\"qid\":1,\"image_name\":\"a\",\"question\":\"q\",\"answer\":0.25,\"answer_type\":\"OPEN\"},"
               "{\"qid\":1,\"image_name\":\"b\",\"question\":\"q\",\"answer\":\"a\",\"answer_type\":\"OPEN\"}]");
    failing_try_all("held out", held_out);
}

static pfm_status audit(pfm_error *err)
{
    char *report = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_data_audit(context, "table", test_path(test_scratch_folder(), "t.csv"), NULL, &report, err));
    assert_non_null(strstr(report, "\"problems\":"));
done:
    free(report);
    return status;
}

static void test_audit(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context_options options = {.threads = 1};
    assert_ok(pfm_context_create(&options, &context, &err));
    uint8_t pixel[3] = {1, 2, 3};
    pfm_image picture = {.width = 1, .height = 1, .rgb = pixel};
    assert_ok(pfm_image_write_png(&picture, test_path(test_scratch_folder(), "a.png"), &err));
    assert_ok(pfm_image_write_png(&picture, test_path(test_scratch_folder(), "b.png"), &err));
    write_text("text.png", "no image");
    write_text("t.csv",
               "image,question,answer,split,patient,organ\n" /* a duplicate, a text, a missing one, a conflict, two leaks */
               "a.png,q,yes,train,p,lung\na.png,Q,no,train,p,lung\ngone.png,q,2,train,p,lung\n"
               "b.png,\"q, r\",a,validate,p,heart\ntext.png,q,a,test,,heart\na.png,q,a,test,,heart\n");
    failing_try_all("audit", audit);
    pfm_context_free(context);
}

static pfm_status several(pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dataset *data = NULL;
    size_t *order = NULL;
    pfm_image_file *files = NULL;
    pfm_dataset_options options = {.seed = 42};
    PFM_TRY(pfm_dataset_load("table", test_path(test_scratch_folder(), "s.csv"), "train", &options, &data, err));
    assert_int_equal(data->set_count, 2);
    PFM_TRY(pfm_dataset_order_by_images(data, &order, err));
    PFM_TRY(pfm_dataset_list_images(data, &files, err));
done:
    free(order);
    free(files);
    pfm_dataset_free(data);
    return status;
}

static void test_several_images(void **state)
{
    (void)state;
    write_text("s.csv", "images,question,answer\na;b,q,a\nb;a;b,q,a\na;b,r,a\n");
    failing_try_all("several images", several);
}

static pfm_status captions(pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dataset *data = NULL;
    pfm_dataset_options options = {.seed = 42};
    PFM_TRY(pfm_dataset_load("medpix", test_scratch_folder(), "validate", &options, &data, err));
    assert_int_equal(data->count, 1);
    assert_int_equal(json_object_size(data->rows[0].extra), 3);
done:
    pfm_dataset_free(data);
    return status;
}

static void test_captions(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_folder_create(test_path(test_scratch_folder(), "splitted_dataset"), &err));
    write_text(
        "splitted_dataset/descriptions_dev.jsonl",
        "{\"Type\":\"CT\",\"U_id\":\"M\",\"image\":\"a\",\"Description\":{\"Caption\":\"A mass.\",\"Plane\":\"Axial\"}}\n");
    write_text("splitted_dataset/data_dev.jsonl", "{\"U_id\":\"M\",\"Case\":{\"History\":\"Cough.\"}}\n");
    failing_try_all("captions", captions);
}

static json_t *a_case; /* made while memory is still there: jansson's own parser does not survive its end (above) */

static pfm_status read_case(pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_rows rows = {0};
    const pfm_row_place place = {.file = "FILE", .unit = "line", .number = 1, .split = "train"};
    static const pfm_medexpqa_grounding wrong = {.name = "wrong"};
    PFM_TRY(pfm_medexpqa_read_case(a_case, pfm_medexpqa_find_words("en"), &wrong, &place, &rows, err));
    assert_int_equal(rows.count, 1);
    assert_string_equal(rows.items[0].answer, "2. b");
    assert_int_equal(json_object_size(rows.items[0].extra), 6);
done:
    pfm_rows_free(&rows);
    return status;
}

static void test_a_case(void **state)
{
    (void)state;
    a_case = json_loads("{\"lang\":\"en\",\"type\":\"T\",\"full_question\":\"q\",\"options\":{\"1\":\"a\",\"2\":\"b\"},"
                        "\"correct_option\":2,\"full_answer\":\"b, not a\",\"explanations\":{\"2\":{\"char_ranges\":[[0,1]]}}}",
                        0, NULL);
    assert_non_null(a_case);
    failing_try_all("a case", read_case);
    json_decref(a_case);
}

static pfm_status texts(pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dataset *data = NULL;
    char *report = NULL;
    pfm_dataset_options options = {.seed = 42};
    const char *path = test_path(test_scratch_folder(), "texts.csv");
    PFM_TRY(pfm_dataset_load("table", path, "train", &options, &data, err));
    assert_true(data->set_count == 2 && data->image_count == 0);
    PFM_TRY(pfm_data_audit(NULL, "table", path, NULL, &report, err));
    assert_non_null(strstr(report, "\"same_text\":1"));
done:
    free(report);
    pfm_dataset_free(data);
    return status;
}

static void test_texts(void **state)
{
    (void)state;
    write_text("texts.csv", "images,question,answer,split\n,q,a,train\n,q,b,train\n,q,a,test\n");
    failing_try_all("texts", texts);
}

static pfm_status figures(pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dataset *data = NULL;
    pfm_dataset_options options = {.seed = 42};
    PFM_TRY(pfm_dataset_load("roco", test_scratch_folder(), "test", &options, &data, err));
    assert_true(data->count == 2 && data->left_out == 1);
    pfm_dataset_free(data);
    data = NULL;
    PFM_TRY(pfm_dataset_load("roco", test_scratch_folder(), "validate", &options, &data, err));
    assert_true(data->count == 1);
done:
    pfm_dataset_free(data);
    return status;
}

static void test_figures(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    assert_ok(pfm_folder_create(test_path(test_scratch_folder(), "test/radiology"), &err));
    write_text("test/radiology/captions.txt", "R1\tA mass.\nR2\t \nR3\tA cyst.\n");
    write_text("test/radiology/dlinks.txt", "R1\t/P1.tar.gz\ta\nR2\t/P2.tar.gz\tb\nR3\t/P3.tar.gz\tc\n");
    write_text("valid_captions.csv", "ID,Caption\na,A mass.\n");
    failing_try_all("figures", figures);
}

static pfm_status retrieval(pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *paths[] = {test_path(test_scratch_folder(), "corpus.txt")};
    const pfm_index_options options = {
        .paths = paths, .path_count = 1, .out = test_path(test_scratch_folder(), "index.sqlite"), .words = 10, .overlap = 2};
    const pfm_own_texts own = {.record = "r",
                               .texts = {"The heart has four.", "The liver makes bile every day since it is so."}};
    char *built = NULL, *said = NULL;
    pfm_index *index = NULL;
    pfm_buffer out = {0};
    json_t *places = json_array();
    PFM_TRY(places != NULL ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "no list"));
    PFM_TRY(pfm_index_build(NULL, &options, &built, err));
    assert_non_null(strstr(built, "\"snippets\":2"));
    PFM_TRY(pfm_index_describe(options.out, &said, err));
    assert_non_null(strstr(said, "\"snippets\":2"));
    PFM_TRY(pfm_index_open(options.out, NULL, &index, err));
    PFM_TRY(pfm_index_find(index, "heart, liver and lung", &own, 2, 50, &out, places, err));
    assert_string_equal(out.data, "The lung breathes and the heart beats, day and night.");
done:
    json_decref(places);
    pfm_buffer_free(&out);
    pfm_index_close(index);
    free(built);
    free(said);
    return status;
}

static void test_retrieval(void **state)
{
    (void)state;
    write_text("corpus.txt",
               "The liver makes bile every day since it is so.\n\nThe lung breathes and the heart beats, day and night.");
    failing_try_all("retrieval", retrieval);
}

static pfm_status labels(pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_labeller *labeller = NULL;
    pfm_labels found = {0};
    json_t *written = NULL;
    PFM_TRY(pfm_labeller_create(&labeller, err));
    PFM_TRY(pfm_labels_add(labeller, "The heart is enlarged. No edema, effusion or mass.", &found, err));
    assert_true(found.of[PFM_CARDIOMEGALY] == PFM_LABEL_PRESENT && found.of[PFM_LUNG_LESION] == PFM_LABEL_ABSENT);
    PFM_TRY(pfm_labels_write(&found, &written, err));
done:
    json_decref(written);
    pfm_labeller_free(labeller);
    return status;
}

static void test_labels(void **state)
{
    (void)state;
    failing_try_all("labels", labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_out), cmocka_unit_test(test_audit),     cmocka_unit_test(test_several_images),
        cmocka_unit_test(test_captions), cmocka_unit_test(test_a_case),    cmocka_unit_test(test_texts),
        cmocka_unit_test(test_figures),  cmocka_unit_test(test_retrieval), cmocka_unit_test(test_labels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
