/* Two linear layers: mlp2x_gelu with an exact GELU between them (Liu et al., LLaVA-1.5, arXiv 2310.03744), as wide there as the
 * language model; double-linear with nothing between them (TinyGPT-V, arXiv 2312.16862). */
#include "models/aligner/aligner.h"

#include "base/try.h"

pfm_status pfm_aligner_two_layers(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value x, int64_t inner, bool gelu,
                                  bool loaded, pfm_value *y, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_aligner_linear_layer(builder, x, "linear_1", inner, false, loaded, &x, err));
    if (gelu)
        PFM_TRY(pfm_build_activation(builder, PFM_ACTIVATION_GELU, x, &x, err));
    PFM_TRY(pfm_aligner_linear_layer(builder, x, "linear_2", shape->hidden, true, loaded, y, err));
done:
    return status;
}

static pfm_status build_mlp(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features,
                            const pfm_aligner_inputs *inputs, pfm_value *visual, pfm_error *err)
{
    (void)inputs;
    return pfm_aligner_two_layers(builder, shape, features, shape->hidden, true, shape->pretrained, visual, err);
}

static pfm_status build_double(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features,
                               const pfm_aligner_inputs *inputs, pfm_value *visual, pfm_error *err)
{
    (void)inputs;
    return pfm_aligner_two_layers(builder, shape, features, shape->inner, false, shape->pretrained, visual, err);
}

static const pfm_aligner_naming mlp_namings[] = {
    {"linear_1.weight", {{NULL, NULL}}, NULL},
    {"multi_modal_projector.linear_1.weight",
     {{"linear_", "multi_modal_projector.linear_"}},
     pfm_aligner_llava_parts}, /* transformers */
    {"model.multi_modal_projector.linear_1.weight",
     {{"linear_", "model.multi_modal_projector.linear_"}},
     pfm_aligner_llava_parts},
    {"mm_projector.0.weight", {{"linear_1", "mm_projector.0"}, {"linear_2", "mm_projector.2"}}, NULL}, /* LLaVA */
    {"model.mm_projector.0.weight",
     {{"linear_1", "model.mm_projector.0"}, {"linear_2", "model.mm_projector.2"}},
     pfm_aligner_llava_parts},
    {"base_model.model.model.mm_projector.0.weight",
     {{"linear_1", "base_model.model.model.mm_projector.0"}, {"linear_2", "base_model.model.model.mm_projector.2"}},
     NULL}, /* what LLaVA's scripts save beside LoRA */
    {0},
};

static const pfm_aligner_naming double_namings[] = {
    {"linear_1.weight", {{NULL, NULL}}, NULL},
    {"llama_proj2.weight", {{"linear_1", "llama_proj"}, {"linear_2", "llama_proj2"}}, pfm_aligner_lavis_parts}, /* TinyGPT-V */
    {0},
};

const pfm_aligner pfm_aligner_mlp2x_gelu = {.name = "mlp2x_gelu", .merge = "1", .build = build_mlp, .namings = mlp_namings};
const pfm_aligner pfm_aligner_double_linear = {
    .name = "double-linear", .merge = "1", .build = build_double, .namings = double_namings};
