/* What every test includes: cmocka with what it needs, and a few checks of our own. */
#ifndef PFM_TESTS_TEST_H
#define PFM_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pefomed/status.h"

/* The call must succeed; its message is shown otherwise. Needs a pfm_error named err. */
#define assert_ok(call)                                                                                                        \
    do {                                                                                                                       \
        pfm_status assert_status = (call);                                                                                     \
        if (assert_status != PFM_OK)                                                                                           \
            fail_msg("%s: %s (%s)", #call, err.message, pfm_status_name(assert_status));                                       \
    } while (0)

/* The call must fail with this code and a message that contains `part`; err is cleared for the next call. */
#define assert_error(call, wanted, part)                                                                                       \
    do {                                                                                                                       \
        pfm_status assert_status = (call);                                                                                     \
        if (assert_status != (wanted) || strstr(err.message, (part)) == NULL)                                                  \
            fail_msg("%s: wanted %s with \"%s\", got %s with \"%s\"", #call, pfm_status_name(wanted), (part),                  \
                     pfm_status_name(assert_status), err.message);                                                             \
        err = (pfm_error)PFM_ERROR_INIT;                                                                                       \
    } while (0)

/* The folder with the real data sets, or NULL: then the test says so and calls skip(). PFM_DATA overrides. */
const char *test_data_folder(void);
#define skip_without_data()                                                                                                    \
    do {                                                                                                                       \
        if (test_data_folder() == NULL) {                                                                                      \
            print_message("skipped: no data folder (set PFM_DATA)\n");                                                         \
            skip();                                                                                                            \
        }                                                                                                                      \
    } while (0)

/* A fresh folder for this test program, removed at its end; $PFM_SCRATCH, which stays, where that is set; borrowed. */
const char *test_scratch_folder(void);
/* folder/name in a static ring of eight buffers: good for a handful of calls. */
const char *test_path(const char *folder, const char *name);

#endif
