/* The lengths of the rows of an updated weight W + alpha B A, without that weight:
 * |W_i + alpha B_i A|^2 = |W_i|^2 + alpha sum over r of B_ir H_ri, H = A (2 W + alpha B A)^T.
 * in[0] H f32 [R,N]; operand[0] W [N,K] with the lengths of its own rows; operand[1] B [N,R] with its values; out[0] the
 * lengths f32 [1,N], summed in double. They count as a constant (Liu et al., DoRA, 2024, section 4.3), and none is zero, so
 * that a row of zeros can be divided by its length. */
#include "base/threads.h"
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *h = &call->in[0];
    const pfm_operand *w = &call->operand[0], *b = &call->operand[1];
    pfm_status status = pfm_op_require(h->storage == PFM_STORAGE_F32 && h->dim == PFM_DIM_FIXED, "row_norms",
                                       "the products are not f32 in fixed rows", err);
    if (status == PFM_OK)
        status = pfm_op_require(h->columns == w->n && b->n == w->n && b->k == h->rows, "row_norms",
                                "the update does not fit the weight", err);
    call->out[0] = (pfm_tensor){.dim = PFM_DIM_FIXED, .rows = 1, .columns = w->n, .storage = PFM_STORAGE_F32};
    return status;
}

enum { COLUMNS_PER_ITEM = 64 };
#define LEAST_SQUARE 1e-30

static void find_norms(void *user, int item, int thread)
{
    (void)thread;
    const pfm_op_call *call = user;
    const int64_t n = call->operand[0].n, rank = call->operand[1].k, begin = (int64_t)item * COLUMNS_PER_ITEM,
                  count = n - begin < COLUMNS_PER_ITEM ? n - begin : COLUMNS_PER_ITEM;
    const float *h = (const float *)call->in[0].data + begin, *b = call->operand[1].values + begin * rank,
                *own = call->operand[0].row_norms + begin;
    float *out = (float *)call->out[0].data + begin;
    double sums[COLUMNS_PER_ITEM] = {0};
    for (int64_t r = 0; r < rank; r++)
        for (int64_t i = 0; i < count; i++)
            sums[i] += (double)b[i * rank + r] * h[r * n + i];
    for (int64_t i = 0; i < count; i++) {
        const double square = (double)own[i] * own[i] + call->attributes.alpha * sums[i];
        out[i] = (float)sqrt(square > LEAST_SQUARE ? square : LEAST_SQUARE);
    }
}

static void forward(const pfm_op_call *call)
{
    pfm_threads_run(call->env->context->threads, (int)((call->operand[0].n + COLUMNS_PER_ITEM - 1) / COLUMNS_PER_ITEM),
                    find_norms, (void *)(uintptr_t)call);
}

static double operations(const pfm_op_call *call) { return 2.0 * (double)call->operand[0].n * (double)call->operand[1].k; }

static const pfm_op_case cases[] = {
    {"odd", {{3, 13, PFM_STORAGE_F32, 0, true}}, {{13, 7}, {13, 3}}, {.alpha = 0.02f}},
    {"wide", {{8, 130, PFM_STORAGE_F32, 0, true}}, {{130, 64}, {130, 8}}, {.alpha = 0.5f}},
    {0},
};

const pfm_op pfm_op_row_norms = {.name = "row_norms",
                                 .shape = shape,
                                 .forward = forward,
                                 .backward = PFM_NOT_DIFFERENTIABLE,
                                 .operations = operations,
                                 .passes = -1,
                                 .constant = true,
                                 .cases = cases};
