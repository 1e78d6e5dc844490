/* Put before every file by script/check-tidy: tells the analyser that pfm_error_set returns the code that it was given, which it
 * cannot see across files. Without it every error path is followed as if it had succeeded. */
#include "pefomed/status.h"
#define pfm_error_set(err, code, ...) (pfm_error_set((err), (code), __VA_ARGS__), (code))
