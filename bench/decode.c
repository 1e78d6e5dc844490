/* What bench/slice.py times of pefomed: for each line of the standard input, "N FILE", FILE is read, decoded and windowed N times, and
 * the medians of the processor's seconds and of the clock's are printed. usage: bench_decode [THREADS]     default 1 */
#include "pefomed/pefomed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 1000 };

static double now(clockid_t which)
{
    struct timespec t;
    (void)clock_gettime(which, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *seconds, long count)
{
    qsort(seconds, (size_t)count, sizeof *seconds, compare);
    return seconds[count / 2];
}

/* false: the file is not read. */
static bool measure(const char *path, long count, const pfm_context *context)
{
    static double processor[MOST], clock[MOST];
    for (long i = 0; i < count; i++) {
        pfm_error err = PFM_ERROR_INIT;
        pfm_image image = {0};
        pfm_image_applied applied;
        const double begun[] = {now(CLOCK_PROCESS_CPUTIME_ID), now(CLOCK_MONOTONIC)};
        if (pfm_image_convert(path, &(pfm_image_options){.context = context}, &image, &applied, &err) != PFM_OK) {
            (void)fprintf(stderr, "%s\n", err.message);
            return false;
        }
        processor[i] = now(CLOCK_PROCESS_CPUTIME_ID) - begun[0];
        clock[i] = now(CLOCK_MONOTONIC) - begun[1];
        pfm_image_free(&image);
    }
    printf("%.9f %.9f\n", median(processor, count), median(clock, count));
    (void)fflush(stdout);
    return true;
}

int main(int argc, char **argv)
{
    char line[4096];
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1};
    int result = pfm_context_create(&options, &context, &err) == PFM_OK ? 0 : 2;
    while (result == 0 && fgets(line, sizeof line, stdin) != NULL) {
        char *path = line;
        const long count = strtol(line, &path, 10);
        path += strspn(path, " ");
        path[strcspn(path, "\n")] = '\0';
        if (count < 1 || count > MOST)
            result = 2;
        else if (!measure(path, count, context))
            result = 1;
    }
    pfm_context_free(context);
    return result;
}
