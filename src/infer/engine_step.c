/* One run of the graph: the newest token of every answer that is under way, and a bounded part of prompts, the oldest request
 * first. Prompts are cut at whole blocks. */
#include "infer/engine_internal.h"

#include "base/try.h"
#include "infer/row_answer.h"

#include <stdlib.h>
#include <string.h>

/* ---- room ---- */

static size_t most_tokens(const pfm_engine *engine) { return PFM_ENGINE_PROMPT_TOKENS + (size_t)engine->rows; }

static pfm_status prepare_pack(pfm_engine *engine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pack *pack = &engine->pack;
    const size_t tokens = most_tokens(engine), rows = (size_t)engine->rows, spans = 2 * rows + tokens / PFM_ENGINE_BLOCK + 1;
    PFM_TRY(pfm_allocate(tokens, sizeof *pack->ids, &pack->ids, err));
    PFM_TRY(pfm_allocate(tokens, sizeof *pack->positions, &pack->positions, err));
    PFM_TRY(pfm_allocate(tokens, sizeof *pack->adapters, &pack->adapters, err));
    PFM_TRY(pfm_allocate(tokens, sizeof *pack->contexts, &pack->contexts, err));
    PFM_TRY(pfm_allocate(tokens, sizeof *pack->key_rows, &pack->key_rows, err));
    PFM_TRY(pfm_allocate(tokens, sizeof *pack->keys, &pack->keys, err));
    PFM_TRY(pfm_allocate(rows, sizeof *pack->index, &pack->index, err));
    PFM_TRY(pfm_allocate(spans, sizeof *pack->spans, &pack->spans, err));
    PFM_TRY(pfm_allocate(spans + 1, sizeof *pack->roots, &pack->roots, err));
done:
    return status;
}

static pfm_status prepare_pictures(pfm_engine *engine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t visual = (size_t)engine->model->visual_tokens;
    const size_t block = visual > 0 ? PFM_ENGINE_BLOCK / visual + 2 : 0;
    engine->most_pictures = visual == 0 ? 0 : block > PFM_ENGINE_PICTURES ? block : PFM_ENGINE_PICTURES;
    PFM_TRY(pfm_allocate(engine->most_pictures, sizeof *engine->pictures, &engine->pictures, err));
    PFM_TRY(pfm_allocate(engine->most_pictures, pfm_model_image_bytes(engine->model), &engine->visual, err));
    PFM_TRY(pfm_allocate(engine->most_pictures * visual, sizeof *engine->visual_adapters, &engine->visual_adapters, err));
    PFM_TRY(pfm_allocate(engine->most_pictures, sizeof *engine->image_contexts, &engine->image_contexts, err));
done:
    return status;
}

pfm_status pfm_engine_step_prepare(pfm_engine *engine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_context *context = engine->session->context;
    const size_t rows = (size_t)engine->rows,
                 values = (size_t)pfm_threads_count(context->threads) * (size_t)engine->model->language.vocabulary;
    PFM_TRY(prepare_pictures(engine, err));
    PFM_TRY(prepare_pack(engine, err));
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = (int64_t)most_tokens(engine),
                                             [PFM_DIM_ANSWERS] = engine->rows,
                                             [PFM_DIM_VISUAL] = (int64_t)engine->most_pictures * engine->model->visual_tokens};
    const pfm_op_environment env = {.context = engine->session->context,
                                    .kernels = context->kernels,
                                    .act = engine->model->act,
                                    .most_keys = engine->context};
    PFM_TRY(pfm_model_build(engine->model, capacity, false, false, &engine->graph, err));
    PFM_TRY(pfm_session_load_weights(engine->session, err));
    PFM_TRY(pfm_executor_create(engine->graph.graph, &env, PFM_NO_VALUE, &engine->executor, err));
    PFM_TRY(pfm_allocate(rows, sizeof *engine->answered, &engine->answered, err));
    PFM_TRY(pfm_allocate(rows, sizeof *engine->chosen, &engine->chosen, err));
    PFM_TRY(pfm_allocate(rows, sizeof *engine->best, &engine->best, err));
    PFM_TRY(pfm_allocate(values, sizeof *engine->scores, &engine->scores, err));
    PFM_TRY(pfm_allocate(values, sizeof *engine->scratch, &engine->scratch, err));
