#include "infer/generate_internal.h"

#include "base/process.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { TOKENS_AT_ONCE = 1536 }; /* of prompts read together */

/* A session without a choice has its own adapter alone. */
static pfm_status check_adapters(const pfm_generator *g, pfm_error *err)
{
    const pfm_session *session = g->session;
    for (size_t i = 0; i < g->count; i++) {
        const int32_t adapter = g->requests[i].adapter;
        if (session->set == NULL ? adapter != 0 : adapter < -1 || adapter > (int32_t)session->other_count)
            return pfm_error_set(err, PFM_ERROR_USAGE, "request %zu goes through adapter %d, which is not there", i,
                                 (int)adapter);
    }
    return PFM_OK;
}

static size_t longest_answer(const pfm_generator *g)
{
    return pfm_generator_chooses(g) ? g->longest_choice : (size_t)g->options->max_tokens;
}

static pfm_status encode_prompts(pfm_generator *g, pfm_error *err)
{
    pfm_status status = pfm_allocate(g->count, sizeof *g->prompts, &g->prompts, err);
    for (size_t i = 0; status == PFM_OK && i < g->count; i++) {
        status = pfm_model_encode_prompt(g->model, pfm_session_virtual_tokens(g->session, g->requests[i].adapter),
                                         &g->requests[i].question, &g->prompts[i], err);
        size_t whole = g->prompts[i].count + longest_answer(g);
        if (status == PFM_OK && whole > (size_t)g->model->language.context)
            status = pfm_error_set(err, PFM_ERROR_MISMATCH,
                                   "the question \"%.60s\" and its answer take %zu tokens, the model has room for %lld",
                                   g->requests[i].question.text, whole, (long long)g->model->language.context);
    }
    return status;
}

/* Where a group begins its images are read. Another adapter may see them otherwise, and a vision encoder that learned in
 * another context. */
static bool begins_group(const pfm_generator *g, size_t begin, size_t request)
{
    const pfm_request *r = g->requests;
    return request == begin || r[request].group != r[request - 1].group || r[request].adapter != r[request - 1].adapter ||
           (g->model->tower != NULL && r[request].context != r[request - 1].context);
}

typedef struct group_of {
    const pfm_generator *g;
    size_t begin;
} group_of;

static pfm_sequence prompt_of(const void *user, size_t i)
{
    const group_of *group = user;
    const pfm_ids *prompt = &group->g->prompts[group->begin + i];
    return (pfm_sequence){.ids = prompt->data,
                          .count = prompt->count,
                          .answer = prompt->count,
                          .context = group->g->requests[group->begin + i].context};
}

/* The end of the batch that begins with a request: whole groups, few enough images and tokens; at least one group. *tokens and
 * *images = what they take. */
static size_t batch_end(const pfm_generator *g, size_t begin, size_t *tokens, size_t *images)
{
    size_t end = begin, units = 0;
    *tokens = *images = 0;
    while (end < g->count) {
        const group_of group = {g, end};
        size_t next = end;
        while (next < g->count && (next == end || !begins_group(g, end, next)))
            next++;
        size_t more = pfm_group_tokens(next - end, prompt_of, &group, true);
        size_t shown = g->requests[end].question.images, unit = shown > 0 ? shown : 1;
        if (end > begin && (*tokens + more > g->tokens_at_once || units + unit > g->images))
            break;
        *tokens += more;
        *images += shown;
        units += unit;
        end = next;
    }
    return end;
}

pfm_store_shape pfm_generator_store(const pfm_generator *g)
{
    const pfm_language_config *c = &g->model->language;
    return (pfm_store_shape){c->layers, (size_t)c->kv_heads * (size_t)c->head_dim};
}

/* Of visual tokens that stand beside the sequence. */
static pfm_store_shape image_store(const pfm_generator *g)
{
    const pfm_gated_shape *gated = &g->model->shape.gated;
    if (!pfm_model_sees(g->model) || g->model->aligner->block == NULL)
        return (pfm_store_shape){0};
    return (pfm_store_shape){g->model->language.layers / gated->every, (size_t)gated->heads * (size_t)gated->head_dim};
}

static size_t store_bytes(const pfm_generator *g, pfm_store_shape shape, size_t rows)
{
    return 2 * (size_t)shape.layers * rows * shape.columns * pfm_act_size(g->model->act);
}

