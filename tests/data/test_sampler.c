#include "data/sampler.h"
#include "test.h"

enum { IMAGES = 7, ROWS = 53, BATCH = 8, GROUP = 4 };

/* 53 rows of 7 images, unevenly: image i has about 3 i rows, in mixed order. */
static pfm_dataset *fake_dataset(void)
{
    static pfm_row rows[ROWS];
    static pfm_dataset data = {.name = (char *)"fake", .rows = rows, .count = ROWS, .set_count = IMAGES};
    for (int i = 0; i < ROWS; i++)
        rows[i].image_set = i < IMAGES ? i : (i * i + 3 * i) % 11 % IMAGES;
    return &data;
}

/* The line of steps, `count` of them, with a fresh sampler. */
static void draw(int group, uint64_t seed, size_t count, size_t *rows, int *groups)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_sampler *sampler = NULL;
    assert_ok(pfm_sampler_create(fake_dataset(), group, BATCH, seed, &sampler, &err));
    for (size_t step = 0; step < count; step++)
        assert_ok(pfm_sampler_step(sampler, step, rows + step * BATCH, groups + step * BATCH, &err));
    pfm_sampler_free(sampler);
}

static void test_each_row_once_an_epoch(void **state)
{
    (void)state;
    size_t rows[ROWS * BATCH];
    int groups[ROWS * BATCH];
    const int sizes[] = {1, GROUP, 1000};
    for (int k = 0; k < 3; k++) {
        draw(sizes[k], 42, ROWS, rows, groups); /* 53 steps of 8: 8 epochs */
        for (int epoch = 0; epoch < BATCH; epoch++) {
            int seen[ROWS] = {0};
            for (int i = 0; i < ROWS; i++)
                seen[rows[epoch * ROWS + i]]++;
            for (int i = 0; i < ROWS; i++)
                assert_int_equal(seen[i], 1);
        }
        assert_memory_not_equal(rows, rows + ROWS, ROWS * sizeof *rows); /* another order each epoch */
    }
}

static void test_groups_hold_one_image(void **state)
{
    (void)state;
    size_t rows[ROWS * BATCH];
    int groups[ROWS * BATCH];
    const pfm_dataset *data = fake_dataset();
    draw(GROUP, 42, ROWS, rows, groups);
    int largest = 0;
    for (int step = 0; step < ROWS; step++) {
        assert_int_equal(groups[step * BATCH], 0);
        int length = 1;
        for (int i = step * BATCH + 1; i < (step + 1) * BATCH; i++) {
            bool same = groups[i] == groups[i - 1];
            assert_true(same || groups[i] == groups[i - 1] + 1);
            length = same ? length + 1 : 1;
            largest = length > largest ? length : largest;
            assert_true(length <= GROUP);
            if (same)
                assert_int_equal(data->rows[rows[i]].image_set, data->rows[rows[i - 1]].image_set);
        }
    }
    assert_int_equal(largest, GROUP);
    draw(1, 42, ROWS, rows, groups);
    for (int i = 0; i < ROWS * BATCH; i++)
        assert_int_equal(groups[i], i % BATCH);
}

static void test_any_step_at_any_time(void **state)
{
    (void)state;
    size_t rows[ROWS * BATCH], other[ROWS * BATCH], one[BATCH];
    int groups[ROWS * BATCH], other_groups[ROWS * BATCH], one_groups[BATCH];
    pfm_error err = PFM_ERROR_INIT;
    draw(GROUP, 42, ROWS, rows, groups);
    pfm_sampler *sampler = NULL;
    assert_ok(pfm_sampler_create(fake_dataset(), GROUP, BATCH, 42, &sampler, &err));
    for (int step = ROWS - 1; step >= 0; step--) {
        assert_ok(pfm_sampler_step(sampler, (size_t)step, one, one_groups, &err));
        assert_memory_equal(one, rows + step * BATCH, sizeof one);
        assert_memory_equal(one_groups, groups + step * BATCH, sizeof one_groups);
    }
    pfm_sampler_free(sampler);
    draw(GROUP, 43, ROWS, other, other_groups);
    assert_memory_not_equal(rows, other, sizeof rows);
}

