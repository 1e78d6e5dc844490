#include "data/dataset.h"
#include "make_data.h"

#define ROW(qid, image, language, question, answer, type)                                                                      \
    "{\"qid\":" qid ",\"img_name\":\"" image "\",\"q_lang\":\"" language "\",\"question\":\"" question "\",\"answer\":" answer \
    ",\"answer_type\":\"" type "\",\"content_type\":\"Organ\"}"

static const pfm_dataset_options english = {.language = "en", .seed = 42, .validate_share = 0.25};
static const pfm_dataset_options plain = {.seed = 42, .validate_share = 0.25};

static const char *make_slake(void)
{
    const char *folder = make_folder("slake");
    make_file(folder, "train.json",
              "[" ROW("7", "b/source.jpg", "en", "Which organ?", "\"Lung\"",
                      "OPEN") "," ROW("8", "a/source.jpg", "en", "Is it an MRI?", "\" Yes \"",
                                      " CLOSED ") "," ROW("9", "a/source.jpg", "zh", "\xe8\x82\xba?", "\"\xe6\x98\xaf\"",
                                                          "CLOSED") "," ROW("8", "b/source.jpg", "en", "How many?", "12",
                                                                            "OPEN") "," ROW("\"x\"", "b/source.jpg", "en",
                                                                                            "How much?", "0.1", "OPEN") "]");
    return make_file(folder, "val.json", "[" ROW("1", "c/source.jpg", "en", "What?", "\"Heart\"", "OPEN") "]");
}

static void test_slake(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_slake();
    pfm_dataset *data = NULL;
    assert_ok(pfm_dataset_load("slake", folder, "train", &english, &data, &err));
    assert_int_equal(data->count, 4);
    assert_int_equal(data->image_count, 2);
    const pfm_row *rows = data->rows;
    assert_string_equal(rows[0].id, "7");
    assert_string_equal(rows[0].images[0].name, "b/source.jpg");
    assert_string_equal(rows[0].images[0].path, test_path(folder, "imgs/b/source.jpg"));
    assert_string_equal(rows[0].answer, "Lung");
    assert_int_equal(rows[0].answer_type, PFM_ANSWER_OPEN);
    assert_string_equal(json_string_value(json_object_get(rows[0].extra, "content_type")), "Organ");
    assert_null(json_object_get(rows[0].extra, "answer"));
    assert_string_equal(rows[1].answer, " Yes ");
    assert_int_equal(rows[1].answer_type, PFM_ANSWER_CLOSED);
    assert_int_equal(rows[1].image_set, 1);
    assert_string_equal(rows[2].id, "8#2"); /* an id that is taken */
    assert_string_equal(rows[2].answer, "12");
    assert_int_equal(rows[2].image_set, 0);
    assert_string_equal(rows[3].id, "x");
    assert_string_equal(rows[3].answer, "0.1");
    pfm_dataset_free(data);
    assert_ok(pfm_dataset_load("slake", folder, "validate", &english, &data, &err)); /* val.json */
    assert_int_equal(data->count, 1);
    pfm_dataset_free(data);
    pfm_dataset_options two = english;
    two.limit = 2;
    assert_ok(pfm_dataset_load("slake", folder, "train", &two, &data, &err));
    assert_int_equal(data->count, 2);
    pfm_dataset_free(data);
    pfm_dataset_free(NULL);
}

static void test_ids_become_unique(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer text = {0};
    const char *folder = make_folder("ids");
    assert_ok(pfm_buffer_append_string(&text, "image,question,answer,id\n", &err));
    const char *given[] = {"a", "a#2", "a", "b", "a", "b", "a#2"};
    const char *wanted[] = {"a", "a#2", "a#3", "b", "a#4", "b#2", "a#2#2"};
    for (int i = 0; i < 7; i++)
        assert_ok(pfm_buffer_append_format(&text, &err, "x.png,q,a,%s\n", given[i]));
    for (int i = 0; i < 20000; i++)
        assert_ok(pfm_buffer_append_string(&text, "x.png,q,a,0\n", &err)); /* must not take the square of that */
    make_file(folder, "t.csv", text.data);
    pfm_buffer_free(&text);
    pfm_dataset *data = NULL;
    pfm_dataset_options all = {.validate_share = 0};
    assert_ok(pfm_dataset_load("table", test_path(folder, "t.csv"), "train", &all, &data, &err));
    for (int i = 0; i < 7; i++)
        assert_string_equal(data->rows[i].id, wanted[i]);
    assert_string_equal(data->rows[20006].id, "0#20000");
    pfm_dataset_free(data);
}

