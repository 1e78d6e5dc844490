/* A model's images: what a graph reads of them, and how it becomes visual tokens. */
#include "models/model.h"

#include "base/memory.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

pfm_vision_layers pfm_model_vision_layers(const pfm_model *model)
{
    return model->tower != NULL ? pfm_tower_input(model->tower) : model->layers;
}

size_t pfm_model_feature_values(const pfm_model *model)
{
    return model->tower != NULL ? pfm_vision_shape_values(&model->tower->state) : pfm_model_frozen_values(model);
}

size_t pfm_model_image_bytes(const pfm_model *model)
{
    return model->tower != NULL ? pfm_model_feature_values(model) * sizeof(float)
                                : pfm_model_image_values(model) * pfm_act_size(model->act);
}

int64_t pfm_model_count_parameters(const pfm_model *model)
{
    int64_t total = pfm_parameters_total(model->parameters) + (int64_t)model->vision_parameters;
    for (int i = 0; i < pfm_parameters_count(model->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(model->parameters, i);
        if (pfm_tower_owns(p) && p->initial == PFM_INITIAL_LOADED) /* it is one of the encoder's */
            total -= p->n * p->k;
    }
    return total;
}

/* Which rows of the tower's features stand side by side in each row that the aligner reads. */
static pfm_status make_index(const pfm_model *model, pfm_model_graph *graph, int64_t images, pfm_error *err)
{
    const pfm_aligner_shape *shape = &model->shape;
    const int neighbours = shape->merge_rows * shape->merge_columns;
    pfm_status status =
        pfm_allocate((size_t)(images * model->feature_rows * neighbours), sizeof *graph->index_rows, &graph->index_rows, err);
    int32_t *next = graph->index_rows;
    for (int64_t i = 0; status == PFM_OK && i < images; i++) {
        for (int64_t row = 0; row < model->feature_rows; row++) {
            for (int k = 0; k < neighbours; k++)
                *next++ =
                    (int32_t)(i * model->tower->tokens + pfm_tower_row(model->tower, pfm_aligner_position(shape, row, k)));
        }
    }
    return status;
}

/* The same as pfm_model_arrange, within the graph. */
static pfm_status arrange_tower(const pfm_model *model, pfm_model_graph *graph, pfm_value features, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_graph_node gather = pfm_graph_node_of(&pfm_op_gather), standardise = pfm_graph_node_of(&pfm_op_standardise);
    const int neighbours = model->shape.merge_rows * model->shape.merge_columns;
    PFM_TRY(make_index(model, graph, graph->graph->capacity[PFM_DIM_PATCHES] / model->tower->tokens, err));
    PFM_TRY(pfm_graph_input(graph->graph, PFM_DIM_FEATURES, 0, neighbours, PFM_STORAGE_I32, false, &graph->index, err));
    if (model->normalise) {
        pfm_value *const statistics[] = {&graph->mean, &graph->deviation};
        for (int i = 0; i < 2; i++)
            PFM_TRY(pfm_graph_input(graph->graph, PFM_DIM_FIXED, 1, model->visual_width, PFM_STORAGE_F32, false, statistics[i],
                                    err));
    }
    gather.in[0] = features;
    gather.in[1] = graph->index;
    PFM_TRY(pfm_graph_add(graph->graph, &gather, &standardise.in[0], err));
    standardise.in[1] = graph->mean;
    standardise.in[2] = graph->deviation;
    PFM_TRY(pfm_graph_add(graph->graph, &standardise, &graph->features, err));
done:
    return status;
}

pfm_status pfm_model_build_images(const pfm_model *model, const pfm_builder *builder, pfm_model_graph *graph, pfm_value *visual,
                                  pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_value features;
    if (model->tower == NULL) {
        PFM_TRY(pfm_graph_input(graph->graph, PFM_DIM_FEATURES, 0, model->visual_width, PFM_STORAGE_ACT, false,
                                &graph->features, err));
    } else {
        PFM_TRY(pfm_tower_build(model->tower, graph->graph, false, &graph->tower, &features, err));
        PFM_TRY(arrange_tower(model, graph, features, err));
    }
    PFM_TRY(pfm_aligner_build(model->aligner, builder, &model->shape, graph->features, &graph->aligner, visual, err));
done:
    return status;
}

pfm_status pfm_model_bind_images(const pfm_model *model, const pfm_model_graph *graph, pfm_executor *executor, const void *rows,
                                 const pfm_tower_pictures *images, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (graph->features == PFM_NO_VALUE)
        return PFM_OK;
    PFM_TRY(pfm_executor_resize(executor, PFM_DIM_FEATURES, images->count * model->feature_rows, err));
    pfm_aligner_bind(&graph->aligner, executor, images->count);
    for (size_t i = 0; i < graph->slot_count; i++)
        pfm_aligner_bind(&graph->slots[i], executor, images->count);
    if (model->tower == NULL) {
        pfm_executor_bind(executor, graph->features, rows);
        goto done;
    }
    PFM_TRY(pfm_tower_bind(model->tower, &graph->tower, executor, rows, images, err));
    pfm_executor_bind(executor, graph->index, graph->index_rows);
    if (model->normalise) {
        pfm_executor_bind(executor, graph->mean, model->mean);
        pfm_executor_bind(executor, graph->deviation, model->std);
    }
done:
    return status;
}

static pfm_status arrange(const pfm_model *model, const float *mean, const float *std, const float *features, void *rows,
                          pfm_error *err)
{
    size_t width = (size_t)model->visual_width, count = pfm_model_image_values(model);
    float *arranged = NULL;
    pfm_status status = pfm_allocate(count, sizeof *arranged, &arranged, err);
    if (status != PFM_OK)
        return status;
    pfm_aligner_arrange(&model->shape, features, arranged);
    for (size_t i = 0; i < count && model->normalise; i++)
        arranged[i] = (arranged[i] - mean[i % width]) / std[i % width];
    if (model->act == PFM_ACT_F32)
        memcpy(rows, arranged, count * sizeof *arranged);
    else
        model->context->kernels->bf16_from_f32(arranged, rows, count);
    free(arranged);
    return PFM_OK;
}

pfm_status pfm_model_arrange(const pfm_model *model, const float *features, void *rows, pfm_error *err)
{
    return arrange(model, model->mean, model->std, features, rows, err);
}

pfm_status pfm_model_read_image(const pfm_model *model, int32_t adapter, const float *features, void *rows, pfm_error *err)
{
    const float *mean = model->mean, *std = model->std;
    if (model->tower != NULL) { /* with which there are no slots */
        memcpy(rows, features, pfm_model_image_bytes(model));
        return PFM_OK;
    }
    for (size_t i = 0; i < model->slot_count; i++) {
        mean = model->slots[i].number == adapter ? model->slots[i].mean : mean;
        std = model->slots[i].number == adapter ? model->slots[i].std : std;
    }
    return arrange(model, mean, std, features, rows, err);
}

pfm_status pfm_feature_statistics_add(const pfm_model *model, pfm_feature_statistics *statistics, const float *features,
                                      pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t width = (size_t)model->visual_width;
    float *arranged = NULL;
    if (statistics->sum == NULL) {
        statistics->width = model->visual_width;
        PFM_TRY(pfm_allocate(width, sizeof *statistics->sum, &statistics->sum, err));
        PFM_TRY(pfm_allocate(width, sizeof *statistics->squares, &statistics->squares, err));
    }
    PFM_TRY(pfm_allocate(pfm_model_image_values(model), sizeof *arranged, &arranged, err));
    pfm_aligner_arrange(&model->shape, features, arranged);
    for (int64_t t = 0; t < model->feature_rows; t++) {
        for (size_t j = 0; j < width; j++) {
            double x = arranged[(size_t)t * width + j];
            statistics->sum[j] += x;
            statistics->squares[j] += x * x;
        }
    }
    statistics->rows += model->feature_rows;
done:
    free(arranged);
    return status;
}

void pfm_feature_statistics_finish(pfm_feature_statistics *statistics, pfm_model *model)
{
    double n = (double)statistics->rows;
    for (int64_t j = 0; j < statistics->width; j++) {
        double mean = statistics->sum[j] / n, variance = n > 1 ? (statistics->squares[j] - n * mean * mean) / (n - 1) : 0;
        model->mean[j] = (float)mean;
        model->std[j] = (float)(sqrt(variance > 0 ? variance : 0) + 1e-3);
    }
}

void pfm_feature_statistics_free(pfm_feature_statistics *statistics)
{
    free(statistics->sum);
    free(statistics->squares);
    *statistics = (pfm_feature_statistics){0};
}
