#include "base/utf8.h"
#include "test.h"

#include "base/random.h"

static void check_repair(const char *bytes, size_t size, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer out = {0};
    assert_ok(pfm_utf8_append_repaired(&out, bytes, size, &err));
    assert_string_equal(out.data == NULL ? "" : out.data, wanted);
    assert_true(pfm_utf8_valid(out.data, out.size));
    pfm_buffer_free(&out);
}

/* What Python's bytes.decode("utf-8", "replace") gives. */
static void test_repair_is_pythons(void **state)
{
    (void)state;
#define U "\xef\xbf\xbd"
    check_repair("", 0, "");
    check_repair("a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x99\x82", 10, "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x99\x82");
    check_repair("\x80x", 2, U "x");
    check_repair("\xc0\xaf", 2, U U);       /* overlong */
    check_repair("\xe0\x80\xaf", 3, U U U); /* overlong: the second byte is out of range already */
    check_repair("\xed\xa0\x80", 3, U U U); /* a surrogate */
    check_repair("\xf0\x9f\x99", 3, U);     /* cut short: one part */
    check_repair("\xf0\x9f\x99!", 4, U "!");
    check_repair("\xe4\xb8\xe4\xb8\xad", 5, U "\xe4\xb8\xad");
    check_repair("\xf4\x90\x80\x80", 4, U U U U); /* past U+10FFFF */
    check_repair("\xf5\xff", 2, U U);
#undef U
}

static void test_every_code_point(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        if (code >= 0xd800 && code < 0xe000)
            continue;
        char text[4];
        size_t length = pfm_utf8_encode(code, text), read = 0;
        if (pfm_utf8_decode(text, length, &read) != code || read != length || pfm_utf8_pending(text, length) != 0)
            fail_msg("U+%04X does not come back", code);
        for (size_t cut = 1; cut < length; cut++) {
            if (pfm_utf8_pending(text, cut) != cut || pfm_utf8_decode(text, cut, &read) != PFM_UTF8_INVALID || read != cut)
                fail_msg("U+%04X cut after %zu bytes", code, cut);
        }
    }
}

/* Repairing in pieces, holding back what is pending, equals repairing at once. */
static void test_pieces_equal_the_whole(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_random random = pfm_random_start(7, 0);
    static const unsigned char likely[] = {'a',  0x80, 0xbf, 0xc3, 0xe0, 0xa0, 0xed, 0x9f,
                                           0xf0, 0x90, 0xf4, 0x8f, 0xff, 0xe4, 0xb8, 0xad};
    for (int round = 0; round < 2000; round++) {
        char bytes[24];
        size_t size = (size_t)pfm_random_below(&random, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)likely[pfm_random_below(&random, sizeof likely)];
        pfm_buffer whole = {0}, pieces = {0}, held = {0};
        assert_ok(pfm_utf8_append_repaired(&whole, bytes, size, &err));
        for (size_t i = 0; i < size; i++) {
            assert_ok(pfm_buffer_append(&held, bytes + i, 1, &err));
            size_t keep = pfm_utf8_pending(held.data, held.size);
            assert_ok(pfm_utf8_append_repaired(&pieces, held.data, held.size - keep, &err));
            memmove(held.data, held.data + held.size - keep, keep);
            held.size = keep;
        }
        assert_ok(pfm_utf8_append_repaired(&pieces, held.data, held.size, &err));
        assert_int_equal(whole.size, pieces.size);
        if (whole.size > 0)
            assert_memory_equal(whole.data, pieces.data, whole.size);
        pfm_buffer_free(&whole);
        pfm_buffer_free(&pieces);
        pfm_buffer_free(&held);
    }
}

static void test_categories(void **state)
{
    (void)state;
    assert_true(pfm_utf8_is_numeric('0') && pfm_utf8_is_numeric(0x0663) && pfm_utf8_is_numeric(0x00bd) &&
                pfm_utf8_is_numeric(0x2160));
    assert_false(pfm_utf8_is_numeric('a') || pfm_utf8_is_numeric(0x4e00));
    assert_true(pfm_utf8_is_space(' ') && pfm_utf8_is_space('\v') && pfm_utf8_is_space(0x85) && pfm_utf8_is_space(0x3000));
    assert_false(pfm_utf8_is_space(0x180e) || pfm_utf8_is_space(0x200b) || pfm_utf8_is_space(0x1c));
    assert_true(pfm_utf8_is_word('_') && pfm_utf8_is_word(0x4e00) && pfm_utf8_is_word(0x0301));
    assert_false(pfm_utf8_is_word('-') || pfm_utf8_is_word(' '));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_repair_is_pythons), cmocka_unit_test(test_every_code_point),
                                       cmocka_unit_test(test_pieces_equal_the_whole), cmocka_unit_test(test_categories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
