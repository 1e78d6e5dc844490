#include "models/text/text_encoder.h"

#include "base/context.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/try.h"
#include "models/language/tokenizer_load.h"
#include "models/text/text_blocks.h"
#include "nn/executor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many tokens of short texts at once; as many queries a span, so that more threads than heads have work. */
enum { TOKENS_AT_ONCE = 1024, QUERIES_A_SPAN = 128, MOST_PATTERNS = 64, DIGEST = 12 };

struct pfm_text_encoder {
    pfm_text_config config;
    pfm_context context; /* the caller's, in f32 with the weights in full */
    pfm_tokenizer *tokenizer;
    pfm_parameters *parameters;
    pfm_graph *graph;
    pfm_executor *executor;
    pfm_text_values values;
    pfm_value output;
    int layer;
    int64_t most, capacity; /* tokens of a text, of a run */
    int32_t begin, end;
    int32_t *ids, *positions, *types; /* [capacity] */
    pfm_attention_span *spans;        /* [capacity] */
    int32_t *roots;                   /* [capacity + 1] */
    char digest[DIGEST + 1];
};

/* ---- weights ---- */

/* The longest name's beginning before the family's own: "", "bert.", "model_state_dict.module.bert.". */
static pfm_status find_prefix(const pfm_text_config *config, const pfm_weights *weights, char *prefix, size_t size,
                              pfm_error *err)
{
    char wanted[160];
    const int tail = snprintf(wanted, sizeof wanted, "%s.weight", config->family->words);
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        const char *name = pfm_weights_at(weights, i)->name;
        const size_t length = strlen(name), before = length - (size_t)tail;
        if (length >= (size_t)tail && strcmp(name + before, wanted) == 0 && before < size &&
            (before == 0 || name[before - 1] == '.')) {
            (void)snprintf(prefix, size, "%.*s", (int)before, name);
            return PFM_OK;
        }
    }
    return pfm_error_set(err, PFM_ERROR_MISMATCH, "%s has no tensor %s: it is no encoder of the family %s",
                         pfm_weights_path(weights), wanted, config->family->model_type);
}

/* Every parameter must be there in its shape, and nothing else but what is ignored and the blocks behind the last that is used.
 */
static pfm_status check_weights(const pfm_text_encoder *encoder, const pfm_weights *weights, const char *prefix,
                                const char *const *others, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int count = pfm_parameters_count(encoder->parameters);
    char(*names)[256] = NULL, block[160];
    pfm_weight_expected *expected = NULL;
    size_t kept = 0, deeper = (size_t)(encoder->config.layers - encoder->layer);
    const char **all = NULL;
    PFM_TRY(pfm_allocate((size_t)count + deeper, sizeof *names, &names, err));
    PFM_TRY(pfm_allocate((size_t)count, sizeof *expected, &expected, err));
    PFM_TRY(pfm_allocate(MOST_PATTERNS + deeper, sizeof *all, &all, err));
    for (int i = 0; i < count; i++) {
        const pfm_parameter *p = pfm_parameters_get(encoder->parameters, i);
        (void)snprintf(names[i], sizeof names[i], "%s%s", prefix, p->name);
        expected[i] = (pfm_weight_expected){.name = names[i], .rank = p->k == 1 ? 1 : 2, .shape = {p->n, p->k}};
    }
    for (const char *const *p = encoder->config.family->ignored; *p != NULL; p++)
        all[kept++] = *p;
    for (const char *const *p = others; p != NULL && *p != NULL && kept + 1 < MOST_PATTERNS; p++)
        all[kept++] = *p;
    for (size_t i = 0; i < deeper; i++) {
        char *name = names[(size_t)count + i];
        (void)snprintf(block, sizeof block, encoder->config.family->block, encoder->layer + (int)i);
        (void)snprintf(name, sizeof *names, "%s%s*", prefix, block);
        all[kept++] = name;
    }
    PFM_TRY(pfm_weights_expect(weights, expected, (size_t)count, all, err));
done:
    free(all);
    free(expected);
    free(names);
    return status;
}