static void test_too_many_splits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer text = {0};
    const char *folder = make_folder("many");
    assert_ok(pfm_buffer_append_string(&text, "image,question,answer,split\n", &err));
    for (int i = 0; i < 1001; i++)
        assert_ok(pfm_buffer_append_format(&text, &err, "x.png,q,a,s%d\n", i));
    make_file(folder, "t.csv", text.data);
    pfm_buffer_free(&text);
    pfm_dataset *data = NULL;
    assert_error(pfm_dataset_load("table", test_path(folder, "t.csv"), "train", &plain, &data, &err), PFM_ERROR_FORMAT,
                 "more than 1000 different names of splits");
}

static void test_languages_are_never_mixed(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_slake();
    pfm_dataset *data = NULL;
    assert_error(pfm_dataset_load("slake", folder, "train", &plain, &data, &err), PFM_ERROR_USAGE, "the file holds en, zh");
    assert_error(pfm_dataset_load("slake", folder, "validate", &plain, &data, &err), PFM_ERROR_USAGE, "choose one language");
    assert_error(pfm_dataset_load("phantom", folder, "train", &plain, &data, &err), PFM_ERROR_USAGE, "choose one language");
    pfm_dataset_options french = {.language = "fr"}, any = {.any_language = true};
    assert_error(pfm_dataset_load("slake", folder, "train", &french, &data, &err), PFM_ERROR_USAGE, "'fr'; it holds en, zh");
    assert_ok(pfm_dataset_load("phantom", folder, "validate", &plain, &data, &err)); /* one language: no need to say which */
    pfm_dataset_free(data);
    assert_ok(pfm_dataset_load("slake", folder, "train", &any, &data, &err));
    assert_int_equal(data->count, 5);
    pfm_dataset_free(data);
}

static void test_splits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_slake();
    pfm_dataset *data = NULL;
    bool has = false;
    assert_ok(pfm_dataset_has_split("slake", folder, "val", &english, &has, &err));
    assert_true(has);
    assert_ok(pfm_dataset_has_split("slake", folder, "test", &english, &has, &err));
    assert_false(has);
    assert_error(pfm_dataset_load("slake", folder, "test", &english, &data, &err), PFM_ERROR_USAGE,
                 "has no split 'test' for slake; its splits: train, validate");
    assert_error(pfm_dataset_load("slack", folder, "test", &english, &data, &err), PFM_ERROR_USAGE,
                 "no data set 'slack'; there are slake, vqa_rad, pathvqa, medpix, medpix_cases, iu_xray, mimic_cxr, roco, "
                 "mediqa_m3g, medexpqa, "
                 "phantom, table");
    assert_error(pfm_dataset_load("slake", "/nowhere", "train", &english, &data, &err), PFM_ERROR_IO,
                 "/nowhere is not a folder");
    assert_error(pfm_dataset_load("vqa_rad", "/nowhere", "train", &english, &data, &err), PFM_ERROR_IO,
                 "/nowhere is not a folder");
    assert_error(pfm_dataset_load("vqa_rad", folder, "train", &english, &data, &err), PFM_ERROR_IO,
                 "VQA_RAD Dataset Public.json");
    assert_error(pfm_dataset_load("table", folder, "train", &english, &data, &err), PFM_ERROR_IO, "is a folder; 'table' takes");
}

