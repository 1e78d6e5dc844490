#include "models/model.h"

#include "base/memory.h"
#include "base/quantise.h"
#include "base/try.h"
#include "models/language/tokenizer_load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pfm_status read_tokenizer(pfm_model *model, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_tokenizer_load(model->language_path, &model->tokenizer, err));
    if (pfm_tokenizer_vocabulary(model->tokenizer) > (size_t)model->language.vocabulary)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: the tokenizer has %zu tokens, the embedding only %lld rows", model->language_path,
                 pfm_tokenizer_vocabulary(model->tokenizer), (long long)model->language.vocabulary);
    if (pfm_tokenizer_end(model->tokenizer) < 0)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: the tokenizer names no token that ends an answer", model->language_path);
done:
    return status;
}

static pfm_status read_language(pfm_model *model, bool tensors_only, pfm_error *err)
{
    pfm_weights *weights = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_weights_open(model->language_path, &weights, err));
    PFM_TRY(pfm_language_read_config(weights, &model->language, err));
    if (!tensors_only)
        PFM_TRY(read_tokenizer(model, err));
    PFM_TRY(pfm_language_rope_table(&model->language, model->language.context, &model->rope, err));
done:
    pfm_weights_close(weights);
    return status;
}

static pfm_status shape_images(pfm_model *model, const pfm_model_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision_shape vision;
    if (options->vision == NULL)
        return PFM_OK;
    PFM_TRY(pfm_vision_shape_of(options->vision, options->image_size, &model->layers, &vision, &model->vision_parameters, err));
    PFM_TRY(pfm_aligner_find(options->aligner, &model->aligner, err));
    model->shape = (pfm_aligner_shape){.grid = vision.grid,
                                       .extra = vision.extra,
                                       .channels = vision.channels,
                                       .inner = options->aligner_inner,
                                       .hidden = model->language.hidden,
                                       .qformer = options->qformer,
                                       .gated = options->gated,
                                       .pretrained = options->aligner_weights != NULL};
    PFM_TRY(pfm_aligner_parse_merge(options->merge, &model->shape.merge_rows, &model->shape.merge_columns, err));
    PFM_TRY(pfm_aligner_check(model->aligner, &model->shape, err));
    model->normalise = options->normalise;
    if (options->aligner_weights != NULL && options->normalise)
        PFM_FAIL(PFM_ERROR_USAGE, "model.aligner_weights learned from features as they are; set model.normalise: false");
    if (options->aligner_weights != NULL)
        PFM_TRY(pfm_string_copy(options->aligner_weights, &model->aligner_weights, err));
    model->visual_tokens = pfm_aligner_tokens(model->aligner, &model->shape);
    model->sequence_tokens = model->aligner->block == NULL ? model->visual_tokens : 0;
    model->feature_rows = pfm_aligner_rows(&model->shape);
    model->visual_width = pfm_aligner_width(&model->shape);
    PFM_TRY(pfm_allocate((size_t)model->visual_width, sizeof *model->mean, &model->mean, err));
    PFM_TRY(pfm_allocate((size_t)model->visual_width, sizeof *model->std, &model->std, err));
    for (int64_t j = 0; j < model->visual_width; j++)
        model->std[j] = 1;
done:
    return status;
}

/* Where something in the encoder is learned, and what of it stays outside of the graph. */
static pfm_status create_tower(pfm_model *model, const pfm_model_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_tower_options tower = {.kind = options->vision,
                                     .path = options->vision_path,
                                     .image_size = options->image_size,
                                     .layers = options->layers,
                                     .hook = options->vision_hook};
    if (options->vision == NULL)
        return PFM_OK;
    PFM_TRY(pfm_string_copy(options->vision, &model->vision, err));
    if (options->vision_hook != NULL)
        PFM_TRY(pfm_tower_create(model->context, &tower, &model->tower, err));
    const pfm_vision_layers outside = pfm_model_vision_layers(model);
    PFM_TRY(pfm_vision_bytes_of(options->vision, options->image_size, &outside, options->precision, &model->vision_bytes, err));
done:
    return status;
}

