/* MedExpQA: the published prompt, what is learned, languages, and every way in which a case can be wrong. */
#include "data/corpus.h"
#include "data/dataset.h"
#include "make_data.h"

static const pfm_dataset_options english = {.language = "en"}, all = {.any_language = true}, unsaid = {.seed = 42};

#define CASE(lang, options, correct)                                                                                           \
    "{\"id\":\"c-1\",\"lang\":\"" lang                                                                                         \
    "\",\"type\":\" CARDIOLOGY\",\"full_question\":\" Which valve? \",\"options\":{" options "},\"correct_option\":" correct   \
    ",\"explanation\":\"The mitral valve.\"}\n"
#define OPTIONS "\"2\":\" Aortic. \",\"1\":\"Mitral.\",\"3\":\"None.\",\"5\":null"

static const char prompt[] =
    "You are a helpful medical expert, and your task is to answer a multi-choice medical question using the relevant "
    "documents. "
    "Please choose the answer from the provided options. Your responses will be used for research purposes only, so please "
    "have "
    "a definite answer.\nHere are the relevant documents:\n\nHere is the question:\nCARDIOLOGY: Which valve?\nHere are the "
    "potential choices:\n2. Aortic.\n1. Mitral.\n3. None.\nThe correct answer is:";

static void expect_english(const pfm_row *row)
{
    assert_string_equal(row->id, "c-1");
    assert_string_equal(row->question, prompt);
    assert_string_equal(row->answer, "1. Mitral.");
    assert_int_equal(row->answer_type, PFM_ANSWER_CLOSED);
    assert_int_equal(row->image_count, 0);
    static const char *const beside[] = {"lang", "type", "options", "correct_option", "explanation"};
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        assert_non_null(json_object_get(row->extra, beside[i]));
    assert_int_equal(json_object_size(row->extra), 5);
}

static void a_case_is_the_published_prompt(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("medexpqa");
    make_file(folder, "train.en.jsonl", CASE("en", OPTIONS, "1") "\n" CASE("en", OPTIONS, "3"));
    make_file(folder, "dev.en.jsonl", CASE("en", OPTIONS, "1"));
    make_file(folder, "notes.jsonl", "not a split");
    make_file(folder, "train.en.jsonl.old", "not one either");
    assert_ok(pfm_dataset_load("medexpqa", folder, "train", &unsaid, &data, &err)); /* one language needs no choice */
    assert_int_equal(data->count, 2);
    expect_english(&data->rows[0]);
    assert_string_equal(data->rows[1].answer, "3. None.");
    assert_string_equal(data->rows[1].id, "c-1#2");
    assert_true(data->set_count == 2 && data->image_count == 0 && data->left_out == 0);
    pfm_dataset_free(data);
    static const char *const names[] = {"validate", "dev"};
    for (size_t i = 0; i < 2; i++) {
        assert_ok(pfm_dataset_load("medexpqa", folder, names[i], &english, &data, &err));
        assert_string_equal(data->split, "validate");
        expect_english(&data->rows[0]);
        pfm_dataset_free(data);
    }
    assert_error(pfm_dataset_load("medexpqa", folder, "test", &english, &data, &err), PFM_ERROR_USAGE,
                 "has no split 'test' for medexpqa; its splits: validate, train");
    make_file(folder, "test.en.jsonl", CASE("en", OPTIONS, "2"));
    assert_ok(pfm_dataset_load("medexpqa", folder, "test", &english, &data, &err));
    assert_string_equal(data->rows[0].answer, "2. Aortic.");
    pfm_dataset_free(data);
    assert_string_equal(pfm_dataset_profile("medexpqa"), "medexpqa");
    assert_string_equal(pfm_dataset_profile("slake"), "vqa");
}

static void expect_sentence(const char *folder, const char *language, const char *first, const char *last)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const pfm_dataset_options options = {.language = language};
    assert_ok(pfm_dataset_load("medexpqa", folder, "train", &options, &data, &err));
    assert_int_equal(data->count, 1);
    const char *question = data->rows[0].question;
    assert_memory_equal(question, first, strlen(first));
    assert_string_equal(question + strlen(question) - strlen(last), last);
    pfm_dataset_free(data);
}