static pfm_status load_weights(pfm_text_encoder *encoder, const pfm_weights *weights, const char *prefix, pfm_error *err)
{
    pfm_status status = PFM_OK;
    float *values = NULL;
    pfm_hash *hash = NULL;
    pfm_hash_hex digest;
    char name[256];
    PFM_TRY(pfm_hash_create(&hash, err));
    for (int i = 0; i < pfm_parameters_count(encoder->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(encoder->parameters, i);
        const size_t size = (size_t)(p->n * p->k);
        (void)snprintf(name, sizeof name, "%s%s", prefix, p->name);
        const pfm_weight *weight = pfm_weights_find(weights, name);
        free(values);
        values = NULL;
        PFM_TRY(pfm_allocate(size, sizeof *values, &values, err));
        PFM_TRY(pfm_weight_expand(weight, values, err));
        for (size_t j = 0; j < size; j++) {
            if (!isfinite(values[j]))
                PFM_FAIL(PFM_ERROR_FORMAT, "%s: the tensor %s holds something that is no number, at value %zu",
                         pfm_weights_path(weights), name, j);
        }
        pfm_hash_update(hash, values, size * sizeof *values);
        pfm_parameters_set(encoder->parameters, i, values);
        pfm_weights_release(weights, weight);
    }
    pfm_hash_finish(hash, digest);
    (void)snprintf(encoder->digest, sizeof encoder->digest, "%.*s", DIGEST, digest);
done:
    pfm_hash_free(hash);
    free(values);
    return status;
}

/* ---- making ---- */

static pfm_status build(pfm_text_encoder *encoder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_text_config *c = &encoder->config;
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = encoder->capacity};
    PFM_TRY(pfm_graph_create(encoder->parameters, capacity, &encoder->graph, err));
    pfm_builder builder = {.graph = encoder->graph,
                           .contexts = PFM_NO_VALUE,
                           .token_keys = PFM_NO_VALUE,
                           .ids = PFM_NO_VALUE,
                           .adapters = PFM_NO_VALUE,
                           .block = -1,
                           .made = PFM_NO_VALUE};
    pfm_value *const inputs[] = {&encoder->values.ids, &encoder->values.positions, &encoder->values.types};
    encoder->values.types = PFM_NO_VALUE;
    for (size_t i = 0; i < (c->family->types != NULL ? 3 : 2); i++)
        PFM_TRY(pfm_graph_input(encoder->graph, PFM_DIM_TOKENS, 0, 1, PFM_STORAGE_I32, false, inputs[i], err));
    PFM_TRY(pfm_text_build(c, &builder, &encoder->values, encoder->layer, &encoder->output, err));
    pfm_graph_keep(encoder->graph, encoder->output);
done:
    return status;
}

static pfm_status prepare_run(pfm_text_encoder *encoder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t capacity = (size_t)encoder->capacity;
    pfm_op_environment env = *pfm_parameters_environment(encoder->parameters);
    env.most_keys = (int32_t)encoder->most;
    PFM_TRY(pfm_allocate(capacity, sizeof *encoder->ids, &encoder->ids, err));
    PFM_TRY(pfm_allocate(capacity, sizeof *encoder->positions, &encoder->positions, err));
    PFM_TRY(pfm_allocate(capacity, sizeof *encoder->types, &encoder->types, err));
    PFM_TRY(pfm_allocate(capacity, sizeof *encoder->spans, &encoder->spans, err));
    PFM_TRY(pfm_allocate(capacity + 1, sizeof *encoder->roots, &encoder->roots, err));
    PFM_TRY(pfm_executor_create(encoder->graph, &env, PFM_NO_VALUE, &encoder->executor, err));
    pfm_executor_bind(encoder->executor, encoder->values.ids, encoder->ids);
    pfm_executor_bind(encoder->executor, encoder->values.positions, encoder->positions);
    if (encoder->values.types != PFM_NO_VALUE)
        pfm_executor_bind(encoder->executor, encoder->values.types, encoder->types);
done:
    return status;
}

static pfm_status find_tokens(pfm_text_encoder *encoder, const char *path, pfm_error *err)
{
    const pfm_text_family *family = encoder->config.family;
    encoder->begin = pfm_tokenizer_id(encoder->tokenizer, family->begin);
    encoder->end = pfm_tokenizer_id(encoder->tokenizer, family->end);
    if (encoder->begin < 0 || encoder->end < 0)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "the tokenizer beside %s lacks %s or %s, which begin and end a text",
                             path, family->begin, family->end);
    if (pfm_tokenizer_vocabulary(encoder->tokenizer) > (size_t)encoder->config.vocabulary)
        return pfm_error_set(err, PFM_ERROR_MISMATCH,
                             "the tokenizer beside %s has ids up to %zu, the model a vocabulary of %lld", path,
                             pfm_tokenizer_vocabulary(encoder->tokenizer) - 1, (long long)encoder->config.vocabulary);
    return PFM_OK;
}