done:
    return status;
}

void pfm_engine_step_free(pfm_engine *engine)
{
    pfm_executor_free(engine->executor);
    pfm_model_graph_free(&engine->graph);
    pfm_pack_free(&engine->pack);
    free(engine->pictures);
    free(engine->visual);
    free(engine->visual_adapters);
    free(engine->image_contexts);
    free(engine->answered);
    free(engine->chosen);
    free(engine->best);
    free(engine->scores);
    free(engine->scratch);
}

/* ---- images ---- */

static bool is_visual(int32_t id) { return id < 0 && !pfm_id_is_virtual(id); }

/* The place of an entry's image in the step, or -1. */
static int32_t place_of(const pfm_engine *engine, const pfm_engine_entry *entry, size_t image)
{
    for (size_t i = 0; i < engine->picture_count; i++) {
        const pfm_engine_picture *p = &engine->pictures[i];
        if (strcmp(p->hash, entry->pictures[image]) == 0 && p->adapter == entry->asked.adapter &&
            p->context == entry->asked.context)
            return (int32_t)i;
    }
    return -1;
}

static pfm_status show(pfm_engine *engine, const pfm_engine_entry *entry, size_t image, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t at = engine->picture_count;
    const int64_t visual = engine->model->visual_tokens;
    const float *values = NULL;
    engine->computed += !pfm_engine_features_kept(engine, entry->pictures[image]);
    PFM_TRY(pfm_engine_features_get(engine, entry, image, &values, err));
    PFM_TRY(pfm_model_read_image(engine->model, entry->asked.adapter, values,
                                 (char *)engine->visual + at * pfm_model_image_bytes(engine->model), err));
    engine->pictures[at] = (pfm_engine_picture){entry->pictures[image], entry->asked.adapter, entry->asked.context};
    engine->image_contexts[at] = entry->asked.context;
    for (int64_t t = 0; t < visual; t++)
        engine->visual_adapters[(int64_t)at * visual + t] = entry->asked.adapter;
    engine->picture_count++;
done:
    return status;
}

/* Puts the images of tokens first .. first + count - 1 into the step. *shown = how many of these tokens can be read now: there
 * is room for so many images, and where answers wait only one is computed for them, but for the request whose turn it is. */
static pfm_status show_images(pfm_engine *engine, const pfm_engine_entry *entry, int32_t first, int32_t count, bool turn,
                              int32_t *shown, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (*shown = 0; *shown < count; ++*shown) {
        const int32_t id = entry->ids.data[first + *shown];
        if (!is_visual(id))
            continue;
        const size_t image = (size_t)((-1 - id) / engine->model->visual_tokens);
        if (place_of(engine, entry, image) >= 0)
            continue;
        const bool late = !turn && engine->computed > 0 && !pfm_engine_features_kept(engine, entry->pictures[image]);
        if (engine->picture_count == engine->most_pictures || late)
            break;
        PFM_TRY(show(engine, entry, image, err));
    }
done:
    return status;
}

/* ---- the pack ---- */

static void append_span(pfm_engine *engine, const pfm_engine_ranges *behind, int32_t count, int32_t own_begin, int32_t own_past)
{
    pfm_pack *pack = &engine->pack;
    pfm_attention_span *span = &pack->spans[pack->span_count];
    const int32_t begin = (int32_t)pack->tokens;
    int32_t keys = own_past + count;
    *span = (pfm_attention_span){.q_begin = begin,
                                 .q_end = begin + count,
                                 .own_begin = own_begin,
                                 .own_past = own_past,
                                 .ancestors = behind->count,
                                 .root = (int32_t)pack->span_count};
    for (int32_t i = 0; i < behind->count; i++) {
        span->ancestor_begin[i] = behind->begin[i];
        span->ancestor_end[i] = behind->end[i];
        keys += behind->end[i] - behind->begin[i];
    }
    pack->most_keys = keys > pack->most_keys ? keys : pack->most_keys;
    pack->roots[pack->span_count] = (int32_t)pack->span_count;
    pack->span_count++;
    pack->roots[pack->span_count] = (int32_t)pack->span_count;
}

