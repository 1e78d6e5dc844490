/* Waiting for a condition for a while. */
#ifndef PFM_BASE_WAITING_H
#define PFM_BASE_WAITING_H

#include <pthread.h>

/* With `lock` held: waits until the condition is signalled, or so many seconds have passed; it may return sooner. */
void pfm_wait_for(pthread_cond_t *condition, pthread_mutex_t *lock, double seconds);

#endif
