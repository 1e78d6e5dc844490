/* The levels that this machine has, each as its table. */
#ifndef PFM_TESTS_EACH_LEVEL_H
#define PFM_TESTS_EACH_LEVEL_H

#include "kernels/kernels.h"

enum { TEST_LEVELS = 3 };
extern const char *const test_level_names[TEST_LEVELS];
extern pfm_kernels test_tables[TEST_LEVELS];
extern bool test_has_level[TEST_LEVELS];

int test_set_up_levels(void **state); /* a group's setup; the first level is ref */

#endif
