#include "infer/engine_internal.h"

#include "base/try.h"
#include "infer/row_answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- from the outside in ---- */

static pfm_status check(const pfm_engine *engine, const pfm_engine_request *r, pfm_error *err)
{
    const pfm_session *session = engine->session;
    if (r->image_count != r->question.images)
        return pfm_error_set(err, PFM_ERROR_USAGE, "the question is about %zu images and %zu are given", r->question.images,
                             r->image_count);
    if (session->set == NULL ? r->adapter != 0 : r->adapter < -1 || r->adapter > (int32_t)session->other_count)
        return pfm_error_set(err, PFM_ERROR_USAGE, "the request goes through adapter %d, which is not there", (int)r->adapter);
    if (r->max_tokens < 1)
        return pfm_error_set(err, PFM_ERROR_USAGE, "an answer of %d tokens is none; allow at least 1", (int)r->max_tokens);
    if (r->choices != NULL && r->choices->count == 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "there is nothing to choose among; name at least one answer");
    return PFM_OK;
}

/* What answers alone take has no part in the store. */
static pfm_status check_length(const pfm_engine *engine, const pfm_engine_entry *entry, pfm_error *err)
{
    const size_t whole = entry->prompt + (size_t)entry->asked.max_tokens;
    if (whole > (size_t)engine->context)
        return pfm_error_set(err, PFM_ERROR_MISMATCH,
                             "the question \"%.60s\" takes %zu tokens and its answer up to %d, and there is room for %d; ask "
                             "for a shorter answer, or show less",
                             entry->asked.question.text, entry->prompt, (int)entry->asked.max_tokens, (int)engine->context);
    if (!entry->alone && whole > (size_t)engine->store.rows)
        return pfm_error_set(err, PFM_ERROR_MISMATCH,
                             "the question \"%.60s\" and its answer take %zu tokens, and the memory for answers holds %d; ask "
                             "for a shorter answer, show less, or allow more memory",
                             entry->asked.question.text, whole, (int)engine->store.rows);
    return PFM_OK;
}

static pfm_status hash_image(const pfm_image *image, pfm_hash_hex out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash *hash = NULL;
    const int32_t size[] = {image->width, image->height};
    PFM_TRY(pfm_hash_create(&hash, err));
    pfm_hash_update(hash, size, sizeof size);
    pfm_hash_update(hash, image->rgb, 3 * (size_t)image->width * (size_t)image->height);
    pfm_hash_finish(hash, out);
done:
    pfm_hash_free(hash);
    return status;
}

/* The digest of a block tells all before it, and what its images show. */
static pfm_status hash_block(const pfm_engine *engine, const pfm_engine_entry *entry, size_t block, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash *hash = NULL;
    const int32_t who[] = {entry->asked.adapter, entry->asked.context}, *ids = entry->ids.data + block * PFM_ENGINE_BLOCK;
    PFM_TRY(pfm_hash_create(&hash, err));
    if (block == 0)
        pfm_hash_update(hash, who, sizeof who);
    else
        pfm_hash_update(hash, entry->digests[block - 1], sizeof *entry->digests);
    for (size_t i = 0; i < PFM_ENGINE_BLOCK; i++) {
        if (ids[i] >= 0 || pfm_id_is_virtual(ids[i])) {
            pfm_hash_update(hash, &ids[i], sizeof ids[i]);
            continue;
        }
        const int32_t row = -1 - ids[i], within[] = {-1, row % (int32_t)engine->model->visual_tokens};
        pfm_hash_update(hash, within, sizeof within);
        pfm_hash_update(hash, entry->pictures[row / engine->model->visual_tokens], sizeof *entry->pictures);
    }
    pfm_hash_finish(hash, entry->digests[block]);
done:
    pfm_hash_free(hash);
    return status;
}

static pfm_status hash_all(const pfm_engine *engine, pfm_engine_entry *entry, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate(entry->asked.image_count, sizeof *entry->pictures, &entry->pictures, err));
    for (size_t i = 0; i < entry->asked.image_count; i++)
        PFM_TRY(hash_image(&entry->asked.images[i], entry->pictures[i], err));
    entry->blocks = entry->alone ? 0 : pfm_engine_blocks(entry->prompt);
    PFM_TRY(pfm_allocate(entry->blocks, sizeof *entry->digests, &entry->digests, err));
    for (size_t i = 0; i < entry->blocks; i++)
        PFM_TRY(hash_block(engine, entry, i, err));
