/* y = w (x - mean) / sqrt(variance + epsilon) + b over each row, or over each run of head_dim columns where that attribute is
 * set (Ba, Kiros and Hinton, Layer Normalization, 2016).
 * in[0] x f32 [R,C]; operand[0] w, operand[1] b [C or head_dim], each optional: ones, zeros; out[0] y [R,C], f32 or act by
 * attributes.output; out[1] mean and factor of each run f32 [R, 2 runs], kept for the backward. */
#include "ops/op.h"

static int64_t run_length(const pfm_op_call *call)
{
    return call->attributes.head_dim > 0 ? call->attributes.head_dim : call->in[0].columns;
}

/* How y is kept. */
static pfm_act_type type_of(const pfm_op_call *call)
{
    return call->attributes.output == PFM_STORAGE_F32 ? PFM_ACT_F32 : call->env->act;
}

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0];
    const int64_t length = run_length(call);
    pfm_status status = pfm_op_require(x->storage == PFM_STORAGE_F32, "layernorm", "the input is not f32", err);
    if (status == PFM_OK)
        status = pfm_op_require(x->columns % length == 0, "layernorm", "a row is not a whole number of heads", err);
    for (int i = 0; status == PFM_OK && i < 2; i++)
        status = pfm_op_require(call->operand[i].n == 0 || (call->operand[i].n == length && call->operand[i].k == 1),
                                "layernorm", "weight or bias is not as long as what is normed", err);
    if (status == PFM_OK)
        status = pfm_op_require(call->attributes.output == PFM_STORAGE_F32 || call->attributes.output == PFM_STORAGE_ACT,
                                "layernorm", "the output is neither f32 nor act", err);
    call->out[0] = (pfm_tensor){.dim = x->dim, .rows = x->rows, .columns = x->columns, .storage = call->attributes.output};
    call->out[1] =
        (pfm_tensor){.dim = x->dim, .rows = x->rows, .columns = 2 * (x->columns / length), .storage = PFM_STORAGE_F32};
    return status;
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act, type = type_of(call);
    const size_t length = (size_t)run_length(call), runs = (size_t)call->in[0].columns / length;
    for (int64_t r = begin; r < end; r++) {
        const float *x = pfm_tensor_row(&call->in[0], r, act);
        char *y = pfm_tensor_row(&call->out[0], r, act);
        float *statistics = pfm_tensor_row(&call->out[1], r, act);
        for (size_t i = 0; i < runs; i++)
            call->env->kernels->layernorm[type](x + i * length, call->operand[0].values, call->operand[1].values,
                                                call->attributes.epsilon, y + i * length * pfm_act_size(type),
                                                statistics + 2 * i, length);
    }
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_row(const pfm_op_call *call, int64_t r, float *dx, size_t dx_step, float *dw, float *db)
{
    const pfm_act_type act = call->env->act, type = type_of(call);
    const size_t length = (size_t)run_length(call), runs = (size_t)call->in[0].columns / length;
    const float *x = pfm_tensor_row(&call->in[0], r, act), *statistics = pfm_tensor_row(&call->out[1], r, act);
    const char *dy = pfm_tensor_row(&call->dout[0], r, act);
    for (size_t i = 0; i < runs; i++)
        call->env->kernels->layernorm_backward[type](x + i * length, call->operand[0].values, statistics + 2 * i,
                                                     dy + i * length * pfm_act_size(type), dx + i * dx_step, dw, db, length);
}

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const size_t columns = (size_t)call->in[0].columns;
    for (int64_t r = begin; r < end; r++) {
        float *dx = pfm_tensor_row(&call->din[0], r, call->env->act);
        if (!call->accumulate[0])
            memset(dx, 0, columns * sizeof *dx);
        backward_row(call, r, dx, (size_t)run_length(call), NULL, NULL);
    }
}

static void backward(const pfm_op_call *call)
{
    float *dw = call->operand[0].gradient, *db = call->operand[1].gradient;
    /* Gradients of weight and bias are sums over rows and stay with one thread; the dx beside them is read by nobody. */
    for (int64_t r = 0; (dw != NULL || db != NULL) && r < call->in[0].rows; r++)
        backward_row(call, r, call->scratch, 0, dw, db);
    if (call->din[0].data != NULL)
        pfm_op_for_rows(call, call->in[0].rows, backward_rows);
}

static double operations(const pfm_op_call *call) { return 7.0 * (double)call->in[0].rows * (double)call->in[0].columns; }

static size_t scratch(const pfm_op_call *call, bool backward_pass)
{
    return backward_pass ? (size_t)run_length(call) * sizeof(float) : 0;
}

static const pfm_op_case cases[] = {
    {"odd row", {{19, 33, PFM_STORAGE_F32, 0}}, {{33, 1}, {33, 1}}, {.epsilon = 1e-5f, .output = PFM_STORAGE_ACT}},
    {"heads of 5",
     {{18, 15, PFM_STORAGE_F32, 0}},
     {{5, 1}, {5, 1}},
     {.epsilon = 1e-5f, .head_dim = 5, .output = PFM_STORAGE_ACT}},
    {"hidden 1408", {{3, 1408, PFM_STORAGE_F32, 0}}, {{1408, 1}, {1408, 1}}, {.epsilon = 1e-6f, .output = PFM_STORAGE_ACT}},
    {"kept in f32", {{5, 24, PFM_STORAGE_F32, 0}}, {{24, 1}, {24, 1}}, {.epsilon = 1e-5f, .output = PFM_STORAGE_F32}},
    {0},
};

const pfm_op pfm_op_layernorm = {.name = "layernorm",
                                 .shape = shape,
                                 .forward = forward,
                                 .backward = backward,
                                 .operations = operations,
                                 .scratch = scratch,
                                 .backward_inputs = 1u << 0,
                                 .backward_outputs = 1u << 1,
                                 .gradients = 1u,
                                 .operand_gradients = 3u,
                                 .accumulates = 1u << 0,
                                 .passes = -1,
                                 .cases = cases};
