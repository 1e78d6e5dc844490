#include "base/context.h"

#include "base/memory.h"
#include "base/process.h"
#include "base/try.h"
#include "kernels/kernels.h"

#include <sched.h>
#include <stdlib.h>

static int usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count;
}

static pfm_status choose_home(const char *asked, char **out, pfm_error *err)
{
    const char *home = asked != NULL ? asked : getenv("PEFOMED_HOME");
    if (home != NULL && home[0] != '\0')
        return pfm_string_copy(home, out, err);
    const char *user = getenv("HOME");
    return pfm_string_format(out, err, "%s/.cache/pefomed", user != NULL ? user : ".");
}

pfm_status pfm_context_create(const pfm_context_options *options, pfm_context **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_context *context = NULL;
    pfm_kernels *kernels = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *context, &context, err));
    PFM_TRY(pfm_allocate(1, sizeof *kernels, &kernels, err));
    const char *level = options->cpu_level != NULL ? options->cpu_level : pfm_process_cpu_level();
    PFM_TRY(pfm_kernels_select(level != NULL && level[0] != '\0' ? level : NULL, kernels, err));
    context->kernels = kernels;
    context->cpu_level = kernels->level;
    kernels = NULL;
    context->seed = options->seed;
    context->precision = options->precision;
    context->weights = options->weights;
    context->memory = options->memory;
    context->log = options->log;
    context->progress = options->progress;
    context->user = options->user;
    context->interrupt = options->interrupt;
    if (context->log != NULL || context->progress != NULL) {
        PFM_TRY(pfm_allocate(1, sizeof *context->telling, &context->telling, err));
        (void)pthread_mutex_init(context->telling, NULL);
    }
    PFM_TRY(choose_home(options->home, &context->home, err));
    PFM_TRY(pfm_threads_create(options->threads != 0 ? options->threads : usable_cores(), &context->threads, err));
    *out = context;
    context = NULL;
done:
    free(kernels);
    pfm_context_free(context);
    return status;
}

void pfm_context_free(pfm_context *context)
{
    if (context == NULL)
        return;
    pfm_threads_free(context->threads);
    free((void *)(uintptr_t)context->kernels);
    if (context->telling != NULL)
        (void)pthread_mutex_destroy(context->telling);
    free(context->telling);
    free(context->home);
    free(context);
}

int pfm_context_threads(const pfm_context *context) { return pfm_threads_count(context->threads); }
uint64_t pfm_context_seed(const pfm_context *context) { return context->seed; }
pfm_precision pfm_context_precision(const pfm_context *context) { return context->precision; }
const char *pfm_context_home(const pfm_context *context) { return context->home; }
const char *pfm_context_cpu_level(const pfm_context *context) { return context->cpu_level; }
