/* A small pool of threads that runs numbered items. Which thread runs which item is not fixed; results must not depend on it:
 * an item writes only what belongs to it, and sums are never split between items. */
#ifndef PFM_BASE_THREADS_H
#define PFM_BASE_THREADS_H

#include "pefomed/status.h"

typedef struct pfm_threads pfm_threads;

/* `count` threads in all, the caller's included; 1..1024. All run when it returns: from then on the caller may fork (the child
 * has none of them, and no use for the pool). */
pfm_status pfm_threads_create(int count, pfm_threads **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_threads_free(pfm_threads *threads);
int pfm_threads_count(const pfm_threads *threads);

/* Runs body(user, item, thread) for each item in 0..items-1, thread in 0..count-1, and returns when all are done.
 * Not to be called from within a body. */
typedef void (*pfm_threads_body)(void *user, int item, int thread);
void pfm_threads_run(pfm_threads *threads, int items, pfm_threads_body body, void *user);

#endif