static pfm_status create_store(const pfm_generator *g, pfm_store_shape shape, size_t rows, pfm_kv_store *kv, pfm_block *memory,
                               pfm_error *err)
{
    const size_t bytes = store_bytes(g, shape, rows);
    if (shape.layers == 0)
        return PFM_OK;
    pfm_status status = pfm_block_create(bytes, memory, err);
    *kv = (pfm_kv_store){.keys = memory->data,
                         .values = (char *)memory->data + bytes / 2,
                         .layer_stride = rows * shape.columns,
                         .columns = shape.columns};
    return status;
}

/* What the largest batch takes. */
typedef struct batch_sizes {
    size_t tokens, rows, keys, images;
    int64_t visual;
    pfm_op_environment env;
} batch_sizes;

static batch_sizes measure(const pfm_generator *g)
{
    size_t tokens, images;
    const size_t chosen = pfm_generator_chooses(g) ? pfm_choices_at_once(g) : 0;
    batch_sizes most = {.tokens = 1, .rows = 1, .keys = 1, .images = 1};
    for (size_t begin = 0, end; begin < g->count; begin = end) {
        end = batch_end(g, begin, &tokens, &images);
        const size_t rows = (end - begin) * (size_t)g->how->beams;
        const size_t answered = chosen > rows ? chosen : rows;
        size_t keys = tokens + (chosen > 0 ? chosen : rows * (size_t)g->options->max_tokens);
        most.tokens = tokens > most.tokens ? tokens : most.tokens;
        most.tokens = answered > most.tokens ? answered : most.tokens;
        most.images = images > most.images ? images : most.images;
        most.rows = answered > most.rows ? answered : most.rows;
        most.keys = keys > most.keys ? keys : most.keys;
    }
    most.visual = (int64_t)most.images * g->model->visual_tokens;
    most.env = (pfm_op_environment){.context = g->session->context,
                                    .kernels = g->session->context->kernels,
                                    .act = g->model->act,
                                    .most_keys = (int32_t)most.keys};
    return most;
}

static pfm_status build(pfm_generator *g, const batch_sizes *sizes, pfm_error *err)
{
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = (int64_t)sizes->tokens, [PFM_DIM_ANSWERS] = (int64_t)sizes->rows, [PFM_DIM_VISUAL] = sizes->visual};
    pfm_model_graph_free(&g->graph);
    return pfm_model_build(g->model, capacity, false, false, &g->graph, err);
}

/* Bytes resident at most with such batches: what is there already, parameters that are still to be loaded (the largest with the
 * file's pages and rows in f32), activations, keys and values. */
static pfm_status count_bytes(const pfm_generator *g, const batch_sizes *sizes, size_t *out, pfm_error *err)
{
    static const size_t answer_bytes = (size_t)16 << 20; /* texts, tokens, what a batch is put together in */
    pfm_plan *plan = NULL;
    pfm_status status = PFM_OK;
    size_t loading = 0;
    PFM_TRY(pfm_plan_create(g->graph.graph, &sizes->env, PFM_NO_VALUE, &plan, err));
    if (!g->session->loaded)
        PFM_TRY(pfm_model_loading_bytes(g->model, &loading, err));
    size_t work = plan->bytes + plan->scratch + store_bytes(g, pfm_generator_store(g), sizes->keys) +
                  store_bytes(g, image_store(g), (size_t)sizes->visual) + sizes->images * pfm_model_image_bytes(g->model);
    *out = (size_t)pfm_process_memory() + answer_bytes + (work > loading ? work : loading) +
           (g->session->loaded ? 0 : pfm_parameters_bytes(g->model->parameters));
done:
    pfm_plan_free(plan);
    return status;
}

/* Builds the graph for the largest batches that the context's memory allows, at least one image's questions. */
static pfm_status fit_memory(pfm_generator *g, batch_sizes *sizes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const uint64_t memory = g->session->context->memory;
    size_t bytes = 0;
    g->images = (size_t)g->options->images;
    g->tokens_at_once = TOKENS_AT_ONCE;
    for (;;) {
        *sizes = measure(g);
        PFM_TRY(build(g, sizes, err));
        if (memory == 0)
            goto done;
        PFM_TRY(count_bytes(g, sizes, &bytes, err));
        if (bytes <= memory)
            goto done;
        if (g->images == 1)
            break;
        g->images /= 2;
        g->tokens_at_once /= 2;
    }
    PFM_FAIL(
        PFM_ERROR_USAGE,
        "--memory allows %.2f GiB and these answers take at least %.2f GiB; weights in fewer bits (--weights q4_1) take less",
        (double)memory / 1073741824.0, (double)bytes / 1073741824.0 + 0.005);
done:
    return status;
}

