/* concat-linear: neighbouring positions side by side, then one linear layer with a bias (PeFoMed's aligner, arXiv 2401.02797,
 * which joins 1 x 4 neighbours). linear is the same with a token for each position. */
#include "models/aligner/aligner.h"

static pfm_status build(pfm_builder *builder, const pfm_aligner_shape *shape, pfm_value features,
                        const pfm_aligner_inputs *inputs, pfm_value *visual, pfm_error *err)
{
    (void)inputs;
    return pfm_aligner_linear_layer(builder, features, "proj", shape->hidden, true, shape->pretrained, visual, err);
}

static const pfm_aligner_naming namings[] = {
    {"proj.weight", {{NULL, NULL}}, NULL},
    {"llama_proj.weight", {{"proj.", "llama_proj."}}, pfm_aligner_lavis_parts},                 /* PeFoMed, MiniGPT-4 */
    {"mm_projector.weight", {{"proj.", "mm_projector."}}, NULL},                                /* LLaVA */
    {"model.mm_projector.weight", {{"proj.", "model.mm_projector."}}, pfm_aligner_llava_parts}, /* the same, as trained */
    {"base_model.model.model.mm_projector.weight", {{"proj.", "base_model.model.model.mm_projector."}}, NULL}, /* beside LoRA */
    {0},
};

const pfm_aligner pfm_aligner_concat_linear = {.name = "concat-linear", .merge = "2", .build = build, .namings = namings};
const pfm_aligner pfm_aligner_linear = {.name = "linear", .merge = "1", .build = build, .namings = namings};
