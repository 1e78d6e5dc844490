/* Rows of several images: from tables, numbered, kept together. */
#include "data/dataset.h"
#include "make_data.h"

static void expect_images(const pfm_row *row, size_t count, const char *const *names)
{
    assert_int_equal(row->image_count, count);
    for (size_t k = 0; k < count; k++)
        assert_string_equal(row->images[k].name, names[k]);
}

/* The same images in the same order are one set; a name may stand in several. */
static void expect_sets(const pfm_dataset *data)
{
    pfm_error err = PFM_ERROR_INIT;
    static const int sets[] = {0, 1, 2, 0, 3};
    static const size_t wanted_order[] = {0, 3, 1, 2, 4};
    size_t *order = NULL;
    pfm_image_file *files = NULL;
    assert_int_equal(data->count, 5);
    assert_int_equal(data->image_count, 3);
    assert_int_equal(data->set_count, 4);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(data->rows[i].image_set, sets[i]);
    assert_ok(pfm_dataset_order_by_images(data, &order, &err));
    assert_memory_equal(order, wanted_order, sizeof wanted_order);
    assert_ok(pfm_dataset_list_images(data, &files, &err));
    for (size_t i = 0; i < data->count; i++)
        for (size_t k = 0; k < data->rows[i].image_count; k++)
            assert_string_equal(files[data->rows[i].images[k].index].path, data->rows[i].images[k].path);
    free(order);
    free(files);
}

static void test_several_images(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_folder("several");
    make_file(folder, "t.csv",
              "image,images,question,answer\n"
              ",a.png; b.png,q,a\n,b.png;a.png,q,a\nc;d.png,,q,a\na.png,a.png;b.png,r,a\n,c;d.png,q,a\n");
    make_file(folder, "t.jsonl",
              "{\"images\":[\"a.png\",\"b.png\"],\"question\":\"q\",\"answer\":\"a\"}\n"
              "{\"images\":[\"b.png\",\"a.png\"],\"question\":\"q\",\"answer\":\"a\"}\n"
              "{\"image\":\"c\",\"question\":\"q\",\"answer\":\"a\"}\n"
              "{\"image\":\"a.png\",\"images\":[\"a.png\",\"b.png\"],\"question\":\"r\",\"answer\":\"a\"}\n"
              "{\"images\":[\"c\",\"c\",\"a.png\"],\"question\":\"q\",\"answer\":\"a\"}\n");
    pfm_dataset_options whole = {.validate_share = 0};
    pfm_dataset *data = NULL;
    assert_ok(pfm_dataset_load("table", test_path(folder, "t.jsonl"), "train", &whole, &data, &err));
    expect_sets(data);
    expect_images(&data->rows[1], 2, (const char *const[]){"b.png", "a.png"});
    expect_images(&data->rows[4], 3, (const char *const[]){"c", "c", "a.png"});
    assert_null(json_object_get(data->rows[0].extra, "images"));
    pfm_dataset_free(data);
    assert_ok(pfm_dataset_load("table", test_path(folder, "t.csv"), "train", &whole, &data, &err));
    assert_int_equal(data->count, 5);
    expect_images(&data->rows[0], 2, (const char *const[]){"a.png", "b.png"});
    expect_images(&data->rows[2], 1, (const char *const[]){"c;d.png"}); /* one image's name is never divided */
    expect_images(&data->rows[4], 2, (const char *const[]){"c", "d.png"});
    pfm_dataset_free(data);
}

/* However many sets there are, an equal list far away is the same. */
static void test_many_sets(void **state)
{
    (void)state;
    enum { SETS = 300 };
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_folder("many");
    pfm_buffer text = {0};
    assert_ok(pfm_buffer_append_string(&text, "images,question,answer\n", &err));
    for (int i = 0; i < 2 * SETS; i++)
        assert_ok(pfm_buffer_append_format(&text, &err, "%.*s%d.png;b.png,q,a\n", i % SETS, "a/a/a/a/a/a/a/a/", i % SETS));
    make_file(folder, "t.csv", text.data);
    pfm_buffer_free(&text);
    pfm_dataset_options whole = {.validate_share = 0};
    pfm_dataset *data = NULL;
    assert_ok(pfm_dataset_load("table", test_path(folder, "t.csv"), "train", &whole, &data, &err));
    assert_int_equal(data->set_count, SETS);
    assert_int_equal(data->image_count, SETS + 1);
    for (int i = 0; i < 2 * SETS; i++)
        assert_int_equal(data->rows[i].image_set, i % SETS);
    pfm_dataset_free(data);
}

