#include "eval/probe.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

enum { COUNT = 200 };

static void assert_no_image_stays(const size_t *replacement, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(replacement[i] < count);
        assert_int_not_equal(replacement[i], i);
    }
}

static void test_any_other(void **state)
{
    (void)state;
    size_t replacement[COUNT], again[COUNT], uses[COUNT] = {0}, matched = 1;
    assert_ok(pfm_probe_swap(NULL, COUNT, 42, replacement, &matched, &err));
    assert_int_equal(matched, 0);
    assert_no_image_stays(replacement, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(++uses[replacement[i]], 1);
    assert_ok(pfm_probe_swap(NULL, COUNT, 42, again, NULL, &err));
    assert_memory_equal(replacement, again, sizeof again);
    assert_ok(pfm_probe_swap(NULL, COUNT, 43, again, NULL, &err));
    assert_memory_not_equal(replacement, again, sizeof again);
    assert_ok(pfm_probe_swap(NULL, 2, 42, replacement, NULL, &err));
    assert_no_image_stays(replacement, 2);
    assert_error(pfm_probe_swap(NULL, 1, 42, replacement, NULL, &err), PFM_ERROR_USAGE, "at least two images; the data has 1");
}

static void test_groups(void **state)
{
    (void)state;
    static const char *const names[] = {"CT / Lung", "MRI / Brain", "X-Ray / Lung"};
    const char *groups[COUNT];
    size_t replacement[COUNT], uses[COUNT] = {0}, matched = 0;
    for (size_t i = 0; i < COUNT; i++)
        groups[i] = names[i % 3];
    groups[0] = "PET / Neck"; /* alone */
    groups[1] = groups[2] = NULL;
    assert_ok(pfm_probe_swap(groups, COUNT, 42, replacement, &matched, &err));
    assert_int_equal(matched, COUNT - 3);
    assert_no_image_stays(replacement, COUNT);
    for (size_t i = 3; i < COUNT; i++) {
        assert_string_equal(groups[replacement[i]], groups[i]);
        assert_int_equal(++uses[replacement[i]], 1);
    }
}

static void test_no_group(void **state)
{
    (void)state;
    const char *groups[3] = {NULL};
    size_t replacement[3], uses[3] = {0};
    for (uint64_t seed = 0; seed < 100; seed++) {
        assert_ok(pfm_probe_swap(groups, 3, seed, replacement, NULL, &err));
        assert_no_image_stays(replacement, 3);
        uses[replacement[1]]++;
    }
    assert_in_range(uses[0], 20, 80);
}

static void test_dataset(void **state)
{
    (void)state;
    static const char *const columns[] = {"{\"modality\":\"CT\",\"location\":\"Lung\"}",
                                          "{\"modality\":\"CT\",\"location\":\"Brain\"}",
                                          "{\"modality\":\"CT\",\"location\":\"Lung\"}",
                                          "{\"modality\":\"CT\",\"location\":\"Brain\"}",
                                          "{\"image_organ\":\"HEAD\",\"location\":7}",
                                          "{\"modality\":\"MRI\"}",
                                          "{}"};
    static const size_t partner[] = {2, 3, 0, 1, 5, 4};
    static pfm_row_image shown[] = {{.index = 0}, {.index = 1}, {.index = 2}, {.index = 3}, {.index = 4},
                                    {.index = 5}, {.index = 6}, {.index = 0}, {.index = 2}};
    pfm_row rows[8] = {{0}};
    for (int i = 0; i < 7; i++)
        rows[i] = (pfm_row){.extra = json_loads(columns[i], 0, NULL), .images = shown + i, .image_count = i == 4 ? 2 : 1};
    /* the first row that shows an image decides: of the sixth the fifth row, which shows two */
    rows[7] = (pfm_row){.extra = json_loads("{\"modality\":\"MRI\"}", 0, NULL), .images = shown + 7, .image_count = 2};
    pfm_dataset dataset = {.rows = rows, .count = 8, .image_count = 7};
    size_t replacement[7], matched = 0;
    assert_ok(pfm_probe_swap_dataset(&dataset, PFM_PROBE_SWAP, 42, replacement, &matched, &err));
    assert_int_equal(matched, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(replacement[i], partner[i]);
    assert_no_image_stays(replacement, 7);
    assert_ok(pfm_probe_swap_dataset(&dataset, PFM_PROBE_SWAP_ANY, 42, replacement, &matched, &err));
    assert_int_equal(matched, 0);
    assert_no_image_stays(replacement, 7);
    for (int i = 0; i < 8; i++)
        json_decref(rows[i].extra);
}

static void test_pictures(void **state)
{
    (void)state;
    uint8_t one[5 * 7 * 3] = {0}, two[5 * 7 * 3] = {0};
    pfm_image image = {.width = 5, .height = 7, .rgb = one}, other = {.width = 5, .height = 7, .rgb = two};
    pfm_probe_make_blank(&image);
    for (size_t i = 0; i < sizeof one; i++)
        assert_int_equal(one[i], 128);
    pfm_probe_make_noise(&image, 42, 3);
    pfm_probe_make_noise(&other, 42, 3);
    assert_memory_equal(one, two, sizeof one);
    pfm_probe_make_noise(&other, 42, 4);
    assert_memory_not_equal(one, two, sizeof one);
    pfm_probe_make_noise(&other, 43, 3);
    assert_memory_not_equal(one, two, sizeof one);
    static uint8_t large[256 * 256 * 3];
    size_t counts[256] = {0};
    image = (pfm_image){.width = 256, .height = 256, .rgb = large};
    pfm_probe_make_noise(&image, 1, 0);
    for (size_t i = 0; i < sizeof large; i++)
        counts[large[i]]++;
    for (size_t i = 0; i < 256; i++)
        assert_in_range(counts[i], 768 - 170, 768 + 170); /* six standard deviations */
}

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"none", "blank", "noise", "swap", "swap-any"};
    pfm_probe probe = PFM_PROBE_SWAP;
    for (size_t i = 0; i < 5; i++) {
        assert_ok(pfm_probe_parse(names[i], &probe, &err));
        assert_string_equal(pfm_probe_name(probe), names[i]);
    }
    assert_ok(pfm_probe_parse(NULL, &probe, &err));
    assert_int_equal(probe, PFM_PROBE_NONE);
    assert_error(pfm_probe_parse("swop", &probe, &err), PFM_ERROR_USAGE, "there are none, blank, noise, swap and swap-any");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_other), cmocka_unit_test(test_groups),
                                       cmocka_unit_test(test_no_group),  cmocka_unit_test(test_dataset),
                                       cmocka_unit_test(test_pictures),  cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
