/* y = (x - mean) / deviation in each column, as act: features that an aligner learned to read. Without the two, y = x.
 * in[0] x f32 [R,C]; in[1] mean, in[2] deviation f32 [1,C], both or neither, constants; out[0] y act [R,C]. */
#include "ops/op.h"

enum { AT_ONCE = 256 };

static bool is_row(const pfm_tensor *statistic, const pfm_tensor *x)
{
    return statistic->storage == PFM_STORAGE_F32 && statistic->rows == 1 && statistic->columns == x->columns;
}

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *mean = &call->in[1], *deviation = &call->in[2];
    const bool none = mean->columns == 0 && deviation->columns == 0;
    call->out[0] = (pfm_tensor){.dim = x->dim, .rows = x->rows, .columns = x->columns, .storage = PFM_STORAGE_ACT};
    return pfm_op_require(x->storage == PFM_STORAGE_F32 && (none || (is_row(mean, x) && is_row(deviation, x))), "standardise",
                          "the input is not f32, or mean and deviation are not a row as long as its own", err);
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const float *mean = call->in[1].data, *deviation = call->in[2].data;
    const size_t columns = (size_t)call->in[0].columns;
    float chunk[AT_ONCE];
    for (int64_t r = begin; r < end; r++) {
        const float *x = pfm_tensor_row(&call->in[0], r, call->env->act);
        char *y = pfm_tensor_row(&call->out[0], r, call->env->act);
        for (size_t first = 0, count; first < columns; first += count) {
            count = columns - first < AT_ONCE ? columns - first : AT_ONCE;
            for (size_t j = 0; j < count; j++)
                chunk[j] = mean == NULL ? x[first + j] : (x[first + j] - mean[first + j]) / deviation[first + j];
            if (call->env->act == PFM_ACT_F32)
                memcpy((float *)(void *)y + first, chunk, count * sizeof *chunk);
            else
                call->env->kernels->bf16_from_f32(chunk, (pfm_bf16 *)(void *)y + first, count);
        }
    }
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const float *deviation = call->in[2].data;
    const size_t columns = (size_t)call->in[0].columns;
    for (int64_t r = begin; r < end; r++) {
        float *dx = pfm_tensor_row(&call->din[0], r, call->env->act);
        const void *dy = pfm_tensor_row(&call->dout[0], r, call->env->act);
        for (size_t j = 0; j < columns; j++) {
            const float g = call->env->act == PFM_ACT_F32 ? ((const float *)dy)[j] : pfm_bf16_to_f32(((const pfm_bf16 *)dy)[j]);
            dx[j] = (deviation == NULL ? g : g / deviation[j]) + (call->accumulate[0] ? dx[j] : 0);
        }
    }
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call)
{
    return call->in[1].columns == 0 ? 0 : 2.0 * (double)call->in[0].rows * (double)call->in[0].columns;
}

static const pfm_op_case cases[] = {
    {"by statistics", {{17, 301, PFM_STORAGE_F32, 0}, {1, 301, PFM_STORAGE_F32, 0}, {1, 301, PFM_STORAGE_F32, 0}}, {{0}}, {0}},
    {"as it is", {{5, 7, PFM_STORAGE_F32, 0}}, {{0}}, {0}},
    {0},
};

const pfm_op pfm_op_standardise = {.name = "standardise",
                                   .shape = shape,
                                   .forward = forward,
                                   .backward = backward,
                                   .operations = operations,
                                   .backward_inputs = 1u << 2,
                                   .gradients = 1u,
                                   .operand_gradients = 0u,
                                   .accumulates = 1u << 0,
                                   .passes = -1,
                                   .cases = cases};
