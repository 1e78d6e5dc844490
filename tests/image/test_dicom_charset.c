/* Texts of DICOM files as UTF-8: the examples of PS3.5, annexes H to K, and what is none. */
#include "test.h"

#include "image/dicom_charset.h"

static void check(const char *sets, const char *vr, const char *value, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    char *got = NULL;
    assert_true(pfm_charset_is_defined(sets));
    assert_ok(pfm_charset_convert(sets, vr, value, &got, &err));
    assert_string_equal(got, wanted);
    free(got);
}

static void refuse(const char *sets, const char *value, const char *reason)
{
    pfm_error err = PFM_ERROR_INIT;
    char *got = NULL;
    assert_error(pfm_charset_convert(sets, "PN", value, &got, &err), PFM_ERROR_FORMAT, reason);
    assert_null(got);
}

static void test_single_sets(void **state)
{
    (void)state;
    check("", "PN", "Buc^J", "Buc^J");
    check("ISO_IR 100", "PN", "Buc^J\xe9r\xf4me", "Buc^Jérôme");
    check("ISO_IR 101", "PN", "Wa\xb3\xeasa", "Wałęsa");
    check("ISO_IR 144 ", "PN",
          "\xbb\xee\xda"
          "ce\xdc\xd1yp\xd3",
          "Люкceмбypг");
    check("ISO_IR 126", "PN", "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος");
    check("ISO_IR 127", "PN", "\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار");
    check("ISO_IR 138", "PN", "\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה");
    check("ISO_IR 148", "LO", "\xdd\xfe\xf0", "İşğ");
    check("ISO_IR 203", "LO", "\xa4", "€");
    check("ISO_IR 166", "PN", "\xca\xc1", "สม");
    check("ISO_IR 13", "PN", "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=", "ﾔﾏﾀﾞ^ﾀﾛｳ=");
    check("ISO_IR 192", "PN", "Wang^XiaoDong=王^小东=", "Wang^XiaoDong=王^小东=");
    check("GB18030", "PN", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东=");
    check("GB18030", "LO", "\x95\x32\x82\x36", "𠀀");             /* of four bytes, two of them digits */
    check("GBK", "PN", "\x81\x5c^\x81\x5e=\x81\x5c", "乗^乛=乗"); /* second bytes as delimiters */
}

static void test_extensions(void **state)
{
    (void)state;
    check("\\ISO 2022 IR 87", "PN", "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
          "Yamada^Tarou=山田^太郎=やまだ^たろう");
    check("ISO 2022 IR 13\\ISO 2022 IR 87", "PN",
          "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
          "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう");
    check("\\ISO 2022 IR 149", "PN",
          "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
          "Hong^Gildong=洪^吉洞=홍^길동");
    check("\\ISO 2022 IR 58", "PN", "Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东=");
    check("\\ISO 2022 IR 87\\ISO 2022 IR 159", "LO", "\x1b$(D\x30\x21\x1b(B\x1b$B0!\x1b(B", "丂亜");
    check("ISO 2022 IR 100\\ISO 2022 IR 126", "LO", "J\xe9 is \x1b-F\xc4\xe9\xef", "Jé is Διο");
    check("ISO_IR 192\\ISO 2022 IR 87", "PN", "山", "山"); /* beside UTF-8 nothing counts */
    check("ISO_IR 100\\ISO_IR 192", "PN", "\xe4", "ä");
    check("\\ISO_IR 192", "PN", "ä", "ä");
}

/* Behind delimiters and the ends of lines the first set holds again, but not within characters of two bytes. */
static void test_delimiters(void **state)
{
    (void)state;
    check("ISO 2022 IR 100\\ISO 2022 IR 126", "PN", "\x1b-F\xc4^\xc4=\x1b-F\xc4\\\xc4", "Δ^Ä=Δ\\Ä");
    check("ISO 2022 IR 100\\ISO 2022 IR 126", "LO", "\x1b-F\xc4^\xc4=\xc4\\\xc4", "Δ^Δ=Δ\\Ä");
    check("ISO 2022 IR 100\\ISO 2022 IR 126", "LT", "\x1b-F\xc4\\\xc4\r\n\xc4\x1b-F\xc4\t\xc4", "Δ\\Δ\r\nÄΔ\tÄ");
    check("\\ISO 2022 IR 87", "PN", "\x1b$B=(>\\@^\x1b(B^A", "秀詳折^A"); /* whose bytes are =, \ and ^ */
    check("\\ISO 2022 IR 87", "PN", "\x1b$B;3 ED\x1b(B", "山 田");
    check("ISO 2022 IR 13", "LT", "5\\ ~", "5¥ ‾");
    check("ISO 2022 IR 13", "PN", "5\\ ~", "5\\ ‾");
}

/* What files leave out. */
static void test_lenient(void **state)
{
    (void)state;
    check("\\ISO 2022 IR 149", "PN", "=\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7", "=洪^吉洞");
    check("ISO 2022 IR 149", "PN", "\xb1\xe8", "김");
    check("ISO 2022 IR 87", "PN", "\x1b$B;3\x1b(B", "山");
    check("\\ISO 2022 IR 87", "PN", "\x1b$@;3\x1b(B", "山");
    check("ISO_IR 100", "PN", "\x1b$B;3\x1b(B\xe4", "山ä");
}

static void test_refused(void **state)
{
    (void)state;
    refuse("", "A\xe4", "its byte 2 is of none of its sets");
    refuse("\\ISO 2022 IR 87", "A=\x1b$B;", "its byte 6 begins a character that is cut");
    refuse("\\ISO 2022 IR 87", "\x1b$B;\x1b(B", "its byte 4 begins a character that is cut");
    refuse("\\ISO 2022 IR 87", "\x1b$B\x29\x21", "its byte 4 begins no character");
    refuse("\\ISO 2022 IR 149", "\x1b$)C\xfb", "its byte 5 begins a character that is cut");
    refuse("\\ISO 2022 IR 87", "A\x1b%G", "its byte 2 begins an escape sequence");
    refuse("\\ISO 2022 IR 87", "A\x1b", "its byte 2 begins an escape sequence");
    refuse("\\ISO 2022 IR 100\\ISO 2022 IR 144", "\xe4", "its byte 1 is of none");
    refuse("GB18030", "A\xcd", "its byte 2 begins no character");
    refuse("GB18030", "A\x1b$B", "its byte 2 begins an escape sequence");
    refuse("ISO_IR 192", "A\xe4", "its byte 2 begins no character");
    refuse("ISO_IR 99", "A", "none that DICOM has");
    assert_false(pfm_charset_is_defined("ISO_IR 99"));
    assert_false(pfm_charset_is_defined("ISO_IR 100\\UTF-8"));
    assert_false(pfm_charset_is_defined("ISO_IR "));
    assert_true(pfm_charset_is_defined("\\ISO 2022 IR 87\\"));
}

static void test_long(void **state)
{
    (void)state;
    char bytes[4001], wanted[6001];
    for (int i = 0; i < 2000; i++) {
        memcpy(bytes + 2 * i, "\xcd\xf5", 2);
        memcpy(wanted + 3 * i, "王", 3);
    }
    bytes[4000] = '\0';
    wanted[6000] = '\0';
    check("GB18030", "LT", bytes, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_single_sets), cmocka_unit_test(test_extensions),
                                       cmocka_unit_test(test_delimiters),  cmocka_unit_test(test_lenient),
                                       cmocka_unit_test(test_refused),     cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
