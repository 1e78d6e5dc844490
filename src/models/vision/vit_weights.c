/* From the tensors of a file, under any family's names, to the parameters of a vision transformer's graph. */
#include "models/vision/vit.h"

#include "base/memory.h"
#include "base/try.h"
#include "models/vision/vit_positions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS_OUTSIDE = 9, TENSORS_A_BLOCK = 22, MOST_PATTERNS = 32 };

/* The tensors so far; the array has room for all. */
typedef struct tensor_list {
    const pfm_vit_config *config;
    pfm_vit_tensor *items;
    size_t count;
    char file[PFM_VIT_NAME_BYTES], ours[PFM_VIT_NAME_BYTES]; /* beginnings of the names in force */
} tensor_list;

/* Appends rows `part` of `parts` of the tensor FILE, as the parameter OURS; ours NULL: what enters the embedding. */
static pfm_vit_tensor *append(tensor_list *list, const char *file, const char *ours, int64_t n, int64_t k, int part, int parts)
{
    pfm_vit_tensor *t = &list->items[list->count++];
    *t = (pfm_vit_tensor){.n = n, .k = k, .part = part, .parts = parts, .rank = k == 1 ? 1 : 2, .shape = {n * parts, k}};
    (void)snprintf(t->file, sizeof t->file, "%s%s", list->file, file);
    if (ours != NULL)
        (void)snprintf(t->ours, sizeof t->ours, "%s%s", list->ours, ours);
    return t;
}

static void append_module(tensor_list *list, const char *file, const char *ours, int64_t n, int64_t k, bool bias)
{
    char of_file[PFM_VIT_NAME_BYTES], of_ours[PFM_VIT_NAME_BYTES];
    for (int i = 0; i < (bias ? 2 : 1); i++) {
        (void)snprintf(of_file, sizeof of_file, "%s%s", file, i == 0 ? ".weight" : ".bias");
        (void)snprintf(of_ours, sizeof of_ours, "%s%s", ours, i == 0 ? ".weight" : ".bias");
        (void)append(list, of_file, of_ours, n, i == 0 ? k : 1, 0, 1);
    }
}

static void append_norm(tensor_list *list, const char *file, const char *ours)
{
    append_module(list, file, ours, list->config->width, 1, true);
}

static void append_attention(tensor_list *list)
{
    static const char *const ours[3][2] = {{"self_attn.q_proj.weight", "self_attn.q_proj.bias"},
                                           {"self_attn.k_proj.weight", "self_attn.k_proj.bias"},
                                           {"self_attn.v_proj.weight", "self_attn.v_proj.bias"}};
    const pfm_vit_config *c = list->config;
    const pfm_vit_names *names = c->names;
    char file[PFM_VIT_NAME_BYTES];
    for (int i = 0; i < 3; i++) {
        bool bias = c->bias == PFM_VIT_BIAS_ALL || (c->bias == PFM_VIT_BIAS_QUERY_VALUE && i != 1);
        if (names->fused_weight != NULL) {
            (void)append(list, names->fused_weight, ours[i][0], c->width, c->width, i, 3);
        } else {
            (void)snprintf(file, sizeof file, "%s.weight", names->qkv[i]);
            (void)append(list, file, ours[i][0], c->width, c->width, 0, 1);
            (void)snprintf(file, sizeof file, "%s.bias", names->qkv[i]);
        }
        if (bias && names->fused_weight == NULL)
            (void)append(list, file, ours[i][1], c->width, 1, 0, 1);
        else if (bias && c->bias == PFM_VIT_BIAS_QUERY_VALUE)
            (void)append(list, names->part_bias[i], ours[i][1], c->width, 1, 0, 1);
        else if (bias)
            (void)append(list, names->fused_bias, ours[i][1], c->width, 1, i, 3);
    }
    append_module(list, names->out, "self_attn.out_proj", c->width, c->width, true);
}

