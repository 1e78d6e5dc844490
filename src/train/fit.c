#include "train/fit.h"

#include "base/process.h"
#include "base/try.h"

#include <string.h>

/* What a process holds beside parameters and activations: program, tokenizer, data set, buffers. Measured: about 80 MiB; where
 * more is there already, so much and what a step still needs. */
static const size_t other_bytes = (size_t)96 << 20, step_bytes = (size_t)16 << 20;

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

pfm_op_environment pfm_training_environment(const pfm_model *model, const pfm_trainer_sizes *sizes)
{
    return (pfm_op_environment){.context = model->context,
                                .kernels = model->context->kernels,
                                .act = model->act,
                                .training = true,
                                .most_keys = (int32_t)sizes->tokens};
}

static pfm_status try_one(pfm_model *model, pfm_sizes_function sizes, void *user, pfm_training_fit *fit, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_plan *plan = NULL;
    PFM_TRY(sizes(user, fit->token_limit, &fit->sizes, err));
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = (int64_t)fit->sizes.tokens,
                                             [PFM_DIM_ANSWERS] = (int64_t)fit->sizes.answers,
                                             [PFM_DIM_VISUAL] = (int64_t)fit->sizes.visual};
    PFM_TRY(pfm_model_build(model, capacity, true, false, &fit->graph, err));
    fit->graph.graph->recompute = fit->recompute;
    const pfm_op_environment env = pfm_training_environment(model, &fit->sizes);
    PFM_TRY(pfm_plan_create(fit->graph.graph, &env, fit->graph.language.loss, &plan, err));
    size_t loading = 0;
    PFM_TRY(pfm_model_loading_bytes(model, &loading, err));
    const size_t there = (size_t)pfm_process_memory(), alone = other_bytes + model->vision_bytes,
                 other = there == 0 ? alone : larger(alone, there + step_bytes);
    fit->peak = pfm_parameters_bytes(model->parameters) + other + larger(plan->bytes + plan->scratch, loading);
done:
    pfm_plan_free(plan);
    return status;
}

pfm_status pfm_training_fit_memory(pfm_model *model, const pfm_recipe *recipe, pfm_sizes_function sizes, void *user,
                                   pfm_training_fit *out, pfm_error *err)
{
    static const size_t limits[] = {PFM_TOKENS_AT_ONCE, PFM_TOKENS_AT_ONCE / 2, PFM_TOKENS_AT_ONCE / 4, 1};
    const char *option = recipe->train.recompute;
    const bool first = strcmp(option, "true") == 0, last = strcmp(option, "false") != 0;
    const uint64_t memory = model->context->memory;
    pfm_status status = PFM_OK;
    size_t least = SIZE_MAX;
    *out = (pfm_training_fit){0};
    for (int recompute = first; recompute <= (int)last; recompute++)
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            pfm_model_graph_free(&out->graph);
            out->token_limit = limits[i];
            out->recompute = recompute != 0;
            PFM_TRY(try_one(model, sizes, user, out, err));
            if (memory == 0 || out->peak <= memory)
                return PFM_OK;
            least = out->peak < least ? out->peak : least;
        }
    PFM_FAIL(PFM_ERROR_USAGE,
             "--memory allows %.2f GiB and this training takes at least %.2f GiB%s; weights in fewer bits (model.weights)%s",
             (double)memory / 1073741824.0, (double)least / 1073741824.0 + 0.005, last ? "" : " without train.recompute",
             pfm_model_sees(model) ? ", a smaller model.image_size or fewer rows of an image at once (data.group) take less"
                                   : " or shorter rows (train.max_tokens) take less");
done:
    pfm_model_graph_free(&out->graph);
    return status;
}