/* Rows that share any image stay together, and the order of a row's images is part of the data's hash. */
static void test_images_hold_rows_together(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_folder("together");
    pfm_dataset_options half = {.validate_share = 0.5};
    pfm_dataset *data = NULL, *other = NULL;
    make_file(folder, "t.csv", "images,question,answer\na;b,q,a\nc;b,q,a\nd;e,q,a\ne;f,q,a\n");
    for (half.seed = 0; half.seed < 8; half.seed++) {
        assert_ok(pfm_dataset_load("table", test_path(folder, "t.csv"), "train", &half, &data, &err));
        assert_int_equal(data->count, 2);
        assert_true((data->rows[0].images[0].name[0] < 'd') == (data->rows[1].images[0].name[0] < 'd'));
        pfm_dataset_free(data);
    }
    pfm_dataset_options whole = {.validate_share = 0};
    pfm_hash_hex hash, exchanged;
    make_file(folder, "a", "picture a");
    make_file(folder, "b", "picture b");
    make_file(folder, "one.csv", "images,question,answer\na;b,q,a\nb;a,r,a\n");
    make_file(folder, "two.csv", "images,question,answer\na;b,q,a\na;b,r,a\n");
    assert_ok(pfm_dataset_load("table", test_path(folder, "one.csv"), "train", &whole, &data, &err));
    assert_ok(pfm_dataset_load("table", test_path(folder, "two.csv"), "train", &whole, &other, &err));
    assert_ok(pfm_dataset_hash(data, hash, &err));
    assert_ok(pfm_dataset_hash(other, exchanged, &err));
    assert_string_not_equal(hash, exchanged);
    pfm_dataset_free(other);
    assert_int_equal(remove(test_path(folder, "b")), 0);
    assert_error(pfm_dataset_check_images(data, &err), PFM_ERROR_IO, "together/b: ");
    pfm_dataset_free(data);
}

/* A row without images is a set of its own; the pictures of the others are numbered as if it were not there. */
static void test_rows_without_images(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    const char *folder = make_folder("texts");
    make_file(folder, "t.jsonl",
              "{\"images\":[],\"question\":\"q\",\"answer\":\"a\"}\n"
              "{\"images\":[\"a.png\"],\"question\":\"q\",\"answer\":\"a\"}\n"
              "{\"images\":[],\"question\":\"q\",\"answer\":\"a\"}\n"
              "{\"image\":\"a.png\",\"question\":\"r\",\"answer\":\"a\"}\n"
              "{\"image\":\"\",\"images\":[],\"question\":\"q\",\"answer\":\"a\"}\n");
    make_file(folder, "t.csv", "images,question,answer\n,q,a\na.png,q,a\n\"\",q,a\na.png,r,a\n,q,a\n");
    static const char *const files[] = {"t.jsonl", "t.csv"};
    static const int sets[] = {0, 1, 2, 1, 3};
    static const size_t wanted_order[] = {0, 1, 3, 2, 4};
    pfm_dataset_options whole = {.validate_share = 0}, half = {.validate_share = 0.5};
    for (size_t f = 0; f < 2; f++) {
        pfm_dataset *data = NULL;
        size_t *order = NULL;
        pfm_hash_hex hash;
        assert_ok(pfm_dataset_load("table", test_path(folder, files[f]), "train", &whole, &data, &err));
        assert_true(data->count == 5 && data->image_count == 1 && data->set_count == 4);
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(data->rows[i].image_set, sets[i]);
            assert_int_equal(data->rows[i].image_count, i % 2);
        }
        assert_ok(pfm_dataset_order_by_images(data, &order, &err));
        assert_memory_equal(order, wanted_order, sizeof wanted_order);
        assert_error(pfm_dataset_check_images(data, &err), PFM_ERROR_IO, "cannot open its image");
        free(order);
        pfm_dataset_free(data);
        assert_ok(pfm_dataset_load("table", test_path(folder, files[f]), "validate", &half, &data, &err)); /* 2 of 4 sets */
        assert_in_range(data->count, 2, 3);
        pfm_dataset_free(data);
        make_file(folder, "only.csv", "images,question,answer\n,q,a\n,q,a\n");
        assert_ok(pfm_dataset_load("table", test_path(folder, "only.csv"), "train", &whole, &data, &err));
        assert_true(data->image_count == 0 && data->set_count == 2);
        assert_ok(pfm_dataset_check_images(data, &err));
        assert_ok(pfm_dataset_hash(data, hash, &err));
        pfm_dataset_free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows_without_images), cmocka_unit_test(test_several_images),
                                       cmocka_unit_test(test_many_sets), cmocka_unit_test(test_images_hold_rows_together)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