pfm_status pfm_model_create(pfm_context *context, const pfm_model_options *options, pfm_model **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_model *model = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *model, &model, err));
    model->context = context;
    model->act = options->precision == PFM_PRECISION_F32 ? PFM_ACT_F32 : PFM_ACT_BF16;
    model->weights = options->weights;
    model->hook = options->hook;
    model->virtual_tokens = options->virtual_tokens;
    model->learns_norms = options->learns_norms;
    model->layers = options->layers;
    model->lowercase_answers = options->lowercase_answers;
    PFM_TRY(pfm_string_copy(options->instruction, &model->instruction, err));
    PFM_TRY(pfm_string_copy(options->image_text, &model->image_text, err));
    if (options->system_text != NULL)
        PFM_TRY(pfm_string_copy(options->system_text, &model->system_text, err));
    if (options->language_path != NULL) {
        PFM_TRY(pfm_string_copy(options->language_path, &model->language_path, err));
        PFM_TRY(read_language(model, options->tensors_only, err));
    } else {
        model->language = *options->config;
    }
    PFM_TRY(shape_images(model, options, err));
    PFM_TRY(create_tower(model, options, err));
    PFM_TRY(pfm_parameters_create(context, model->act, options->training, &model->parameters, err));
    pfm_parameters_freeze(model->parameters, options->frozen);
    *out = model;
    model = NULL;
done:
    pfm_model_free(model);
    return status;
}

void pfm_model_free(pfm_model *model)
{
    if (model == NULL)
        return;
    pfm_tokenizer_free(model->tokenizer);
    pfm_parameters_free(model->parameters);
    pfm_tower_free(model->tower);
    free(model->vision);
    free(model->mean);
    free(model->std);
    free(model->rope);
    for (size_t i = 0; i < model->slot_count; i++) {
        free(model->slots[i].mean);
        free(model->slots[i].std);
    }
    free(model->slots);
    free(model->language_path);
    free(model->aligner_weights);
    free(model->instruction);
    free(model->image_text);
    free(model->system_text);
    free(model);
}

/* A layer that the file holds in blocks stays in these, whatever blocks are asked for. */
static pfm_status keep_blocks(pfm_model *model, pfm_error *err)
{
    pfm_weights *weights = NULL;
    pfm_status status = pfm_weights_open(model->language_path, &weights, err);
    if (status == PFM_OK)
        status = pfm_language_keep_blocks(weights, &model->language, model->parameters, err);
    pfm_weights_close(weights);
    return status;
}

pfm_status pfm_model_add_slot(pfm_model *model, int32_t number, const char *prefix, pfm_model_slot **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t width = (size_t)model->visual_width;
    if (model->aligner->block != NULL || model->aligner_weights != NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "adapters with different aligners cannot stand side by side where %s; answer with one at a time",
                 model->aligner->block != NULL ? "an aligner acts within the language model"
                                               : "the aligner starts from a file of its own (model.aligner_weights)");
    PFM_TRY(pfm_array_reserve(&model->slots, &model->slot_capacity, model->slot_count + 1, sizeof *model->slots, err));
    pfm_model_slot *slot = &model->slots[model->slot_count++];
    *slot = (pfm_model_slot){.number = number};
    (void)snprintf(slot->prefix, sizeof slot->prefix, "%s", prefix);
    PFM_TRY(pfm_allocate(width, sizeof *slot->mean, &slot->mean, err));
    PFM_TRY(pfm_allocate(width, sizeof *slot->std, &slot->std, err));
    for (size_t j = 0; j < width; j++)
        slot->std[j] = 1;
    *out = slot;
done:
    return status;
}

