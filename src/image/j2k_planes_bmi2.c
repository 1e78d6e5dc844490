/* The passes for processors that have BMI2 and LZCNT, which shift by a register and count zeros in one instruction. */
#include "image/j2k_passes.h"

#ifdef __x86_64__
void pfm_j2k_pass_bmi2(j2k_lane *a, j2k_lane *b) { do_pass(a, b); }
#endif
