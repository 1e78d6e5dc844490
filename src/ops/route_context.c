/* The gates of a mixture of experts, chosen by what is known of a token's row (its image's modality, its task): context c takes
 * expert c - 1 alone. Where it is not known (0), or has no expert of its own, the shared expert answers alone; without one all
 * take an even part.
 * in[0] contexts i32 [T,1]; out[0] gates f32 [T,E], or [T,E+1] where attributes.shared, the last gate 1; out[1] f32 [1,E], each
 * expert's gate summed over the rows of a training step. attributes.experts is E. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *contexts = &call->in[0];
    const pfm_op_attributes *a = &call->attributes;
    pfm_status status = pfm_op_require(contexts->storage == PFM_STORAGE_I32 && contexts->columns == 1, "route_context",
                                       "there is not one context a row", err);
    if (status == PFM_OK)
        status = pfm_op_require(a->experts >= 1, "route_context", "there are no experts", err);
    call->out[0] = (pfm_tensor){
        .dim = contexts->dim, .rows = contexts->rows, .columns = (int64_t)a->experts + a->shared, .storage = PFM_STORAGE_F32};
    call->out[1] = (pfm_tensor){.dim = PFM_DIM_FIXED, .rows = 1, .columns = a->experts, .storage = PFM_STORAGE_F32};
    return status;
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_op_attributes *a = &call->attributes;
    for (int64_t t = begin; t < end; t++) {
        const int32_t context = ((const int32_t *)call->in[0].data)[t];
        float *gates = pfm_tensor_row(&call->out[0], t, call->env->act);
        const bool known = context >= 1 && context <= a->experts;
        for (int32_t e = 0; e < a->experts; e++)
            gates[e] = known ? (float)(e == context - 1) : a->shared ? 0 : 1.0f / (float)a->experts;
        if (a->shared)
            gates[a->experts] = 1;
    }
}

static void forward(const pfm_op_call *call)
{
    float *load = call->out[1].data;
    const pfm_row_set set = call->env->rows[call->attributes.rows];
    pfm_op_for_rows(call, call->in[0].rows, forward_rows);
    for (int32_t e = 0; e < call->attributes.experts; e++) {
        double sum = 0;
        for (int32_t i = 0; call->env->training && i < set.count; i++) /* a row's tokens are all of its context */
            sum += (double)((const float *)pfm_tensor_row(&call->out[0], pfm_token_row_at(&set.rows[i], 0), call->env->act))[e];
        load[e] = (float)sum;
    }
}

static double operations(const pfm_op_call *call)
{
    (void)call;
    return 0;
}

static const pfm_op_case cases[] = {
    {"some unknown", {{17, 1, PFM_STORAGE_I32, 5}}, {{0}}, {.experts = 3}},
    {"beside a shared one", {{5, 1, PFM_STORAGE_I32, 4}}, {{0}}, {.experts = 3, .shared = true}},
    {0},
};

const pfm_op pfm_op_route_context = {.name = "route_context",
                                     .shape = shape,
                                     .forward = forward,
                                     .backward = PFM_NOT_DIFFERENTIABLE,
                                     .operations = operations,
                                     .gradients = 0u,
                                     .operand_gradients = 0u,
                                     .passes = -1,
                                     .cases = cases};
