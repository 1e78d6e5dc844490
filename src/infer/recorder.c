#include "infer/recorder.h"

#include "base/context.h"
#include "base/json.h"
#include "base/salt.h"
#include "base/try.h"
#include "train/audit_session.h"

#include <stdlib.h>
#include <string.h>

struct pfm_recorder {
    pfm_record *record;
    bool hashes_texts;
    pfm_salt salt;
    /* Of the session: */
    const pfm_session *session;
    pfm_hash_hex recipe;
    json_t *made;     /* what its answers are made from, but for "weights" */
    json_t **weights; /* [adapter_count] of the base, of its own adapter, of those beside it */
    size_t adapter_count;
};

/* ---- from start to end ---- */

static pfm_status choose_texts(pfm_recorder *recorder, const char *texts, pfm_error *err)
{
    recorder->hashes_texts = texts != NULL && strcmp(texts, "hash") == 0;
    if (texts == NULL || recorder->hashes_texts || strcmp(texts, "text") == 0)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_USAGE, "texts cannot be recorded as '%.40s'; known: text hash", texts);
}

pfm_status pfm_recorder_create(const pfm_context *context, const pfm_record_options *options, pfm_recorder **out,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_recorder *recorder = NULL;
    *out = NULL;
    if (options->path == NULL)
        return options->texts == NULL
                   ? PFM_OK
                   : pfm_error_set(err, PFM_ERROR_USAGE,
                                   "how texts are recorded is said, and not where; name a file with --record");
    PFM_TRY(pfm_allocate(1, sizeof *recorder, &recorder, err));
    PFM_TRY(choose_texts(recorder, options->texts, err));
    PFM_TRY(pfm_salt_load(context->home, &recorder->salt, err));
    PFM_TRY(pfm_record_open(context, options->path, &recorder->record, err));
    *out = recorder;
    recorder = NULL;
done:
    pfm_recorder_free(recorder);
    return status;
}

void pfm_recorder_free(pfm_recorder *recorder)
{
    if (recorder == NULL)
        return;
    for (size_t i = 0; i < recorder->adapter_count; i++)
        json_decref(recorder->weights[i]);
    free(recorder->weights);
    json_decref(recorder->made);
    pfm_record_close(recorder->record);
    free(recorder);
}

void pfm_recorder_head(pfm_recorder *recorder, pfm_record_receipt *out) { pfm_record_head(recorder->record, out); }

json_t *pfm_record_receipt_describe(const pfm_record_receipt *receipt)
{
    return json_pack("{s:I, s:s}", "sequence", (json_int_t)receipt->sequence, "hash", receipt->hash);
}

/* ---- the session ---- */

/* How pictures become the model's square, and weights the numbers that are computed with. */
static pfm_status describe_ways(const pfm_session *session, json_t *made, pfm_error *err)
{
    static const char *const formats[] = {
        [PFM_WEIGHTS_FULL] = "full", [PFM_WEIGHTS_Q8_0] = "q8_0", [PFM_WEIGHTS_Q4_0] = "q4_0", [PFM_WEIGHTS_Q4_1] = "q4_1"};
    pfm_status status = PFM_OK;
    const pfm_recipe *recipe = session->recipe;
    PFM_TRY(pfm_json_take(made, "kept_as", json_string(formats[session->context->weights]), err));
    PFM_TRY(pfm_json_take(made, "kernels", json_string(session->context->cpu_level), err));
    if (session->vision != NULL)
        PFM_TRY(pfm_json_take(made, "square",
                              json_pack("{s:i, s:s, s:s}", "size", recipe->model.image_size, "fit", recipe->model.fit, "filter",
                                        recipe->model.filter),
                              err));
    if (recipe->data.index_sha256 != NULL)
        PFM_TRY(pfm_json_take(made, "index",
                              json_pack("{s:s, s:s}", "name", recipe->data.index, "sha256", recipe->data.index_sha256), err));
done:
    return status;
}

