#include "models/system.h"

#include "base/memory.h"
#include "base/try.h"
#include "models/language/tokenizer_load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static pfm_status read_language(pfm_system *system, pfm_error *err)
{
    pfm_weights *weights = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_weights_open(system->language_path, &weights, err));
    PFM_TRY(pfm_language_read_config(weights, &system->language, err));
    PFM_TRY(pfm_tokenizer_load(system->language_path, &system->tokenizer, err));
    if (pfm_tokenizer_vocabulary(system->tokenizer) > (size_t)system->language.vocabulary)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: the tokenizer has %zu tokens, the embedding only %lld rows", system->language_path,
                 pfm_tokenizer_vocabulary(system->tokenizer), (long long)system->language.vocabulary);
    if (pfm_tokenizer_end(system->tokenizer) < 0)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: the tokenizer names no token that ends an answer", system->language_path);
    PFM_TRY(pfm_language_rope_table(&system->language, system->language.context, &system->rope, err));
done:
    pfm_weights_close(weights);
    return status;
}

static pfm_status shape_images(pfm_system *system, const pfm_system_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vision_shape vision;
    PFM_TRY(pfm_vision_shape_of(options->vision, options->image_size, &vision, &system->vision_parameters, err));
    PFM_TRY(pfm_aligner_find(options->aligner, &system->aligner, err));
    if (options->merge < 1 || vision.grid % options->merge != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "model.merge %d does not divide the encoder's grid of %d; choose another image_size or merge",
                 options->merge, vision.grid);
    system->shape = (pfm_aligner_shape){.grid = vision.grid, .channels = vision.channels, .merge = options->merge, .hidden = system->language.hidden};
    system->visual_tokens = system->aligner->tokens(&system->shape);
    system->visual_width = system->aligner->width(&system->shape);
    PFM_TRY(pfm_allocate((size_t)system->visual_width, sizeof *system->mean, &system->mean, err));
    PFM_TRY(pfm_allocate((size_t)system->visual_width, sizeof *system->std, &system->std, err));
    for (int64_t j = 0; j < system->visual_width; j++)
        system->std[j] = 1;
done:
    return status;
}

pfm_status pfm_system_create(pfm_context *context, const pfm_system_options *options, pfm_system **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_system *system = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *system, &system, err));
    system->context = context;
    system->act = options->precision == PFM_PRECISION_F32 ? PFM_ACT_F32 : PFM_ACT_BF16;
    system->hook = options->hook;
    system->lowercase_answers = options->lowercase_answers;
    PFM_TRY(pfm_string_copy(options->language_path, &system->language_path, err));
    PFM_TRY(pfm_string_copy(options->instruction, &system->instruction, err));
    if (options->system_text != NULL)
        PFM_TRY(pfm_string_copy(options->system_text, &system->system_text, err));
    PFM_TRY(read_language(system, err));
    PFM_TRY(shape_images(system, options, err));
    PFM_TRY(pfm_parameters_create(context, system->act, options->training, &system->parameters, err));
    *out = system;
    system = NULL;
done:
    pfm_system_free(system);
    return status;
}

void pfm_system_free(pfm_system *system)
{
    if (system == NULL)
        return;
    pfm_tokenizer_free(system->tokenizer);
    pfm_parameters_free(system->parameters);
    free(system->mean);
    free(system->std);
    free(system->rope);
    free(system->language_path);
    free(system->instruction);
    free(system->system_text);
    free(system);
}

pfm_status pfm_system_build(pfm_system *system, const int64_t capacity[PFM_DIM_COUNT], bool with_loss, bool bound_visual,
                            pfm_system_graph *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_builder builder = {.hook = system->hook};
    *out = (pfm_system_graph){.features = PFM_NO_VALUE};
    PFM_TRY(pfm_graph_create(system->parameters, capacity, &out->graph, err));
    builder.graph = out->graph;
    PFM_TRY(pfm_graph_input(out->graph, PFM_DIM_TOKENS, 0, 1, PFM_STORAGE_I64, false, &out->keys, err));
    builder.token_keys = out->keys;
    if (bound_visual) {
        PFM_TRY(pfm_graph_input(out->graph, PFM_DIM_VISUAL, 0, system->language.hidden, PFM_STORAGE_F32, true, &out->language.visual, err));
    } else {
        PFM_TRY(pfm_graph_input(out->graph, PFM_DIM_VISUAL, 0, system->visual_width, PFM_STORAGE_ACT, false, &out->features, err));
        PFM_TRY(system->aligner->build(&builder, &system->shape, out->features, &out->language.visual, err));
    }
    PFM_TRY(pfm_language_build(&builder, &system->language, with_loss, &out->language, err));
done:
    if (status != PFM_OK)
        pfm_system_graph_free(out);
    return status;
}

void pfm_system_graph_free(pfm_system_graph *graph)
{
    if (graph == NULL)
        return;
    pfm_graph_free(graph->graph);
    *graph = (pfm_system_graph){0};
}