/* The visual tokens of the adapters that have aligners of their own take the place of the model's. */
static pfm_status build_slots(pfm_model *model, const pfm_builder *builder, pfm_model_graph *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_builder own = *builder;
    const pfm_dim rows = out->graph->values[out->language.visual].shape.dim; /* the features', or those of learned queries */
    PFM_TRY(pfm_graph_input(out->graph, rows, 0, 1, PFM_STORAGE_I32, false, &out->visual_adapters, err));
    PFM_TRY(pfm_allocate(model->slot_count, sizeof *out->slots, &out->slots, err));
    for (; out->slot_count < model->slot_count; out->slot_count++) {
        const pfm_model_slot *slot = &model->slots[out->slot_count];
        pfm_value visual;
        own.slot = slot->prefix;
        PFM_TRY(
            pfm_aligner_build(model->aligner, &own, &model->shape, out->features, &out->slots[out->slot_count], &visual, err));
        PFM_TRY(pfm_build_choose(&own, out->language.visual, visual, out->visual_adapters, slot->number, &out->language.visual,
                                 err));
    }
done:
    return status;
}

/* What trains of the base is saved as Hugging Face's files have it. */
static pfm_status note_orders(pfm_model *model, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        pfm_tensor_place place;
        if (p->part != PFM_PART_PEFT || !pfm_language_owns(p))
            continue;
        PFM_TRY(pfm_language_place(&model->language, NULL, false, p->name, &place, err));
        p->transposed = place.order == PFM_ORDER_TRANSPOSED;
    }
done:
    return status;
}

/* Beside a vision encoder that learns, something learns in the language model too, where the hook is shown both. */
static pfm_status check_parts(const pfm_model *model, pfm_error *err)
{
    bool learns = model->tower == NULL || model->hook == NULL;
    for (int i = 0; i < pfm_parameters_count(model->parameters) && !learns; i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        learns = p->part == PFM_PART_PEFT && !pfm_tower_owns(p);
    }
    return learns ? PFM_OK
                  : pfm_error_set(err, PFM_ERROR_USAGE,
                                  "peft.parts names language, but nothing of peft acts in the language model; leave language "
                                  "out of it");
}

pfm_status pfm_model_build(pfm_model *model, const int64_t capacity[PFM_DIM_COUNT], bool with_loss, bool bound_visual,
                           pfm_model_graph *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_builder builder = {.hook = model->hook, .learns_norms = model->learns_norms};
    pfm_aligner_blocks blocks;
    int64_t room[PFM_DIM_COUNT];
    const int64_t images = pfm_model_count_images(model, capacity[PFM_DIM_VISUAL]);
    memcpy(room, capacity, sizeof room);
    room[PFM_DIM_FEATURES] = images * model->feature_rows;
    room[PFM_DIM_PATCHES] = model->tower != NULL ? images * model->tower->tokens : 0;
    *out = (pfm_model_graph){.features = PFM_NO_VALUE,
                             .index = PFM_NO_VALUE,
                             .mean = PFM_NO_VALUE,
                             .deviation = PFM_NO_VALUE,
                             .adapters = PFM_NO_VALUE,
                             .visual_adapters = PFM_NO_VALUE,
                             .language = {.visual = PFM_NO_VALUE}};
    PFM_TRY(pfm_graph_create(model->parameters, room, &out->graph, err));
    builder.graph = out->graph;
    PFM_TRY(pfm_graph_input(out->graph, PFM_DIM_TOKENS, 0, 1, PFM_STORAGE_I64, false, &out->keys, err));
    builder.token_keys = out->keys;
    if (model->several)
        PFM_TRY(pfm_graph_input(out->graph, PFM_DIM_TOKENS, 0, 1, PFM_STORAGE_I32, false, &out->adapters, err));
    builder.adapters = out->adapters;
    PFM_TRY(pfm_graph_input(out->graph, PFM_DIM_TOKENS, 0, 1, PFM_STORAGE_I32, false, &out->contexts, err));
    builder.contexts = out->contexts;
    if (bound_visual) {
        PFM_TRY(pfm_graph_input(out->graph, PFM_DIM_VISUAL, 0, model->language.hidden, PFM_STORAGE_F32, true,
                                &out->language.visual, err));
    } else if (pfm_model_sees(model)) {
        PFM_TRY(pfm_model_build_images(model, &builder, out, &out->language.visual, err));
        if (model->slot_count > 0)
            PFM_TRY(build_slots(model, &builder, out, err));
    }
    const bool beside = out->features != PFM_NO_VALUE && model->aligner->block != NULL;
    pfm_aligner_blocks_start(&blocks, model->aligner, &model->shape, out->language.visual);
    if (beside) {
        builder.aligner = &blocks.hook;
        out->language.visual = PFM_NO_VALUE; /* none in the sequence */
    }
    builder.blocks = model->weights;
    PFM_TRY(pfm_language_build(&builder, &model->language, with_loss, &out->language, err));
    if (beside && blocks.count == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "the aligner %s found no block to act before: gated.every is %d, the language model has %d",
                 model->aligner->name, model->shape.gated.every, model->language.layers);
    PFM_TRY(check_parts(model, err));
    PFM_TRY(note_orders(model, err));
    if (pfm_dtype_quantises(model->weights) && model->language_path != NULL)
        PFM_TRY(keep_blocks(model, err));
done:
    if (status != PFM_OK)
        pfm_model_graph_free(out);
    return status;
}