/* Sizes for the largest batch, the graph, the weights, the store. */
static pfm_status prepare(pfm_generator *g, pfm_error *err)
{
    pfm_status status = PFM_OK;
    batch_sizes sizes;
    PFM_TRY(fit_memory(g, &sizes, err));
    PFM_TRY(pfm_session_load_weights(g->session, err));
    PFM_TRY(pfm_executor_create(g->graph.graph, &sizes.env, PFM_NO_VALUE, &g->executor, err));
    PFM_TRY(create_store(g, pfm_generator_store(g), sizes.keys, &g->kv, &g->kv_memory, err));
    PFM_TRY(create_store(g, image_store(g), (size_t)sizes.visual, &g->image_kv, &g->image_kv_memory, err));
    PFM_TRY(pfm_allocate(sizes.images, pfm_model_image_bytes(g->model), &g->visual, err));
    PFM_TRY(pfm_allocate((size_t)sizes.visual, sizeof *g->visual_adapters, &g->visual_adapters, err));
    PFM_TRY(pfm_allocate(sizes.images, sizeof *g->image_contexts, &g->image_contexts, err));
    PFM_TRY(pfm_decoding_prepare(g, sizes.rows, err));
done:
    return status;
}

static pfm_status read_images(pfm_generator *g, size_t begin, size_t end, int64_t *visual_rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    float *features = NULL;
    *visual_rows = 0;
    PFM_TRY(pfm_allocate(pfm_model_feature_values(g->model), sizeof *features, &features, err));
    for (size_t i = begin; i < end; i++) {
        for (size_t k = 0; begins_group(g, begin, i) && k < g->requests[i].question.images; k++) {
            const size_t image = (size_t)pfm_model_count_images(g->model, *visual_rows);
            char *to = (char *)g->visual + image * pfm_model_image_bytes(g->model);
            PFM_TRY(g->options->features(g->options->user, i, k, features, err));
            g->image_contexts[image] = g->requests[i].context;
            PFM_TRY(pfm_model_read_image(g->model, g->requests[i].adapter, features, to, err));
            for (int64_t t = 0; t < g->model->visual_tokens; t++)
                g->visual_adapters[*visual_rows + t] = g->requests[i].adapter;
            *visual_rows += g->model->visual_tokens;
        }
    }
done:
    free(features);
    return status;
}

static pfm_status pack_prompts(pfm_generator *g, size_t begin, size_t end, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t ids = 0;
    for (size_t i = begin; i < end; i++)
        ids += g->prompts[i].count;
    PFM_TRY(pfm_array_reserve(&g->ids, &g->id_capacity, ids, sizeof *g->ids, err));
    PFM_TRY(pfm_array_reserve(&g->sequences, &g->sequence_capacity, end - begin, sizeof *g->sequences, err));
    int32_t *next = g->ids, visual = 0, base = 0, group = -1; /* visual rows so far, and before the group at hand */
    for (size_t i = begin; i < end; i++) {
        if (begins_group(g, begin, i)) {
            base = visual;
            group++;
            visual += (int32_t)g->requests[i].question.images * (int32_t)g->model->visual_tokens;
        }
        size_t count = g->prompts[i].count;
        g->sequences[i - begin] = (pfm_sequence){.ids = next,
                                                 .count = count,
                                                 .answer = count,
                                                 .group = group,
                                                 .adapter = g->requests[i].adapter,
                                                 .visual_begin = base,
                                                 .visual_end = visual,
                                                 .context = g->requests[i].context};
        for (size_t t = 0; t < count; t++)
            *next++ = pfm_id_behind(g->prompts[i].data[t], base);
    }
    pfm_pack_options options = {
        .share = true, .inference = true, .reserve = g->options->max_tokens * g->how->beams, .spread = g->how->beams};
    if (pfm_generator_chooses(g) && end > begin) {
        options.reserve = 0;
        options.spread = (int32_t)(pfm_choices_at_once(g) / (end - begin) + 1);
    }
    PFM_TRY(pfm_pack_rows(&g->pack, g->sequences, end - begin, &options, err));
done:
    return status;
}

