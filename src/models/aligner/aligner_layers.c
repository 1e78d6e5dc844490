/* The layers that several aligners have. */
#include "models/aligner/aligner.h"

#include "base/try.h"

#include <math.h>
#include <stdio.h>

pfm_status pfm_aligner_linear_layer(pfm_builder *builder, pfm_value x, const char *name, int64_t n, bool last, bool loaded,
                                    pfm_value *y, pfm_error *err)
{
    char full[64];
    const int64_t k = builder->graph->values[x].shape.columns;
    pfm_linear_options options = {
        .n = n, .k = k, .bias = true, .addend = PFM_NO_VALUE, .output = PFM_STORAGE_ACT, .trainable = true};
    (void)snprintf(full, sizeof full, "aligner.%s", name);
    if (last)
        options.output = PFM_STORAGE_F32;
    if (loaded) {
        options.initial = PFM_INITIAL_LOADED;
    } else if (last) { /* the model draws it so that visual tokens are as large as text tokens */
        options.initial = PFM_INITIAL_NORMAL;
    } else {
        options.initial = PFM_INITIAL_UNIFORM; /* as torch */
        options.initial_scale = 1 / sqrt((double)k);
    }
    return pfm_build_linear(builder, x, full, &options, y, err);
}

/* Declares the vectors as the aligner wants them before the norm finds them. */
pfm_status pfm_aligner_norm(pfm_builder *builder, pfm_value x, const char *name, double epsilon, bool trainable, bool loaded,
                            pfm_value *y, pfm_error *err)
{
    static const char *const suffixes[] = {"weight", "bias"};
    static const pfm_initial drawn[] = {PFM_INITIAL_ONE, PFM_INITIAL_ZERO};
    pfm_status status = PFM_OK;
    char full[160];
    for (int i = 0; i < 2; i++) {
        int id;
        (void)snprintf(full, sizeof full, "%s.%s", name, suffixes[i]);
        pfm_parameter declaration = {.name = full,
                                     .n = builder->graph->values[x].shape.columns,
                                     .k = 1,
                                     .uses = PFM_USE_VALUES,
                                     .trainable = trainable,
                                     .initial = loaded ? PFM_INITIAL_LOADED : drawn[i]};
        PFM_TRY(pfm_build_parameter(builder, &declaration, &id, err));
    }
    PFM_TRY(pfm_build_layernorm(builder, x, name, epsilon, 0, y, err));
done:
    return status;
}
