/* Structured reports: a text as sections. */
#include "image/sr_sections.h"

#include "test.h"

/* The sections of a report as "Heading=text|". */
static void check(const char *text, const char *wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_sr_sections sections = {0};
    char found[1000] = "";
    assert_ok(pfm_sr_add_report(&sections, text, &err));
    for (size_t i = 0; i < sections.count; i++)
        (void)snprintf(found + strlen(found), sizeof found - strlen(found), "%s=%s|", sections.items[i].item.meaning,
                       sections.items[i].text);
    assert_string_equal(found, wanted);
    pfm_sr_sections_free(&sections);
}

static void test_parts(void **state)
{
    (void)state;
    check("FINDINGS: The lungs are clear. IMPRESSION: Normal.", "Finding=The lungs are clear.|Impression=Normal.|");
    check("Clear.\nImpression:\nNormal.\n", "Finding=Clear.|Impression=Normal.|");
    check("Our impression: normal", "Finding=Our impression: normal|"); /* not where a part may begin */
    check("FINDINGS: IMPRESSION: Normal.", "Impression=Normal.|");
    check("", "Finding=(nothing was written)|");
    check("FINDINGS:\x01\x02", "Finding=(nothing was written)|");
}

static void test_characters(void **state)
{
    (void)state;
    check("a\nb\r\nc\rd", "Finding=a\r\nb\r\nc\r\nd|");
    check("a\x1b\x07\tb\x7f"
          "c\xC2\x9B"
          "d\xC3\xA4",
          "Finding=a   b c d\xC3\xA4|");
    check("cut within \xE8\x82", "Finding=cut within \xEF\xBF\xBD|"); /* U+FFFD */
    check("\xFF"
          "FINDINGS: a\xC2",
          "Finding=\xEF\xBF\xBD"
          "FINDINGS: a\xEF\xBF\xBD|");
}

static void test_long(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    pfm_error err = PFM_ERROR_INIT;
    pfm_sr_sections sections = {0};
    char *text = malloc(SIZE + 1);
    assert_non_null(text);
    memset(text, 'x', SIZE);
    text[SIZE] = '\0';
    assert_ok(pfm_sr_add_report(&sections, text, &err));
    assert_int_equal(sections.count, 1);
    assert_string_equal(sections.items[0].text, text);
    pfm_sr_sections_free(&sections);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