pfm_status pfm_generator_run(pfm_generator *g, int64_t visual_rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_tower_pictures images = {.count = pfm_model_count_images(g->model, visual_rows), .contexts = g->image_contexts};
    PFM_TRY(pfm_model_bind(g->model, &g->graph, g->executor, &g->pack, visual_rows, err));
    PFM_TRY(pfm_model_bind_images(g->model, &g->graph, g->executor, g->visual, &images, err));
    g->kv.rows = g->pack.key_rows;
    pfm_executor_environment(g->executor)->kv = &g->kv;
    pfm_executor_environment(g->executor)->image_kv = &g->image_kv;
    if (g->graph.visual_adapters != PFM_NO_VALUE)
        pfm_executor_bind(g->executor, g->graph.visual_adapters, g->visual_adapters);
    pfm_executor_forward(g->executor);
done:
    return status;
}

static pfm_status answer_batch(pfm_generator *g, size_t begin, size_t end, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t visual_rows = 0;
    PFM_TRY(read_images(g, begin, end, &visual_rows, err));
    PFM_TRY(pack_prompts(g, begin, end, err));
    PFM_TRY(pfm_generator_run(g, visual_rows, err));
    if (pfm_generator_chooses(g)) {
        PFM_TRY(pfm_choices_take(g, begin, end, err));
        goto done;
    }
    PFM_TRY(pfm_decoding_start(g, begin, end, err));
    pfm_decoding_choose(g);
    PFM_TRY(pfm_decoding_take(g, err));
    while (g->row_count > 0) {
        pfm_decoding_pack(g);
        PFM_TRY(pfm_generator_run(g, 0, err));
        pfm_decoding_choose(g);
        PFM_TRY(pfm_decoding_take(g, err));
    }
done:
    pfm_decoding_clear(g);
    return status;
}

static void release(pfm_generator *g)
{
    for (size_t i = 0; g->prompts != NULL && i < g->count; i++)
        pfm_ids_free(&g->prompts[i]);
    free(g->prompts);
    pfm_executor_free(g->executor);
    pfm_model_graph_free(&g->graph);
    pfm_block_free(&g->kv_memory);
    pfm_block_free(&g->image_kv_memory);
    pfm_pack_free(&g->pack);
    free(g->visual);
    free(g->visual_adapters);
    free(g->image_contexts);
    free(g->sequences);
    free(g->ids);
    free(g->rows);
    free(g->best);
    free(g->chosen);
    free(g->scores);
    free(g->scratch);
    free(g->groups);
    free(g->candidates);
    free(g->candidate_count);
    free(g->next_rows);
    pfm_choices_free(g);
}

void pfm_answer_free(pfm_answer *answer)
{
    for (size_t i = 0; i < answer->other_count; i++)
        pfm_answer_free(&answer->others[i]);
    free(answer->others);
    free(answer->choices);
    free(answer->text);
    *answer = (pfm_answer){0};
}

pfm_status pfm_generate_each(pfm_session *session, const pfm_request *requests, size_t count,
                             const pfm_generate_options *options, pfm_answer *answers, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_generator g = {.session = session,
                       .model = session->model,
                       .requests = requests,
                       .count = count,
                       .options = options,
                       .how = options->decoding != NULL ? options->decoding : &pfm_decoding_greedy,
                       .answers = answers};
    const size_t draws = g.how->draws > 1 ? (size_t)g.how->draws : 1, questions = count / draws;
    memset(answers, 0, count * sizeof *answers);
    PFM_TRY(check_adapters(&g, err));
    PFM_TRY(pfm_choices_encode(&g, err));
    PFM_TRY(encode_prompts(&g, err));
    PFM_TRY(prepare(&g, err));
    if (options->ready != NULL)
        options->ready(options->user);
    for (size_t begin = 0, end, tokens, images; begin < count; begin = end) {
        end = batch_end(&g, begin, &tokens, &images);
        PFM_TRY(answer_batch(&g, begin, end, err));
        if (options->on_answers != NULL)
            PFM_TRY(options->on_answers(options->user, begin, end, err));
        const size_t answered = end / draws;
        if (questions > 1) /* a single answer shows itself */
            pfm_report_progress(session->context, "answering", "questions", (double)answered, (double)questions, "");
        if (pfm_interrupted(session->context) && end < count)
            PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped after %zu of %zu questions", answered, questions);
    }
done:
    for (size_t i = 0; status != PFM_OK && i < count; i++)
        pfm_answer_free(&answers[i]);
    release(&g);
    return status;
}

pfm_status pfm_generate(pfm_session *session, const pfm_request *requests, size_t count, const pfm_generate_options *options,
                        pfm_answer *answers, pfm_error *err)
{
    const bool draws = options->decoding != NULL && options->decoding->draws > 1;
    return (draws ? pfm_generate_draws : pfm_generate_each)(session, requests, count, options, answers, err);
}