pfm_status pfm_text_encoder_create(const pfm_context *context, const pfm_text_config *config, const pfm_weights *weights,
                                   const char *const *ignored, pfm_tokenizer *tokenizer, int layer, pfm_text_encoder **out,
                                   pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_text_encoder *encoder = NULL;
    char prefix[64] = "";
    PFM_TRY(pfm_allocate(1, sizeof *encoder, &encoder, err));
    encoder->tokenizer = tokenizer;
    tokenizer = NULL;
    encoder->config = *config;
    encoder->context = *context;
    encoder->context.precision = PFM_PRECISION_F32;
    encoder->context.weights = PFM_WEIGHTS_FULL;
    encoder->layer = layer == 0 ? config->layers : layer;
    if (layer < 0 || layer > config->layers)
        PFM_FAIL(PFM_ERROR_USAGE, "%s has no layer %d; choose from 1 to %d", pfm_weights_path(weights), layer,
                 (int)config->layers);
    encoder->most = config->positions - config->first_position;
    if (config->most_tokens > 0 && config->most_tokens < encoder->most)
        encoder->most = config->most_tokens;
    encoder->capacity = 2 * encoder->most > TOKENS_AT_ONCE ? 2 * encoder->most : TOKENS_AT_ONCE;
    PFM_TRY(find_tokens(encoder, pfm_weights_path(weights), err));
    PFM_TRY(find_prefix(config, weights, prefix, sizeof prefix, err));
    PFM_TRY(pfm_parameters_create(&encoder->context, PFM_ACT_F32, false, &encoder->parameters, err));
    PFM_TRY(build(encoder, err));
    PFM_TRY(check_weights(encoder, weights, prefix, ignored, err)); /* before memory is taken by what config.json says */
    PFM_TRY(pfm_parameters_allocate(encoder->parameters, err));
    PFM_TRY(load_weights(encoder, weights, prefix, err));
    PFM_TRY(prepare_run(encoder, err));
    *out = encoder;
    encoder = NULL;
done:
    pfm_tokenizer_free(tokenizer);
    pfm_text_encoder_free(encoder);
    return status;
}

/* The tokenizer's own limit, where tokenizer_config.json has one below the positions'. */
static pfm_status read_limit(const char *path, pfm_text_config *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = NULL;
    if (pfm_path_exists(path))
        PFM_TRY(pfm_json_load_reals(path, &document, err));
    const json_t *limit = json_object_get(document, "model_max_length");
    const double most = json_real_value(limit);
    if (json_is_real(limit) && most < 3)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: model_max_length leaves no room for a text", path);
    config->most_tokens = json_is_real(limit) && most < (double)config->positions ? (int64_t)most : config->positions;
done:
    json_decref(document);
    return status;
}

pfm_status pfm_text_encoder_load(const pfm_context *context, const char *path, int layer, pfm_text_encoder **out,
                                 pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    pfm_tokenizer *tokenizer = NULL;
    json_t *json = NULL;
    pfm_text_config config;
    char *config_path = NULL, *limit_path = NULL;
    const bool folder = pfm_path_is_folder(path);
    PFM_TRY(folder ? pfm_path_join(path, "config.json", &config_path, err)
                   : pfm_path_beside(path, "config.json", &config_path, err));
    PFM_TRY(pfm_path_beside(config_path, "tokenizer_config.json", &limit_path, err));
    PFM_TRY(pfm_json_load(config_path, &json, err));
    PFM_TRY(pfm_text_config_read(json, path, &config, err));
    PFM_TRY(read_limit(limit_path, &config, err));
    PFM_TRY(pfm_weights_open(path, &weights, err));
    PFM_TRY(pfm_tokenizer_load(path, &tokenizer, err));
    status = pfm_text_encoder_create(context, &config, weights, NULL, tokenizer, layer, out, err);
done:
    json_decref(json);
    pfm_weights_close(weights);
    free(config_path);
    free(limit_path);
    return status;
}