done:
    return status;
}

pfm_status pfm_engine_entry_create(const pfm_engine *engine, const pfm_engine_request *request, pfm_engine_entry **out,
                                   pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_engine_entry *entry = NULL;
    char *text = NULL;
    PFM_TRY(check(engine, request, err));
    PFM_TRY(pfm_allocate(1, sizeof *entry, &entry, err));
    PFM_TRY(pfm_string_copy(request->question.text, &text, err));
    entry->asked = *request;
    entry->asked.question.text = text;
    entry->how = request->decoding != NULL ? request->decoding : &pfm_decoding_greedy;
    entry->alone = pfm_engine_is_single(engine, request);
    PFM_TRY(pfm_model_encode_prompt(engine->model, pfm_session_virtual_tokens(engine->session, request->adapter),
                                    &request->question, &entry->ids, err));
    entry->prompt = entry->ids.count;
    PFM_TRY(check_length(engine, entry, err));
    PFM_TRY(hash_all(engine, entry, err));
    PFM_TRY(pfm_text_stream_create(engine->model->tokenizer, true, &entry->stream, err));
    *out = entry;
    entry = NULL;
    text = NULL;
done:
    if (entry != NULL)
        entry->asked.question.text = NULL;
    free(text);
    pfm_engine_entry_free(entry);
    return status;
}

void pfm_engine_entry_free(pfm_engine_entry *entry)
{
    if (entry == NULL)
        return;
    free((char *)(uintptr_t)entry->asked.question.text);
    free(entry->digests);
    free(entry->pictures);
    pfm_ids_free(&entry->ids);
    pfm_text_stream_free(entry->stream);
    pfm_buffer_free(&entry->text);
    pfm_answer_free(&entry->answer);
    free(entry);
}

/* ---- from the inside out ---- */

void pfm_engine_entry_end(pfm_engine *engine, pfm_engine_entry *entry, pfm_status status, const pfm_error *err)
{
    pfm_engine_store_leave(&engine->store, &entry->place);
    pthread_mutex_lock(&engine->mutex);
    engine->stats.answered += status == PFM_OK;
    engine->stats.ended += status != PFM_OK;
    pthread_mutex_unlock(&engine->mutex);
    if (entry->asked.on_end != NULL)
        entry->asked.on_end(entry->asked.user, status, status == PFM_OK ? &entry->answer : NULL, status == PFM_OK ? NULL : err);
    pfm_engine_entry_free(entry);
}

/* How many of the last bytes may become a text that ends the answer. */
static size_t held_back(const pfm_decoding *how, const char *text, size_t size)
{
    size_t most = 0;
    for (size_t i = 0; i < how->stop_count; i++) {
        const size_t length = strlen(how->stop[i]);
        for (size_t held = length < size + 1 ? length : size + 1; held-- > most + 1;) {
            if (memcmp(text + size - held, how->stop[i], held) == 0)
                most = held;
        }
    }
    return most;
}

pfm_status pfm_engine_entry_take(const pfm_engine *engine, pfm_engine_entry *entry, int32_t id, double log_probability,
                                 pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_tokenizer *tokenizer = engine->model->tokenizer;
    PFM_TRY(pfm_ids_append(&entry->ids, id, err));
    entry->log_probability += log_probability;
    const int32_t *answer = entry->ids.data + entry->prompt;
    const size_t count = entry->ids.count - entry->prompt;
    entry->over = id == pfm_tokenizer_end(tokenizer) || count == (size_t)entry->asked.max_tokens;
    if (!entry->over)
        PFM_TRY(pfm_row_find_stop(tokenizer, entry->how, answer, count, &entry->over, err));
    const char *text = NULL;
    size_t size = 0;
    if (entry->over) {
        PFM_TRY(pfm_row_answer(tokenizer, entry->how, answer, count, entry->log_probability, &entry->answer, err));
        text = entry->answer.text;
        size = strlen(text);
    } else {
        PFM_TRY(pfm_text_stream_put(entry->stream, id, &entry->text, err));
        text = entry->text.data;
        size = entry->text.size - held_back(entry->how, text, entry->text.size);
    }
    const size_t from = entry->told < size ? entry->told : size;
    entry->told = size > entry->told ? size : entry->told;
    if (entry->asked.on_token != NULL)
        entry->asked.on_token(entry->asked.user, text != NULL ? text + from : "", size - from, id, log_probability);
done:
    return status;
}
