#include "infer/llava.h"

#include "base/try.h"
#include "pefomed/weights.h"

#include <stdlib.h>
#include <string.h>

static const char weight_1[] = "aligner.linear_1.weight", bias_1[] = "aligner.linear_1.bias";

/* The aligner's parameters in the two forms. */
static const struct {
    const char *ours, *transformers, *gguf;
} projector[] = {
    {weight_1, "multi_modal_projector.linear_1.weight", "mm.0.weight"},
    {bias_1, "multi_modal_projector.linear_1.bias", "mm.0.bias"},
    {"aligner.linear_2.weight", "multi_modal_projector.linear_2.weight", "mm.2.weight"},
    {"aligner.linear_2.bias", "multi_modal_projector.linear_2.bias", "mm.2.bias"},
};
enum { PROJECTOR = sizeof projector / sizeof *projector };

pfm_status pfm_llava_unfit(const pfm_session *session, bool gguf, const char **why, pfm_error *err)
{
    const pfm_model *model = session->model;
    *why = NULL;
    if (model->aligner != &pfm_aligner_mlp2x_gelu)
        *why = "the aligner is not mlp2x_gelu";
    else if (model->shape.merge_rows != 1 || model->shape.merge_columns != 1)
        *why = "the aligner merges neighbours (model.merge)";
    else if (strcmp(session->recipe->model.fit, "squash") != 0 || strcmp(session->recipe->model.filter, "bicubic") != 0)
        *why = "pictures are not squashed by the bicubic filter (model.fit, model.filter), which is all that is written of it";
    else if (model->language.family != &pfm_language_llama)
        *why = "the language model is none of the LLaMA family";
    else if (gguf && model->layers.class_token)
        *why = "llama.cpp's LLaVA drops the class token, which this one keeps";
    if (*why != NULL)
        return PFM_OK;
    return pfm_clip_unfit(session->recipe->model.vision, &model->layers, why, err);
}

static pfm_status open_clip(pfm_llava *llava, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_session *session = llava->session;
    char *path = NULL;
    PFM_TRY(pfm_model_path(session->context, session->recipe->model.vision, &path, err));
    const pfm_vision_options options = {.kind = session->recipe->model.vision,
                                        .path = path,
                                        .image_size = session->recipe->model.image_size,
                                        .layers = session->model->layers};
    PFM_TRY(pfm_clip_open(&options, &llava->clip, err));
done:
    free(path);
    return status;
}

static pfm_weight *append(pfm_llava *llava, size_t source, const char *prefix, const char *name)
{
    char *copy = llava->names[llava->count];
    pfm_weight *tensor = &llava->tensors[llava->count];
    llava->sources[llava->count++] = source;
    (void)snprintf(copy, sizeof llava->names[0], "%s%s", prefix, name);
    *tensor = (pfm_weight){.name = copy, .dtype = PFM_DTYPE_F32};
    return tensor;
}

static void append_vision(pfm_llava *llava, bool gguf)
{
    for (size_t i = 0; i < llava->clip->count; i++) {
        const pfm_clip_tensor *t = &llava->clip->tensors[i];
        if (gguf && t->gguf[0] == '\0')
            continue;
        pfm_weight *tensor = append(llava, i, gguf ? "" : "vision_tower.vision_model.", gguf ? t->gguf : t->name);
        tensor->rank = t->rank;
        memcpy(tensor->shape, t->shape, sizeof t->shape);
    }
    llava->vision_count = llava->count;
}

pfm_status pfm_llava_create(pfm_session *session, bool gguf, pfm_llava **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_llava *llava = NULL;
    const pfm_parameters *parameters = session->model->parameters;
    PFM_TRY(pfm_allocate(1, sizeof *llava, &llava, err));
    llava->session = session;
    PFM_TRY(open_clip(llava, err));
    const size_t most = llava->clip->count + PROJECTOR;
    PFM_TRY(pfm_allocate(most, sizeof *llava->names, &llava->names, err));
    PFM_TRY(pfm_allocate(most, sizeof *llava->tensors, &llava->tensors, err));
    PFM_TRY(pfm_allocate(most, sizeof *llava->sources, &llava->sources, err));
    append_vision(llava, gguf);
    for (size_t i = 0; i < PROJECTOR; i++) {
        const int id = pfm_parameters_find(parameters, projector[i].ours);
        const pfm_parameter *p = pfm_parameters_get(parameters, id);
        pfm_weight *tensor = append(llava, (size_t)id, "", gguf ? projector[i].gguf : projector[i].transformers);
        tensor->rank = p->k == 1 ? 1 : 2;
        tensor->shape[0] = p->n;
        tensor->shape[1] = p->k;
    }
    *out = llava;
    llava = NULL;
done:
    pfm_llava_free(llava);
    return status;
}

void pfm_llava_free(pfm_llava *llava)
{
    if (llava == NULL)
        return;
    pfm_clip_free(llava->clip);
    free(llava->names);
    free(llava->tensors);
    free(llava->sources);
    free(llava);
}

/* The aligner's parameter as it is applied to features that nobody normalises. */
static void read_projector(const pfm_model *model, const pfm_parameter *p, float *out)
{
    memcpy(out, p->values, (size_t)(p->n * p->k) * sizeof *out);
    if (!model->normalise)
        return;
    if (strcmp(p->name, weight_1) == 0) {
        for (int64_t i = 0; i < p->n * p->k; i++)
            out[i] = (float)((double)p->values[i] / (double)model->std[i % p->k]);
    } else if (strcmp(p->name, bias_1) == 0) {
        const pfm_parameter *w = pfm_parameters_get(model->parameters, pfm_parameters_find(model->parameters, weight_1));
        for (int64_t row = 0; row < p->n; row++) {
            double sum = (double)p->values[row];
            for (int64_t j = 0; j < w->k; j++)
                sum -= (double)w->values[row * w->k + j] / (double)model->std[j] * (double)model->mean[j];
            out[row] = (float)sum;
        }
    }
}

/* A tensor of the encoder with what was learned in it. */
static pfm_status read_vision(const pfm_llava *llava, size_t source, float *out, pfm_error *err)
{
    const pfm_parameters *parameters = llava->session->model->parameters;
    const char *name = pfm_clip_parameter(llava->clip, source);
    const int id = name != NULL ? pfm_parameters_find(parameters, name) : -1;
    pfm_status status = pfm_clip_read(llava->clip, source, out, err);
    if (status != PFM_OK || id < 0) /* nothing is learned before the tower, nor in the embedding */
        return status;
    return pfm_peft_merge_parameter(llava->session->peft, parameters, pfm_parameters_get(parameters, id), out, err);
}

pfm_status pfm_llava_fill(const pfm_llava *llava, const pfm_weight *tensor, float *out, bool *found, pfm_error *err)
{
    const pfm_model *model = llava->session->model;
    size_t i = 0;
    while (i < llava->count && strcmp(llava->tensors[i].name, tensor->name) != 0)
        i++;
    *found = i < llava->count;
    if (!*found)
        return PFM_OK;
    if (i < llava->vision_count)
        return read_vision(llava, llava->sources[i], out, err);
    read_projector(model, pfm_parameters_get(model->parameters, (int)llava->sources[i]), out);
    return PFM_OK;
}
