/* The rows of an updated weight set to learned lengths (Liu et al., DoRA, 2024), s = m / d their change:
 * y = s (x + u - b) + b, what a layer and its update make of the same input, or
 * y = a + (s - 1) x + s u, where both come from an input that something was dropped from, and a from the whole one.
 * in[0] x, in[2] u and in[3] a (optional) [R,C], f32 or act, stored alike; in[1] d f32 [1,C], which counts as a constant;
 * operand[0] m [C]; operand[1] b [C], the bias in x, optional, absent where a is there; out[0] y as x.
 * dx = s dy, or (s - 1) dy; du = s dy; dm += 1 / d sum over rows of dy (x + u - b); db += (1 - s) sum over rows of dy; a's
 * gradient is dy itself (passes). */
#include "base/threads.h"
#include "ops/op.h"

static bool fits(const pfm_tensor *x, const pfm_tensor *other)
{
    return other->columns == x->columns && other->rows == x->rows && other->dim == x->dim && other->storage == x->storage;
}

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *d = &call->in[1], *a = &call->in[3];
    const pfm_operand *m = &call->operand[0], *b = &call->operand[1];
    pfm_status status = pfm_op_require((x->storage == PFM_STORAGE_F32 || x->storage == PFM_STORAGE_ACT) &&
                                           fits(x, &call->in[2]) && (a->columns == 0 || fits(x, a)),
                                       "magnitude", "what is added differs in shape", err);
    if (status == PFM_OK)
        status = pfm_op_require(d->columns == x->columns && d->rows == 1 && d->dim == PFM_DIM_FIXED &&
                                    d->storage == PFM_STORAGE_F32 && m->n == x->columns && m->k == 1,
                                "magnitude", "there is not one length a column", err);
    if (status == PFM_OK)
        status = pfm_op_require(b->n == 0 || (b->n == x->columns && b->k == 1 && a->columns == 0), "magnitude",
                                "the bias does not fit", err);
    call->out[0] = *x;
    return status;
}

static pfm_act_type type_of(const pfm_op_call *call)
{
    return call->in[0].storage == PFM_STORAGE_F32 ? PFM_ACT_F32 : call->env->act;
}

/* The scratch, for every column: s; the factor of x; then (1 - s) b, or in the backward the sums over rows of dy (x + u) and of
 * dy. */
typedef struct layout {
    float *s, *of_x, *shift, *products, *sums;
} layout;

static layout lay_out(const pfm_op_call *call)
{
    float *s = call->scratch;
    const int64_t n = call->in[0].columns;
    return (layout){.s = s, .of_x = s + n, .shift = s + 2 * n, .products = s + 2 * n, .sums = s + 3 * n};
}

static void find_scales(const pfm_op_call *call)
{
    const layout at = lay_out(call);
    const float *d = call->in[1].data;
    for (int64_t j = 0; j < call->in[0].columns; j++) {
        at.s[j] = call->operand[0].values[j] / d[j];
        at.of_x[j] = call->in[3].columns > 0 ? at.s[j] - 1 : at.s[j];
    }
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const pfm_act_type act = call->env->act;
    const layout at = lay_out(call);
    for (int64_t r = begin; r < end; r++)
        call->env->kernels->scale_columns[type_of(call)](
            pfm_tensor_row(&call->in[0], r, act), at.of_x, pfm_tensor_row(&call->in[2], r, act), at.s,
            call->operand[1].n > 0 ? at.shift : NULL, call->in[3].columns > 0 ? pfm_tensor_row(&call->in[3], r, act) : NULL,
            pfm_tensor_row(&call->out[0], r, act), (size_t)call->in[0].columns);
}

static void forward(const pfm_op_call *call)
{
    const layout at = lay_out(call);
    find_scales(call);
    for (int64_t j = 0; call->operand[1].n > 0 && j < call->in[0].columns; j++)
        at.shift[j] = (1 - at.s[j]) * call->operand[1].values[j];
    pfm_op_for_rows(call, call->in[0].rows, forward_rows);
}

static void scale_gradient(const pfm_op_call *call, int input, const float *by, int64_t row)
{
    void *to = pfm_tensor_row(&call->din[input], row, call->env->act);
    call->env->kernels->scale_columns[type_of(call)](pfm_tensor_row(&call->dout[0], row, call->env->act), by, NULL, NULL, NULL,
                                                     call->accumulate[input] ? to : NULL, to, (size_t)call->in[0].columns);
}

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const layout at = lay_out(call);
    for (int64_t r = begin; r < end; r++) {
        if (call->din[0].data != NULL)
            scale_gradient(call, 0, at.of_x, r);
        if (call->din[2].data != NULL)
            scale_gradient(call, 2, at.s, r);
    }
}

