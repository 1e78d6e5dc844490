/* The passes for processors that have BMI2, LZCNT and AVX-512 VBMI2, whose PEXT takes three cycles, not dozens. What is around
 * a sample is then sooner known, for which all wait where a symbol was not foreseen. */
#define J2K_AVX512
#include "image/j2k_passes.h"

#ifdef __x86_64__
void pfm_j2k_pass_avx512(j2k_lane *a, j2k_lane *b) { do_pass(a, b); }
#endif
