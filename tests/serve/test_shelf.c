#include "serve/shelf.h"
#include "test.h"

#include <pthread.h>
#include <unistd.h>

static const pfm_salt salt = {{1, 2, 3}}, other_salt = {{4, 5, 6}};

/* Puts so many bytes of a value on the shelf, and lets them be; the id is the caller's to keep. */
static void put(pfm_shelf *shelf, int value, size_t size, char id[33], pfm_hash_hex hash)
{
    pfm_error err = PFM_ERROR_INIT;
    char *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, value, size);
    pfm_buffer buffer = {.data = bytes, .size = size, .capacity = size};
    const pfm_image shown = {.width = 3, .height = 2};
    const pfm_image_applied applied = {.frames = 5};
    pfm_shelf_image *image = NULL;
    assert_ok(pfm_shelf_put(shelf, &buffer, &shown, &applied, &image, &err));
    assert_null(buffer.data);
    assert_int_equal(image->width, 3);
    assert_int_equal(image->applied.frames, 5);
    memcpy(id, image->id, sizeof image->id);
    if (hash != NULL)
        memcpy(hash, image->hash, sizeof image->hash);
    pfm_shelf_give_back(shelf, image);
}

static bool has(pfm_shelf *shelf, const char *id)
{
    pfm_shelf_image *image = pfm_shelf_use(shelf, id);
    pfm_shelf_give_back(shelf, image);
    return image != NULL;
}

static void keeps(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_shelf *shelf = NULL, *other = NULL;
    char a[33], b[33], again[33];
    pfm_hash_hex hash, same, elsewhere;
    assert_ok(pfm_shelf_create(1 << 20, 3600, &salt, &shelf, &err));
    assert_ok(pfm_shelf_create(1 << 20, 3600, &other_salt, &other, &err));
    put(shelf, 1, 100, a, hash);
    put(shelf, 2, 100, b, NULL);
    put(shelf, 1, 100, again, same);
    put(other, 1, 100, again, elsewhere);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 32);
    assert_string_equal(hash, same);
    assert_string_not_equal(hash, elsewhere);
    pfm_shelf_image *image = pfm_shelf_use_hash(shelf, hash);
    assert_non_null(image);
    assert_int_equal(image->bytes.data[99], 1);
    pfm_shelf_give_back(shelf, image);
    assert_false(has(shelf, "0123456789abcdef0123456789abcdef"));
    assert_false(has(shelf, ""));
    pfm_shelf_forget(shelf, a);
    assert_false(has(shelf, a));
    assert_true(has(shelf, b));
    size_t before, between, after;
    (void)pfm_shelf_count(shelf, &before);
    image = pfm_shelf_use(shelf, b);
    pfm_shelf_forget(shelf, b);
    assert_false(has(shelf, b));
    assert_int_equal(image->bytes.data[99], 2); /* whole until it is given back */
    (void)pfm_shelf_count(shelf, &between);
    pfm_shelf_give_back(shelf, image);
    (void)pfm_shelf_count(shelf, &after);
    assert_int_equal(between, before);
    assert_true(after < before);
    pfm_shelf_free(shelf);
    pfm_shelf_free(other);
}

static void has_a_bound(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_shelf *shelf = NULL;
    char id[5][33];
    size_t bytes;
    assert_ok(pfm_shelf_create(40000, 3600, &salt, &shelf, &err));
    for (int i = 0; i < 3; i++)
        put(shelf, i, 10000, id[i], NULL);
    assert_true(has(shelf, id[0])); /* now the second is the one that was used longest ago */
    put(shelf, 3, 10000, id[3], NULL);
    assert_true(has(shelf, id[0]));
    assert_false(has(shelf, id[1]));
    pfm_shelf_image *held = pfm_shelf_use(shelf, id[2]);
    put(shelf, 4, 25000, id[4], NULL);
    assert_non_null(held);
    assert_int_equal(held->bytes.data[0], 2); /* what is used stays whole */
    assert_true(has(shelf, id[2]));
    assert_false(has(shelf, id[0]));
    pfm_shelf_give_back(shelf, held);
    assert_true(pfm_shelf_count(shelf, &bytes) <= 4);
    assert_true(bytes <= 40000);
    pfm_buffer large = {0};
    pfm_shelf_image *image = NULL;
    char *zeros = calloc(1, 50000);
    assert_ok(pfm_buffer_append(&large, zeros, 50000, &err));
    free(zeros);
    assert_error(pfm_shelf_put(shelf, &large, &(pfm_image){0}, &(pfm_image_applied){0}, &image, &err), PFM_ERROR_MISMATCH,
                 "in the 40000 bytes");
    assert_null(large.data);
    pfm_shelf_free(shelf);
}

static void forgets(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_shelf *shelf = NULL;
    char old[33], fresh[33];
    size_t bytes;
    assert_ok(pfm_shelf_create(1 << 20, 2, &salt, &shelf, &err));
    put(shelf, 1, 100, old, NULL);
    (void)usleep(1200000);
    assert_true(has(shelf, old)); /* which counts as a use */
    put(shelf, 2, 100, fresh, NULL);
    (void)usleep(1200000);
    assert_true(has(shelf, old));
    (void)usleep(2500000);
    assert_int_equal(pfm_shelf_count(shelf, &bytes), 0);
    assert_int_equal(bytes, 0);
    pfm_shelf_free(shelf);
}

static void *work(void *user)
{
    pfm_shelf *shelf = user;
    char id[33];
    for (int i = 0; i < 200; i++) {
        put(shelf, i, 3000, id, NULL);
        pfm_shelf_image *image = pfm_shelf_use(shelf, id);
        if (image != NULL)
            assert_int_equal(image->bytes.data[2999], (char)i);
        pfm_shelf_give_back(shelf, image);
        if (i % 3 == 0)
            pfm_shelf_forget(shelf, id);
    }
    return NULL;
}

static void of_many_threads(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pfm_error err = PFM_ERROR_INIT;
    pfm_shelf *shelf = NULL;
    pthread_t threads[THREADS];
    size_t bytes;
    assert_ok(pfm_shelf_create(40000, 3600, &salt, &shelf, &err));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, shelf), 0);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pfm_shelf_count(shelf, &bytes);
    assert_true(bytes <= 40000);
    pfm_shelf_free(shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps), cmocka_unit_test(has_a_bound), cmocka_unit_test(forgets),
                                       cmocka_unit_test(of_many_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
