/* Names and secrets that nobody can guess, from the system's own source. */
#ifndef PFM_BASE_CHANCE_H
#define PFM_BASE_CHANCE_H

#include "pefomed/status.h"

#include <stddef.h>

/* out [digits + 1] = so many random hexadecimal digits, an even number of at most 64. IO where the system gives none. */
pfm_status pfm_chance_draw(char *out, size_t digits, pfm_error *err) PFM_MUST_CHECK;

#endif
