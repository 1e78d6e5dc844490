/* Arrays for kernels under test: the end lies against a page that must not be touched, so that reading or writing one byte
 * too far stops the program, and the bytes before the beginning are checked. */
#ifndef PFM_TESTS_GUARDED_H
#define PFM_TESTS_GUARDED_H

#include "kernels/kernels.h"
#include "test.h"

/* `bytes` writable bytes, filled with a pattern; all are released, and their fronts checked, by guarded_release. */
void *guarded(size_t bytes);
/* An act array of n normal numbers, the same for the same stream. */
void *guarded_random(pfm_act_type type, size_t n, uint64_t stream);
void *guarded_copy(const void *bytes, size_t count);
void guarded_release(void);

/* ||got - wanted|| / ||wanted|| <= bound over n elements, and NaN or infinite in the same places. */
void assert_close(const char *what, pfm_act_type type, const void *got, const void *wanted, size_t n, double bound);

#endif
