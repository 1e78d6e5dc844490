/* What is found: the right passage, in the right order, whatever the question looks like, and never one's own answer. */
#include "data/corpus.h"
#include "make_data.h"

static const char *folder;

static pfm_index *make_index(const char *name, const char *text, const char *search, bool porter)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_index *index = NULL;
    char *json = NULL, path[512], out[512];
    make_file(folder, name, text);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)snprintf(out, sizeof out, "%s/%s.sqlite", folder, name);
    const char *paths[] = {path};
    const pfm_index_options options = {
        .paths = paths, .path_count = 1, .out = out, .words = 10, .overlap = 0, .search = search, .porter = porter};
    assert_ok(pfm_index_build(NULL, &options, &json, &err));
    free(json);
    assert_ok(pfm_index_open(out, NULL, &index, &err));
    return index;
}

static void expect(pfm_index *index, const char *question, const pfm_own_texts *own, int most, int words, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer out = {0};
    json_t *places = json_array();
    assert_ok(pfm_index_find(index, question, own, most, words, &out, places, &err));
    if (strcmp(out.size == 0 ? "" : out.data, wanted) != 0)
        fail_msg("%s: wanted \"%s\", got \"%s\"", question, wanted, out.size == 0 ? "" : out.data);
    size_t lines = wanted[0] != '\0';
    for (const char *c = wanted; *c != '\0'; c++)
        lines += *c == '\n';
    assert_int_equal(json_array_size(places), lines);
    json_decref(places);
    pfm_buffer_free(&out);
}

#define RECORD(id, text) "{\"id\":" id ",\"text\":\"" text "\"}\n"

static void the_right_passage_is_found(void **state)
{
    (void)state;
    folder = make_folder("found");
    pfm_index *index = make_index("a.jsonl",
                                  RECORD("1", "The heart has four chambers.") RECORD("2", "The liver makes bile.")
                                      RECORD("3", "The heart beats, the heart pumps.") RECORD("4", "The liver makes bile.")
                                          RECORD("5", "La c\xc3\xa9lula madre."),
                                  NULL, false);
    expect(index, "What does the LIVER make?", NULL, 1, 0, "The liver makes bile.");
    expect(index, "liver", NULL, 5, 0, "The liver makes bile."); /* the same text once */
    expect(index, "heart", NULL, 5, 0, "The heart beats, the heart pumps.\nThe heart has four chambers.");
    expect(index, "heart", NULL, 1, 0, "The heart beats, the heart pumps.");
    expect(index, "celula", NULL, 1, 0, "La c\xc3\xa9lula madre.");
    expect(index, "C\xc3\x89LULA", NULL, 1, 0, "La c\xc3\xa9lula madre.");
    expect(index, "kidney", NULL, 5, 0, "");
    expect(index, "heart", NULL, 5, 8, "The heart beats, the heart pumps."); /* of the next not one sentence fits */
    expect(index, "heart", NULL, 5, 3, "The heart beats,");
    expect(index, "heart", NULL, 5, 11, "The heart beats, the heart pumps.\nThe heart has four chambers.");
    pfm_index_close(index);
}

/* None of it is FTS5's syntax, and nothing in it is an error. */
static void questions_are_words_alone(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "",
        " ",
        "\"",
        "\"\"\"",
        "'; DROP TABLE snippets; --",
        "NOT",
        "AND OR NOT NEAR",
        "NEAR(heart chambers, 1)",
        "text : heart",
        "- text : heart",
        "^heart",
        "heart*",
        "heart AND NOT heart",
        "(heart",
        "heart)",
        "{text search} : heart",
        "heart + chambers",
        "\xff\xfe heart \xc3",
        "%s %n ?1 :a @b $c",
        "\xf0\x9f\x98\x80",
        "\xe2\x80\x9cheart\xe2\x80\x9d",
        "e\xcc\x81 \xe0\xa4\xb9\xe0\xa4\xbf\xe0\xa4\xa8\xe0\xa5\x8d\xe0\xa4\xa6\xe0\xa5\x80",
    };
    pfm_error err = PFM_ERROR_INIT;
    folder = make_folder("odd");
    pfm_index *index = make_index("a.txt", "The heart has four chambers. Not and or near.", NULL, false);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        pfm_buffer out = {0};
        assert_ok(pfm_index_find(index, odd[i], NULL, 3, 0, &out, NULL, &err));
        const bool says = strstr(odd[i], "heart") != NULL;
        assert_true(!says || out.size > 0);
        pfm_buffer_free(&out);
    }
    expect(index, "heart AND NOT heart", NULL, 3, 0, "The heart has four chambers. Not and or near.");
    static char many[200000];
    for (int i = 0; i < 20000; i++)
        (void)snprintf(many + strlen(many), 16, "q%d ", i);
    (void)snprintf(many + strlen(many), 16, "heart");
    expect(index, many, NULL, 3, 0, "The heart has four chambers. Not and or near.");
    pfm_index_close(index);
}

