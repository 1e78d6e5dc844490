#include "support_formats.h"
#include "test.h"

static pfm_weights *open_types(void)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    assert_ok(pfm_weights_open(formats_data("types.gguf"), &weights, &err));
    return weights;
}

/* Every tensor NAME beside NAME.expected, which gguf's dequantize made: the same bits. */
static void test_the_bits_of_ggml(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = open_types();
    int compared = 0;
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        const pfm_weight *weight = pfm_weights_at(weights, i);
        char name[64];
        (void)snprintf(name, sizeof name, "%s.expected", weight->name);
        const pfm_weight *expected = pfm_weights_find(weights, name);
        if (expected == NULL)
            continue;
        float values[1024];
        assert_int_equal(pfm_weight_values(weight), pfm_weight_values(expected));
        assert_ok(pfm_weight_expand(weight, values, &err));
        if (memcmp(values, expected->data, expected->bytes) != 0)
            fail_msg("%s differs from gguf's dequantize", weight->name);
        compared++;
    }
    assert_int_equal(compared, 10);
    pfm_weights_close(weights);
}

static void test_rows(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = open_types();
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        const pfm_weight *weight = pfm_weights_at(weights, i);
        size_t row = (size_t)weight->shape[1];
        float whole[1024], one[512];
        assert_ok(pfm_weight_expand(weight, whole, &err));
        assert_ok(pfm_weight_expand_rows(weight, 1, 1, one, &err));
        assert_memory_equal(one, whole + row, row * sizeof *one);
        assert_ok(pfm_weight_expand_rows(weight, weight->shape[0], 0, one, &err));
        assert_error(pfm_weight_expand_rows(weight, weight->shape[0], 1, one, &err), PFM_ERROR_USAGE, weight->name);
        assert_error(pfm_weight_expand_rows(weight, -1, 1, one, &err), PFM_ERROR_USAGE, "row -1");
    }
    pfm_weights_close(weights);
}

static void test_a_scalar_has_no_rows(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    float value = 0;
    assert_ok(pfm_weights_open(formats_data("small.safetensors"), &weights, &err));
    const pfm_weight *scalar = pfm_weights_find(weights, "scalar");
    assert_error(pfm_weight_expand_rows(scalar, 0, 1, &value, &err), PFM_ERROR_USAGE, "has no rows");
    assert_ok(pfm_weight_expand(scalar, &value, &err));
    assert_true(value == 7.5f);
    pfm_weights_close(weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_bits_of_ggml), cmocka_unit_test(test_rows),
                                       cmocka_unit_test(test_a_scalar_has_no_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
