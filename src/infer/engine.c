#include "infer/engine_internal.h"

#include "base/process.h"
#include "base/try.h"

#include <stdlib.h>
#include <unistd.h>

enum { DEFAULT_ROWS = 64, MOST_ROWS = 1024, LEAST_TOKENS = 64 };

static const size_t most_default = (size_t)4 << 30;

/* ---- how much it may hold ---- */

static size_t machine_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (size_t)pages * (size_t)size : most_default;
}

/* Weights and executor are there: what is left of the context's memory, and how it is divided. */
static pfm_status divide_memory(pfm_engine *engine, pfm_error *err)
{
    const pfm_language_config *c = &engine->model->language;
    const uint64_t limit = engine->session->context->memory, held = (uint64_t)pfm_process_memory();
    const size_t left = limit == 0 ? SIZE_MAX : limit > held ? (size_t)(limit - held) : 0;
    const bool sees = pfm_model_sees(engine->model);
    size_t memory = engine->options.memory;
    if (memory == 0) {
        memory = machine_memory() / 8 < most_default ? machine_memory() / 8 : most_default;
        memory = memory < left ? memory : left;
    }
    if (memory > left)
        return pfm_error_set(
            err, PFM_ERROR_USAGE,
            "%.2f GiB for answers are asked for, and --memory leaves %.2f GiB beside the weights; allow less of "
            "the one or more of the other",
            (double)memory / 1073741824.0, (double)left / 1073741824.0);
    engine->row_bytes = 2 * (size_t)c->layers * (size_t)c->kv_heads * (size_t)c->head_dim * pfm_act_size(engine->model->act);
    engine->feature_bytes = sees ? pfm_model_feature_values(engine->model) * sizeof(float) : 0;
    engine->feature_memory = sees ? memory / 4 / engine->feature_bytes * engine->feature_bytes : 0;
    engine->memory = memory;
    const size_t rows = (memory - engine->feature_memory) / engine->row_bytes;
    if (rows < LEAST_TOKENS)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "%.2f MiB hold %zu tokens' keys and values of this model; allow at least %.2f MiB for answers",
                             (double)memory / 1048576.0, rows,
                             (double)((LEAST_TOKENS + 1) * engine->row_bytes) / 0.75 / 1048576.0);
    pfm_engine_store_start(&engine->store, rows < INT32_MAX / 2 ? (int32_t)rows : INT32_MAX / 2);
    return PFM_OK;
}

static pfm_status create_store(pfm_engine *engine, pfm_error *err)
{
    const pfm_language_config *c = &engine->model->language;
    const size_t rows = (size_t)engine->store.rows, bytes = rows * engine->row_bytes,
                 columns = (size_t)c->kv_heads * (size_t)c->head_dim;
    pfm_status status = pfm_block_create(bytes, &engine->kv_memory, err);
    engine->kv = (pfm_kv_store){.keys = engine->kv_memory.data,
                                .values = (char *)engine->kv_memory.data + bytes / 2,
                                .layer_stride = rows * columns,
                                .columns = columns};
    return status;
}

/* ---- its life ---- */

static pfm_status check_options(const pfm_engine *engine, pfm_error *err)
{
    const pfm_engine_options *o = &engine->options;
    if (o->rows < 0 || o->rows > MOST_ROWS)
        return pfm_error_set(err, PFM_ERROR_USAGE, "%d requests cannot be answered at once; name a number from 1 to %d",
                             (int)o->rows, MOST_ROWS);
    if (o->context < 0 || o->context > engine->model->language.context)
        return pfm_error_set(err, PFM_ERROR_USAGE, "a context of %d tokens cannot be; this model's is %lld", (int)o->context,
                             (long long)engine->model->language.context);
    return PFM_OK;
}