static void stems_and_searched_columns(void **state)
{
    (void)state;
    folder = make_folder("stems");
    static const char text[] = "{\"id\":1,\"text\":\"Operated yesterday.\",\"q\":\"Gallbladder?\"}\n"
                               "{\"id\":2,\"text\":\"Fever since.\",\"q\":\"Lung?\"}\n";
    pfm_index *plain = make_index("a.jsonl", text, NULL, false), *rich = make_index("b.jsonl", text, "q", true);
    expect(plain, "operating", NULL, 3, 0, "");
    expect(rich, "operating", NULL, 3, 0, "Operated yesterday.");
    expect(plain, "gallbladder", NULL, 3, 0, "");
    expect(rich, "gallbladders", NULL, 3, 0, "Operated yesterday."); /* searched, not shown */
    pfm_index_close(plain);
    pfm_index_close(rich);
}

static void ones_own_answer_is_never_found(void **state)
{
    (void)state;
    folder = make_folder("own");
    pfm_index *index = make_index("a.jsonl",
                                  RECORD("\"train-1\"", "Celiac disease is shown by a biopsy.")
                                      RECORD("\"train-2\"", "Biopsy of the liver.") RECORD("7", "Biopsy last."),
                                  NULL, false);
    static const char all[] = "Biopsy last.\nBiopsy of the liver.\nCeliac disease is shown by a biopsy.";
    expect(index, "biopsy", NULL, 5, 0, all);
    pfm_own_texts own = {.record = NULL};
    expect(index, "biopsy", &own, 5, 0, all);
    own.record = "train-1"; /* by its record */
    expect(index, "biopsy", &own, 5, 0, "Biopsy last.\nBiopsy of the liver.");
    own.record = "7";
    expect(index, "biopsy", &own, 5, 0, "Biopsy of the liver.\nCeliac disease is shown by a biopsy.");
    /* By its text, wherever that comes from: all of a short one, eight words of a long one. */
    own = (pfm_own_texts){.texts = {NULL, "biopsy -- of THE liver"}};
    expect(index, "biopsy", &own, 5, 0, "Biopsy last.\nCeliac disease is shown by a biopsy.");
    own = (pfm_own_texts){
        .texts = {"We think: celiac disease is shown by a biopsy.", "Something else, of nine words in all, none shown."}};
    expect(index, "biopsy", &own, 5, 0, "Biopsy last.\nBiopsy of the liver."); /* all of a short snippet */
    own.texts[0] = "We think: celiac disease is shown by another biopsy.";
    expect(index, "biopsy", &own, 5, 0, all);
    own.texts[0] = "We think: celiac disease is shown by a biopsyx.";
    expect(index, "biopsy", &own, 5, 0, all);
    own = (pfm_own_texts){.texts = {"", " ?! "}};
    expect(index, "biopsy", &own, 5, 0, all);
    pfm_index_close(index);
    index = make_index("b.txt", "In this long text celiac disease is shown by a biopsy of the bowel.", NULL, false);
    own = (pfm_own_texts){.texts = {"Now: long text celiac disease is shown by a biopsy, so 4."}};
    expect(index, "celiac", &own, 5, 0, "");
    pfm_index_close(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_passage_is_found), cmocka_unit_test(questions_are_words_alone),
        cmocka_unit_test(stems_and_searched_columns), cmocka_unit_test(ones_own_answer_is_never_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