/* A run that goes on after an update of the program must see the same order: this one may never change. */
static void test_the_order_is_for_ever(void **state)
{
    (void)state;
    size_t rows[2 * BATCH];
    int groups[2 * BATCH];
    draw(GROUP, 42, 2, rows, groups);
    const size_t wanted[2 * BATCH] = {0x14, 0x2b, 0x02, 0x20, 0x33, 0x12, 0x17, 0x28,
                                      0x15, 0x05, 0x2a, 0x0a, 0x1f, 0x09, 0x01, 0x06};
    assert_memory_equal(rows, wanted, sizeof rows);
}

static void test_a_batch_larger_than_the_data(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    static pfm_row few[3] = {{.image_set = 0}, {.image_set = 0}, {.image_set = 1}};
    pfm_dataset data = {.rows = few, .count = 3, .set_count = 2};
    pfm_sampler *sampler = NULL;
    assert_ok(pfm_sampler_create(&data, 4, 7, 1, &sampler, &err));
    size_t rows[7];
    int seen[3] = {0};
    for (size_t step = 0; step < 3; step++) { /* 21 places: 7 epochs */
        assert_ok(pfm_sampler_step(sampler, step, rows, NULL, &err));
        for (int i = 0; i < 7; i++)
            seen[rows[i]]++;
    }
    assert_true(seen[0] == 7 && seen[1] == 7 && seen[2] == 7);
    assert_int_equal(pfm_sampler_count_steps(sampler, 7), 3);
    assert_int_equal(pfm_sampler_count_steps(sampler, 6.9), 2);
    assert_int_equal(pfm_sampler_count_steps(sampler, 0.01), 1);
    pfm_sampler_free(sampler);
    few[2].image_set = 0;
    data.set_count = 1;
    assert_ok(pfm_sampler_create(&data, 4, 7, 1, &sampler, &err));
    int groups[7]; /* one run an epoch: two epochs are never one group */
    const int wanted[7] = {0, 0, 0, 1, 1, 1, 2};
    assert_ok(pfm_sampler_step(sampler, 0, rows, groups, &err));
    assert_memory_equal(groups, wanted, sizeof groups);
    pfm_sampler_free(sampler);
    assert_error(pfm_sampler_create(&data, 0, 7, 1, &sampler, &err), PFM_ERROR_USAGE, "groups of 0");
    assert_error(pfm_sampler_create(&data, 1, 0, 1, &sampler, &err), PFM_ERROR_USAGE, "steps of 0");
    data.count = 0;
    assert_error(pfm_sampler_create(&data, 1, 1, 1, &sampler, &err), PFM_ERROR_USAGE, "0 rows");
}

enum { SMALL = 13, MIXED_GROUP = 3 };

/* The same rows as a mixture: the first 13 are one data set, the others another. */
static pfm_dataset *fake_mixture(void)
{
    static pfm_dataset mixture;
    mixture = *fake_dataset();
    mixture.member_count = 2;
    for (int i = 0; i < ROWS; i++)
        mixture.rows[i].member = i >= SMALL;
    return &mixture;
}

static void draw_mixture(const double *ratios, uint64_t seed, size_t *rows, int *groups)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_sampler *sampler = NULL;
    assert_ok(pfm_sampler_create_mixture(fake_mixture(), ratios, MIXED_GROUP, BATCH, seed, &sampler, &err));
    for (size_t step = 0; step < ROWS; step++)
        assert_ok(pfm_sampler_step(sampler, step, rows + step * BATCH, groups + step * BATCH, &err));
    pfm_sampler_free(sampler);
}