/* Each bad train.json and what the error says. */
static void test_bad_rows(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[" ROW("1", "a", "en", "Q?", "\"x\"",
                 "OPEN") ",{\"qid\":2,\"img_name\":\"a\",\"q_lang\":\"en\",\"question\":\"Q?\"}]",
         "train.json row 2: \"answer\" is missing"},
        {"[{\"qid\":2,\"img_name\":\"a\",\"q_lang\":\"en\",\"question\":\"Q?\",\"answer\":null}]",
         "row 1: \"answer\" is missing"},
        {"[" ROW("1", "a", "en", "Q?", "[1]", "OPEN") "]", "row 1: \"answer\" must be a text or a number"},
        {"[" ROW("1", "a", "en", "Q?", "\"x\"", "MAYBE") "]", "row 1: \"answer_type\" must be OPEN or CLOSED"},
        {"[" ROW("1", "a", "en", "Q?", "\"x\"", "") "]", "row 1: \"answer_type\" is missing"},
        {"[" ROW("1", "", "en", "Q?", "\"x\"", "OPEN") "]", "row 1: \"img_name\" is empty"},
        {"[{\"qid\":2,\"q_lang\":\"en\",\"question\":\"Q?\",\"answer\":\"x\"}]", "row 1: \"img_name\" is missing"},
        {"[{\"qid\":2,\"img_name\":\"a\",\"q_lang\":\"en\",\"answer\":\"x\"}]", "row 1: \"question\" is missing"},
        {"[{\"qid\":2,\"img_name\":\"a\",\"question\":\"Q?\",\"answer\":\"x\"}]", "row 1: \"q_lang\" is missing"},
        {"[{\"qid\":2,\"img_name\":\"a\",\"q_lang\":1,\"question\":\"Q?\",\"answer\":\"x\"}]",
         "row 1: \"q_lang\" must be a text"},
        {"[3]", "row 1: must be a JSON object with the columns \"img_name\", \"question\", \"answer\""},
        {"{\"rows\":[]}", "train.json: must be a JSON array"},
        {"[]", "the file holds none"},
        {"[\n\n{]", "train.json line 3: not JSON"},
        {"image,question\n", "train.json line 1: not JSON"},
        {"", "not JSON"},
    };
    const char *folder = make_folder("bad");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_dataset *data = NULL;
        make_file(folder, "train.json", cases[i][0]);
        pfm_status status =
            pfm_dataset_load("slake", folder, "train", strcmp(cases[i][0], "[]") == 0 ? &plain : &english, &data, &err);
        if (status == PFM_OK || strstr(err.message, cases[i][1]) == NULL)
            fail_msg("%s: wanted \"%s\", got \"%s\"", cases[i][0], cases[i][1], err.message);
    }
}

static void test_missing_images_name_the_row(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_slake();
    pfm_dataset *data = NULL;
    assert_ok(pfm_dataset_load("slake", folder, "train", &english, &data, &err));
    make_file(folder, "imgs/b/source.jpg", "x");
    assert_error(pfm_dataset_check_images(data, &err), PFM_ERROR_IO, "slake train, row 8: cannot open its image");
    make_file(folder, "imgs/a/source.jpg", "x");
    assert_ok(pfm_dataset_check_images(data, &err));
    pfm_dataset_free(data);
}

static bool share_an_image(const pfm_dataset *a, const pfm_dataset *b)
{
    for (size_t i = 0; i < a->count; i++) {
        for (size_t j = 0; j < b->count; j++) {
            if (strcmp(a->rows[i].images[0].name, b->rows[j].images[0].name) == 0)
                return true;
        }
    }
    return false;
}

static bool share_a_patient(const pfm_dataset *a, const pfm_dataset *b)
{
    for (size_t i = 0; i < a->count; i++) {
        for (size_t j = 0; j < b->count; j++) {
            if (strcmp(a->rows[i].patient, b->rows[j].patient) == 0)
                return true;
        }
    }
    return false;
}

static const char *make_vqa_rad(void)
{
    const char *folder = make_folder("vqa_rad");
    pfm_buffer text = {0};
    pfm_error err = PFM_ERROR_INIT;
    for (int i = 0; i < 60; i++) /* 20 images of 3 rows, a patient each two images; every image has one test row */
        assert_ok(pfm_buffer_append_format(&text, &err,
                                           "%s{\"qid\":%d,\"phrase_type\":\"%s\",\"image_name\":\"i%d.jpg\",\"image_case_url\":"
                                           "\"http://case/%d\",\"question\":\"Q%d?\","
                                           "\"answer\":%s,\"answer_type\":\"CLOSED \"}",
                                           i == 0 ? "[" : ",", i, i % 3 == 2 ? "test_para" : "freeform", i / 3, i / 6, i,
                                           i == 3 ? "4" : "\"yes\""));
    assert_ok(pfm_buffer_append_string(&text, "]", &err));
    make_file(folder, "VQA_RAD Dataset Public.json", text.data);
    pfm_buffer_free(&text);
    return folder;
}

