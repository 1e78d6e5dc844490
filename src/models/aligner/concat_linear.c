/* concat-linear: merge x merge neighbouring positions side by side, row by row, channels innermost, then one linear layer with
 * a bias (PeFoMed's aligner, arXiv 2401.02797, which joins 1 x 4 neighbours). */
#include "models/aligner/aligner.h"

#include <string.h>

static int64_t tokens(const pfm_aligner_shape *shape)
{
    int64_t side = shape->grid / shape->merge;
    return side * side;
}

static int64_t width(const pfm_aligner_shape *shape) { return (int64_t)shape->merge * shape->merge * shape->channels; }

static void arrange(const pfm_aligner_shape *shape, const float *features, float *rows)
{
    int side = shape->grid / shape->merge;
    size_t channels = (size_t)shape->channels;
    for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
            for (int dy = 0; dy < shape->merge; dy++) {
                const float *from = features + (size_t)((y * shape->merge + dy) * shape->grid + x * shape->merge) * channels;
                memcpy(rows, from, (size_t)shape->merge * channels * sizeof *rows); /* neighbours in a row lie side by side */
                rows += (size_t)shape->merge * channels;
            }
        }
    }
}

static pfm_status build(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features, pfm_value *visual,
                        pfm_error *err)
{
    pfm_linear_options options = {.n = shape->hidden,
                                  .k = width(shape),
                                  .bias = true,
                                  .addend = PFM_NO_VALUE,
                                  .output = PFM_STORAGE_F32,
                                  .trainable = true,
                                  .initial = PFM_INITIAL_NORMAL};
    return pfm_build_linear(builder, features, "aligner.proj", &options, visual, err);
}

const pfm_aligner pfm_aligner_concat_linear = {
    .name = "concat-linear", .tokens = tokens, .width = width, .arrange = arrange, .build = build};
