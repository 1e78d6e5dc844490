/* What processors make of scores, against transformers' LogitsProcessorList (script/vectors/decoding.py): the same ids can
 * come, with the same scores, in the same order of processors. And the draw, against its definition. */
#include "models/tiny.h"

#include "decoding_golden.h"
#include "infer/processors.h"

#include <math.h>

static bool contains(const json_t *list, size_t id)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_integer_value(json_array_get(list, i)) == (json_int_t)id)
            return true;
    }
    return false;
}

static void check_case(const json_t *golden, const json_t *one)
{
    float scores[TINY_VOCABULARY];
    int32_t scratch[TINY_VOCABULARY], ids[16];
    const json_t *history = json_object_get(golden, "ids"), *left_out = json_object_get(one, "left_out"),
                 *values = json_object_get(one, "values");
    const int seed = (int)json_integer_value(json_object_get(one, "seed"));
    const pfm_decoding how = decoding_golden_options(json_object_get(one, "options"));
    const size_t count = json_array_size(history);
    assert_true(count <= sizeof ids / sizeof *ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(history, i));
    tiny_spread((uint32_t)seed, TINY_VOCABULARY, scores);
    for (size_t i = 0; i < TINY_VOCABULARY; i++)
        scores[i] *= 8;
    scores[17] = scores[201];
    const pfm_scoring row = {.how = &how,
                             .ids = ids,
                             .count = count,
                             .prompt = (size_t)json_integer_value(json_object_get(golden, "prompt")),
                             .end = 2,
                             .scores = scores,
                             .vocabulary = TINY_VOCABULARY,
                             .scratch = scratch};
    assert_true(pfm_processors_act(&how) || decoding_golden_number(json_object_get(one, "options"), "temperature", 0) == 1);
    pfm_processors_apply(&row);
    double sum = 0;
    size_t can = 0, likeliest = 0;
    for (size_t i = 0; i < TINY_VOCABULARY; i++) {
        const bool out = json_is_array(left_out) ? contains(left_out, i) : !contains(json_object_get(one, "left"), i);
        if (out != (scores[i] == -INFINITY))
            fail_msg("case %d: %zu can%s come", seed, i, out ? "not" : "");
        if (out)
            continue;
        if (can < json_array_size(values) && !(fabs((double)scores[i] - json_number_value(json_array_get(values, can))) < 2e-6))
            fail_msg("case %d: score of %zu is %.7f", seed, i, (double)scores[i]);
        sum += (double)scores[i];
        can++;
        likeliest = scores[i] > scores[likeliest] ? i : likeliest;
    }
    assert_true(fabs(sum - json_number_value(json_object_get(one, "sum"))) < 1e-3);
    assert_int_equal(likeliest, json_integer_value(json_object_get(one, "likeliest")));
}

static void scores_are_those_of_transformers(void **state)
{
    (void)state;
    json_t *golden = decoding_golden_load("processors.json");
    const json_t *cases = json_object_get(golden, "cases");
    assert_int_equal(json_array_size(cases), 15);
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_case(golden, json_array_get(cases, i));
    json_decref(golden);
}

/* An image's places are no tokens: they are neither punished nor do they make a run. */
static void places_without_a_token_count_for_nothing(void **state)
{
    (void)state;
    float scores[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    int32_t scratch[8];
    static const int32_t ids[] = {-1, -2, 3, -1, 100, 3};
    const pfm_decoding how = {.repetition_penalty = 2, .no_repeat_ngram = 2, .top_p = 1, .beams = 1};
    const pfm_scoring row = {
        .how = &how, .ids = ids, .count = 6, .end = -1, .scores = scores, .vocabulary = 8, .scratch = scratch};
    pfm_processors_apply(&row);
    static const float wanted[8] = {1, 2, 3, 2, 5, 6, 7, 8};
    assert_memory_equal(scores, wanted, sizeof wanted);
}

static void where_nothing_can_come_nothing_breaks(void **state)
{
    (void)state;
    float scores[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    int32_t scratch[4];
    const pfm_decoding how = {.temperature = 0.5, .top_k = 2, .top_p = 0.5, .min_p = 0.1, .repetition_penalty = 1, .beams = 1};
    const pfm_scoring row = {.how = &how, .end = -1, .scores = scores, .vocabulary = 4, .scratch = scratch};
    pfm_processors_apply(&row);
    for (int i = 0; i < 4; i++)
        assert_true(scores[i] == -INFINITY);
    assert_int_equal(pfm_draw_token(scores, 4, 0.5), 0);
}

/* The inverse of the distribution function, at points between its steps. */
static void a_draw_inverts_the_distribution(void **state)
{
    (void)state;
    float scores[5] = {logf(0.1f), -INFINITY, logf(0.5f), logf(0.25f), logf(0.15f)};
    static const struct {
        double u;
        int token;
    } cases[] = {{0, 0}, {0.0999, 0}, {0.1001, 2}, {0.5999, 2}, {0.6001, 3}, {0.8499, 3}, {0.8501, 4}, {0.9999999999, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(pfm_draw_token(scores, 5, cases[i].u), cases[i].token);
    for (int i = 0; i < 5; i++)
        scores[i] += 500; /* probabilities, not scores, count */
    assert_int_equal(pfm_draw_token(scores, 5, 0.6001), 3);
}

/* Draws are spread evenly, and those of one request or place say nothing of another's. */
static void draws_differ_by_seed_request_and_position(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    double sum = 0, products = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        const double u = pfm_draw_uniform(42, 7, i), v = pfm_draw_uniform(42, 8, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
        products += (u - 0.5) * (v - 0.5);
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 0.01);
    assert_true(fabs(products / DRAWS) < 0.003);
    assert_true(pfm_draw_uniform(42, 7, 3) == pfm_draw_uniform(42, 7, 3));
    assert_true(pfm_draw_uniform(42, 7, 3) != pfm_draw_uniform(43, 7, 3));
    assert_true(pfm_draw_uniform(42, 7, 3) != pfm_draw_uniform(42, 7, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_transformers),          cmocka_unit_test(places_without_a_token_count_for_nothing),
        cmocka_unit_test(where_nothing_can_come_nothing_breaks),     cmocka_unit_test(a_draw_inverts_the_distribution),
        cmocka_unit_test(draws_differ_by_seed_request_and_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