/* Each language has its own prompt; they are never mixed by accident. */
static void languages_stand_apart(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("languages");
    make_file(folder, "train.en.jsonl", CASE("en", OPTIONS, "1"));
    make_file(folder, "train.es.jsonl", CASE("es", OPTIONS, "1"));
    make_file(folder, "train.fr.jsonl", CASE("fr", OPTIONS, "1"));
    make_file(folder, "train.it.jsonl", CASE("it", OPTIONS, "1"));
    make_file(folder, "dev.it.jsonl", CASE("it", OPTIONS, "1"));
    expect_sentence(folder, "es",
                    "Eres un experto m\xc3\xa9"
                    "dico y tu tarea",
                    "3. None.\nLa opci\xc3\xb3n correcta es:");
    expect_sentence(folder, "fr",
                    "Vous \xc3\xaates un expert en m\xc3\xa9"
                    "decine",
                    "3. None.\nLa bonne option est:");
    expect_sentence(folder, "it", "Sei un medico esperto e il tuo compito", "3. None.\nL'opzione corretta \xc3\xa8:");
    assert_error(pfm_dataset_load("medexpqa", folder, "train", &unsaid, &data, &err), PFM_ERROR_USAGE,
                 "languages: choose one language (data.language, --language); the folder holds en, es, fr, it");
    const pfm_dataset_options german = {.language = "de"};
    assert_error(pfm_dataset_load("medexpqa", folder, "train", &german, &data, &err), PFM_ERROR_USAGE,
                 "holds no rows in the language 'de'; it holds en, es, fr, it");
    assert_error(pfm_dataset_load("medexpqa", folder, "validate", &english, &data, &err), PFM_ERROR_USAGE,
                 "has no split 'validate' for medexpqa; its splits: train");
    assert_ok(pfm_dataset_load("medexpqa", folder, "train", &all, &data, &err));
    assert_int_equal(data->count, 4);
    assert_string_equal(json_string_value(json_object_get(data->rows[3].extra, "lang")), "it");
    pfm_dataset_free(data);
}

#define PUBLISHED(texts)                                                                                                       \
    "{\"id\":\"c\",\"lang\":\"en\",\"type\":\"T\",\"full_question\":\"Q\",\"options\":{\"1\":\"a\",\"2\":\"b\"},"              \
    "\"correct_option\":2" texts "}\n"
#define EXPLAINED(ranges)                                                                                                      \
    ",\"full_answer\":\"\u00c9s b. Not a.\",\"full_answer_no_ref\":\"\u00c9s "                                                 \
    "[HIDDEN].\",\"explanations\":{\"1\":{\"char_ranges\":[[6,"                                                                \
    "12]]},\"2\":{\"char_ranges\":" ranges "}}"

static void expect_documents(const char *folder, const char *texts, const char *grounding, const char *want)
{
    static const char before[] = "Here are the relevant documents:\n", behind[] = "\nHere is the question:\n";
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const pfm_dataset_options options = {.grounding = grounding};
    make_file(folder, "train.en.jsonl", texts);
    pfm_status status = pfm_dataset_load("medexpqa", folder, "train", &options, &data, &err);
    if (status != PFM_OK) {
        if (strstr(err.message, want) == NULL)
            fail_msg("%s: wanted \"%s\", got \"%s\"", grounding, want, err.message);
        return;
    }
    const char *from = strstr(data->rows[0].question, before) + strlen(before), *to = strstr(from, behind);
    assert_int_equal(to - from, strlen(want));
    assert_memory_equal(from, want, strlen(want));
    pfm_dataset_free(data);
}

/* What the published code shows; ranges count characters, not bytes. */
static void questions_are_grounded(void **state)
{
    (void)state;
    const char *folder = make_folder("grounded");
    const char *published = PUBLISHED(EXPLAINED("[[0,5]]"));
    expect_documents(folder, published, "none", "");
    expect_documents(folder, published, "full", "\xc3\x89s b. Not a.");
    expect_documents(folder, published, "wrong", "  Not a.");
    expect_documents(folder, published, "hidden", "\xc3\x89s [HIDDEN].");
    expect_documents(folder, PUBLISHED(EXPLAINED("[[0,2],[3,5]]")), "wrong", "  b Not a."); /* the second in what is left */
    expect_documents(folder, PUBLISHED(EXPLAINED("[[3,999]]")), "wrong", "\xc3\x89s  ");
    expect_documents(folder, PUBLISHED(",\"explanation\":\"E\""), "full", "E");
    expect_documents(folder, published, "retrieved", "needs an index of documents: make one with pefomed index");
    expect_documents(folder, published, "all", "there is no grounding 'all'; there are none, full");
    expect_documents(folder, PUBLISHED(""), "full", "line 1: \"full_answer\" (or \"explanation\") is missing");
    expect_documents(folder, PUBLISHED(",\"full_answer\":3"), "full", "line 1: \"full_answer\" must be a text");
    expect_documents(folder, PUBLISHED(",\"explanation\":\"E\""), "wrong", "\"explanations\" has no char_ranges");
    expect_documents(folder, PUBLISHED(",\"explanation\":\"E\""), "hidden", "\"full_answer_no_ref\" is missing");
    static const char *const bad[] = {PUBLISHED(EXPLAINED("[[3,1]]")), PUBLISHED(EXPLAINED("[[-1,1]]")),
                                      PUBLISHED(EXPLAINED("[3]")), PUBLISHED(EXPLAINED("[[0,1.5]]"))};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_documents(folder, bad[i], "wrong", "must hold char_ranges, pairs of whole numbers");
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const pfm_dataset_options full = {.grounding = "full"};
    assert_error(pfm_dataset_load("slake", folder, "train", &full, &data, &err), PFM_ERROR_USAGE,
                 "slake has nothing to ground its questions in");
}

