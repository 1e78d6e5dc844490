#include "compared.h"

#include "eval/compare.h"
#include "eval/compare_labels.h"

#include <stdlib.h>

static pfm_error err = PFM_ERROR_INIT;

static size_t count(const char *text, const char *part)
{
    size_t found = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        found++;
    return found;
}

/* Draws it, and keeps it in the scratch folder for whoever wants to look. */
static char *draw(const json_t *result, const char *name)
{
    pfm_buffer out = {0};
    assert_ok(pfm_comparison_plot(result, &out, &err));
    FILE *file = fopen(test_path(test_scratch_folder(), name), "w");
    assert_non_null(file);
    assert_true(fwrite(out.data, 1, out.size, file) == out.size);
    assert_int_equal(fclose(file), 0);
    return out.data;
}

static double attribute(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    assert_non_null(at);
    return strtod(at + strlen(name), NULL);
}

/* Every recipe has a point, its bar and its name; more parameters are farther right, a higher score higher. */
static void test_points(void **state)
{
    (void)state;
    json_t *result = make_compared();
    add_compared(result, "lora", "lora", 7823424, 71);
    add_compared(result, "none & <nothing>", "none", 2949696, 62);
    add_failed(result, "broken", "why");
    char *svg = draw(result, "plot.svg");
    assert_int_equal(strncmp(svg, "<svg xmlns=", 11), 0);
    assert_string_equal(svg + strlen(svg) - 7, "</svg>\n");
    assert_int_equal(count(svg, "<circle"), 1);
    assert_int_equal(count(svg, "<rect"), 3); /* the paper, the area, the baseline */
    assert_int_equal(count(svg, ">lora</text>"), 1);
    assert_int_equal(count(svg, ">none &amp; &lt;nothing&gt;</text>"), 1);
    assert_null(strstr(svg, "broken"));
    const char *second = strstr(svg, "<circle"), *first = strstr(svg, "width=\"10\"") - 24;
    assert_true(attribute(first, "x=\"") > attribute(second, "cx=\""));
    assert_true(attribute(first, "y=\"") < attribute(second, "cy=\""));
    assert_int_equal(count(svg, ">5 M</text>"), 1);
    assert_int_equal(count(svg, "prior 57.0</text>"), 1);
    assert_int_equal(count(svg, "untrained 1.2 (below)</text>"), 1); /* it would press all others together */
    assert_int_equal(count(svg, "stroke-dasharray"), 1);
    free(svg);
    json_decref(result);
}

/* What stands beside the area is one above the other, also where three are of one height. */
static void test_references(void **state)
{
    (void)state;
    json_t *result = make_compared();
    add_compared(result, "lora", "lora", 7823424, 58);
    json_object_set_new(result, "untrained", json_pack("{s:f}", "overall", 57.01));
    json_object_set_new(result, "chance", json_pack("{s:f}", "overall", 57.02));
    char *svg = draw(result, "references.svg");
    static const char *const names[] = {">untrained 57.0<", ">prior 57.0<", ">chance 57.0<"};
    double heights[3];
    for (int i = 0; i < 3; i++) {
        const char *at = strstr(svg, names[i]);
        assert_non_null(at);
        while (strncmp(at, "y=\"", 3) != 0)
            at--;
        heights[i] = strtod(at + 3, NULL);
        for (int k = 0; k < i; k++)
            assert_true(heights[i] - heights[k] > 14 || heights[k] - heights[i] > 14);
    }
    assert_int_equal(count(svg, "stroke-dasharray"), 3);
    free(svg);
    json_decref(result);
}

static void test_nothing_to_plot(void **state)
{
    (void)state;
    pfm_buffer out = {0};
    json_t *result = make_compared();
    add_failed(result, "broken", "why");
    assert_ok(pfm_comparison_plot(result, &out, &err));
    assert_int_equal(out.size, 0);
    json_object_set_new(result, "headline", json_null());
    assert_ok(pfm_comparison_plot(result, &out, &err));
    assert_int_equal(out.size, 0);
    json_decref(result);
}

/* One point alone has no range to scale by. */
static void test_one_point(void **state)
{
    (void)state;
    json_t *result = make_compared();
    add_compared(result, "lora", "lora", 7823424, 71);
    json_object_set_new(result, "prior", json_null());
    char *svg = draw(result, "one.svg");
    assert_int_equal(count(svg, "width=\"10\""), 1);
    assert_int_equal(count(svg, ">8 M</text>"), 1); /* however narrow, the axis names its numbers */
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
    free(svg);
    json_decref(result);
}

static void assert_apart(const pfm_label *labels, size_t size, const pfm_box *area)
{
    for (size_t i = 0; i < size; i++) {
        const pfm_box *box = &labels[i].box;
        assert_true(box->left >= area->left && box->right <= area->right);
        assert_true(box->top >= area->top && box->bottom <= area->bottom);
        for (size_t k = 0; k < size; k++) {
            const pfm_box point = {labels[k].x - 5, labels[k].y - 5, labels[k].x + 5, labels[k].y + 5};
            const pfm_box bar = {labels[k].x - 4, labels[k].high, labels[k].x + 4, labels[k].low};
            assert_false(pfm_boxes_overlap(box, &point));
            assert_false(pfm_boxes_overlap(box, &bar));
            assert_false(k != i && pfm_boxes_overlap(box, &labels[k].box));
        }
    }
}

/* Many methods of nearly the same size and score: no name covers another, a point or a bar, or leaves the area. */
static void test_a_crowd(void **state)
{
    (void)state;
    enum { CROWD = 16 };
    const pfm_box area = {70, 60, 700, 450};
    pfm_label labels[CROWD] = {0};
    for (int i = 0; i < CROWD; i++) {
        labels[i] = (pfm_label){.x = 600 + 5 * i, .y = 200 + (double)(i * 37 % 60), .width = 90, .height = 16};
        labels[i].low = labels[i].y + 25;
        labels[i].high = labels[i].y - 25;
    }
    pfm_labels_place(labels, CROWD, &area);
    assert_apart(labels, CROWD, &area);
}

/* The picture of a whole ablation, to be looked at. */
static void test_an_ablation(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        long long trainable;
        double overall;
    } methods[] = {{"lora", 10773504, 71.4},         {"none", 5953536, 61.5},           {"rslora", 10773504, 71.9},
                   {"dora", 10954752, 71.6},         {"lora-plus", 10773504, 72.3},     {"ia3", 6032640, 63.4},
                   {"prompt-tuning", 5965056, 62.1}, {"prefix-tuning", 6137856, 64.9},  {"bitfit", 5979456, 62.8},
                   {"layernorm", 5988672, 62.6},     {"adapter-serial", 8200000, 70.1}, {"adapter-parallel", 8300000, 70.8},
                   {"moe-lora", 16400000, 71.1},     {"full-attention", 57000000, 68.3}};
    json_t *result = make_compared();
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        add_compared(result, methods[i].name, "lora", methods[i].trainable, methods[i].overall);
    char *svg = draw(result, "ablation.svg");
    assert_int_equal(count(svg, "<circle"), sizeof methods / sizeof *methods - 1);
    free(svg);
    json_decref(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_points),          cmocka_unit_test(test_references),
                                       cmocka_unit_test(test_nothing_to_plot), cmocka_unit_test(test_one_point),
                                       cmocka_unit_test(test_a_crowd),         cmocka_unit_test(test_an_ablation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