static pfm_status prepare(pfm_engine *engine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(check_options(engine, err));
    engine->rows = engine->options.rows > 0 ? engine->options.rows : DEFAULT_ROWS;
    engine->context = engine->options.context > 0 ? engine->options.context : (int32_t)engine->model->language.context;
    PFM_TRY(pfm_allocate((size_t)engine->rows, sizeof(pfm_engine_entry *), &engine->running, err));
    if (engine->options.features == NULL)
        PFM_TRY(pfm_session_load_vision(engine->session, err));
    PFM_TRY(pfm_engine_step_prepare(engine, err));
    PFM_TRY(divide_memory(engine, err));
    PFM_TRY(create_store(engine, err));
    PFM_TRY(pfm_allocate(engine->feature_bytes, 1, &engine->image_features, err));
    engine->stats.memory = engine->memory;
done:
    return status;
}

static void release(pfm_engine *engine)
{
    pfm_engine_store_clear(&engine->store);
    pfm_engine_features_free(engine);
    pfm_engine_step_free(engine);
    pfm_block_free(&engine->kv_memory);
    pthread_cond_destroy(&engine->wake);
    pthread_mutex_destroy(&engine->mutex);
    free(engine->running);
    free(engine);
}

pfm_status pfm_engine_create(pfm_session *session, const pfm_engine_options *options, pfm_engine **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_engine *engine = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *engine, &engine, err));
    engine->session = session;
    engine->model = session->model;
    engine->options = *options;
    pfm_engine_store_start(&engine->store, 0);
    pthread_mutex_init(&engine->mutex, NULL);
    pthread_cond_init(&engine->wake, NULL);
    PFM_TRY(prepare(engine, err));
    if (pthread_create(&engine->thread, NULL, pfm_engine_work, engine) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "the system refused to start a thread; close other programs");
    engine->started = true;
    *out = engine;
    engine = NULL;
done:
    if (engine != NULL)
        release(engine);
    return status;
}

void pfm_engine_stop(pfm_engine *engine, bool finish)
{
    pthread_mutex_lock(&engine->mutex);
    engine->finishing = finish && (engine->finishing || !engine->stopping);
    engine->stopping = true;
    pthread_cond_broadcast(&engine->wake);
    while (!engine->stopped)
        pthread_cond_wait(&engine->wake, &engine->mutex);
    pthread_mutex_unlock(&engine->mutex);
}

void pfm_engine_free(pfm_engine *engine)
{
    if (engine == NULL)
        return;
    pfm_engine_stop(engine, false);
    pthread_join(engine->thread, NULL);
    release(engine);
}

/* ---- what is asked of it ---- */

pfm_status pfm_engine_submit(pfm_engine *engine, const pfm_engine_request *request, uint64_t *ticket, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_engine_entry *entry = NULL;
    PFM_TRY(pfm_engine_entry_create(engine, request, &entry, err));
    pthread_mutex_lock(&engine->mutex);
    const bool stopping = engine->stopping;
    if (!stopping) {
        entry->ticket = ++engine->tickets;
        if (ticket != NULL)
            *ticket = entry->ticket;
        *(engine->last != NULL ? &engine->last->next : &engine->first) = entry;
        engine->last = entry;
        engine->stats.waiting++;
        engine->stats.asked++;
        entry = NULL;
        pthread_cond_broadcast(&engine->wake);
    }
    pthread_mutex_unlock(&engine->mutex);
    if (stopping)
        PFM_FAIL(PFM_ERROR_INTERRUPTED, "the server stops and takes no more requests");
done:
    pfm_engine_entry_free(entry);
    return status;
}

void pfm_engine_cancel(pfm_engine *engine, uint64_t ticket)
{
    pthread_mutex_lock(&engine->mutex);
    for (pfm_engine_entry *entry = engine->first; entry != NULL; entry = entry->next) {
        if (entry->ticket == ticket)
            atomic_store(&entry->cancelled, true);
    }
    for (size_t i = 0; i < engine->running_count; i++) {
        if (engine->running[i]->ticket == ticket)
            atomic_store(&engine->running[i]->cancelled, true);
    }
    pthread_mutex_unlock(&engine->mutex);
}

void pfm_engine_stats_get(pfm_engine *engine, pfm_engine_stats *out)
{
    pthread_mutex_lock(&engine->mutex);
    *out = engine->stats;
    pthread_mutex_unlock(&engine->mutex);
}
