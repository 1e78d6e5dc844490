#include "each_level.h"

const char *const test_level_names[TEST_LEVELS] = {"ref", "avx2", "avx512"};
pfm_kernels test_tables[TEST_LEVELS];
bool test_has_level[TEST_LEVELS];

int test_set_up_levels(void **state)
{
    (void)state;
    for (int i = 0; i < TEST_LEVELS; i++)
        test_has_level[i] = pfm_kernels_select(test_level_names[i], &test_tables[i], NULL) == PFM_OK;
    return test_has_level[0] ? 0 : -1;
}