static void append_mlp(tensor_list *list)
{
    static const char *const halves[2] = {"mlp.gate_proj", "mlp.up_proj"};
    const pfm_vit_config *c = list->config;
    const pfm_vit_names *names = c->names;
    char file[PFM_VIT_NAME_BYTES], ours[PFM_VIT_NAME_BYTES];
    for (int i = 0; c->gated && i < 2; i++) {
        (void)snprintf(file, sizeof file, "%s.weight", names->gate_up);
        (void)snprintf(ours, sizeof ours, "%s.weight", halves[i]);
        (void)append(list, file, ours, c->mlp, c->width, i, 2);
        (void)snprintf(file, sizeof file, "%s.bias", names->gate_up);
        (void)snprintf(ours, sizeof ours, "%s.bias", halves[i]);
        (void)append(list, file, ours, c->mlp, 1, i, 2);
    }
    if (!c->gated)
        append_module(list, names->up, "mlp.fc1", c->mlp, c->width, true);
    append_module(list, c->gated ? names->gated_down : names->down, "mlp.fc2", c->width, c->mlp, true);
}

static void append_block(tensor_list *list, int layer)
{
    const pfm_vit_config *c = list->config;
    char place[PFM_VIT_NAME_BYTES];
    (void)snprintf(place, sizeof place, c->names->block, layer); /* one of our own tables' patterns */
    (void)snprintf(list->file, sizeof list->file, "%s%.100s", c->prefix, place);
    (void)snprintf(list->ours, sizeof list->ours, "vision_model.encoder.layers.%d.", layer);
    append_norm(list, c->names->norm[0], "layer_norm1");
    append_attention(list);
    if (c->scaled)
        (void)append(list, c->names->scale[0], "layer_scale1", c->width, 1, 0, 1);
    append_norm(list, c->names->norm[1], "layer_norm2");
    append_mlp(list);
    if (c->scaled)
        (void)append(list, c->names->scale[1], "layer_scale2", c->width, 1, 0, 1);
}

/* A tensor of the embedding [.., count, width], with the sizes of 1 that the family writes before. */
static void append_tokens(tensor_list *list, const char *file, int64_t count, int rank)
{
    const int64_t width = list->config->width;
    pfm_vit_tensor *t = append(list, file, NULL, count, width, 0, 1);
    t->rank = rank;
    for (int i = 0; i < rank; i++)
        t->shape[i] = i == rank - 1 ? width : i == rank - 2 ? count : 1;
}

pfm_status pfm_vit_list_tensors(const pfm_vit_config *config, pfm_vit_tensor **out, size_t *count, pfm_error *err)
{
    const pfm_vit_names *names = config->names;
    tensor_list list = {.config = config};
    pfm_status status =
        pfm_allocate(TENSORS_OUTSIDE + TENSORS_A_BLOCK * (size_t)config->layers, sizeof *list.items, &list.items, err);
    if (status != PFM_OK)
        return status;
    const int64_t positions = (int64_t)config->position_grid * config->position_grid + (config->class_token ? 1 : 0);
    (void)snprintf(list.file, sizeof list.file, "%s", config->prefix);
    (void)snprintf(list.ours, sizeof list.ours, "vision_model.");
    if (config->class_token)
        append_tokens(&list, names->class_token, 1, 1 + names->lead * 2);
    if (config->registers > 0)
        append_tokens(&list, names->registers, config->registers, 3);
    append_tokens(&list, names->positions, positions, 2 + names->lead);
    append_module(&list, names->patch, "patch_embedding", config->width, 3 * (int64_t)config->patch * config->patch,
                  config->patch_bias);
    for (size_t i = 0; i < list.count; i++) {
        pfm_vit_tensor *t = &list.items[i];
        if (strcmp(t->ours, "vision_model.patch_embedding.weight") == 0) { /* a convolution's */
            t->rank = 4;
            memcpy(t->shape, (int64_t[4]){config->width, 3, config->patch, config->patch}, 4 * sizeof *t->shape);
        } else if (strcmp(t->ours, "vision_model.patch_embedding.bias") == 0) {
            t->ours[0] = '\0';
        }
    }
    if (config->pre_norm)
        append_norm(&list, names->pre_norm, "pre_layernorm");
    if (config->final_norm) {
        if (names->final_norm_outside)
            list.file[0] = '\0';
        append_norm(&list, names->final_norm, "post_layernorm");
    }
    for (int layer = 0; layer < config->layers; layer++)
        append_block(&list, layer);
    *out = list.items;
    *count = list.count;
    return PFM_OK;
}