void pfm_model_graph_free(pfm_model_graph *graph)
{
    if (graph == NULL)
        return;
    pfm_graph_free(graph->graph);
    pfm_tower_inputs_free(&graph->tower);
    free(graph->index_rows);
    pfm_aligner_inputs_free(&graph->aligner);
    for (size_t i = 0; i < graph->slot_count; i++)
        pfm_aligner_inputs_free(&graph->slots[i]);
    free(graph->slots);
    *graph = (pfm_model_graph){0};
}

typedef struct moments {
    double sum, squares;
    int64_t columns;
} moments;

static void add_moments(void *user, int64_t row0, int64_t rows, const float *values)
{
    (void)row0;
    moments *m = user;
    for (int64_t i = 0; i < rows * m->columns; i++) {
        m->sum += values[i];
        m->squares += (double)values[i] * values[i];
    }
}

/* Visual tokens start as large as text tokens are: the aligner's weights are drawn with std(embedding) / sqrt(width). */
static pfm_status scale_aligner(pfm_model *model, const pfm_weights *weights, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_language_config *language = &model->language;
    double count = (double)language->vocabulary * (double)language->hidden;
    moments m = {.columns = language->hidden};
    PFM_TRY(pfm_language_visit_rows(weights, language, language->family->embedding, language->vocabulary, language->hidden,
                                    PFM_ROWS_AT_ONCE, add_moments, &m, err));
    double mean = m.sum / count, deviation = sqrt(m.squares / count - mean * mean);
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        pfm_parameter *parameter = pfm_parameters_get(model->parameters, i);
        if (parameter->initial == PFM_INITIAL_NORMAL && parameter->initial_scale == 0)
            parameter->initial_scale = deviation / sqrt((double)parameter->k);
    }
done:
    return status;
}

typedef struct chosen_rows {
    const int32_t *ids;
    size_t count, width;
    float *rows;
} chosen_rows;

static void copy_chosen(void *user, int64_t row0, int64_t rows, const float *values)
{
    chosen_rows *c = user;
    for (size_t i = 0; i < c->count; i++) {
        if (c->ids[i] >= row0 && c->ids[i] < row0 + rows)
            memcpy(c->rows + i * c->width, values + (size_t)(c->ids[i] - row0) * c->width, c->width * sizeof *values);
    }
}

pfm_status pfm_model_embed(const pfm_model *model, const int32_t *ids, size_t count, float *rows, pfm_error *err)
{
    const pfm_language_config *language = &model->language;
    pfm_weights *weights = NULL;
    chosen_rows chosen = {.ids = ids, .count = count, .width = (size_t)language->hidden};
    chosen.rows = rows;
    pfm_status status = pfm_weights_open(model->language_path, &weights, err);
    if (status == PFM_OK)
        status = pfm_language_visit_rows(weights, language, language->family->embedding, language->vocabulary, language->hidden,
                                         PFM_ROWS_AT_ONCE, copy_chosen, &chosen, err);
    pfm_weights_close(weights);
    return status;
}