static void test_vqa_rad_holds_back_whole_images(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_vqa_rad();
    pfm_dataset *train = NULL, *validate = NULL, *test = NULL, *again = NULL;
    assert_ok(pfm_dataset_load("vqa_rad", folder, "train", &plain, &train, &err));
    assert_ok(pfm_dataset_load("vqa_rad", folder, "validate", &plain, &validate, &err));
    assert_ok(pfm_dataset_load("vqa_rad", folder, "test", &plain, &test, &err));
    assert_int_equal(train->count, 30);
    assert_int_equal(validate->count, 10);
    assert_int_equal(validate->image_count, 5); /* a quarter of 20 */
    assert_int_equal(test->count, 20);
    assert_false(share_an_image(train, validate));
    assert_string_equal(test->rows[0].patient, "http://case/0");
    assert_string_equal(test->rows[0].images[0].path, test_path(folder, "VQA_RAD Image Folder/i0.jpg"));
    assert_int_equal(test->rows[0].answer_type, PFM_ANSWER_CLOSED);
    assert_ok(pfm_dataset_load("vqa_rad", folder, "validate", &plain, &again, &err));
    assert_string_equal(again->rows[3].id, validate->rows[3].id);
    pfm_dataset_free(again);
    pfm_dataset_options other = plain;
    other.seed = 43;
    assert_ok(pfm_dataset_load("vqa_rad", folder, "validate", &other, &again, &err));
    bool same = true;
    for (size_t i = 0; i < again->count; i++)
        same = same && strcmp(again->rows[i].id, validate->rows[i].id) == 0;
    assert_false(same);
    pfm_dataset_free(again);
    pfm_dataset_options all = plain;
    all.validate_share = 0;
    assert_ok(pfm_dataset_load("vqa_rad", folder, "train", &all, &again, &err));
    assert_int_equal(again->count, 40);
    assert_string_equal(again->rows[2].answer, "4"); /* a number in the data */
    pfm_dataset_free(again);
    bool has = true;
    assert_ok(pfm_dataset_has_split("vqa_rad", folder, "validate", &all, &has, &err));
    assert_false(has);
    pfm_dataset_free(train);
    pfm_dataset_free(validate);
    pfm_dataset_free(test);
}

static void test_vqa_rad_holds_back_whole_patients(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_vqa_rad();
    pfm_dataset *train = NULL, *validate = NULL;
    pfm_dataset_options options = plain;
    assert_ok(pfm_dataset_load("vqa_rad", folder, "train", &options, &train, &err));
    assert_ok(pfm_dataset_load("vqa_rad", folder, "validate", &options, &validate, &err));
    assert_true(share_a_patient(train, validate)); /* by image they may */
    pfm_dataset_free(train);
    pfm_dataset_free(validate);
    options.validate_by = "patient";
    options.validate_share = 0.2;
    assert_ok(pfm_dataset_load("vqa_rad", folder, "train", &options, &train, &err));
    assert_ok(pfm_dataset_load("vqa_rad", folder, "validate", &options, &validate, &err));
    assert_int_equal(validate->image_count, 4);
    assert_false(share_a_patient(train, validate));
    assert_false(share_an_image(train, validate));
    pfm_dataset_free(train);
    pfm_dataset_free(validate);
}

static void test_pathvqa(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_folder("pathvqa");
    make_file(folder, "train.json",
              "[{\"image\":\"a.jpg\",\"question\":\"what is it?\",\"answer\":\"liver\",\"question_type\":\"ORGAN\"},"
              "{\"image\":\"a.jpg\",\"question\":\"is it red?\",\"answer\":\"Yes\"},"
              "{\"image\":\"b.jpg\",\"question\":\"is it red?\",\"answer\":\"no\",\"answer_type\":\"OPEN\"}]");
    pfm_dataset *train = NULL, *validate = NULL;
    assert_ok(pfm_dataset_load("pathvqa", folder, "train", &plain, &train, &err));
    assert_ok(pfm_dataset_load("pathvqa", folder, "validate", &plain, &validate, &err));
    assert_int_equal(train->count + validate->count, 3);
    assert_false(share_an_image(train, validate));
    const pfm_dataset *two = train->count == 2 ? train : validate, *one = train->count == 2 ? validate : train;
    assert_string_equal(two->rows[1].id, "train-2"); /* the row of the file, whichever split it went to */
    assert_int_equal(two->rows[0].answer_type, PFM_ANSWER_OPEN);
    assert_int_equal(two->rows[1].answer_type, PFM_ANSWER_CLOSED);
    assert_int_equal(one->rows[0].answer_type, PFM_ANSWER_OPEN);
    pfm_dataset_free(train);
    pfm_dataset_free(validate);
    pfm_dataset_options by_patient = {.validate_share = 0.5, .validate_by = "patient"};
    assert_error(pfm_dataset_load("pathvqa", folder, "train", &by_patient, &train, &err), PFM_ERROR_USAGE, "names no patients");
    make_file(folder, "validate.json", "[{\"image\":\"c.jpg\",\"question\":\"q\",\"answer\":\"a\"}]");
    assert_ok(pfm_dataset_load("pathvqa", folder, "train", &plain, &train, &err)); /* a file of its own: nothing is held back */
    assert_int_equal(train->count, 3);
    pfm_dataset_free(train);
}