/* Tokens first .. first + count - 1 of an entry, whose keys go to rows own_begin + own_past and on. */
static void append(pfm_engine *engine, const pfm_engine_entry *entry, const pfm_engine_ranges *behind, int32_t first,
                   int32_t count, int32_t own_begin, int32_t own_past)
{
    pfm_pack *pack = &engine->pack;
    const int32_t visual = (int32_t)engine->model->visual_tokens;
    append_span(engine, behind, count, own_begin, own_past);
    for (int32_t i = 0; i < count; i++) {
        const size_t t = pack->tokens++;
        int32_t id = entry->ids.data[first + i];
        if (is_visual(id))
            id = -1 - (place_of(engine, entry, (size_t)((-1 - id) / visual)) * visual + (-1 - id) % visual);
        pack->ids[t] = id;
        pack->positions[t] = first + i;
        pack->adapters[t] = entry->asked.adapter;
        pack->contexts[t] = entry->asked.context;
        pack->keys[t] = 0;
        pack->key_rows[t] = own_begin + own_past + i;
    }
}

/* The last token in the pack is followed by one of the entry's answer. */
static void expect(pfm_engine *engine, pfm_engine_entry *entry)
{
    pfm_pack *pack = &engine->pack;
    engine->answered[pack->answers] = entry;
    pack->index[pack->answers++] = (int32_t)pack->tokens - 1;
}

static void append_answer(pfm_engine *engine, pfm_engine_entry *entry)
{
    const int32_t last = (int32_t)entry->ids.count - 1;
    append(engine, entry, &entry->place.leaf->ranges, last, 1, entry->place.own.begin, last - entry->place.first);
    expect(engine, entry);
}

/* How many of `wanted` tokens from a whole block on can be read with so many left to the step: whole blocks, or all that is
 * left of a prompt (last), of which a rest is never too short. */
static int32_t cut(int32_t wanted, int32_t left, bool last)
{
    if (wanted <= left)
        return wanted;
    int32_t count = left / PFM_ENGINE_BLOCK * PFM_ENGINE_BLOCK;
    if (last && count > 0 && wanted - count < PFM_ENGINE_LEAST_OWN)
        count -= PFM_ENGINE_BLOCK;
    return count;
}

/* Reads on in a run of the tree, for all who wait for it. *left: tokens that the step has left. */
static pfm_status read_node(pfm_engine *engine, const pfm_engine_entry *entry, pfm_engine_node *node, int32_t *left, bool turn,
                            bool *stuck, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int32_t wanted = node->run.count - node->filled, first = node->first + node->filled;
    int32_t count = cut(wanted, *left, false), shown = 0;
    PFM_TRY(show_images(engine, entry, first, count, turn, &shown, err));
    count = cut(count, shown, false);
    *stuck = count < wanted;
    if (count == 0)
        goto done;
    append(engine, entry, &node->parent->ranges, first, count, node->run.begin, node->filled);
    node->filled += count;
    *left -= count;
    engine->counts.read += (uint64_t)count;
done:
    return status;
}

/* Reads on in an entry's own part of its prompt. */
static pfm_status read_own(pfm_engine *engine, pfm_engine_entry *entry, int32_t *left, bool turn, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_engine_place *place = &entry->place;
    const int32_t first = place->first + entry->read, wanted = (int32_t)entry->prompt - first;
    int32_t count = cut(wanted, *left, true), shown = 0;
    PFM_TRY(show_images(engine, entry, first, count, turn, &shown, err));
    if (shown < count)
        count = cut(wanted, shown, true);
    if (count == 0)
        goto done;
    append(engine, entry, &place->leaf->ranges, first, count, place->own.begin, entry->read);
    entry->read += count;
    *left -= count;
    engine->counts.read += (uint64_t)count;
    if (count < wanted)
        goto done;
    entry->answers = true;
    expect(engine, entry);
done:
    return status;
}