/* Visual tokens start as large as text tokens are: the aligner's weights are drawn with std(embedding) / sqrt(width). */
static pfm_status scale_aligner(pfm_system *system, const pfm_weights *weights, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = (size_t)(system->language.vocabulary * system->language.hidden);
    float *embedding = NULL;
    double sum = 0, squares = 0;
    PFM_TRY(pfm_allocate(count, sizeof *embedding, &embedding, err));
    PFM_TRY(pfm_language_read_tensor(weights, &system->language, "model.embed_tokens.weight", system->language.vocabulary,
                                     system->language.hidden, embedding, err));
    for (size_t i = 0; i < count; i++) {
        sum += embedding[i];
        squares += (double)embedding[i] * embedding[i];
    }
    double mean = sum / (double)count, deviation = sqrt(squares / (double)count - mean * mean);
    for (int i = 0; i < pfm_parameters_count(system->parameters); i++) {
        pfm_parameter *parameter = pfm_parameters_get(system->parameters, i);
        if (parameter->initial == PFM_INITIAL_NORMAL)
            parameter->initial_scale = deviation / sqrt((double)parameter->k);
    }
done:
    free(embedding);
    return status;
}

pfm_status pfm_system_load(pfm_system *system, uint64_t seed, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weights *weights = NULL;
    PFM_TRY(pfm_weights_open(system->language_path, &weights, err));
    PFM_TRY(pfm_parameters_allocate(system->parameters, err));
    PFM_TRY(scale_aligner(system, weights, err));
    PFM_TRY(pfm_language_load(weights, &system->language, system->parameters, err));
    PFM_TRY(pfm_parameters_initialise(system->parameters, seed, err));
done:
    pfm_weights_close(weights);
    return status;
}

pfm_status pfm_system_bind(const pfm_system *system, const pfm_system_graph *graph, pfm_executor *executor, const pfm_pack *pack,
                           int64_t visual_rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_executor_resize(executor, PFM_DIM_TOKENS, (int64_t)pack->tokens, err));
    PFM_TRY(pfm_executor_resize(executor, PFM_DIM_ANSWERS, (int64_t)pack->answers, err));
    PFM_TRY(pfm_executor_resize(executor, PFM_DIM_VISUAL, visual_rows, err));
    pfm_executor_bind(executor, graph->keys, pack->keys);
    pfm_executor_bind(executor, graph->language.ids, pack->ids);
    pfm_executor_bind(executor, graph->language.positions, pack->positions);
    pfm_executor_bind(executor, graph->language.rope, system->rope);
    pfm_executor_bind(executor, graph->language.index, pack->index);
    if (graph->language.targets != PFM_NO_VALUE)
        pfm_executor_bind(executor, graph->language.targets, pack->targets);
    pfm_op_environment *env = pfm_executor_environment(executor);
    env->spans = pack->spans;
    env->span_count = (int32_t)pack->span_count;
    env->roots = pack->roots;
    env->root_count = (int32_t)pack->root_count;
    env->most_keys = pack->most_keys;
done:
    return status;
}

pfm_status pfm_system_arrange(const pfm_system *system, const float *features, void *rows, pfm_error *err)
{
    size_t width = (size_t)system->visual_width, count = (size_t)system->visual_tokens * width;
    float *arranged = NULL;
    pfm_status status = pfm_allocate(count, sizeof *arranged, &arranged, err);
    if (status != PFM_OK)
        return status;
    system->aligner->arrange(&system->shape, features, arranged);
    for (size_t i = 0; i < count; i++)
        arranged[i] = (arranged[i] - system->mean[i % width]) / system->std[i % width];
    if (system->act == PFM_ACT_F32)
        memcpy(rows, arranged, count * sizeof *arranged);
    else
        system->context->kernels->bf16_from_f32(arranged, rows, count);
    free(arranged);
    return PFM_OK;
}

pfm_status pfm_feature_statistics_add(const pfm_system *system, pfm_feature_statistics *statistics, const float *features, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t width = (size_t)system->visual_width;
    float *arranged = NULL;
    if (statistics->sum == NULL) {
        statistics->width = system->visual_width;
        PFM_TRY(pfm_allocate(width, sizeof *statistics->sum, &statistics->sum, err));
        PFM_TRY(pfm_allocate(width, sizeof *statistics->squares, &statistics->squares, err));
    }
    PFM_TRY(pfm_allocate((size_t)system->visual_tokens * width, sizeof *arranged, &arranged, err));
    system->aligner->arrange(&system->shape, features, arranged);
    for (int64_t t = 0; t < system->visual_tokens; t++) {
        for (size_t j = 0; j < width; j++) {
            double x = arranged[(size_t)t * width + j];
            statistics->sum[j] += x;
            statistics->squares[j] += x * x;
        }
    }
    statistics->rows += system->visual_tokens;
done:
    free(arranged);
    return status;
}

void pfm_feature_statistics_finish(pfm_feature_statistics *statistics, pfm_system *system)
{
    double n = (double)statistics->rows;
    for (int64_t j = 0; j < statistics->width; j++) {
        double mean = statistics->sum[j] / n, variance = n > 1 ? (statistics->squares[j] - n * mean * mean) / (n - 1) : 0;
        system->mean[j] = (float)mean;
        system->std[j] = (float)(sqrt(variance > 0 ? variance : 0) + 1e-3);
    }
}

void pfm_feature_statistics_free(pfm_feature_statistics *statistics)
{
    free(statistics->sum);
    free(statistics->squares);
    *statistics = (pfm_feature_statistics){0};
}
