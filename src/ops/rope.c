/* Rotary position embedding of heads side by side, halves rotated (Su et al., RoFormer, 2021; the order of transformers'
 * LLaMA). in[0] x act [T, heads * head_dim]; in[1] positions i32 [T,1]; in[2] table f32 [positions, head_dim]: cosines, then
 * sines, of head_dim / 2 angles; out[0] act, as x. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *positions = &call->in[1], *table = &call->in[2];
    int64_t head_dim = call->attributes.head_dim;
    pfm_status status =
        pfm_op_require(head_dim > 0 && head_dim % 2 == 0 && x->columns % head_dim == 0 && x->storage == PFM_STORAGE_ACT, "rope",
                       "the row is not a whole number of heads of even size", err);
    if (status == PFM_OK)
        status = pfm_op_require(positions->storage == PFM_STORAGE_I32 && positions->columns == 1 && positions->rows == x->rows,
                                "rope", "there is not one position a row", err);
    if (status == PFM_OK)
        status = pfm_op_require(table->storage == PFM_STORAGE_F32 && table->columns == head_dim, "rope",
                                "the table's rows are not as long as a head", err);
    call->out[0] = (pfm_tensor){.dim = x->dim, .rows = x->rows, .columns = x->columns, .storage = PFM_STORAGE_ACT};
    return status;
}

static void rotate(const pfm_op_call *call, const pfm_tensor *from, const pfm_tensor *to, float sign, int64_t begin,
                   int64_t end)
{
    pfm_act_type act = call->env->act;
    size_t head_dim = (size_t)call->attributes.head_dim, heads = (size_t)from->columns / head_dim;
    for (int64_t r = begin; r < end; r++) {
        const float *angles = (const float *)call->in[2].data + (size_t)((const int32_t *)call->in[1].data)[r] * head_dim;
        call->env->kernels->rope[act](pfm_tensor_row(from, r, act), angles, angles + head_dim / 2, sign,
                                      pfm_tensor_row(to, r, act), heads, head_dim);
    }
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    rotate(call, &call->in[0], &call->out[0], 1, begin, end);
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

/* The gradient of a rotation is the rotation back. */
static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    rotate(call, &call->dout[0], &call->din[0], -1, begin, end);
}

static void backward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, backward_rows); }

static double operations(const pfm_op_call *call) { return 3.0 * (double)call->in[0].rows * (double)call->in[0].columns; }

static const pfm_op_case cases[] = {
    {"three heads",
     {{18, 24, PFM_STORAGE_ACT, 0}, {18, 1, PFM_STORAGE_I32, 9}, {9, 8, PFM_STORAGE_F32, 0}},
     {{0}},
     {.head_dim = 8}},
    {"head of 64",
     {{2, 128, PFM_STORAGE_ACT, 0}, {2, 1, PFM_STORAGE_I32, 5}, {5, 64, PFM_STORAGE_F32, 0}},
     {{0}},
     {.head_dim = 64}},
    {0},
};

const pfm_op pfm_op_rope = {.name = "rope",
                            .shape = shape,
                            .forward = forward,
                            .backward = backward,
                            .operations = operations,
                            .backward_inputs = 1u << 1 | 1u << 2,
                            .gradients = 1u,
                            .operand_gradients = 0u,
                            .accumulates = 0,
                            .passes = -1,
                            .cases = cases};
