/* Snippets end where sentences do, overlap by whole sentences, and lose no word. */
#include "data/corpus.h"
#include "test.h"

typedef struct snippets {
    char text[64][4096];
    size_t words[64], begin[64], count;
} snippets;

static pfm_status take(void *user, const char *text, size_t words, size_t begin, pfm_error *err)
{
    snippets *s = user;
    (void)err;
    assert_true(s->count < 64 && strlen(text) < sizeof s->text[0]);
    (void)snprintf(s->text[s->count], sizeof s->text[0], "%s", text);
    s->words[s->count] = words;
    s->begin[s->count++] = begin;
    return PFM_OK;
}

static const snippets *cut(const char *text, int words, int overlap)
{
    static snippets all;
    pfm_error err = PFM_ERROR_INIT;
    all.count = 0;
    assert_ok(pfm_text_cut(text, strlen(text), words, overlap, take, &all, &err));
    return &all;
}

static void expect(const char *text, int words, int overlap, const char *joined)
{
    char got[8192] = "";
    const snippets *all = cut(text, words, overlap);
    for (size_t i = 0; i < all->count; i++)
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i > 0 ? "|" : "", all->text[i]);
    assert_string_equal(got, joined);
}

static void snippets_end_with_sentences(void **state)
{
    (void)state;
    expect("", 10, 0, "");
    expect(" \n\t ", 10, 0, "");
    expect("one", 10, 0, "one");
    expect("  One two.\n  Three\tfour. ", 10, 0, "One two. Three four.");
    expect("One two. Three four. Five six.", 5, 0, "One two. Three four.|Five six.");
    expect("One two. Three four. Five six.", 4, 2, "One two. Three four.|Three four. Five six.");
    expect("One two. Three four. Five six.", 4, 1, "One two. Three four.|Five six."); /* no whole sentence is so short */
    expect("one two three four five six seven", 3, 1, "one two three|four five six|seven");
    expect("Aa bb. Cc dd ee ff gg hh ii", 4, 0, "Aa bb.|Cc dd ee ff|gg hh ii");
    expect("Is it? Yes! \"No.\" (Never.) So\xe2\x80\xa6 End", 1, 0, "Is|it?|Yes!|\"No.\"|(Never.)|So\xe2\x80\xa6|End");
    /* A number, an abbreviation and an initial end no sentence. */
    expect("Hb 11.5 gr. dl Fe. J. Smith et al. says so. End", 9, 0, "Hb 11.5 gr. dl Fe.|J. Smith et al. says so. End");
    expect("A heading\n\nand text here", 3, 0, "A heading|and text here");
    expect("Ende. \xc3\xa4hnlich so. Ende. \xc3\x84hnlich so.", 5, 0, "Ende. \xc3\xa4hnlich so. Ende.|\xc3\x84hnlich so.");
}

static void places_are_those_of_the_first_word(void **state)
{
    (void)state;
    const snippets *all = cut("  One two.\n\nThree four. Five six.", 2, 0);
    assert_int_equal(all->count, 3);
    assert_true(all->begin[0] == 2 && all->begin[1] == 12 && all->begin[2] == 24);
    assert_true(all->words[0] == 2 && all->words[2] == 2);
}

/* Text without blanks is cut at characters. */
static void long_words_are_several(void **state)
{
    (void)state;
    char text[3001];
    for (size_t i = 0; i < 1000; i++)
        memcpy(text + 3 * i, "\xe6\x97\xa5", 4);
    const snippets *all = cut(text, 10, 0);
    assert_int_equal(all->count, 1);
    assert_int_equal(all->words[0], 3);
    assert_int_equal(strlen(all->text[0]), 3002);
    size_t bad = 0;
    assert_true(pfm_text_is_clean(all->text[0], strlen(all->text[0]), &bad));
}

static void expect_cut(const char *text, size_t most, bool midst, const char *wanted, size_t words)
{
    size_t kept = 0;
    const size_t length = pfm_text_cut_at(text, strlen(text), most, midst, &kept);
    assert_int_equal(length, strlen(wanted));
    assert_memory_equal(text, wanted, length);
    assert_int_equal(kept, words);
}

static void a_snippet_is_cut_to_what_fits(void **state)
{
    (void)state;
    expect_cut("One two. Three four.", 4, false, "One two. Three four.", 4);
    expect_cut("One two. Three four.", 9, false, "One two. Three four.", 4);
    expect_cut("One two. Three four.", 3, false, "One two.", 2);
    expect_cut("One two. Three four.", 1, false, "", 0);
    expect_cut("One two. Three four.", 1, true, "One", 1);
    expect_cut("One two. Three four.", 0, true, "", 0);
}

static void expect_words(const char *text, size_t length, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer out = {0};
    assert_ok(pfm_text_append_words(text, length, &out, &err));
    assert_string_equal(out.size == 0 ? "" : out.data, wanted);
    pfm_buffer_free(&out);
}

static void words_are_letters_and_digits(void **state)
{
    (void)state;
    expect_words("", 0, "");
    expect_words("\"*-()", 5, "");
    expect_words("TSH 187\xce\xbcIU/mL, anti-DNA", 24, "tsh 187\xce\xbciu ml anti dna");
    expect_words("\xc3\x89S\xffx", 5, "\xc3\xa9s x");
    expect_words("a\xe2\x82", 3, "a"); /* cut off */
    size_t bad = 0;
    assert_false(pfm_text_is_clean("ab\0", 3, &bad));
    assert_int_equal(bad, 2);
    assert_false(pfm_text_is_clean("\xc3\xa9\xff", 3, &bad));
    assert_int_equal(bad, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snippets_end_with_sentences), cmocka_unit_test(places_are_those_of_the_first_word),
        cmocka_unit_test(long_words_are_several), cmocka_unit_test(a_snippet_is_cut_to_what_fits),
        cmocka_unit_test(words_are_letters_and_digits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
