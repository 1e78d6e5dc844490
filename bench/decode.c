/* What bench/slice.py times of pefomed: for each line of the standard input, "N FILE", FILE is read, decoded and windowed N times, and
 * the median of the processor's seconds is printed. */
#include "pefomed/pefomed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) { return (double)clock() / CLOCKS_PER_SEC; }

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    enum { MOST = 1000 };
    static double seconds[MOST];
    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *path = line;
        const long count = strtol(line, &path, 10);
        path += strspn(path, " ");
        path[strcspn(path, "\n")] = '\0';
        if (count < 1 || count > MOST)
            return 2;
        for (long i = 0; i < count; i++) {
            pfm_error err = PFM_ERROR_INIT;
            pfm_image image = {0};
            const double begun = now();
            if (pfm_image_load(path, &image, &err) != PFM_OK) {
                (void)fprintf(stderr, "%s\n", err.message);
                return 1;
            }
            seconds[i] = now() - begun;
            pfm_image_free(&image);
        }
        qsort(seconds, (size_t)count, sizeof *seconds, compare);
        printf("%.9f\n", seconds[count / 2]);
        (void)fflush(stdout);
    }
    return 0;
}
