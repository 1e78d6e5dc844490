#include "base/waiting.h"

#include <time.h>

void pfm_wait_for(pthread_cond_t *condition, pthread_mutex_t *lock, double seconds)
{
    enum { NANOSECONDS = 1000000000 };
    struct timespec until;
    const double rest = seconds > 0 ? seconds : 0;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)rest;
    until.tv_nsec += (long)((rest - (double)(time_t)rest) * NANOSECONDS);
    until.tv_sec += until.tv_nsec / NANOSECONDS;
    until.tv_nsec %= NANOSECONDS;
    (void)pthread_cond_timedwait(condition, lock, &until);
}