static void test_tables(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_folder("table");
    make_file(folder, "t.csv",
              "image,question,answer,patient,split,age,answer_type\n"
              "x/a.png,Which side?,left,p1,train,40,\n"
              "x/b.png,Which side?,right,,,41,closed\n"
              "x/c.png,\"Left, or right?\",No,p2,val,42,\n"
              "/abs/d.png,Which side?,left,p2,test,,\n");
    pfm_dataset *data = NULL;
    assert_ok(pfm_dataset_load("table", test_path(folder, "t.csv"), "train", &plain, &data, &err));
    assert_int_equal(data->count, 2);
    assert_string_equal(data->rows[0].images[0].name, "x/a.png");
    assert_string_equal(data->rows[0].images[0].path, test_path(folder, "x/a.png"));
    assert_string_equal(data->rows[0].patient, "p1");
    assert_null(data->rows[1].patient);
    assert_int_equal(data->rows[1].answer_type, PFM_ANSWER_CLOSED);
    assert_string_equal(json_string_value(json_object_get(data->rows[0].extra, "age")), "40");
    pfm_dataset_free(data);
    assert_ok(pfm_dataset_load("table", test_path(folder, "t.csv"), "validate", &plain, &data, &err));
    assert_string_equal(data->rows[0].question, "Left, or right?");
    assert_string_equal(data->rows[0].id, "validate-4"); /* the line in the file */
    assert_int_equal(data->rows[0].answer_type, PFM_ANSWER_CLOSED);
    pfm_dataset_free(data);
    assert_ok(pfm_dataset_load("table", test_path(folder, "t.csv"), "test", &plain, &data, &err));
    assert_string_equal(data->rows[0].images[0].path, "/abs/d.png");
    pfm_dataset_free(data);
    make_file(folder, "r.jsonl",
              "{\"image\":\"a.png\",\"report\":\"Clear lungs.\",\"id\":5}\n\n{\"image\":\"b.png\",\"report\":\"Effusion.\"}\n");
    pfm_dataset_options whole = {.validate_share = 0};
    assert_ok(pfm_dataset_load("table", test_path(folder, "r.jsonl"), "train", &whole, &data, &err));
    assert_int_equal(data->count, 2);
    assert_string_equal(data->rows[0].id, "5");
    assert_string_equal(data->rows[1].id, "train-3");
    assert_string_equal(data->rows[0].question, "");
    assert_string_equal(data->rows[0].answer, "Clear lungs.");
    pfm_dataset_free(data);
}

