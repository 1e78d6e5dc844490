/* y = x with each element dropped with probability p and the rest scaled by 1/(1-p) while training, y = x otherwise.
 * Counter-based: the decision for a column depends on (seed and step, place, the token's key) alone, so a packed row drops what
 * the same row alone would drop, and the backward replays it.
 * in[0] x act [T,C]; in[1] the tokens' keys i64 [T,1]; out[0] act [T,C]. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *keys = &call->in[1];
    call->out[0] = *x;
    float p = call->attributes.probability;
    pfm_status status = pfm_op_require(p >= 0 && p < 1, "dropout", "the probability is not in [0,1)", err);
    if (status != PFM_OK)
        return status;
    return pfm_op_require(x->storage == PFM_STORAGE_ACT && keys->storage == PFM_STORAGE_I64 && keys->columns == 1 &&
                              keys->rows == x->rows,
                          "dropout", "there is not one key a row", err);
}

static void drop(const pfm_op_call *call, const pfm_tensor *from, const pfm_tensor *to, bool add, int64_t begin, int64_t end)
{
    pfm_act_type act = call->env->act;
    float p = call->env->training ? call->attributes.probability : 0;
    pfm_dropout dropout = {
        .key = call->env->dropout_key, .place = call->attributes.place, .threshold = (uint32_t)lrintf(p * 65536.0f)};
    dropout.scale = 65536.0f / (65536.0f - (float)dropout.threshold);
    for (int64_t r = begin; r < end; r++) {
        dropout.token = (uint64_t)((const int64_t *)call->in[1].data)[r];
        call->env->kernels->dropout[act](pfm_tensor_row(from, r, act), pfm_tensor_row(to, r, act), (size_t)from->columns,
                                         &dropout, add);
    }
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    drop(call, &call->in[0], &call->out[0], false, begin, end);
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    drop(call, &call->dout[0], &call->din[0], call->accumulate[0], begin, end);
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call) { return (double)call->in[0].rows * (double)call->in[0].columns; }

static const pfm_op_case cases[] = {
    {"a tenth", {{21, 37, PFM_STORAGE_ACT, 0}, {21, 1, PFM_STORAGE_I64, 1000}}, {{0}}, {.probability = 0.1f, .place = 3}},
    {"none", {{4, 8, PFM_STORAGE_ACT, 0}, {4, 1, PFM_STORAGE_I64, 10}}, {{0}}, {.probability = 0, .place = 1}},
    {0},
};

const pfm_op pfm_op_dropout = {.name = "dropout",
                               .shape = shape,
                               .forward = forward,
                               .backward = backward,
                               .operations = operations,
                               .backward_inputs = 1u << 1,
                               .gradients = 1u,
                               .operand_gradients = 0u,
                               .accumulates = 1u << 0,
                               .passes = -1,
                               .cases = cases};