pfm_status pfm_vit_check_tensors(const pfm_vit_config *config, const pfm_weights *weights, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vit_tensor *tensors = NULL;
    pfm_weight_expected *expected = NULL;
    size_t count = 0, kept = 0;
    PFM_TRY(pfm_vit_list_tensors(config, &tensors, &count, err));
    PFM_TRY(pfm_allocate(count, sizeof *expected, &expected, err));
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].part > 0)
            continue; /* its first part has said it */
        expected[kept] = (pfm_weight_expected){.name = tensors[i].file, .rank = tensors[i].rank};
        memcpy(expected[kept++].shape, tensors[i].shape, sizeof tensors[i].shape);
    }
    PFM_TRY(pfm_weights_expect(weights, expected, kept, config->ignored, err));
done:
    free(expected);
    free(tensors);
    return status;
}

pfm_status pfm_vit_read_tensor(const pfm_weights *weights, const pfm_vit_tensor *t, float *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_weight *weight = pfm_weights_find(weights, t->file);
    const int64_t values = t->n * t->k;
    if (t->parts == 1)
        PFM_TRY(pfm_weight_expand(weight, out, err));
    else
        PFM_TRY(pfm_weight_expand_rows(weight, t->part * t->n, t->n, out, err));
    for (int64_t i = 0; i < values; i++) {
        if (!isfinite(out[i]))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: the tensor %s holds something that is no number, at value %lld",
                     pfm_weights_path(weights), t->file, (long long)(t->part * values + i));
    }
done:
    return status;
}

pfm_status pfm_vit_load_parameters(const pfm_vit_config *config, const pfm_weights *weights, pfm_parameters *parameters,
                                   pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vit_tensor *tensors = NULL;
    float *values = NULL;
    size_t count = 0;
    PFM_TRY(pfm_vit_list_tensors(config, &tensors, &count, err));
    for (size_t i = 0; i < count; i++) {
        const pfm_vit_tensor *t = &tensors[i];
        int id = t->ours[0] != '\0' ? pfm_parameters_find(parameters, t->ours) : -1;
        if (id < 0) /* of the embedding, or behind the last layer that is asked for */
            continue;
        PFM_TRY(pfm_allocate((size_t)(t->n * t->k), sizeof *values, &values, err));
        PFM_TRY(pfm_vit_read_tensor(weights, t, values, err));
        pfm_parameters_set(parameters, id, values);
        if (t->part == t->parts - 1)
            pfm_weights_release(weights, pfm_weights_find(weights, t->file));
        free(values);
        values = NULL;
    }
done:
    free(values);
    free(tensors);
    return status;
}

/* *out = the values of the embedding's tensor NAME; NULL where that is NULL. */
static pfm_status read_named(const pfm_vit_config *config, const pfm_weights *weights, const pfm_vit_tensor *tensors,
                             size_t count, const char *name, float **out, pfm_error *err)
{
    char file[PFM_VIT_NAME_BYTES];
    *out = NULL;
    if (name == NULL)
        return PFM_OK;
    (void)snprintf(file, sizeof file, "%s%s", config->prefix, name);
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].ours[0] != '\0' || strcmp(tensors[i].file, file) != 0)
            continue;
        pfm_status status = pfm_allocate((size_t)(tensors[i].n * tensors[i].k), sizeof **out, out, err);
        return status != PFM_OK ? status : pfm_vit_read_tensor(weights, &tensors[i], *out, err);
    }
    return pfm_error_set(err, PFM_ERROR_MISMATCH, "%s: the embedding has no tensor %s", pfm_weights_path(weights), file);
}

