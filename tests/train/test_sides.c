/* What speaks of a side. */
#include "train/sides.h"

#include "test.h"

#include <string.h>

static void test_words(void **state)
{
    (void)state;
    static const char *const speak[] = {"Which lobe? Left.",
                                        "RIGHT-sided effusion",
                                        "in the RUL",
                                        "Dextrocardia?",
                                        "linke Lunge",
                                        "el pulmon derecho",
                                        "\xe5\xb7\xa6\xe8\x82\xba",
                                        "\xe5\x9c\xa8\xe5\x8f\xb3\xe4\xbe\xa7",
                                        "(left)"};
    static const char *const say_nothing[] = {"", "Is the heart enlarged?", "bright spot, cleft, upright", "Brull",
                                              "\xe8\x82\xba"};
    size_t length = 0;
    for (size_t i = 0; i < sizeof speak / sizeof *speak; i++)
        if (pfm_sides_find(speak[i], &length) == NULL || length == 0)
            fail_msg("'%s' speaks of a side", speak[i]);
    for (size_t i = 0; i < sizeof say_nothing / sizeof *say_nothing; i++)
        if (pfm_sides_find(say_nothing[i], &length) != NULL)
            fail_msg("'%s' speaks of no side", say_nothing[i]);
    const char *found = pfm_sides_find("on the Left side", &length);
    assert_int_equal(length, 4);
    assert_memory_equal(found, "Left", 4);
}

static void test_rows(void **state)
{
    (void)state;
    static char question[] = "Which lung?", answer[] = "left lung", yes[] = "yes", id[] = "17", text[] = "left over",
                split[] = "train";
    pfm_error err = PFM_ERROR_INIT;
    pfm_row rows[] = {{.question = text, .answer = yes, .image_count = 0}, /* shows nothing that is mirrored */
                      {.question = question, .answer = yes, .image_count = 1},
                      {.id = id, .question = question, .answer = answer, .image_count = 1}};
    pfm_dataset data = {.rows = rows, .count = 2, .split = split};
    assert_ok(pfm_sides_check(&data, &err));
    data.count = 3;
    assert_error(pfm_sides_check(&data, &err), PFM_ERROR_USAGE,
                 "the answer of row 17 of train says 'left', and 1 of 3 rows speak of a side; set data.mirror: none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
