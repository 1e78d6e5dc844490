/* The first hidden states: a row of the embedding for a text token, a row of the visual tokens for an image token.
 * in[0] ids i32 [T,1]: id >= 0 is row id of the embedding, id < 0 is row -1-id of the visual tokens, and a virtual token's row
 * is zero until what it stands for takes the place; in[1] visual f32 [V,D], optional; operand[0] embedding [vocabulary, D] with
 * its rows; out[0] f32 [T,D]. A row of either may stand in several places: its gradient is their sum, in the order of the
 * tokens. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *ids = &call->in[0], *visual = &call->in[1];
    pfm_status status =
        pfm_op_require(ids->storage == PFM_STORAGE_I32 && ids->columns == 1, "embed", "the ids are not i32 [T,1]", err);
    if (status == PFM_OK)
        status = pfm_op_require(visual->columns == 0 ||
                                    (visual->columns == call->operand[0].k && visual->storage == PFM_STORAGE_F32),
                                "embed", "visual tokens are not as wide as the embedding", err);
    call->out[0] = (pfm_tensor){.dim = ids->dim, .rows = ids->rows, .columns = call->operand[0].k, .storage = PFM_STORAGE_F32};
    return status;
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    size_t columns = (size_t)call->out[0].columns;
    const int32_t *ids = call->in[0].data;
    for (int64_t r = begin; r < end; r++) {
        float *y = (float *)call->out[0].data + (size_t)r * columns;
        if (pfm_id_is_virtual(ids[r]))
            memset(y, 0, columns * sizeof *y);
        else if (ids[r] < 0)
            memcpy(y, (const float *)call->in[1].data + (size_t)(-1 - ids[r]) * columns, columns * sizeof *y);
        else if (call->env->act == PFM_ACT_F32)
            memcpy(y, (const float *)call->operand[0].rows + (size_t)ids[r] * columns, columns * sizeof *y);
        else
            call->env->kernels->bf16_to_f32((const pfm_bf16 *)call->operand[0].rows + (size_t)ids[r] * columns, y, columns);
    }
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward(const pfm_op_call *call)
{
    size_t columns = (size_t)call->out[0].columns;
    const int32_t *ids = call->in[0].data;
    float *visual = call->din[1].data, *embedding = call->operand[0].gradient;
    if (visual != NULL && !call->accumulate[1])
        memset(visual, 0, (size_t)call->din[1].rows * columns * sizeof *visual);
    for (int64_t r = 0; r < call->in[0].rows; r++) {
        float *to = pfm_id_is_virtual(ids[r]) ? NULL : ids[r] < 0 ? visual : embedding;
        size_t row = (size_t)(ids[r] < 0 ? -1 - ids[r] : ids[r]);
        if (to != NULL)
            call->env->kernels->axpy(1, (const float *)call->dout[0].data + (size_t)r * columns, to + row * columns, columns);
    }
}

static double operations(const pfm_op_call *call)
{
    (void)call;
    return 0;
}

static const pfm_op_case cases[] = {
    {"text and image", {{20, 1, PFM_STORAGE_I32, -4}, {4, 12, PFM_STORAGE_F32, 0}}, {{9, 12}}, {0}},
    {"text", {{5, 1, PFM_STORAGE_I32, 9}}, {{9, 12}}, {0}},
    {"virtual tokens", {{15, 1, PFM_STORAGE_I32, PFM_FIRST_VIRTUAL - 5}}, {{9, 12}}, {0}},
    {0},
};

const pfm_op pfm_op_embed = {.name = "embed",
                             .shape = shape,
                             .forward = forward,
                             .backward = backward,
                             .operations = operations,
                             .backward_inputs = 1u << 0,
                             .gradients = 2u,
                             .operand_gradients = 1u,
                             .accumulates = 1u << 1,
                             .passes = -1,
                             .cases = cases};