pfm_status pfm_vit_load_embedding(const pfm_vit_config *config, const pfm_weights *weights, int grid, float **out,
                                  pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_vit_tensor *tensors = NULL;
    float *class_token = NULL, *registers = NULL, *positions = NULL, *bias = NULL;
    char bias_name[PFM_VIT_NAME_BYTES];
    const size_t width = (size_t)config->width, patches = (size_t)grid * (size_t)grid;
    const size_t first = config->class_token ? 1 : 0, before = first + (size_t)config->registers;
    size_t count = 0;
    const pfm_vit_names *names = config->names;
    (void)snprintf(bias_name, sizeof bias_name, "%s.bias", names->patch);
    PFM_TRY(pfm_vit_list_tensors(config, &tensors, &count, err));
    PFM_TRY(read_named(config, weights, tensors, count, first > 0 ? names->class_token : NULL, &class_token, err));
    PFM_TRY(read_named(config, weights, tensors, count, before > first ? names->registers : NULL, &registers, err));
    PFM_TRY(read_named(config, weights, tensors, count, config->patch_bias ? bias_name : NULL, &bias, err));
    PFM_TRY(read_named(config, weights, tensors, count, names->positions, &positions, err));
    PFM_TRY(pfm_allocate((before + patches) * width, sizeof **out, out, err));
    for (size_t j = 0; class_token != NULL && j < width; j++)
        (*out)[j] = class_token[j] + positions[j];
    if (registers != NULL)
        memcpy(*out + first * width, registers, (before - first) * width * sizeof **out);
    PFM_TRY(pfm_vit_resize_positions(positions + first * width, config->position_grid, grid, config->width, config->antialias,
                                     *out + before * width, err));
    for (size_t i = 0; bias != NULL && i < patches * width; i++)
        (*out)[before * width + i] += bias[i % width];
done:
    free(tensors);
    free(class_token);
    free(registers);
    free(positions);
    free(bias);
    return status;
}

/* The same for one tensor of the embedding alone, which has to have a name. */
static pfm_status read_alone(const pfm_vit_config *config, const pfm_weights *weights, const char *name, float **out,
                             pfm_error *err)
{
    pfm_vit_tensor *tensors = NULL;
    size_t count = 0;
    if (name == NULL)
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "%s: the embedding has no such tensor", pfm_weights_path(weights));
    pfm_status status = pfm_vit_list_tensors(config, &tensors, &count, err);
    if (status == PFM_OK)
        status = read_named(config, weights, tensors, count, name, out, err);
    free(tensors);
    return status;
}

pfm_status pfm_vit_read_class_token(const pfm_vit_config *config, const pfm_weights *weights, float *out, pfm_error *err)
{
    float *values = NULL;
    pfm_status status = read_alone(config, weights, config->names->class_token, &values, err);
    if (status == PFM_OK)
        memcpy(out, values, (size_t)config->width * sizeof *out);
    free(values);
    return status;
}

pfm_status pfm_vit_read_positions(const pfm_vit_config *config, const pfm_weights *weights, int grid, float *out,
                                  pfm_error *err)
{
    const int32_t first = config->class_token ? config->width : 0;
    float *values = NULL;
    pfm_status status = read_alone(config, weights, config->names->positions, &values, err);
    if (status == PFM_OK) {
        memcpy(out, values, (size_t)first * sizeof *out);
        status = pfm_vit_resize_positions(values + first, config->position_grid, grid, config->width, config->antialias,
                                          out + first, err);
    }
    free(values);
    return status;
}
