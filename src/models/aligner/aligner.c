#include "models/aligner/aligner.h"

#include "base/memory.h"
#include "base/try.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Every kind, a line each. */
static const pfm_aligner *const aligners[] = {
    &pfm_aligner_concat_linear, /* PeFoMed */
    &pfm_aligner_linear,
    &pfm_aligner_mlp2x_gelu, /* LLaVA-1.5, LLaVA-Rad */
    &pfm_aligner_double_linear,
    &pfm_aligner_qformer,               /* BLIP-2 */
    &pfm_aligner_qformer_double_linear, /* TinyGPT-V */
    &pfm_aligner_gated_cross_attention, /* Flamingo */
};

pfm_status pfm_aligner_find(const char *name, const pfm_aligner **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    for (size_t i = 0; i < sizeof aligners / sizeof *aligners; i++) {
        if (strcmp(aligners[i]->name, name) == 0) {
            *out = aligners[i];
            goto done;
        }
        PFM_TRY(pfm_buffer_append_format(&known, err, "%s%s", i > 0 ? ", " : "", aligners[i]->name));
    }
    PFM_FAIL(PFM_ERROR_USAGE, "there is no aligner '%.60s'; known are %s", name, known.data);
done:
    pfm_buffer_free(&known);
    return status;
}

static const char *parse_side(const char *text, int *side)
{
    *side = 0;
    for (; isdigit((unsigned char)*text) && *side <= 16; text++)
        *side = *side * 10 + (*text - '0');
    return text;
}

pfm_status pfm_aligner_parse_merge(const char *text, int *rows, int *columns, pfm_error *err)
{
    const char *end = parse_side(text, rows);
    *columns = *rows;
    if (*end == 'x')
        end = parse_side(end + 1, columns);
    if (*end != '\0' || *rows < 1 || *rows > 16 || *columns < 1 || *columns > 16)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "model.merge cannot be '%.40s'; 2 joins 2 x 2 neighbours, 1x4 four of a row, each side at most 16",
                             text);
    return PFM_OK;
}

pfm_status pfm_aligner_check(const pfm_aligner *aligner, const pfm_aligner_shape *shape, pfm_error *err)
{
    const pfm_qformer_shape *q = &shape->qformer;
    if (shape->grid % shape->merge_rows != 0 || shape->grid % shape->merge_columns != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "model.merge %dx%d does not divide the encoder's grid of %d; choose another image_size or merge",
                             shape->merge_rows, shape->merge_columns, shape->grid);
    if (aligner->queries && q->hidden % q->heads != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "qformer.hidden %lld is not a multiple of qformer.heads %d",
                             (long long)q->hidden, q->heads);
    if (shape->extra > 0 && shape->merge_rows * shape->merge_columns > 1)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "model.merge joins neighbours of a grid, where a class token has no place; leave it out of the "
                             "features, or set model.merge to 1");
    if (aligner->namings->marker == NULL && shape->pretrained)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "no file is known that the aligner %s could start from; leave out "
                             "model.aligner_weights",
                             aligner->name);
    if (aligner->queries && q->frozen && !shape->pretrained)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "qformer.frozen needs a Q-Former that has learned: name its file in model.aligner_weights");
    return PFM_OK;
}

int64_t pfm_aligner_tokens(const pfm_aligner *aligner, const pfm_aligner_shape *shape)
{
    return aligner->queries ? shape->qformer.queries : pfm_aligner_rows(shape);
}

int64_t pfm_aligner_position(const pfm_aligner_shape *shape, int64_t row, int k)
{
    if (row < shape->extra) /* nothing is joined where there are any */
        return row;
    const int64_t across = shape->grid / shape->merge_columns, at = row - shape->extra;
    const int64_t y = at / across * shape->merge_rows + k / shape->merge_columns,
                  x = at % across * shape->merge_columns + k % shape->merge_columns;
    return shape->extra + y * shape->grid + x;
}

void pfm_aligner_arrange(const pfm_aligner_shape *shape, const float *features, float *rows)
{
    const size_t channels = (size_t)shape->channels;
    const int64_t count = pfm_aligner_rows(shape);
    for (int64_t row = 0; row < count; row++) {
        for (int k = 0; k < shape->merge_rows * shape->merge_columns; k++, rows += channels)
            memcpy(rows, features + (size_t)pfm_aligner_position(shape, row, k) * channels, channels * sizeof *rows);
    }
}