static bool has_any(const pfm_model *model, bool (*owns)(const pfm_parameter *))
{
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        if (owns(pfm_parameters_get(model->parameters, i)))
            return true;
    }
    return false;
}

bool pfm_model_has_aligner(const pfm_model *model) { return has_any(model, pfm_aligner_owns); }

bool pfm_model_has_tower(const pfm_model *model) { return has_any(model, pfm_tower_owns); }

pfm_status pfm_model_load(pfm_model *model, uint64_t seed, bool trained_follow, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    PFM_TRY(pfm_weights_open(model->language_path, &weights, err));
    PFM_TRY(pfm_parameters_allocate(model->parameters, err));
    PFM_TRY(pfm_language_load(weights, &model->language, model->parameters, err));
    if (pfm_model_has_tower(model))
        PFM_TRY(pfm_tower_load(model->tower, model->parameters, err));
    if (model->aligner_weights != NULL && pfm_model_has_aligner(model))
        PFM_TRY(pfm_aligner_load(model->aligner, model->aligner_weights, trained_follow, model->parameters, err));
    if (!trained_follow)
        PFM_TRY(scale_aligner(model, weights, err));
    PFM_TRY(pfm_parameters_initialise(model->parameters, seed, !trained_follow, err));
done:
    pfm_weights_close(weights);
    return status;
}

pfm_status pfm_model_loading_bytes(const pfm_model *model, size_t *out, pfm_error *err)
{
    pfm_weights *weights = NULL;
    pfm_status status = PFM_OK;
    if (model->language_path != NULL)
        PFM_TRY(pfm_weights_open(model->language_path, &weights, err));
    *out = pfm_language_loading_bytes(weights, &model->language, model->parameters);
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        const size_t twice = 2 * (size_t)(p->n * p->k) * sizeof(float); /* the file's pages, and the values */
        if (pfm_tower_owns(p) && twice > *out)
            *out = twice;
    }
done:
    pfm_weights_close(weights);
    return status;
}

pfm_status pfm_model_bind(const pfm_model *model, const pfm_model_graph *graph, pfm_executor *executor, const pfm_pack *pack,
                          int64_t visual_rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_executor_resize(executor, PFM_DIM_TOKENS, (int64_t)pack->tokens, err));
    PFM_TRY(pfm_executor_resize(executor, PFM_DIM_ANSWERS, (int64_t)pack->answers, err));
    PFM_TRY(pfm_executor_resize(executor, PFM_DIM_VISUAL, visual_rows, err));
    if (graph->adapters != PFM_NO_VALUE)
        pfm_executor_bind(executor, graph->adapters, pack->adapters);
    pfm_executor_bind(executor, graph->keys, pack->keys);
    pfm_executor_bind(executor, graph->contexts, pack->contexts);
    pfm_executor_bind(executor, graph->language.ids, pack->ids);
    pfm_executor_bind(executor, graph->language.positions, pack->positions);
    if (graph->language.rope != PFM_NO_VALUE)
        pfm_executor_bind(executor, graph->language.rope, model->rope);
    pfm_executor_bind(executor, graph->language.index, pack->index);
    if (graph->language.targets != PFM_NO_VALUE)
        pfm_executor_bind(executor, graph->language.targets, pack->targets);
    pfm_op_environment *env = pfm_executor_environment(executor);
    env->attention[PFM_ATTENTION_SEQUENCE] = (pfm_attention_set){.spans = pack->spans,
                                                                 .span_count = (int32_t)pack->span_count,
                                                                 .roots = pack->roots,
                                                                 .root_count = (int32_t)pack->root_count};
    env->attention[PFM_ATTENTION_IMAGES] = (pfm_attention_set){.spans = pack->image_spans,
                                                               .span_count = (int32_t)pack->span_count,
                                                               .roots = pack->image_roots,
                                                               .root_count = (int32_t)pack->image_root_count};
    env->most_keys = pack->most_keys;
    env->rows[PFM_ROWS_SEQUENCE].rows = pack->token_rows;
    env->rows[PFM_ROWS_SEQUENCE].count = (int32_t)pack->row_count;
done:
    return status;
}
