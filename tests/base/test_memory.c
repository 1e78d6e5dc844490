/* Blocks: zero, aligned, writable to the last byte, whatever their size. */
#include "test.h"

#include "base/memory.h"

#include <stdint.h>
#include <string.h>

enum { MIB = 1 << 20 };

static void a_block_is_zero_and_aligned(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 64, 100, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 9 * MIB + 12345};
    pfm_error err = PFM_ERROR_INIT;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int again = 0; again < 2; again++) { /* the second time it may be memory that was used */
            pfm_block block = {0};
            assert_ok(pfm_block_create(sizes[i], &block, &err));
            assert_true(block.bytes >= sizes[i] && block.bytes > 0);
            assert_int_equal((uintptr_t)block.data % (block.bytes >= 2 * MIB ? 2 * MIB : 64), 0);
            for (size_t b = 0; b < block.bytes; b++)
                if (((unsigned char *)block.data)[b] != 0)
                    fail_msg("byte %zu of a block of %zu is not zero", b, block.bytes);
            memset(block.data, 0xa5, block.bytes);
            pfm_block_free(&block);
            assert_null(block.data);
            pfm_block_free(&block);
        }
}

static void touching_changes_nothing(void **state)
{
    (void)state;
    enum { BYTES = 5 * MIB + 77 };
    pfm_error err = PFM_ERROR_INIT;
    pfm_threads *threads = NULL;
    pfm_block block = {0};
    assert_ok(pfm_threads_create(3, &threads, &err));
    assert_ok(pfm_block_create(BYTES, &block, &err));
    unsigned char *bytes = block.data;
    for (size_t b = 0; b < BYTES; b += 4096 / 2)
        bytes[b] = (unsigned char)(b / 2048 % 251);
    bytes[BYTES - 1] = 9;
    pfm_block_touch(&block, threads);
    for (size_t b = 0; b < BYTES; b += 4096 / 2)
        assert_int_equal(bytes[b], b / 2048 % 251);
    assert_int_equal(bytes[BYTES - 1], 9);
    pfm_block_free(&block);
    pfm_threads_free(threads);
}

static void what_cannot_be_is_an_error(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_block block = {0};
    assert_error(pfm_block_create(SIZE_MAX, &block, &err), PFM_ERROR_NO_MEMORY, "out of memory");
    assert_error(pfm_block_create(SIZE_MAX / 2, &block, &err), PFM_ERROR_NO_MEMORY, "out of memory");
    assert_null(block.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_zero_and_aligned),
        cmocka_unit_test(touching_changes_nothing),
        cmocka_unit_test(what_cannot_be_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
