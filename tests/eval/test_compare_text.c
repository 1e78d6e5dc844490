#include "compared.h"

#include "eval/compare.h"

static pfm_error err = PFM_ERROR_INIT;

static json_t *make_three(void)
{
    json_t *result = make_compared();
    add_compared(result, "lora", "lora", 7823424, 71);
    add_compared(result, "alone", "none", 2949696, 62.25);
    add_failed(result, "broken", "'nothing_proj' matches no layer");
    return result;
}

static void test_table(void **state)
{
    (void)state;
    pfm_buffer out = {0};
    json_t *result = make_three();
    assert_ok(pfm_comparison_text(result, &out, &err));
    assert_string_equal(out.data,
                        "recipe                method    trained  of all  rate   time  s/sample    memory     overall  closed  "
                        "overall against lora (95 %)\n"
                        "lora                  lora    7,823,424  4.89 %  1e-3  3m15s    0.0977  1.40 GiB  71.0 ± 0.5    75.0\n"
                        "alone                 none    2,949,696  1.84 %  1e-3  3m15s    0.0977  1.40 GiB  62.2 ± 0.5    66.2  "
                        "       -8.8 (-10.0 to -7.5)\n"
                        "broken                lora       failed\n"
                        "untrained                                                                                1.2       -\n"
                        "prior, no image seen                                                                    57.0    64.8\n"
                        "\n"
                        "scored: 1,043 rows of validate of slake; mean ± deviation of 2 seeds (from 42); intervals draw "
                        "images, the same for both\n"
                        "time: of the training's steps, on 2 threads of a machine; memory: the most after a step\n"
                        "rates tried with seed 42, overall on validate:\n"
                        "  lora: 1e-3 71.0, 1e-2 -\n"
                        "  alone: 1e-3 62.2, 1e-2 -\n"
                        "failed: broken: 'nothing_proj' matches no layer\n"
                        "note: a note\n");
    pfm_buffer_free(&out);
    json_decref(result);
}

/* Nothing but failures is a table, too. */
static void test_failures_alone(void **state)
{
    (void)state;
    pfm_buffer out = {0};
    json_t *result = make_compared();
    add_failed(result, "broken", "why");
    json_object_set_new(result, "headline", json_null());
    json_object_set_new(result, "untrained", json_null());
    json_object_set_new(result, "prior", json_null());
    assert_ok(pfm_comparison_text(result, &out, &err));
    assert_string_equal(out.data, "recipe  method  trained  of all  rate  time  s/sample  memory\n"
                                  "broken  lora     failed\n"
                                  "failed: broken: why\n"
                                  "note: a note\n");
    pfm_buffer_free(&out);
    json_decref(result);
}

/* Of text alone intervals draw rows, chance has a line, and a figure that nobody has no column. */
static void test_text_alone(void **state)
{
    (void)state;
    pfm_buffer out = {0};
    json_t *result = make_compared();
    add_compared(result, "lora", "lora", 1000, 31);
    json_object_set_new(result, "n_images", json_integer(0));
    json_object_set_new(result, "chance", json_pack("{s:f}", "overall", 20.5));
    assert_ok(pfm_comparison_text(result, &out, &err));
    assert_non_null(strstr(out.data, "; intervals draw rows, the same for both\n"));
    assert_non_null(strstr(out.data, "overall  closed\n"));
    assert_non_null(strstr(out.data, "\nprior "));
    assert_non_null(strstr(out.data, "\nchance "));
    assert_non_null(strstr(out.data, "20.5"));
    assert_null(strstr(out.data, "open"));
    assert_null(strstr(out.data, "image"));
    pfm_buffer_clear(&out);
    assert_ok(pfm_comparison_csv(result, &out, &err));
    assert_non_null(strstr(out.data, "\nchance,,,,,,,,,,,20.5,"));
    pfm_buffer_free(&out);
    json_decref(result);
}

/* Figures from 0 to 1 are told apart by their thousandths. */
static void test_metrics_of_captions(void **state)
{
    (void)state;
    pfm_buffer out = {0};
    json_t *result = make_compared();
    add_compared(result, "lora", "lora", 1000, 0.3125);
    json_object_set_new(result, "headline", json_string("rouge_l"));
    assert_ok(pfm_comparison_text(result, &out, &err));
    assert_non_null(strstr(out.data, "0.312 ± 0.500"));
    pfm_buffer_free(&out);
    json_decref(result);
}

static size_t count_commas(const char *line)
{
    size_t count = 0;
    bool quoted = false;
    for (; *line != '\n'; line++) {
        quoted ^= *line == '"';
        count += *line == ',' && !quoted;
    }
    return count;
}

static void test_csv(void **state)
{
    (void)state;
    pfm_buffer out = {0};
    json_t *result = make_three();
    add_failed(result, "a,b", "it said \"no\"");
    assert_ok(pfm_comparison_csv(result, &out, &err));
    static const char head[] =
        "recipe,method,error,trainable_parameters,total_parameters,trainable_share,learning_rate,samples,"
        "seconds,seconds_per_sample,peak_bytes,overall,overall_sd,overall_low,overall_high,"
        "overall_difference,overall_difference_low,overall_difference_high,closed,closed_sd,";
    assert_int_equal(strncmp(out.data, head, sizeof head - 1), 0);
    assert_non_null(strstr(out.data,
                           "\nalone,none,,2949696,160000000,1.84356,0.001,2000,195.3,0.09765,1503238554,62.25,0.5,60.75,63.75,"
                           "-8.75,-10,-7.5,66.25,,"));
    assert_non_null(strstr(out.data, "\n\"a,b\",lora,\"it said \"\"no\"\"\",,"));
    assert_non_null(strstr(out.data, "\nprior,,,,,,,,,,,57,"));
    assert_non_null(strstr(out.data, "\nuntrained,,,,,,,,,,,1.25,"));
    size_t lines = 0;
    for (const char *line = out.data; *line != '\0'; line = strchr(line, '\n') + 1, lines++)
        assert_int_equal(count_commas(line), count_commas(out.data));
    assert_int_equal(lines, 7);
    pfm_buffer_free(&out);
    json_decref(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_failures_alone),
                                       cmocka_unit_test(test_text_alone), cmocka_unit_test(test_metrics_of_captions),
                                       cmocka_unit_test(test_csv)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