static pfm_status read_prompt(pfm_engine *engine, pfm_engine_entry *entry, int32_t *left, bool turn, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool stuck = false;
    pfm_engine_node *node;
    while (!stuck && (node = pfm_engine_store_unfilled(entry->place.leaf)) != NULL)
        PFM_TRY(read_node(engine, entry, node, left, turn, &stuck, err));
    if (!stuck)
        PFM_TRY(read_own(engine, entry, left, turn, err));
done:
    return status;
}

static void compose(pfm_engine *engine)
{
    pfm_pack *pack = &engine->pack;
    pack->tokens = pack->answers = pack->span_count = pack->root_count = pack->row_count = 0;
    pack->most_keys = 0;
    engine->picture_count = engine->computed = 0;
    for (size_t i = 0; i < engine->running_count; i++) {
        if (engine->running[i]->answers)
            append_answer(engine, engine->running[i]);
    }
    const bool waited_for = pack->answers > 0;
    int32_t left = waited_for ? PFM_ENGINE_BESIDE_TOKENS : PFM_ENGINE_PROMPT_TOKENS;
    bool turn = true;
    for (size_t i = 0; i < engine->running_count && left > 0; i++) {
        pfm_engine_entry *entry = engine->running[i];
        if (entry->answers)
            continue;
        entry->status = read_prompt(engine, entry, &left, turn || !waited_for, &entry->error);
        entry->over = entry->status != PFM_OK;
        turn = false;
    }
    pack->root_count = pack->span_count;
}

/* ---- the run ---- */

static pfm_status run_graph(pfm_engine *engine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_executor *executor = engine->executor;
    const pfm_tower_pictures images = {.count = (int64_t)engine->picture_count, .contexts = engine->image_contexts};
    const int64_t visual = images.count * engine->model->visual_tokens;
    PFM_TRY(pfm_model_bind(engine->model, &engine->graph, executor, &engine->pack, visual, err));
    PFM_TRY(pfm_model_bind_images(engine->model, &engine->graph, executor, engine->visual, &images, err));
    engine->kv.rows = engine->pack.key_rows;
    pfm_executor_environment(executor)->kv = &engine->kv;
    if (engine->graph.visual_adapters != PFM_NO_VALUE)
        pfm_executor_bind(executor, engine->graph.visual_adapters, engine->visual_adapters);
    pfm_executor_forward(executor);
    engine->counts.steps++;
done:
    return status;
}

static void choose(void *user, int item, int thread)
{
    pfm_engine *engine = user;
    const pfm_engine_entry *entry = engine->answered[item];
    const size_t vocabulary = (size_t)engine->model->language.vocabulary;
    const float *logits =
        (const float *)pfm_executor_data(engine->executor, engine->graph.language.logits) + (size_t)item * vocabulary;
    const float total = engine->session->context->kernels->logsumexp(logits, vocabulary, &engine->chosen[item]);
    if (pfm_row_needs_scores(entry->how)) {
        float *scores = engine->scores + (size_t)thread * vocabulary;
        const pfm_row_view view = {.how = entry->how,
                                   .ids = entry->ids.data,
                                   .count = entry->ids.count,
                                   .prompt = entry->prompt,
                                   .end = pfm_tokenizer_end(engine->model->tokenizer)};
        pfm_row_score(&view, logits, 0, vocabulary, scores, engine->scratch + (size_t)thread * vocabulary);
        engine->chosen[item] = pfm_row_choose(&view, scores, vocabulary);
    }
    engine->best[item] = logits[engine->chosen[item]] - total;
}

pfm_status pfm_engine_step(pfm_engine *engine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    compose(engine);
    if (engine->pack.tokens == 0)
        goto done;
    PFM_TRY(run_graph(engine, err));
    pfm_threads_run(engine->session->context->threads, (int)engine->pack.answers, choose, engine);
    for (size_t i = 0; i < engine->pack.answers; i++) {
        pfm_engine_entry *entry = engine->answered[i];
        engine->counts.generated++;
        entry->status =
            pfm_engine_entry_take(engine, entry, (int32_t)engine->chosen[i], (double)engine->best[i], &entry->error);
        entry->over = entry->over || entry->status != PFM_OK;
    }
done:
    return status;
}