/* Every image's queries see each other, and the rows of that image. */
static pfm_status fill_inputs(pfm_aligner_inputs *inputs, int64_t images, int32_t tokens, int32_t rows, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_allocate((size_t)(images * tokens), sizeof *inputs->ids, &inputs->ids, err));
    PFM_TRY(pfm_allocate((size_t)images + 1, sizeof *inputs->roots, &inputs->roots, err));
    PFM_TRY(pfm_allocate((size_t)images, sizeof *inputs->queries, &inputs->queries, err));
    PFM_TRY(pfm_allocate((size_t)images, sizeof *inputs->features, &inputs->features, err));
    for (int64_t i = 0; i < images * tokens; i++)
        inputs->ids[i] = (int32_t)(i % tokens);
    for (int32_t i = 0; i < images; i++) {
        inputs->roots[i + 1] = i + 1;
        inputs->queries[i] = (pfm_attention_span){
            .q_begin = i * tokens, .q_end = (i + 1) * tokens, .own_begin = i * tokens, .root = i, .whole = true};
        inputs->features[i] = (pfm_attention_span){.q_begin = i * tokens,
                                                   .q_end = (i + 1) * tokens,
                                                   .own_past = -tokens, /* no keys of their own */
                                                   .ancestors = 1,
                                                   .ancestor_begin = {i * rows},
                                                   .ancestor_end = {(i + 1) * rows},
                                                   .root = i,
                                                   .whole = true};
    }
done:
    return status;
}

pfm_status pfm_aligner_build(const pfm_aligner *aligner, const pfm_builder *builder, const pfm_aligner_shape *shape,
                             pfm_value features, pfm_aligner_inputs *inputs, pfm_value *visual, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_builder bare = *builder; /* PEFT methods speak of the language model: `dense` must not mean a layer in here */
    bare.hook = NULL;
    *inputs = (pfm_aligner_inputs){.query_ids = PFM_NO_VALUE};
    if (aligner->queries) {
        const int64_t tokens = pfm_aligner_tokens(aligner, shape);
        PFM_TRY(fill_inputs(inputs, builder->graph->capacity[PFM_DIM_VISUAL] / tokens, (int32_t)tokens,
                            (int32_t)pfm_aligner_rows(shape), err));
        PFM_TRY(pfm_graph_input(builder->graph, PFM_DIM_VISUAL, 0, 1, PFM_STORAGE_I32, false, &inputs->query_ids, err));
    }
    PFM_TRY(aligner->build(&bare, shape, features, inputs, visual, err));
done:
    return status;
}

void pfm_aligner_bind(const pfm_aligner_inputs *inputs, pfm_executor *executor, int64_t images)
{
    if (inputs->ids == NULL)
        return;
    pfm_op_environment *env = pfm_executor_environment(executor);
    pfm_attention_set set = {.span_count = (int32_t)images, .roots = inputs->roots, .root_count = (int32_t)images};
    set.spans = inputs->queries;
    env->attention[PFM_ATTENTION_QUERIES] = set;
    set.spans = inputs->features;
    env->attention[PFM_ATTENTION_FEATURES] = set;
    pfm_executor_bind(executor, inputs->query_ids, inputs->ids);
}

static pfm_status act_before(void *user, pfm_builder *builder, const pfm_model_place *place, pfm_value *output, pfm_error *err)
{
    pfm_aligner_blocks *blocks = user;
    if (place->kind != PFM_PLACE_BLOCK || (place->block + 1) % blocks->shape->gated.every != 0)
        return PFM_OK;
    pfm_builder bare = *builder;
    bare.hook = bare.aligner = NULL;
    blocks->count++;
    return blocks->aligner->block(&bare, blocks->shape, blocks->visual, place->block, output, err);
}

void pfm_aligner_blocks_start(pfm_aligner_blocks *blocks, const pfm_aligner *aligner, const pfm_aligner_shape *shape,
                              pfm_value visual)
{
    *blocks = (pfm_aligner_blocks){.aligner = aligner, .shape = shape, .visual = visual};
    blocks->hook = (pfm_hook){.user = blocks, .apply = act_before};
}

void pfm_aligner_inputs_free(pfm_aligner_inputs *inputs)
{
    free(inputs->ids);
    free(inputs->roots);
    free(inputs->queries);
    free(inputs->features);
    *inputs = (pfm_aligner_inputs){0};
}
