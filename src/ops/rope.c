/* Rotary position embedding of heads side by side, halves rotated (Su et al., RoFormer, 2021; the order of transformers'
 * LLaMA). in[0] x act [T, heads * head_dim]; in[1] positions i32 [T,1]; in[2] table f32 [positions, rotary]: cosines, then
 * sines, of rotary / 2 angles; out[0] act, as x. The first `rotary` columns of each head are rotated, the others stay. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *positions = &call->in[1], *table = &call->in[2];
    int64_t head_dim = call->attributes.head_dim;
    pfm_status status = pfm_op_require(head_dim > 0 && x->columns % head_dim == 0 && x->storage == PFM_STORAGE_ACT, "rope",
                                       "the row is not a whole number of heads", err);
    if (status == PFM_OK)
        status = pfm_op_require(positions->storage == PFM_STORAGE_I32 && positions->columns == 1 && positions->rows == x->rows,
                                "rope", "there is not one position a row", err);
    if (status == PFM_OK)
        status = pfm_op_require(table->storage == PFM_STORAGE_F32 && table->columns > 0 && table->columns % 2 == 0 &&
                                    table->columns <= head_dim,
                                "rope", "the table's rows are not of even length, or longer than a head", err);
    call->out[0] = (pfm_tensor){.dim = x->dim, .rows = x->rows, .columns = x->columns, .storage = PFM_STORAGE_ACT};
    return status;
}

static void rotate(const pfm_op_call *call, const pfm_tensor *from, const pfm_tensor *to, float sign, int64_t begin,
                   int64_t end)
{
    pfm_act_type act = call->env->act;
    size_t head_dim = (size_t)call->attributes.head_dim, heads = (size_t)from->columns / head_dim, size = pfm_act_size(act),
           rotary = (size_t)call->in[2].columns, at_once = rotary == head_dim ? heads : 1;
    for (int64_t r = begin; r < end; r++) {
        const float *angles = (const float *)call->in[2].data + (size_t)((const int32_t *)call->in[1].data)[r] * rotary;
        const char *x = pfm_tensor_row(from, r, act);
        char *y = pfm_tensor_row(to, r, act);
        for (size_t h = 0; h < heads; h += at_once, x += head_dim * size, y += head_dim * size) {
            call->env->kernels->rope[act](x, angles, angles + rotary / 2, sign, y, at_once, rotary);
            memcpy(y + rotary * size, x + rotary * size, (head_dim - rotary) * size);
        }
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
    {"part of an odd head",
     {{17, 33, PFM_STORAGE_ACT, 0}, {17, 1, PFM_STORAGE_I32, 4}, {4, 6, PFM_STORAGE_F32, 0}},
     {{0}},
     {.head_dim = 11}},
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