pfm_status pfm_recorder_take_recipe(pfm_recorder *recorder, const pfm_session *session, pfm_error *err)
{
    return recorder != NULL ? pfm_recipe_hash(session->recipe, recorder->recipe, err) : PFM_OK;
}

pfm_status pfm_recorder_take_session(pfm_recorder *recorder, const pfm_session *session, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *common;
    if (recorder == NULL)
        return PFM_OK;
    recorder->session = session;
    recorder->made = json_object();
    PFM_TRY(pfm_audit_session(session, recorder->made, err));
    (void)json_object_del(recorder->made, "seed"); /* each answer has its own */
    PFM_TRY(pfm_json_take(recorder->made, "recipe_sha256", json_string(recorder->recipe), err));
    PFM_TRY(describe_ways(session, recorder->made, err));
    common = json_object_get(recorder->made, "weights");
    PFM_TRY(pfm_allocate(session->other_count + 2, sizeof *recorder->weights, &recorder->weights, err));
    recorder->adapter_count = session->other_count + 2;
    for (size_t i = 0; i < recorder->adapter_count; i++) {
        recorder->weights[i] = json_deep_copy(common);
        if (recorder->weights[i] == NULL)
            PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not list what answers are made from");
        PFM_TRY(pfm_audit_adapter(session, (int32_t)i - 1, recorder->weights[i], err));
    }
    (void)json_object_del(recorder->made, "weights");
done:
    return status;
}

/* ---- an answer ---- */

json_t *pfm_recorded_image(const char *sha256, const char *shown)
{
    return json_pack("{s:s, s:o}", "sha256", sha256, "shown", json_loads(shown, 0, NULL));
}

/* What `{ cat SALT; printf %s TEXT; } | sha256sum` prints. */
static pfm_status hash_salted(const pfm_recorder *recorder, const char *text, size_t size, pfm_hash_hex out, pfm_error *err)
{
    pfm_hash *hash = NULL;
    pfm_status status = pfm_hash_create(&hash, err);
    if (status != PFM_OK)
        return status;
    pfm_hash_update(hash, recorder->salt.bytes, sizeof recorder->salt.bytes);
    pfm_hash_update(hash, text, size);
    pfm_hash_finish(hash, out);
    pfm_hash_free(hash);
    return PFM_OK;
}

/* A text as it is, or {"salted_sha256"}. */
static pfm_status add_text(const pfm_recorder *recorder, const char *key, const char *text, size_t size, json_t *out,
                           pfm_error *err)
{
    pfm_hash_hex hash;
    if (!recorder->hashes_texts)
        return pfm_json_take(out, key, json_stringn(text, size), err);
    pfm_status status = hash_salted(recorder, text, size, hash, err);
    return status == PFM_OK ? pfm_json_take(out, key, json_pack("{s:s}", "salted_sha256", hash), err) : status;
}

static pfm_status add_prompt(const pfm_recorder *recorder, const pfm_question *question, json_t *out, pfm_error *err)
{
    pfm_buffer prompt = {0};
    pfm_status status = pfm_model_prompt(recorder->session->model, question, &prompt, err);
    if (status == PFM_OK)
        status = add_text(recorder, "prompt", prompt.data != NULL ? prompt.data : "", prompt.size, out, err);
    pfm_buffer_free(&prompt);
    return status;
}

/* Texts that are given beside the prompt: those that end an answer, and those among which one is chosen. */
static pfm_status add_texts(const pfm_recorder *recorder, const char *key, const char *const *texts, size_t count, json_t *out,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex hash;
    json_t *list = count > 0 ? json_array() : NULL;
    for (size_t i = 0; i < count; i++) {
        if (recorder->hashes_texts)
            PFM_TRY(hash_salted(recorder, texts[i], strlen(texts[i]), hash, err));
        list = pfm_json_add(list, recorder->hashes_texts ? json_pack("{s:s}", "salted_sha256", hash) : json_string(texts[i]));
    }
    if (count > 0)
        PFM_TRY(pfm_json_take(out, key, json_incref(list), err));
done:
    json_decref(list);
    return status;
}

