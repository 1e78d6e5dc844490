/* y = g x + addend, g along the columns: what scales a layer's input or output, or what is added to it.
 * in[0] x [R,C], f32 or act; in[1] addend as x, optional; operand[0] g [C] or [1,C]; out[0] y as x. dx = g dy; dg += the sum
 * over rows of dy x; the addend's gradient is dy itself (passes). */
#include "base/threads.h"
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *addend = &call->in[1];
    const pfm_operand *g = &call->operand[0];
    call->out[0] = *x;
    pfm_status status = pfm_op_require(addend->columns == 0 || (addend->columns == x->columns && addend->dim == x->dim &&
                                                                addend->rows == x->rows && addend->storage == x->storage),
                                       "scale", "the addend is not of the input's shape", err);
    if (status != PFM_OK)
        return status;
    return pfm_op_require((x->storage == PFM_STORAGE_F32 || x->storage == PFM_STORAGE_ACT) && g->n * g->k == x->columns &&
                              (g->n == 1 || g->k == 1),
                          "scale", "there is not one factor for each column of numbers", err);
}

static pfm_act_type type_of(const pfm_op_call *call)
{
    return call->in[0].storage == PFM_STORAGE_F32 ? PFM_ACT_F32 : call->env->act;
}

/* addend NULL: none. */
static void scale_rows(const pfm_op_call *call, const pfm_tensor *from, const pfm_tensor *addend, const pfm_tensor *to,
                       int64_t begin, int64_t end)
{
    for (int64_t r = begin; r < end; r++) {
        const void *added = addend != NULL ? pfm_tensor_row(addend, r, call->env->act) : NULL;
        call->env->kernels->scale_columns[type_of(call)](pfm_tensor_row(from, r, call->env->act), call->operand[0].values, NULL,
                                                         NULL, NULL, added, pfm_tensor_row(to, r, call->env->act),
                                                         (size_t)from->columns);
    }
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    scale_rows(call, &call->in[0], call->in[1].columns > 0 ? &call->in[1] : NULL, &call->out[0], begin, end);
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    scale_rows(call, &call->dout[0], call->accumulate[0] ? &call->din[0] : NULL, &call->din[0], begin, end);
}

enum { COLUMNS_PER_ITEM = 64 };

/* Sums over rows: an item has its own columns, and no sum is split. */
static void sum_columns(void *user, int item, int thread)
{
    (void)thread;
    const pfm_op_call *call = user;
    const pfm_act_type type = type_of(call);
    const size_t columns = (size_t)call->in[0].columns, begin = (size_t)item * COLUMNS_PER_ITEM,
                 at = begin * pfm_act_size(type),
                 count = columns - begin < COLUMNS_PER_ITEM ? columns - begin : COLUMNS_PER_ITEM;
    for (int64_t r = 0; r < call->in[0].rows; r++)
        call->env->kernels->add_products[type]((const char *)pfm_tensor_row(&call->dout[0], r, call->env->act) + at,
                                               (const char *)pfm_tensor_row(&call->in[0], r, call->env->act) + at,
                                               call->operand[0].gradient + begin, count);
}

static void backward(const pfm_op_call *call)
{
    if (call->operand[0].gradient != NULL)
        pfm_threads_run(call->env->context->threads, (int)((call->in[0].columns + COLUMNS_PER_ITEM - 1) / COLUMNS_PER_ITEM),
                        sum_columns, (void *)(uintptr_t)call);
    if (call->din[0].data != NULL)
        pfm_op_for_rows(call, call->in[0].rows, backward_rows);
}

static double operations(const pfm_op_call *call)
{
    return (call->in[1].columns > 0 ? 2.0 : 1.0) * (double)call->in[0].rows * (double)call->in[0].columns;
}

static const pfm_op_case cases[] = {
    {"a row of factors", {{17, 13, PFM_STORAGE_ACT, 0}}, {{1, 13}}, {0}},
    {"a column of factors", {{19, 133, PFM_STORAGE_F32, 0}}, {{133, 1}}, {0}},
    {"with an addend", {{5, 33, PFM_STORAGE_ACT, 0}, {5, 33, PFM_STORAGE_ACT, 0}}, {{33, 1}}, {0}},
    {0},
};

const pfm_op pfm_op_scale = {.name = "scale",
                             .shape = shape,
                             .forward = forward,
                             .backward = backward,
                             .operations = operations,
                             .operand_inputs = 1u,
                             .gradients = 1u,
                             .operand_gradients = 1u,
                             .accumulates = 1u,
                             .passes = 1,
                             .cases = cases};
