/* What this process can know of itself and the machine. */
#ifndef PFM_BASE_PROCESS_H
#define PFM_BASE_PROCESS_H

#include <stddef.h>
#include <stdint.h>

double pfm_process_clock(void);        /* seconds of a clock that only goes forward */
int64_t pfm_process_memory(void);      /* bytes resident now, mapped files' pages counted; 0 where the system does not say */
int64_t pfm_process_peak_memory(void); /* the most so far */
/* The processor's name as the system tells it ("" where it does not). */
void pfm_process_machine(char *out, size_t size);
/* $PEFOMED_CPU, the level of the processor that is to be used ("ref", "avx2", "avx512"); NULL where it is unset or empty. */
const char *pfm_process_cpu_level(void);
/* The time in UTC, "2026-11-24T18:03:05Z". */
void pfm_process_time(char out[32]);

#endif
