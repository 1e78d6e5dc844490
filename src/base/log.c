#include "base/context.h"
#include "base/process.h"

#include <stdarg.h>
#include <stdio.h>

void pfm_log(const pfm_context *context, pfm_log_level level, const char *format, ...)
{
    if (context == NULL || context->log == NULL)
        return;
    char message[1000];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    (void)pthread_mutex_lock(context->telling);
    context->log(context->user, level, message);
    (void)pthread_mutex_unlock(context->telling);
}

void pfm_report_progress(const pfm_context *context, const char *task, const char *unit, double done, double total,
                         const char *note)
{
    if (context == NULL || context->progress == NULL)
        return;
    pfm_progress progress = {.task = task,
                             .unit = unit,
                             .done = done,
                             .total = total,
                             .note = note == NULL ? "" : note,
                             .memory = pfm_process_peak_memory()};
    (void)pthread_mutex_lock(context->telling);
    context->progress(context->user, &progress);
    (void)pthread_mutex_unlock(context->telling);
}

bool pfm_interrupted(const pfm_context *context)
{
    return context != NULL && context->interrupt != NULL && *context->interrupt != 0;
}