/* ---- retrieval ---- */

#define EXPLAINED_CASE(id, question, explanation)                                                                              \
    "{\"id\":\"" id "\",\"lang\":\"en\",\"type\":\"HEART\",\"full_question\":\"" question                                      \
    "\",\"options\":{\"1\":\"Mitral.\",\"2\":\"Aortic.\"},\"correct_option\":1,\"explanation\":\"" explanation "\"}\n"

/* The index of train.en.jsonl's explanations. */
static const char *make_index(const char *folder)
{
    static char out[512];
    pfm_error err = PFM_ERROR_INIT;
    char path[512], *json = NULL;
    (void)snprintf(path, sizeof path, "%s/train.en.jsonl", folder);
    (void)snprintf(out, sizeof out, "%s/index.sqlite", folder);
    const char *paths[] = {path}, *explanations[] = {"explanation"};
    const pfm_index_options options = {
        .paths = paths, .path_count = 1, .out = out, .columns = explanations, .column_count = 1, .words = 20};
    assert_ok(pfm_index_build(NULL, &options, &json, &err));
    free(json);
    return out;
}

static const char retrieved_prompt[] =
    "You are a helpful medical expert, and your task is to answer a multi-choice medical question using the relevant "
    "documents. Please choose the answer from the provided options. Your responses will be used for research purposes only, so "
    "please have a definite answer.\nHere are the relevant documents:\nThe aortic valve snaps.\nA murmur is a valve.\nHere is "
    "the "
    "question:\nHEART: Which valve snaps?\nHere are the potential choices:\n1. Mitral.\n2. Aortic.\nThe correct answer is:";

static pfm_dataset_options retrieving(const char *folder)
{
    return (pfm_dataset_options){.grounding = "retrieved", .retrieval = {.index = make_index(folder), .snippets = 2}};
}

static const char *make_cases(const char *name)
{
    const char *folder = make_folder(name);
    make_file(folder, "train.en.jsonl",
              EXPLAINED_CASE("t-0", "Which valve snaps?", "The mitral valve snaps, of course.")
                  EXPLAINED_CASE("t-1", "Another?", "The aortic valve snaps.")
                      EXPLAINED_CASE("t-2", "More?", "A murmur is a valve."));
    make_file(folder, "dev.en.jsonl",
              EXPLAINED_CASE("d-0", "Which valve snaps?", "See above: the mitral valve snaps, of course."));
    return folder;
}

/* A training row is shown the other rows' explanations, a row that is scored nothing that holds its own. */
static void cases_are_shown_what_fits(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_cases("retrieved");
    pfm_dataset_options options = retrieving(folder);
    assert_ok(pfm_dataset_load("medexpqa", folder, "train", &options, &data, &err));
    assert_string_equal(data->rows[0].question, retrieved_prompt);
    assert_non_null(strstr(data->rows[1].question, "documents:\nThe mitral valve snaps, of course.\nHere"));
    assert_null(strstr(data->rows[0].ungrounded, "snaps."));
    json_t *places = json_object_get(data->rows[0].extra, "retrieved");
    assert_int_equal(json_array_size(places), 2);
    assert_string_equal(json_string_value(json_array_get(places, 0)), "train.en.jsonl:2");
    assert_string_equal(json_string_value(json_array_get(places, 1)), "train.en.jsonl:3");
    pfm_dataset_free(data);
    assert_ok(pfm_dataset_load("medexpqa", folder, "validate", &options, &data, &err));
    assert_string_equal(data->rows[0].question, retrieved_prompt); /* t-0 says what its own explanation says */
    pfm_dataset_free(data);
    options.retrieval.words = 6;
    assert_ok(pfm_dataset_load("medexpqa", folder, "train", &options, &data, &err));
    assert_non_null(strstr(data->rows[0].question, "documents:\nThe aortic valve snaps.\nHere"));
    pfm_dataset_free(data);
    options.retrieval.snippets = 101;
    assert_error(pfm_dataset_load("medexpqa", folder, "train", &options, &data, &err), PFM_ERROR_USAGE,
                 "1 to 100 snippets are shown, not 101");
}

