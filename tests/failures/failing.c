#include "failing.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_long fail_at;     /* the allocation that fails, counted from 1; 0: none */
static atomic_bool fail_onward; /* all later ones too */
static atomic_long allocations; /* so far in this run */

static bool fails(void)
{
    long at = atomic_load(&fail_at);
    if (at == 0)
        return false;
    long number = atomic_fetch_add(&allocations, 1) + 1;
    if (number != at && !(atomic_load(&fail_onward) && number > at))
        return false;
    errno = ENOMEM;
    return true;
}

#ifdef FAILING_BY_WRAP /* the linker sends our calls to __wrap_X, the sanitizer's are behind __real_X */
#define REPLACED(name) __wrap_##name
#define ORIGINAL(name) __real_##name
#else
#define REPLACED(name) name
#define ORIGINAL(name) __libc_##name
#endif

void *ORIGINAL(malloc)(size_t size);
void *ORIGINAL(calloc)(size_t count, size_t size);
void *ORIGINAL(realloc)(void *memory, size_t size);
void *REPLACED(malloc)(size_t size);
void *REPLACED(calloc)(size_t count, size_t size);
void *REPLACED(realloc)(void *memory, size_t size);

void *REPLACED(malloc)(size_t size) { return fails() ? NULL : ORIGINAL(malloc)(size); }
void *REPLACED(calloc)(size_t count, size_t size) { return fails() ? NULL : ORIGINAL(calloc)(count, size); }
void *REPLACED(realloc)(void *memory, size_t size) { return fails() ? NULL : ORIGINAL(realloc)(memory, size); }

#ifdef FAILING_BY_WRAP
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
int __real_vasprintf(char **out, const char *format, va_list arguments);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
int __wrap_vasprintf(char **out, const char *format, va_list arguments);

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return fails() ? NULL : __real_reallocarray(memory, count, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) { return fails() ? NULL : __real_aligned_alloc(alignment, size); }
char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }
char *__wrap_strndup(const char *text, size_t size) { return fails() ? NULL : __real_strndup(text, size); }
int __wrap_vasprintf(char **out, const char *format, va_list arguments)
{
    return fails() ? -1 : __real_vasprintf(out, format, arguments);
}
#else
void *__libc_memalign(size_t alignment, size_t size);
void *aligned_alloc(size_t alignment, size_t size) { return fails() ? NULL : __libc_memalign(alignment, size); }
#endif

/* Thousands of files are written, none of which has to survive a power cut. */
int fsync(int descriptor)
{
    (void)descriptor;
    return 0;
}

/* Whether the allocation was reached. */
static bool run_once(const char *name, failing_scenario scenario, long at, bool onward)
{
    pfm_error err = PFM_ERROR_INIT;
    atomic_store(&allocations, 0);
    atomic_store(&fail_onward, onward);
    atomic_store(&fail_at, at);
    pfm_status status = scenario(&err);
    atomic_store(&fail_at, 0);
    bool reached = atomic_load(&allocations) >= at;
    if (status != PFM_OK && (err.message[0] == '\0' || err.code != status))
        fail_msg("%s: allocation %ld failed%s: status %s, but the error says %s, \"%s\"", name, at,
                 onward ? " and all later" : "", pfm_status_name(status), pfm_status_name(err.code), err.message);
    if (status != PFM_OK && !reached)
        fail_msg("%s: fails by itself: %s", name, err.message);
    return reached;
}

void failing_try_all(const char *name, failing_scenario scenario)
{
    enum { MOST = 100000 };
    (void)run_once(name, scenario, MOST, false); /* what libraries set up once, and that it works at all */
    long at = 1;
    while (at < MOST && run_once(name, scenario, at, false)) {
        (void)run_once(name, scenario, at, true);
        at++;
    }
    if (at == 1)
        fail_msg("%s: allocates nothing; are the replacements linked in?", name);
    print_message("%s: %ld allocations failed, one by one\n", name, at - 1);
}