void pfm_text_encoder_free(pfm_text_encoder *encoder)
{
    if (encoder == NULL)
        return;
    pfm_executor_free(encoder->executor);
    pfm_graph_free(encoder->graph);
    pfm_parameters_free(encoder->parameters);
    pfm_tokenizer_free(encoder->tokenizer);
    free(encoder->ids);
    free(encoder->positions);
    free(encoder->types);
    free(encoder->spans);
    free(encoder->roots);
    free(encoder);
}

const pfm_text_config *pfm_text_encoder_get_config(const pfm_text_encoder *encoder) { return &encoder->config; }
int pfm_text_encoder_get_layer(const pfm_text_encoder *encoder) { return encoder->layer; }
const char *pfm_text_encoder_get_digest(const pfm_text_encoder *encoder) { return encoder->digest; }
int64_t pfm_text_encoder_most_tokens(const pfm_text_encoder *encoder) { return encoder->most; }
int64_t pfm_text_encoder_capacity(const pfm_text_encoder *encoder) { return encoder->capacity; }
int32_t pfm_text_encoder_begin(const pfm_text_encoder *encoder) { return encoder->begin; }
int32_t pfm_text_encoder_end(const pfm_text_encoder *encoder) { return encoder->end; }
bool pfm_text_encoder_wants_space(const pfm_text_encoder *encoder) { return encoder->config.family->wants_space; }

/* ---- running ---- */

pfm_status pfm_text_encoder_tokens(const pfm_text_encoder *encoder, const char *text, size_t length, pfm_ids *out,
                                   pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t before = out->count, most = before + (size_t)encoder->most - 1;
    PFM_TRY(pfm_ids_append(out, encoder->begin, err));
    PFM_TRY(pfm_tokenizer_encode(encoder->tokenizer, text, length, true, out, err));
    if (out->count > most)
        out->count = most;
    PFM_TRY(pfm_ids_append(out, encoder->end, err));
done:
    if (status != PFM_OK)
        out->count = before;
    return status;
}

/* Spans of one text that begins at row `begin`; returns how many there are now. */
static int32_t add_spans(pfm_text_encoder *encoder, int32_t begin, int32_t length, int32_t root, int32_t count)
{
    for (int32_t at = 0; at < length; at += QUERIES_A_SPAN) {
        const int32_t queries = length - at < QUERIES_A_SPAN ? length - at : QUERIES_A_SPAN;
        encoder->spans[count++] = (pfm_attention_span){.q_begin = begin + at,
                                                       .q_end = begin + at + queries,
                                                       .own_begin = begin,
                                                       .own_past = length - queries,
                                                       .root = root,
                                                       .whole = true};
    }
    return count;
}

static void fill_positions(pfm_text_encoder *encoder, int32_t begin, int32_t length)
{
    const pfm_text_config *c = &encoder->config;
    int32_t next = (int32_t)c->first_position;
    for (int32_t i = begin; i < begin + length; i++) {
        const bool none = c->first_position > 0 && encoder->ids[i] == c->padding;
        encoder->positions[i] = none ? c->padding : next++;
    }
}

pfm_status pfm_text_encoder_run(pfm_text_encoder *encoder, const int32_t *ids, const int32_t *lengths, size_t count,
                                const float **states, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t tokens = 0;
    int32_t spans = 0;
    for (size_t i = 0; i < count; i++) {
        if (lengths[i] < 1 || lengths[i] > encoder->most || tokens + lengths[i] > encoder->capacity)
            PFM_FAIL(PFM_ERROR_USAGE, "a text encoder takes texts of 1 to %lld tokens, together at most %lld",
                     (long long)encoder->most, (long long)encoder->capacity);
        memcpy(encoder->ids + tokens, ids + tokens, (size_t)lengths[i] * sizeof *ids);
        fill_positions(encoder, (int32_t)tokens, lengths[i]);
        spans = add_spans(encoder, (int32_t)tokens, lengths[i], (int32_t)i, spans);
        encoder->roots[i + 1] = spans;
        tokens += lengths[i];
    }
    PFM_TRY(pfm_executor_resize(encoder->executor, PFM_DIM_TOKENS, tokens, err));
    pfm_executor_environment(encoder->executor)->attention[PFM_ATTENTION_SEQUENCE] = (pfm_attention_set){
        .spans = encoder->spans, .span_count = spans, .roots = encoder->roots, .root_count = (int32_t)count};
    pfm_executor_forward(encoder->executor);
    *states = pfm_executor_data(encoder->executor, encoder->output);
done:
    return status;
}
