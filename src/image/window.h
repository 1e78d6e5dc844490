/* Which window turns values into grey: what a person or a recipe writes, and the functions of PS3.3, C.11.2.1.2 and C.11.2.1.3.
 */
#ifndef PFM_IMAGE_WINDOW_H
#define PFM_IMAGE_WINDOW_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum pfm_window_choice {
    PFM_WINDOW_OWN,        /* what the file says first: its VOI LUT, its window; else "stored" or "percentile" */
    PFM_WINDOW_OF_FILE,    /* "file:N": the file's N-th window */
    PFM_WINDOW_LUT,        /* "lut:N": the N-th item of its VOI LUT Sequence */
    PFM_WINDOW_GIVEN,      /* "CENTER,WIDTH" or with a function's name behind */
    PFM_WINDOW_NAMED,      /* "lung": in Hounsfield units */
    PFM_WINDOW_PERCENTILE, /* from the value that 0.5% are below to the one that 0.5% are above */
    PFM_WINDOW_FULL        /* from the lowest to the highest value */
} pfm_window_choice;

typedef enum pfm_window_function { PFM_WINDOW_LINEAR, PFM_WINDOW_LINEAR_EXACT, PFM_WINDOW_SIGMOID } pfm_window_function;

typedef struct pfm_window {
    pfm_window_choice choice;
    int index;
    const char *name; /* of a named one; static */
    double center, width;
    pfm_window_function function;
} pfm_window;

/* NULL, "" and "file" are the file's own. USAGE for what is no window, listing what there is. */
pfm_status pfm_window_parse(const char *text, pfm_window *out, pfm_error *err) PFM_MUST_CHECK;
/* The named ones, from 0; NULL: there are not so many. */
const char *pfm_window_preset(size_t number, double *center, double *width);
/* "LINEAR", ... ; static. */
const char *pfm_window_function_name(pfm_window_function function);
/* false for a name that the standard does not have. */
bool pfm_window_find_function(const char *name, pfm_window_function *out);
/* Whether a window can be of this width: at least 1 for LINEAR, else above 0; and both finite. */
bool pfm_window_is_good(const pfm_window *window);
/* What a value becomes, 0..1. */
double pfm_window_apply(const pfm_window *window, double value);

#endif
