/* The two macros with which every fallible call forwards its error. The function has `pfm_status status = PFM_OK;` and a
 * `done:` label behind which it releases what it holds and returns status. */
#ifndef PFM_BASE_TRY_H
#define PFM_BASE_TRY_H

#include "pefomed/status.h"

#define PFM_TRY(call)                                                                                                          \
    do {                                                                                                                       \
        status = (call);                                                                                                       \
        if (status != PFM_OK)                                                                                                  \
            goto done;                                                                                                         \
    } while (0)

#define PFM_FAIL(code, ...)                                                                                                    \
    do {                                                                                                                       \
        status = pfm_error_set(err, code, __VA_ARGS__);                                                                        \
        goto done;                                                                                                             \
    } while (0)

#endif