/* Rows are the same whatever they are shown, and asked differently. */
static void hashes_tell_rows_and_documents_apart(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_cases("hashes");
    const pfm_dataset_options each[] = {{.grounding = NULL}, {.grounding = "full"}, retrieving(folder)};
    pfm_hash_hex asked[3], rows[3];
    for (size_t i = 0; i < 3; i++) {
        pfm_dataset *data = NULL;
        assert_ok(pfm_dataset_load("medexpqa", folder, "train", &each[i], &data, &err));
        assert_ok(pfm_dataset_hash(data, asked[i], &err));
        assert_ok(pfm_dataset_hash_ungrounded(data, rows[i], &err));
        pfm_dataset_free(data);
    }
    assert_string_equal(rows[0], asked[0]);
    assert_string_equal(rows[0], rows[1]);
    assert_string_equal(rows[0], rows[2]);
    assert_string_not_equal(asked[0], asked[1]);
    assert_string_not_equal(asked[1], asked[2]);
    assert_string_not_equal(asked[0], asked[2]);
}

static void expect_asked(const pfm_dataset_options *options, const char *text, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    char *got = NULL;
    assert_ok(pfm_dataset_ground("medexpqa", options, text, &got, &err));
    assert_string_equal(got, wanted);
    free(got);
}

/* A person asks as a row does: from the question on, or with the whole prompt. */
static void a_person_asks_as_a_row_does(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    char *got = NULL, whole[2000];
    const char *folder = make_cases("asked");
    make_file(folder, "train.en.jsonl",
              EXPLAINED_CASE("t-1", "Another?", "The aortic valve snaps.")
                  EXPLAINED_CASE("t-2", "More?", "A murmur is a valve."));
    pfm_dataset_options options = retrieving(folder);
    options.language = "en";
    const char *typed = strstr(retrieved_prompt, "HEART:"), *documents = strstr(retrieved_prompt, "The aortic valve snaps.");
    expect_asked(&options, typed, retrieved_prompt);
    (void)snprintf(whole, sizeof whole, "%.*s\nHere is the question:\n%s", (int)(documents - retrieved_prompt),
                   retrieved_prompt, typed);
    expect_asked(&options, whole, retrieved_prompt);
    expect_asked(&options, retrieved_prompt, retrieved_prompt); /* its own documents stay */
    options.language = NULL;
    expect_asked(&options, whole, retrieved_prompt); /* the prompt says its language */
    assert_error(pfm_dataset_ground("medexpqa", &options, typed, &got, &err), PFM_ERROR_USAGE,
                 "in which language is this asked?");
    options.grounding = "full";
    expect_asked(&options, typed, typed);
    options.grounding = NULL;
    expect_asked(&options, "?", "?");
    options.grounding = "retrieved";
    assert_error(pfm_dataset_ground("slake", &options, typed, &got, &err), PFM_ERROR_USAGE, "slake has nothing to ground");
}

static void cases_without_an_answer_are_counted(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    const char *folder = make_folder("unknown");
    make_file(folder, "train.en.jsonl", CASE("en", OPTIONS, "null") CASE("en", OPTIONS, "2") CASE("en", OPTIONS, "null"));
    make_file(folder, "dev.en.jsonl", CASE("en", OPTIONS, "null"));
    assert_ok(pfm_dataset_load("medexpqa", folder, "train", &english, &data, &err));
    assert_true(data->count == 1 && data->left_out == 2);
    assert_string_equal(data->left_out_why, "name no correct option");
    pfm_dataset_free(data);
    assert_error(pfm_dataset_load("medexpqa", folder, "dev", &english, &data, &err), PFM_ERROR_FORMAT, "holds no rows");
}

