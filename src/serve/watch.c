#include "serve/watch.h"

#include "base/memory.h"
#include "base/process.h"
#include "base/try.h"
#include "base/waiting.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

struct pfm_watched {
    pfm_watched *next, *previous;
    int descriptor;
    double since; /* when it began to wait for a head; below 0: it does not */
};

struct pfm_watch {
    double seconds;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t end;
    bool started, ending;
    pfm_watched first; /* of a ring */
};

/* Only shuts down: the descriptor is its owner's to close. */
static void end_late(pfm_watch *watch, double now)
{
    for (pfm_watched *c = watch->first.next; c != &watch->first; c = c->next) {
        if (c->since < 0 || now - c->since <= watch->seconds)
            continue;
        (void)shutdown(c->descriptor, SHUT_RDWR);
        c->since = -1;
    }
}

static void *look(void *user)
{
    pfm_watch *watch = user;
    (void)pthread_mutex_lock(&watch->lock);
    while (!watch->ending) {
        pfm_wait_for(&watch->end, &watch->lock, 1);
        end_late(watch, pfm_process_clock());
    }
    (void)pthread_mutex_unlock(&watch->lock);
    return NULL;
}

pfm_status pfm_watch_create(double seconds, pfm_watch **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_watch *watch = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *watch, &watch, err));
    watch->seconds = seconds;
    watch->first.next = watch->first.previous = &watch->first;
    (void)pthread_mutex_init(&watch->lock, NULL);
    (void)pthread_cond_init(&watch->end, NULL);
    if (pthread_create(&watch->thread, NULL, look, watch) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "the system refused to start a thread");
    watch->started = true;
    *out = watch;
    watch = NULL;
done:
    pfm_watch_free(watch);
    return status;
}

void pfm_watch_free(pfm_watch *watch)
{
    if (watch == NULL)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    watch->ending = true;
    (void)pthread_cond_signal(&watch->end);
    (void)pthread_mutex_unlock(&watch->lock);
    if (watch->started)
        (void)pthread_join(watch->thread, NULL);
    (void)pthread_cond_destroy(&watch->end);
    (void)pthread_mutex_destroy(&watch->lock);
    free(watch);
}

pfm_watched *pfm_watch_add(pfm_watch *watch, int descriptor)
{
    pfm_watched *c = NULL;
    if (pfm_allocate(1, sizeof *c, &c, NULL) != PFM_OK)
        return NULL;
    *c = (pfm_watched){.next = &watch->first, .descriptor = descriptor, .since = pfm_process_clock()};
    (void)pthread_mutex_lock(&watch->lock);
    c->previous = watch->first.previous;
    c->previous->next = watch->first.previous = c;
    (void)pthread_mutex_unlock(&watch->lock);
    return c;
}

static void set(pfm_watch *watch, pfm_watched *c, double since)
{
    if (c == NULL)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    c->since = since;
    (void)pthread_mutex_unlock(&watch->lock);
}

void pfm_watch_asked(pfm_watch *watch, pfm_watched *connection) { set(watch, connection, -1); }
void pfm_watch_answered(pfm_watch *watch, pfm_watched *connection) { set(watch, connection, pfm_process_clock()); }

void pfm_watch_remove(pfm_watch *watch, pfm_watched *connection)
{
    if (connection == NULL)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    connection->previous->next = connection->next;
    connection->next->previous = connection->previous;
    (void)pthread_mutex_unlock(&watch->lock);
    free(connection);
}