enum { COLUMNS_PER_ITEM = 64 };

/* Sums over rows: an item has its own columns, and no sum is split. */
static void sum_columns(void *user, int item, int thread)
{
    (void)thread;
    const pfm_op_call *call = user;
    const pfm_kernels *kernels = call->env->kernels;
    const pfm_act_type type = type_of(call), act = call->env->act;
    const size_t columns = (size_t)call->in[0].columns, begin = (size_t)item * COLUMNS_PER_ITEM,
                 at = begin * pfm_act_size(type),
                 count = columns - begin < COLUMNS_PER_ITEM ? columns - begin : COLUMNS_PER_ITEM;
    float *products = lay_out(call).products + begin, *sums = lay_out(call).sums + begin;
    memset(products, 0, count * sizeof *products);
    memset(sums, 0, count * sizeof *sums);
    for (int64_t r = 0; r < call->in[0].rows; r++) {
        const char *dy = (const char *)pfm_tensor_row(&call->dout[0], r, act) + at;
        for (int i = 0; call->operand[0].gradient != NULL && i <= 2; i += 2)
            kernels->add_products[type](dy, (const char *)pfm_tensor_row(&call->in[i], r, act) + at, products, count);
        if (call->operand[1].n > 0)
            kernels->add_products[type](dy, NULL, sums, count);
    }
}

static void operand_gradients(const pfm_op_call *call)
{
    const pfm_operand *m = &call->operand[0], *b = &call->operand[1];
    const int64_t columns = call->in[0].columns;
    const float *d = call->in[1].data;
    const layout at = lay_out(call);
    pfm_threads_run(call->env->context->threads, (int)((columns + COLUMNS_PER_ITEM - 1) / COLUMNS_PER_ITEM), sum_columns,
                    (void *)(uintptr_t)call);
    for (int64_t j = 0; m->gradient != NULL && j < columns; j++)
        m->gradient[j] += (b->n > 0 ? at.products[j] - b->values[j] * at.sums[j] : at.products[j]) / d[j];
    for (int64_t j = 0; b->gradient != NULL && j < columns; j++)
        b->gradient[j] += (1 - at.s[j]) * at.sums[j];
}

static void backward(const pfm_op_call *call)
{
    find_scales(call);
    if (call->operand[0].gradient != NULL || call->operand[1].gradient != NULL)
        operand_gradients(call);
    pfm_op_for_rows(call, call->in[0].rows, backward_rows);
}

static double operations(const pfm_op_call *call) { return 4.0 * (double)call->in[0].rows * (double)call->in[0].columns; }

static size_t scratch(const pfm_op_call *call, bool backward_pass)
{
    return (backward_pass ? 4 : 3) * (size_t)call->in[0].columns * sizeof(float);
}

static const pfm_op_case cases[] = {
    {"one input",
     {{17, 13, PFM_STORAGE_ACT, 0}, {1, 13, PFM_STORAGE_F32, 0, true}, {17, 13, PFM_STORAGE_ACT, 0}},
     {{13, 1}, {13, 1}},
     {0}},
    {"without a bias",
     {{5, 133, PFM_STORAGE_F32, 0}, {1, 133, PFM_STORAGE_F32, 0, true}, {5, 133, PFM_STORAGE_F32, 0}},
     {{133, 1}},
     {0}},
    {"two inputs",
     {{18, 12, PFM_STORAGE_ACT, 0},
      {1, 12, PFM_STORAGE_F32, 0, true},
      {18, 12, PFM_STORAGE_ACT, 0},
      {18, 12, PFM_STORAGE_ACT, 0}},
     {{12, 1}},
     {0}},
    {0},
};

const pfm_op pfm_op_magnitude = {.name = "magnitude",
                                 .shape = shape,
                                 .forward = forward,
                                 .backward = backward,
                                 .operations = operations,
                                 .scratch = scratch,
                                 .backward_inputs = 1u << 1,
                                 .operand_inputs = 5u,
                                 .gradients = 5u,
                                 .operand_gradients = 3u,
                                 .accumulates = 5u,
                                 .passes = 3,
                                 .cases = cases};