static void bad_cases_are_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[1]\n", "train.en.jsonl line 1: must be a JSON object with full_question"},
        {"\n{\"lang\":", "train.en.jsonl line 2: not JSON"},
        {CASE("es", OPTIONS, "1"), "line 1: \"lang\" is not the language that the file is called after"},
        {CASE("en", OPTIONS, "1") "{\"id\":\"x\"}", "line 2: \"lang\" is missing"},
        {"{\"lang\":7}", "line 1: \"lang\" must be a text"},
        {"{\"lang\":\"en\",\"options\":[1]}", "line 1: \"options\" must be an object"},
        {"{\"lang\":\"en\"}", "line 1: \"options\" must be an object"},
        {CASE("en", "\"1\":\"a\"", "1"), "line 1: \"options\" must hold two options at least"},
        {CASE("en", "\"1\":\"a\",\"2\":null", "1"), "line 1: \"options\" must hold two options at least"},
        {CASE("en", "\"1\":\"a\",\"2\":\" \"", "1"), "line 1: \"options\" must hold texts, none of them empty"},
        {CASE("en", "\"1\":\"a\",\"2\":2", "1"), "line 1: \"options\" must hold texts"},
        {CASE("en", "\"1\":\"a\",\"10\":\"b\"", "1"), "line 1: \"options\" must be numbered from 1 to 9"},
        {CASE("en", "\"0\":\"a\",\"1\":\"b\"", "1"), "line 1: \"options\" must be numbered from 1 to 9"},
        {CASE("en", "\"\":\"a\",\"1\":\"b\"", "1"), "line 1: \"options\" must be numbered from 1 to 9"},
        {CASE("en", "\"1\":\"a\",\"1\":\"b\"", "1"), "line 1: not JSON"},
        {CASE("en", OPTIONS, "4"), "line 1: \"correct_option\" is not the number of one of the options"},
        {CASE("en", OPTIONS, "5"), "line 1: \"correct_option\" is not the number of one of the options"},
        {CASE("en", OPTIONS, "0"), "line 1: \"correct_option\" is not the number"},
        {CASE("en", OPTIONS, "-1"), "line 1: \"correct_option\" is not the number"},
        {CASE("en", OPTIONS, "4294967297"), "line 1: \"correct_option\" is not the number"},
        {CASE("en", OPTIONS, "1.0"), "line 1: \"correct_option\" is not the number"},
        {CASE("en", OPTIONS, "\"1\""), "line 1: \"correct_option\" is not the number"},
        {"{\"lang\":\"en\",\"type\":\"T\",\"full_question\":\"q\",\"options\":{\"1\":\"a\",\"2\":\"b\"}}",
         "line 1: \"correct_option\" is missing"},
        {"{\"lang\":\"en\",\"full_question\":\"q\",\"options\":{\"1\":\"a\",\"2\":\"b\"},\"correct_option\":1}",
         "line 1: \"type\" is missing"},
        {"{\"lang\":\"en\",\"type\":\"T\",\"full_question\":\" \",\"options\":{\"1\":\"a\",\"2\":\"b\"},\"correct_option\":1}",
         "line 1: \"full_question\" is empty"},
        {"{\"lang\":\"en\",\"type\":\"T\",\"full_question\":[],\"options\":{\"1\":\"a\",\"2\":\"b\"},\"correct_option\":1}",
         "line 1: \"full_question\" must be a text"},
        {"{\"id\":[],\"lang\":\"en\",\"type\":\"T\",\"full_question\":\"q\",\"options\":{\"1\":\"a\",\"2\":\"b\"},"
         "\"correct_option\":1}",
         "line 1: \"id\" must be a text or a number"},
    };
    const char *folder = make_folder("bad_medexpqa");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_dataset *data = NULL;
        make_file(folder, "train.en.jsonl", cases[i][0]);
        pfm_status status = pfm_dataset_load("medexpqa", folder, "train", &english, &data, &err);
        if (status != PFM_ERROR_FORMAT || strstr(err.message, cases[i][1]) == NULL)
            fail_msg("case %zu: wanted \"%s\", got \"%s\"", i, cases[i][1], err.message);
    }
    pfm_error err = PFM_ERROR_INIT;
    pfm_dataset *data = NULL;
    assert_error(pfm_dataset_load("medexpqa", test_path(folder, "train.en.jsonl"), "train", &english, &data, &err),
                 PFM_ERROR_IO, "is not a folder");
    assert_error(pfm_dataset_load("medexpqa", make_folder("unknown"), "other", &english, &data, &err), PFM_ERROR_USAGE,
                 "has no split 'other'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_case_is_the_published_prompt),
                                       cmocka_unit_test(languages_stand_apart),
                                       cmocka_unit_test(questions_are_grounded),
                                       cmocka_unit_test(cases_are_shown_what_fits),
                                       cmocka_unit_test(hashes_tell_rows_and_documents_apart),
                                       cmocka_unit_test(a_person_asks_as_a_row_does),
                                       cmocka_unit_test(cases_without_an_answer_are_counted),
                                       cmocka_unit_test(bad_cases_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