static pfm_status add_decoding(const pfm_recorder *recorder, const pfm_recorded_answer *answer, json_t *out, pfm_error *err)
{
    static const char *const early[] = {[PFM_EARLY_FALSE] = "false", [PFM_EARLY_TRUE] = "true", [PFM_EARLY_NEVER] = "never"};
    pfm_status status = PFM_OK;
    const pfm_decoding *d = answer->decoding;
    json_t *list = json_pack(
        "{s:i, s:i, s:o, s:i, s:i, s:o, s:o, s:o, s:i, s:i, s:o, s:s, s:I}", "max_tokens", (int)answer->max_tokens,
        "min_tokens", d->min_tokens, "temperature", pfm_json_number(d->temperature), "draws", d->draws, "top_k", d->top_k,
        "top_p", pfm_json_number(d->top_p), "min_p", pfm_json_number(d->min_p), "repetition_penalty",
        pfm_json_number(d->repetition_penalty), "no_repeat_ngram", d->no_repeat_ngram, "beams", d->beams, "length_penalty",
        pfm_json_number(d->length_penalty), "early_stopping", early[d->early_stopping], "seed", (json_int_t)d->seed);
    PFM_TRY(pfm_json_take(out, "decoding", list, err));
    PFM_TRY(add_texts(recorder, "stop", (const char *const *)d->stop, d->stop_count, list, err));
    PFM_TRY(add_texts(recorder, "choices", answer->choices, answer->choice_count, list, err));
    if (answer->held_to != NULL)
        PFM_TRY(pfm_json_take(list, "held_to", json_string(answer->held_to), err));
done:
    return status;
}

static pfm_status add_asker(const pfm_recorder *recorder, const pfm_recorded_answer *answer, json_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex hash;
    PFM_TRY(pfm_json_take(out, "command", json_string(answer->command), err));
    if (answer->asker != NULL)
        PFM_TRY(hash_salted(recorder, answer->asker, strlen(answer->asker), hash, err));
    PFM_TRY(pfm_json_take(out, "asked_by", answer->asker != NULL ? json_string(hash) : json_null(), err));
    if (answer->request != NULL)
        PFM_TRY(pfm_json_take(out, "request", json_string(answer->request), err));
done:
    return status;
}

pfm_status pfm_recorder_put(pfm_recorder *recorder, const pfm_recorded_answer *answer, pfm_record_receipt *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *entry = json_object();
    PFM_TRY(add_asker(recorder, answer, entry, err));
    PFM_TRY(pfm_json_take(entry, "model", json_string(answer->model), err));
    if (entry == NULL || json_object_update(entry, recorder->made) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not record an answer");
    PFM_TRY(pfm_json_take(entry, "weights", json_incref(recorder->weights[answer->adapter + 1]), err));
    PFM_TRY(pfm_json_take(entry, "images", answer->images != NULL ? json_deep_copy(answer->images) : json_array(), err));
    if (answer->context != NULL)
        PFM_TRY(pfm_json_take(entry, "context", json_string(answer->context), err));
    PFM_TRY(add_prompt(recorder, answer->question, entry, err));
    PFM_TRY(add_decoding(recorder, answer, entry, err));
    PFM_TRY(add_text(recorder, "answer", answer->text, answer->size, entry, err));
    PFM_TRY(pfm_json_take(entry, "tokens", json_integer(answer->tokens), err));
    PFM_TRY(pfm_json_take(entry, "probability", pfm_json_number(answer->probability), err));
    PFM_TRY(pfm_json_take(entry, "finish", json_string(answer->finish), err));
    PFM_TRY(pfm_record_append(recorder->record, entry, out, err));
done:
    json_decref(entry);
    return status;
}
