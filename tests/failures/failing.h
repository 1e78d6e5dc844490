/* Makes allocations fail on purpose, one after the other: whatever fails must be reported as an error with a sentence, leave
 * nothing lost (the sanitizers look) and nothing half done.
 *
 * In a plain build malloc and its kin are replaced for the whole process, other people's libraries included; in a build with
 * sanitizers, which bring their own malloc, only for our code (tests/failures/CMakeLists.txt). */
#ifndef PFM_TESTS_FAILING_H
#define PFM_TESTS_FAILING_H

#include "test.h"

/* Something that succeeds when memory does, and checks its own result; releases all that it made, whatever happens. */
typedef pfm_status (*failing_scenario)(pfm_error *err);

/* Runs the scenario with its first, second, ... allocation failing, alone and with all that follow it, until a run needs no
 * more than have been tried. Each run must succeed, or return an error with a message. Fails the test otherwise. */
void failing_try_all(const char *name, failing_scenario scenario);

#endif
