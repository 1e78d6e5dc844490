/* The engine's thread: requests join, are answered step by step, and leave. */
#include "infer/engine_internal.h"

#include "base/try.h"

static void end_cancelled(pfm_engine *engine, pfm_engine_entry *entry)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_status status = pfm_error_set(&err, PFM_ERROR_INTERRUPTED, "the request was cancelled");
    pfm_engine_entry_end(engine, entry, status, &err);
}

/* ---- those that wait ---- */

/* Takes the first that waits and is cancelled, or with `first` the first of all, out of the line. */
static pfm_engine_entry *take_waiting(pfm_engine *engine, bool first)
{
    pthread_mutex_lock(&engine->mutex);
    pfm_engine_entry *before = NULL, *entry = engine->first;
    while (!first && entry != NULL && !atomic_load(&entry->cancelled)) {
        before = entry;
        entry = entry->next;
    }
    if (entry != NULL) {
        *(before != NULL ? &before->next : &engine->first) = entry->next;
        engine->last = engine->last == entry ? before : engine->last;
        entry->next = NULL;
        engine->stats.waiting--;
    }
    pthread_mutex_unlock(&engine->mutex);
    return entry;
}

static pfm_engine_entry *first_waiting(pfm_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    pfm_engine_entry *entry = engine->first;
    pthread_mutex_unlock(&engine->mutex);
    return entry;
}

/* From the line to those that run, where there is room. */
static bool admit(pfm_engine *engine, pfm_engine_entry *entry)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_status status = PFM_OK;
    bool placed = false;
    const int32_t total = (int32_t)entry->prompt + entry->asked.max_tokens;
    if (entry->alone) {
        (void)take_waiting(engine, true);
        status = pfm_engine_single(engine, entry, &err);
        pfm_engine_entry_end(engine, entry, status, &err);
        return true;
    }
    if (engine->running_count == (size_t)engine->rows)
        return false;
    status = pfm_engine_store_place(&engine->store, entry->digests, entry->blocks, total, engine->running_count == 0,
                                    &entry->place, &placed, &err);
    if (status == PFM_OK && !placed)
        return false;
    (void)take_waiting(engine, true);
    if (status != PFM_OK) {
        pfm_engine_entry_end(engine, entry, status, &err);
        return true;
    }
    engine->counts.shared += (uint64_t)entry->place.found;
    pthread_mutex_lock(&engine->mutex);
    engine->running[engine->running_count++] = entry;
    pthread_mutex_unlock(&engine->mutex);
    return true;
}

/* ---- those that run ---- */

/* Ends those that are over or cancelled; all: whoever runs, with this error. */
static void end_some(pfm_engine *engine, pfm_status failed, const pfm_error *err)
{
    size_t left = 0;
    const size_t count = engine->running_count;
    pfm_engine_entry *over = NULL; /* the list of those, whose callbacks may call us */
    pfm_engine_entry **end = &over;
    pthread_mutex_lock(&engine->mutex);
    for (size_t i = 0; i < count; i++) {
        pfm_engine_entry *entry = engine->running[i];
        if (failed == PFM_OK && !entry->over && !atomic_load(&entry->cancelled)) {
            engine->running[left++] = entry;
            continue;
        }
        *end = entry;
        end = &entry->next;
    }
    engine->running_count = left;
    pthread_mutex_unlock(&engine->mutex);
    while (over != NULL) {
        pfm_engine_entry *entry = over;
        over = entry->next;
        if (entry->over)
            pfm_engine_entry_end(engine, entry, entry->status, &entry->error);
        else if (failed != PFM_OK)
            pfm_engine_entry_end(engine, entry, failed, err);
        else
            end_cancelled(engine, entry);
    }
}

static void run_step(pfm_engine *engine)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_status status = pfm_engine_step(engine, &err);
    end_some(engine, status, &err);
    if (status != PFM_OK)
        pfm_engine_store_clear(&engine->store);
}

/* What the last step did, for those who ask. */
static void count(pfm_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    pfm_engine_stats *stats = &engine->stats;
    const pfm_engine_stats *more = &engine->counts;
    stats->running = engine->running_count;
    stats->read += more->read;
    stats->generated += more->generated;
    stats->shared += more->shared;
    stats->features += more->features;
    stats->features_found += more->features_found;
    stats->steps += more->steps;
    stats->bytes = engine->store.taken * engine->row_bytes + engine->feature_count * engine->feature_bytes;
    stats->most_bytes = stats->bytes > stats->most_bytes ? stats->bytes : stats->most_bytes;
    engine->counts = (pfm_engine_stats){0};
    pthread_mutex_unlock(&engine->mutex);
}

/* Sleeps until there is something to do; false: it is over. */
static bool wait_for_work(pfm_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    while (!engine->stopping && engine->first == NULL && engine->running_count == 0)
        pthread_cond_wait(&engine->wake, &engine->mutex);
    const bool left = engine->first != NULL || engine->running_count > 0;
    const bool goes_on = !engine->stopping || (engine->finishing && left);
    pthread_mutex_unlock(&engine->mutex);
    return goes_on;
}

/* All that is left is cancelled. */
static void end_all(pfm_engine *engine)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_engine_entry *entry;
    const pfm_status status = pfm_error_set(&err, PFM_ERROR_INTERRUPTED, "the answer was given up: the server stops");
    end_some(engine, status, &err);
    while ((entry = take_waiting(engine, true)) != NULL)
        pfm_engine_entry_end(engine, entry, status, &err);
    count(engine);
}

void *pfm_engine_work(void *argument)
{
    pfm_engine *engine = argument;
    pfm_engine_entry *entry;
    while (wait_for_work(engine)) {
        while ((entry = take_waiting(engine, false)) != NULL)
            end_cancelled(engine, entry);
        end_some(engine, PFM_OK, NULL);
        while ((entry = first_waiting(engine)) != NULL && admit(engine, entry))
            ;
        count(engine);
        if (engine->running_count > 0)
            run_step(engine);
        count(engine);
    }
    end_all(engine);
    pthread_mutex_lock(&engine->mutex);
    engine->stopped = true;
    pthread_cond_broadcast(&engine->wake);
    pthread_mutex_unlock(&engine->mutex);
    return NULL;
}
