/* Rows of virtual tokens (pfm_id_is_virtual) become rows of a table: y[r] = table[v][first .. first + C) where row r is virtual
 * token v, else x[r].
 * in[0] x [T,C], f32 or act; in[1] ids i32 [T,1]; in[2] table f32 [P,C'] with first + C <= C' (attributes.first);
 * out[0] y like x. A token that the table lacks is of another adapter, and its row stays. dx = dy, but zero in the rows that
 * became others; dtable[v] += dy[r], in the order of the rows. */
#include "ops/op.h"

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *x = &call->in[0], *ids = &call->in[1], *table = &call->in[2];
    const int32_t first = call->attributes.first;
    pfm_status status = pfm_op_require(x->storage == PFM_STORAGE_F32 || x->storage == PFM_STORAGE_ACT, "virtual_rows",
                                       "the input is neither f32 nor act", err);
    if (status == PFM_OK)
        status =
            pfm_op_require(ids->storage == PFM_STORAGE_I32 && ids->columns == 1 && ids->rows == x->rows && ids->dim == x->dim,
                           "virtual_rows", "the ids are not i32 [T,1]", err);
    if (status == PFM_OK)
        status = pfm_op_require(table->storage == PFM_STORAGE_F32 && first >= 0 && first + x->columns <= table->columns,
                                "virtual_rows", "the table's rows are not f32 or too short", err);
    call->out[0] = *x;
    return status;
}

/* bf16 on one side, f32 in the table. */
static bool converts(const pfm_op_call *call)
{
    return call->in[0].storage == PFM_STORAGE_ACT && call->env->act == PFM_ACT_BF16;
}

static size_t row_bytes(const pfm_op_call *call)
{
    return (size_t)call->in[0].columns * pfm_storage_size(call->in[0].storage, call->env->act);
}

static size_t table_place(const pfm_op_call *call, int32_t id)
{
    return (size_t)(PFM_FIRST_VIRTUAL - id) * (size_t)call->in[2].columns + (size_t)call->attributes.first;
}

static bool is_replaced(const pfm_op_call *call, int32_t id)
{
    return pfm_id_is_virtual(id) && PFM_FIRST_VIRTUAL - id < call->in[2].rows;
}

static void forward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const int32_t *ids = call->in[1].data;
    for (int64_t r = begin; r < end; r++) {
        void *y = pfm_tensor_row(&call->out[0], r, call->env->act);
        const bool replaced = is_replaced(call, ids[r]);
        const float *row = replaced ? (const float *)call->in[2].data + table_place(call, ids[r]) : NULL;
        if (!replaced)
            memcpy(y, pfm_tensor_row(&call->in[0], r, call->env->act), row_bytes(call));
        else if (converts(call))
            call->env->kernels->bf16_from_f32(row, y, (size_t)call->in[0].columns);
        else
            memcpy(y, row, row_bytes(call));
    }
}

static void forward(const pfm_op_call *call) { pfm_op_for_rows(call, call->in[0].rows, forward_rows); }

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const int32_t *ids = call->in[1].data;
    for (int64_t r = begin; r < end; r++) {
        void *dx = pfm_tensor_row(&call->din[0], r, call->env->act);
        if (is_replaced(call, ids[r]))
            memset(dx, 0, row_bytes(call));
        else
            memcpy(dx, pfm_tensor_row(&call->dout[0], r, call->env->act), row_bytes(call));
    }
}

/* A sum over rows: it stays with one thread. */
static void add_to_table(const pfm_op_call *call)
{
    const int32_t *ids = call->in[1].data;
    const size_t columns = (size_t)call->in[0].columns;
    float *table = call->din[2].data;
    if (!call->accumulate[2])
        memset(table, 0, (size_t)(call->in[2].rows * call->in[2].columns) * sizeof *table);
    for (int64_t r = 0; r < call->in[0].rows; r++) {
        const void *dy = pfm_tensor_row(&call->dout[0], r, call->env->act);
        if (!is_replaced(call, ids[r]))
            continue;
        if (converts(call))
            call->env->kernels->bf16_to_f32(dy, call->scratch, columns);
        call->env->kernels->axpy(1, converts(call) ? call->scratch : dy, table + table_place(call, ids[r]), columns);
    }
}

static void backward(const pfm_op_call *call)
{
    if (call->din[0].data != NULL)
        pfm_op_for_rows(call, call->in[0].rows, backward_rows);
    if (call->din[2].data != NULL)
        add_to_table(call);
}

static size_t scratch(const pfm_op_call *call, bool backward_pass)
{
    return backward_pass && converts(call) ? (size_t)call->in[0].columns * sizeof(float) : 0;
}

static double operations(const pfm_op_call *call)
{
    (void)call;
    return 0;
}

static const pfm_op_case cases[] = {
    {"whole rows",
     {{23, 12, PFM_STORAGE_F32, 0}, {23, 1, PFM_STORAGE_I32, PFM_FIRST_VIRTUAL - 4}, {4, 12, PFM_STORAGE_F32, 0}},
     {{0}},
     {0}},
    {"tokens of another table",
     {{23, 12, PFM_STORAGE_F32, 0}, {23, 1, PFM_STORAGE_I32, PFM_FIRST_VIRTUAL - 6}, {2, 12, PFM_STORAGE_F32, 0}},
     {{0}},
     {0}},
    {"some columns",
     {{9, 6, PFM_STORAGE_ACT, 0}, {9, 1, PFM_STORAGE_I32, PFM_FIRST_VIRTUAL - 3}, {5, 20, PFM_STORAGE_F32, 0}},
     {{0}},
     {.first = 11}},
    {0},
};

const pfm_op pfm_op_virtual_rows = {.name = "virtual_rows",
                                    .shape = shape,
                                    .forward = forward,
                                    .backward = backward,
                                    .operations = operations,
                                    .scratch = scratch,
                                    .backward_inputs = 1u << 1,
                                    .gradients = 1u << 0 | 1u << 2,
                                    .accumulates = 1u << 2,
                                    .passes = -1,
                                    .cases = cases};