/* Three to one: of 53 rows an epoch 40 are of the first, which goes through its 13 three times and once in part. Over all
 * epochs no row of a member is seen twice more often than another. */
static void test_a_mixture_keeps_its_ratio(void **state)
{
    (void)state;
    static const double ratios[] = {3, 1};
    size_t rows[ROWS * BATCH], again[ROWS * BATCH];
    int groups[ROWS * BATCH], same[ROWS * BATCH], seen[ROWS] = {0};
    draw_mixture(ratios, 42, rows, groups);
    for (int epoch = 0; epoch < BATCH; epoch++) {
        int first = 0;
        for (int i = 0; i < ROWS; i++) {
            first += rows[epoch * ROWS + i] < SMALL;
            seen[rows[epoch * ROWS + i]]++;
        }
        assert_int_equal(first, 40);
    }
    for (int i = 0; i < ROWS; i++) { /* 8 * 40 / 13 and 8 * 13 / 40 */
        int least = i < SMALL ? 24 : 2;
        assert_in_range(seen[i], least, least + 1);
    }
    draw_mixture(ratios, 42, again, same);
    assert_memory_equal(rows, again, sizeof rows);
    assert_memory_equal(groups, same, sizeof groups);
    draw_mixture(ratios, 43, again, same);
    assert_memory_not_equal(rows, again, sizeof rows);
}

/* Members are mixed within an epoch, a group holds rows of one image and one member, and steps can be asked for in any order.
 */
static void test_a_mixture_is_mixed_group_by_group(void **state)
{
    (void)state;
    static const double ratios[] = {1, 1};
    pfm_error err = PFM_ERROR_INIT;
    size_t rows[ROWS * BATCH], one[BATCH];
    int groups[ROWS * BATCH], one_groups[BATCH], changes = 0;
    const pfm_dataset *data = fake_mixture();
    draw_mixture(ratios, 7, rows, groups);
    for (int i = 1; i < ROWS; i++)
        changes += (rows[i] < SMALL) != (rows[i - 1] < SMALL);
    assert_true(changes > 8);
    for (int i = 1; i < ROWS * BATCH; i++) {
        if (i % BATCH == 0 || groups[i] != groups[i - 1])
            continue;
        assert_int_equal(data->rows[rows[i]].image_set, data->rows[rows[i - 1]].image_set);
        assert_int_equal(data->rows[rows[i]].member, data->rows[rows[i - 1]].member);
        assert_true(i < MIXED_GROUP || groups[i - MIXED_GROUP] != groups[i] || i / BATCH != (i - MIXED_GROUP) / BATCH);
    }
    pfm_sampler *sampler = NULL;
    assert_ok(pfm_sampler_create_mixture(fake_mixture(), ratios, MIXED_GROUP, BATCH, 7, &sampler, &err));
    for (int step = ROWS - 1; step >= 0; step -= 5) {
        assert_ok(pfm_sampler_step(sampler, (size_t)step, one, one_groups, &err));
        assert_memory_equal(one, rows + step * BATCH, sizeof one);
        assert_memory_equal(one_groups, groups + step * BATCH, sizeof one_groups);
    }
    pfm_sampler_free(sampler);
    static const double unseen[] = {1, 1e-3};
    assert_error(pfm_sampler_create_mixture(fake_mixture(), unseen, 1, 7, 1, &sampler, &err), PFM_ERROR_USAGE,
                 "member 1 of data.mixture gives no row to an epoch of 53");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_row_once_an_epoch),
                                       cmocka_unit_test(test_groups_hold_one_image),
                                       cmocka_unit_test(test_any_step_at_any_time),
                                       cmocka_unit_test(test_the_order_is_for_ever),
                                       cmocka_unit_test(test_a_batch_larger_than_the_data),
                                       cmocka_unit_test(test_a_mixture_keeps_its_ratio),
                                       cmocka_unit_test(test_a_mixture_is_mixed_group_by_group)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
