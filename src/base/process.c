#include "base/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double pfm_process_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The value of "KEY: value" in a file of /proc, or "" in out. */
static void read_field(const char *path, const char *key, char *out, size_t size)
{
    char line[512];
    out[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        const char *value = strchr(line, ':');
        if (value == NULL)
            continue;
        value++;
        value += strspn(value, " \t");
        (void)snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
        break;
    }
    (void)fclose(file);
}

static int64_t read_kibibytes(const char *key)
{
    char text[64];
    read_field("/proc/self/status", key, text, sizeof text);
    return strtoll(text, NULL, 10) * 1024;
}

int64_t pfm_process_memory(void) { return read_kibibytes("VmRSS"); }

int64_t pfm_process_peak_memory(void) { return read_kibibytes("VmHWM"); }

void pfm_process_machine(char *out, size_t size) { read_field("/proc/cpuinfo", "model name", out, size); }

void pfm_process_time(char out[32])
{
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        out[0] = '\0';
}

const char *pfm_process_cpu_level(void)
{
    const char *level = getenv("PEFOMED_CPU");
    return level != NULL && level[0] != '\0' ? level : NULL;
}
