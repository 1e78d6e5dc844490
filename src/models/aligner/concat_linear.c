/* concat-linear: merge x merge neighbouring positions side by side, row by row, channels innermost, then one linear layer with
 * a bias (PeFoMed's aligner, arXiv 2401.02797, which joins 1 x 4 neighbours).
 *
 * concat-linear-2d: behind them a one for the token's row and a one for its column, among zeros, so that the layer learns a
 * vector for each. The features of a convolutional encoder say little of where they stand, and the language model counts tokens
 * in one dimension. */
#include "models/aligner/aligner.h"

#include <string.h>

static int64_t side_of(const pfm_aligner_shape *shape) { return shape->grid / shape->merge; }
static int64_t tokens(const pfm_aligner_shape *shape) { return side_of(shape) * side_of(shape); }
static int64_t width(const pfm_aligner_shape *shape) { return (int64_t)shape->merge * shape->merge * shape->channels; }
static int64_t no_places(const pfm_aligner_shape *shape)
{
    (void)shape;
    return 0;
}
static int64_t places_2d(const pfm_aligner_shape *shape) { return 2 * side_of(shape); }
static int64_t width_2d(const pfm_aligner_shape *shape) { return width(shape) + places_2d(shape); }

/* `behind` columns are left free at the end of each row. */
static void place_features(const pfm_aligner_shape *shape, const float *features, size_t behind, float *rows)
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
            rows += behind;
        }
    }
}

static void arrange(const pfm_aligner_shape *shape, const float *features, float *rows)
{
    place_features(shape, features, 0, rows);
}

static void arrange_2d(const pfm_aligner_shape *shape, const float *features, float *rows)
{
    size_t side = (size_t)side_of(shape), columns = (size_t)width_2d(shape);
    place_features(shape, features, 2 * side, rows);
    for (size_t t = 0; t < side * side; t++) {
        float *place = rows + t * columns + (size_t)width(shape);
        memset(place, 0, 2 * side * sizeof *place);
        place[t / side] = place[side + t % side] = 1;
    }
}

static pfm_status build_linear(pfm_builder *builder, const pfm_aligner_shape *shape, int64_t columns, pfm_value features,
                               pfm_value *visual, pfm_error *err)
{
    pfm_linear_options options = {.n = shape->hidden,
                                  .k = columns,
                                  .bias = true,
                                  .addend = PFM_NO_VALUE,
                                  .output = PFM_STORAGE_F32,
                                  .trainable = true,
                                  .initial = PFM_INITIAL_NORMAL};
    return pfm_build_linear(builder, features, "aligner.proj", &options, visual, err);
}

static pfm_status build(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features, pfm_value *visual,
                        pfm_error *err)
{
    return build_linear(builder, shape, width(shape), features, visual, err);
}

static pfm_status build_2d(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features, pfm_value *visual,
                           pfm_error *err)
{
    return build_linear(builder, shape, width_2d(shape), features, visual, err);
}

const pfm_aligner pfm_aligner_concat_linear = {
    .name = "concat-linear", .tokens = tokens, .width = width, .places = no_places, .arrange = arrange, .build = build};

const pfm_aligner pfm_aligner_concat_linear_2d = {.name = "concat-linear-2d",
                                                  .tokens = tokens,
                                                  .width = width_2d,
                                                  .places = places_2d,
                                                  .arrange = arrange_2d,
                                                  .build = build_2d};