static void test_bad_tables(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a.csv", "image,question,answer\na.png,\"Which,left\n", "a.csv line 2: the quote that opens here is never closed"},
        {"b.csv", "image,question,label\na.png,q,a\n", "b.csv: has no column 'answer'"},
        {"c.csv", "picture,question,answer\na.png,q,a\n", "c.csv: has no column 'image'"},
        {"d.csv", "image,question,answer\na.png,q,\n", "d.csv line 2: \"answer\" is missing"},
        {"e.csv", "image,question,answer\n,q,a\n", "e.csv line 2: \"image\" is empty"},
        {"f.csv", "image,question,answer\n", "its splits: none"},
        {"g.jsonl", "\n{\"image\":\"a\",\"question\":\"q\"}\n", "g.jsonl line 2: \"answer\" is missing"},
        {"h.jsonl", "{\"image\":\"a\",\n", "h.jsonl line 1: not JSON"},
        {"i.jsonl", "image,question,answer\n", "i.jsonl line 1: not JSON"},
        {"j.jsonl", "[1]\n", "j.jsonl line 1: must be a JSON object"},
        {"k.csv", "image,question,answer,split\na.png,q,a,test\n", "has no split 'train' for table; its splits: test"},
        {"l.csv", "", "l.csv line 1"},
        {"m.csv", "images,question,answer\na.png;;b.png,q,a\n", "m.csv line 2: \"images\" must hold names"},
        {"n.csv", "image,images,question,answer\na.png,b.png,q,a\n",
         "n.csv line 2: \"image\" is a.png and \"images\" begins with b.png"},
        {"o.csv", "image,images,question,answer\n,,q,a\n", "o.csv line 2: \"image\" is empty"},
        {"p.jsonl", "{\"image\":\"a.png\",\"images\":[],\"question\":\"q\",\"answer\":\"a\"}",
         "p.jsonl line 1: \"images\" must be a list of at least one image"},
        {"q.jsonl", "{\"images\":\"a.png\",\"question\":\"q\",\"answer\":\"a\"}",
         "q.jsonl line 1: \"images\" must be a list of at least one image"},
        {"s.jsonl", "{\"question\":\"q\",\"answer\":\"a\"}", "s.jsonl line 1: \"image\" is missing"},
        {"t.jsonl", "{\"images\":[],\"report\":\"Clear.\"}",
         "t.jsonl line 1: \"question\" asks nothing and the row shows no image"},
        {"u.csv", "images,question,answer\na.png,q,a\n,,a\n", "u.csv line 3: \"question\" is missing"},
        {"v.csv", "question,answer\nq,a\n", "v.csv: has no column 'image'"},
        {"r.jsonl", "{\"images\":[1],\"question\":\"q\",\"answer\":\"a\"}", "r.jsonl line 1: \"images\" must hold names"},
    };
    const char *folder = make_folder("bad_table");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_dataset *data = NULL;
        make_file(folder, cases[i][0], cases[i][1]);
        pfm_status status = pfm_dataset_load("table", test_path(folder, cases[i][0]), "train", &plain, &data, &err);
        if (status == PFM_OK || strstr(err.message, cases[i][2]) == NULL)
            fail_msg("%s: wanted \"%s\", got \"%s\"", cases[i][0], cases[i][2], err.message);
    }
}

static void test_answers_are_prepared(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *text = NULL;
    assert_ok(pfm_answer_prepare(" \tLeft \xc3\x84\xe8\x82\xba. \n", true, &text, &err));
    assert_string_equal(text, "left \xc3\xa4\xe8\x82\xba.");
    free(text);
    assert_ok(pfm_answer_prepare(" Left ", false, &text, &err));
    assert_string_equal(text, "Left");
    free(text);
    assert_ok(pfm_answer_prepare("  ", true, &text, &err));
    assert_string_equal(text, "");
    free(text);
}

/* Two data sets that share an image and an id. */
static void test_a_mixture_is_one_data_set(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_slake();
    pfm_dataset *members[2] = {NULL, NULL}, *joined = NULL;
    assert_ok(pfm_dataset_load("slake", folder, "train", &english, &members[0], &err));
    assert_ok(pfm_dataset_load("slake", folder, "train", &english, &members[1], &err));
    assert_ok(pfm_dataset_join(members, 2, &joined, &err));
    assert_int_equal(members[0]->count + members[1]->count, 0); /* their rows have another owner */
    assert_int_equal(joined->count, 8);
    assert_int_equal(joined->member_count, 2);
    assert_int_equal(joined->image_count, 2);
    assert_int_equal(joined->set_count, 2);
    assert_string_equal(joined->name, "slake+slake");
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(joined->rows[i].member, i / 4);
        assert_int_equal(joined->rows[i].image_set, joined->rows[i % 4].image_set);
        for (size_t other = 0; other < i; other++)
            assert_string_not_equal(joined->rows[i].id, joined->rows[other].id);
    }
    pfm_dataset_free(members[0]);
    pfm_dataset_free(members[1]);
    pfm_dataset_free(joined);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_slake),
                                       cmocka_unit_test(test_ids_become_unique),
                                       cmocka_unit_test(test_a_mixture_is_one_data_set),
                                       cmocka_unit_test(test_too_many_splits),
                                       cmocka_unit_test(test_languages_are_never_mixed),
                                       cmocka_unit_test(test_splits),
                                       cmocka_unit_test(test_bad_rows),
                                       cmocka_unit_test(test_missing_images_name_the_row),
                                       cmocka_unit_test(test_vqa_rad_holds_back_whole_images),
                                       cmocka_unit_test(test_vqa_rad_holds_back_whole_patients),
                                       cmocka_unit_test(test_pathvqa),
                                       cmocka_unit_test(test_tables),
                                       cmocka_unit_test(test_bad_tables),
                                       cmocka_unit_test(test_answers_are_prepared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
