#include "base/threads.h"

#include "base/memory.h"
#include "base/try.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { SPINS_BEFORE_YIELD = 4000 };
enum { SPINS_BEFORE_SLEEP = 20000 }; /* some tens of microseconds: longer than the gap between two operators of a step */

typedef struct worker {
    pfm_threads *threads;
    int index;
    pthread_t thread;
} worker;

struct pfm_threads {
    int count;
    worker *workers;
    int started;
    atomic_int running;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_uint generation; /* a new job, or the end, has been posted */
    atomic_bool stop;
    atomic_int sleepers;
    _Atomic uint64_t left; /* of the job at hand: how many items it has, and the next to take (job_of) */
    atomic_int done;       /* its items that are finished */
    pfm_threads_body body; /* read by none but who has taken an item, for the job then waits for it */
    void *user;
};

/* Both numbers change at once, so that a worker that comes late, to a job that is over, takes nothing of it, and to the next
 * one an item that is that one's: nobody has to wait for workers that the system has not let run. */
enum { NEXT_BITS = 32 };
static inline uint64_t job_of(int items) { return (uint64_t)(uint32_t)items << NEXT_BITS; }

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void take_items(pfm_threads *threads, int index)
{
    int finished = 0;
    for (;;) {
        const uint64_t job = atomic_fetch_add_explicit(&threads->left, 1, memory_order_acquire);
        const uint32_t item = (uint32_t)job;
        if (item >= job >> NEXT_BITS)
            break;
        threads->body(threads->user, (int)item, index);
        finished++;
    }
    if (finished > 0)
        atomic_fetch_add_explicit(&threads->done, finished, memory_order_release);
}

static unsigned wait_for_job(pfm_threads *threads, unsigned seen)
{
    for (int spin = 0; spin < SPINS_BEFORE_SLEEP; spin++) {
        unsigned now = atomic_load_explicit(&threads->generation, memory_order_acquire);
        if (now != seen)
            return now;
        relax();
    }
    pthread_mutex_lock(&threads->mutex);
    atomic_fetch_add(&threads->sleepers, 1);
    unsigned now = atomic_load(&threads->generation);
    while (now == seen) {
        pthread_cond_wait(&threads->wake, &threads->mutex);
        now = atomic_load(&threads->generation);
    }
    atomic_fetch_sub(&threads->sleepers, 1);
    pthread_mutex_unlock(&threads->mutex);
    return now;
}

static void *work(void *argument)
{
    const worker *me = argument;
    pfm_threads *threads = me->threads;
    unsigned seen = 0;
    atomic_fetch_add(&threads->running, 1);
    for (;;) {
        seen = wait_for_job(threads, seen);
        if (atomic_load(&threads->stop))
            return NULL;
        take_items(threads, me->index);
    }
}

static void post(pfm_threads *threads)
{
    atomic_fetch_add(&threads->generation, 1);
    if (atomic_load(&threads->sleepers) > 0) {
        pthread_mutex_lock(&threads->mutex);
        pthread_cond_broadcast(&threads->wake);
        pthread_mutex_unlock(&threads->mutex);
    }
}

pfm_status pfm_threads_create(int count, pfm_threads **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_threads *threads = NULL;
    if (count < 1 || count > 1024)
        PFM_FAIL(PFM_ERROR_USAGE, "%d threads cannot be used; name a number from 1 to 1024", count);
    PFM_TRY(pfm_allocate(1, sizeof *threads, &threads, err));
    threads->count = count;
    pthread_mutex_init(&threads->mutex, NULL);
    pthread_cond_init(&threads->wake, NULL);
    PFM_TRY(pfm_allocate((size_t)count, sizeof *threads->workers, &threads->workers, err));
    for (int i = 1; i < count; i++) {
        worker *one = &threads->workers[i - 1];
        *one = (worker){.threads = threads, .index = i};
        if (pthread_create(&one->thread, NULL, work, one) != 0)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "the system refused to start thread %d of %d; use fewer with --threads", i + 1,
                     count);
        threads->started++;
    }
    /* A thread on its way up may hold locks of the C library and of sanitizers; a fork then copies them, and nobody opens the
     * copies. One that waits for work holds none. */
    while (atomic_load(&threads->running) < threads->started)
        (void)sched_yield();
    *out = threads;
    threads = NULL;
done:
    pfm_threads_free(threads);
    return status;
}

void pfm_threads_free(pfm_threads *threads)
{
    if (threads == NULL)
        return;
    atomic_store(&threads->stop, true);
    post(threads);
    for (int i = 0; i < threads->started; i++)
        pthread_join(threads->workers[i].thread, NULL);
    pthread_cond_destroy(&threads->wake);
    pthread_mutex_destroy(&threads->mutex);
    free(threads->workers);
    free(threads);
}

int pfm_threads_count(const pfm_threads *threads) { return threads->count; }

void pfm_threads_run(pfm_threads *threads, int items, pfm_threads_body body, void *user)
{
    if (items <= 1 || threads->started == 0) {
        for (int i = 0; i < items; i++)
            body(user, i, 0);
        return;
    }
    threads->body = body;
    threads->user = user;
    atomic_store(&threads->done, 0);
    atomic_store_explicit(&threads->left, job_of(items), memory_order_release);
    post(threads);
    take_items(threads, 0);
    for (int spin = 0; atomic_load_explicit(&threads->done, memory_order_acquire) < items; spin++) {
        if (spin < SPINS_BEFORE_YIELD)
            relax();
        else
            (void)sched_yield(); /* the worker may be waiting for this very core */
    }
}
