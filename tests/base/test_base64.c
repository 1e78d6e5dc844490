#include "base/base64.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

/* RFC 4648, section 10, and bytes of every length about a block. */
static void there_and_back(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        pfm_buffer text = {0}, bytes = {0};
        assert_ok(pfm_base64_append(&text, vectors[i][0], strlen(vectors[i][0]), &err));
        assert_int_equal(text.size, strlen(vectors[i][1]));
        assert_memory_equal(text.size > 0 ? text.data : "", vectors[i][1], text.size);
        assert_ok(pfm_base64_decode(&bytes, vectors[i][1], strlen(vectors[i][1]), &err));
        assert_int_equal(bytes.size, strlen(vectors[i][0]));
        assert_memory_equal(bytes.size > 0 ? bytes.data : "", vectors[i][0], bytes.size);
        pfm_buffer_free(&text);
        pfm_buffer_free(&bytes);
    }
    unsigned char all[2000];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t size = 760; size < sizeof all; size += 13) {
        pfm_buffer text = {0}, bytes = {0};
        assert_ok(pfm_base64_append(&text, all, size, &err));
        assert_ok(pfm_base64_decode(&bytes, text.data, text.size, &err));
        assert_int_equal(bytes.size, size);
        assert_memory_equal(bytes.data, all, size);
        pfm_buffer_free(&text);
        pfm_buffer_free(&bytes);
    }
}

static void white_space_and_missing_padding_are_taken(void **state)
{
    (void)state;
    pfm_buffer bytes = {0};
    assert_ok(pfm_base64_decode(&bytes, " Zm9v\r\n\tYg", 10, &err));
    assert_int_equal(bytes.size, 4);
    assert_memory_equal(bytes.data, "foob", 4);
    pfm_buffer_free(&bytes);
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place;
    } cases[] = {
        {"Zm9*", "character 4 "}, {"Zm9vY", "character 6 "}, {"Zg==Zg", "character 5 "}, {"\xc3\xa4==", "character 1 "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pfm_buffer bytes = {0};
        assert_error(pfm_base64_decode(&bytes, cases[i].text, strlen(cases[i].text), &err), PFM_ERROR_FORMAT, cases[i].place);
        pfm_buffer_free(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(white_space_and_missing_padding_are_taken),
                                       cmocka_unit_test(what_is_none_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
