/* The generic test: every operator's cases, at each kernel level against ref, against finite differences, adding to gradients,
 * and with shapes that do not fit. */
#include "base/memory.h"
#include "base/random.h"
#include "ops/op.h"
#include "test.h"

#include <math.h>

enum { MOST = 1 << 17 };

typedef struct harness {
    pfm_context *context;
    pfm_op_environment env;
    pfm_op_call call;
    pfm_attention_span spans[3], over[4];
    int32_t roots[2], over_roots[5];
    pfm_token_row rows[2];
} harness;

static void *fresh(size_t bytes)
{
    void *memory = aligned_alloc(64, pfm_op_align(bytes + 64));
    assert_non_null(memory);
    memset(memory, 0, pfm_op_align(bytes + 64));
    return memory;
}

static size_t values_of(const pfm_tensor *tensor) { return (size_t)(tensor->rows * tensor->columns); }

static bool is_real(const pfm_tensor *tensor)
{
    return tensor->storage == PFM_STORAGE_F32 || tensor->storage == PFM_STORAGE_ACT;
}

static void pack(harness *h, int i)
{
    pfm_operand *o = &h->call.operand[i];
    size_t n = (size_t)o->n, k = (size_t)o->k;
    pfm_op_pack(&h->env, o->values, PFM_ACT_F32, 1, k, n, k, (void *)(uintptr_t)o->packed_forward);
    pfm_op_pack(&h->env, o->values, PFM_ACT_F32, k, 1, k, n, (void *)(uintptr_t)o->packed_backward);
}

static void make_operands(harness *h, const pfm_op *op, const pfm_op_case *c, pfm_random *random)
{
    for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++) {
        size_t n = (size_t)c->operand[i].n, k = (size_t)c->operand[i].k;
        if (n == 0)
            continue;
        float *values = fresh(n * k * sizeof *values), *norms = fresh(n * sizeof *norms);
        for (size_t j = 0; j < n * k; j++)
            values[j] = (float)pfm_random_normal(random);
        for (size_t j = 0; j < n; j++)
            norms[j] = (float)sqrt(h->env.kernels->sum_squares(values + j * k, k));
        h->call.operand[i] =
            (pfm_operand){.n = (int64_t)n, .k = (int64_t)k, .values = values, .rows = values, .row_norms = norms};
        h->call.operand[i].packed_forward = fresh(h->env.kernels->gemm_pack_size[PFM_ACT_F32](n, k));
        h->call.operand[i].packed_backward = fresh(h->env.kernels->gemm_pack_size[PFM_ACT_F32](k, n));
        if ((op->operand_gradients & 1u << i) != 0)
            h->call.operand[i].gradient = fresh(n * k * sizeof(float));
        pack(h, i);
    }
}

/* An integer of the sort that a case asks for. */
static int64_t draw_integer(int64_t below, const pfm_op_case *c, pfm_random *random)
{
    const int64_t tokens = PFM_FIRST_VIRTUAL - below, low = below < 0 ? below : 0, high = below < 0 ? c->operand[0].n : below;
    if (tokens < 0)
        return low + (int64_t)pfm_random_below(random, (uint64_t)(high - low));
    const int64_t drawn = (int64_t)pfm_random_below(random, (uint64_t)(2 * tokens));
    return drawn < tokens ? drawn : PFM_FIRST_VIRTUAL - (drawn - tokens);
}

static void make_inputs(harness *h, const pfm_op *op, const pfm_op_case *c, pfm_random *random)
{
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        pfm_tensor t = {.dim = c->in[i].fixed ? PFM_DIM_FIXED : PFM_DIM_TOKENS,
                        .rows = c->in[i].rows,
                        .columns = c->in[i].columns,
                        .storage = c->in[i].storage};
        if (t.columns == 0)
            continue;
        t.data = fresh(values_of(&t) * sizeof(int64_t));
        for (size_t j = 0; j < values_of(&t); j++) {
            if (is_real(&t))
                ((float *)t.data)[j] = (float)pfm_random_normal(random);
            else if (t.storage == PFM_STORAGE_I32)
                ((int32_t *)t.data)[j] = (int32_t)draw_integer(c->in[i].below, c, random);
            else
                ((int64_t *)t.data)[j] = draw_integer(c->in[i].below, c, random);
        }
        h->call.in[i] = t;
        if ((op->gradients & 1u << i) != 0) {
            h->call.din[i] = t;
            h->call.din[i].data = fresh(values_of(&t) * sizeof(float));
            for (size_t j = 0; j < values_of(&t); j++)
                ((float *)h->call.din[i].data)[j] = 7; /* what backward does not write shows */
        }
    }
}

/* A prefix and two rows that see it. */
static void make_spans(harness *h, int32_t rows)
{
    int32_t a = rows / 3, b = 2 * rows / 3;
    h->spans[0] = (pfm_attention_span){.q_begin = 0, .q_end = a, .own_begin = 0};
    h->spans[1] = (pfm_attention_span){
        .q_begin = a, .q_end = b, .own_begin = a, .ancestors = 1, .ancestor_begin = {0}, .ancestor_end = {a}};
    h->spans[2] = (pfm_attention_span){
        .q_begin = b, .q_end = rows, .own_begin = b, .ancestors = 1, .ancestor_begin = {0}, .ancestor_end = {a}};
    h->roots[1] = 3;
    h->env.attention[PFM_ATTENTION_SEQUENCE] =
        (pfm_attention_set){.spans = h->spans, .span_count = 3, .roots = h->roots, .root_count = 1};
    h->env.most_keys = rows;
    for (int i = 0; i < 2; i++)
        h->rows[i] = (pfm_token_row){.shared_end = a, .own_begin = i == 0 ? a : b, .own_end = i == 0 ? b : rows};
    h->env.rows[PFM_ROWS_SEQUENCE] = (pfm_row_set){.rows = h->rows, .count = 2};
}

/* Queries that see other rows than their own, each run some keys, the second none, with gaps that nobody sees before, between
 * and behind. */
static void make_other_spans(harness *h, int32_t rows, int32_t keys)
{
    int32_t cut[] = {0, rows / 3, rows / 2, rows - 1, rows}, begin[] = {1, 0, keys / 2, keys - 5},
            end[] = {keys / 3, 0, keys - 6, keys - 2};
    for (int32_t i = 0; i < 4; i++) {
        h->over[i] = (pfm_attention_span){.q_begin = cut[i],
                                          .q_end = cut[i + 1],
                                          .own_past = cut[i] - cut[i + 1],
                                          .ancestors = begin[i] < end[i],
                                          .ancestor_begin = {begin[i]},
                                          .ancestor_end = {end[i]},
                                          .root = i,
                                          .whole = true};
        h->over_roots[i + 1] = i + 1;
    }
    h->env.attention[PFM_ATTENTION_FEATURES] =
        (pfm_attention_set){.spans = h->over, .span_count = 4, .roots = h->over_roots, .root_count = 4};
}

static void set_up(harness *h, const char *level, const pfm_op *op, const pfm_op_case *c)
{
    pfm_error err = PFM_ERROR_INIT;
    memset(h, 0, sizeof *h);
    pfm_context_options options = {.threads = 2, .seed = 1, .cpu_level = level};
    assert_ok(pfm_context_create(&options, &h->context, &err));
    h->env = (pfm_op_environment){.context = h->context,
                                  .kernels = h->context->kernels,
                                  .act = PFM_ACT_F32,
                                  .training = true,
                                  .dropout_key = 7,
                                  .loss_scale = 1};
    h->call.env = &h->env;
    h->call.attributes = c->attributes;
    pfm_random random = pfm_random_start(5, 1);
    make_operands(h, op, c, &random);
    make_inputs(h, op, c, &random);
    make_spans(h, (int32_t)c->in[0].rows);
    make_other_spans(h, (int32_t)c->in[0].rows, (int32_t)c->in[1].rows);
    assert_ok(op->shape(&h->call, &err));
    for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++) {
        if (h->call.out[i].columns > 0)
            h->call.out[i].data = fresh(values_of(&h->call.out[i]) * sizeof(float));
    }
    h->call.dout[0] = h->call.out[0];
    h->call.dout[0].data = fresh(values_of(&h->call.out[0]) * sizeof(float));
    for (size_t j = 0; j < values_of(&h->call.out[0]); j++)
        ((float *)h->call.dout[0].data)[j] = (float)pfm_random_normal(&random);
    size_t scratch = op->scratch == NULL ? 0 : op->scratch(&h->call, false),
           back = op->scratch == NULL ? 0 : op->scratch(&h->call, true);
    h->call.scratch = fresh(scratch > back ? scratch : back);
}

static void tear_down(harness *h)
{
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        free(h->call.in[i].data);
        free(h->call.din[i].data);
    }
    for (int i = 0; i < PFM_OP_MAX_OUTPUTS; i++)
        free(h->call.out[i].data);
    free(h->call.dout[0].data);
    for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++) {
        free((void *)(uintptr_t)h->call.operand[i].values);
        free((void *)(uintptr_t)h->call.operand[i].row_norms);
        free((void *)(uintptr_t)h->call.operand[i].packed_forward);
        free((void *)(uintptr_t)h->call.operand[i].packed_backward);
        free(h->call.operand[i].gradient);
    }
    free(h->call.scratch);
    pfm_context_free(h->context);
}

static double objective(harness *h, const pfm_op *op)
{
    op->forward(&h->call);
    double sum = 0;
    for (size_t j = 0; j < values_of(&h->call.out[0]); j++)
        sum += (double)((float *)h->call.out[0].data)[j] * ((float *)h->call.dout[0].data)[j];
    return sum;
}

/* The slope of the objective along `direction` of `values`, by central differences, against the gradient's. */
static void check_slope(harness *h, const pfm_op *op, const char *what, float *values, const float *gradient, size_t count,
                        int operand)
{
    static float direction[MOST], kept[MOST];
    assert_true(count <= MOST);
    pfm_random random = pfm_random_start(9, count);
    double predicted = 0, norm = 0, length = 0;
    memcpy(kept, values, count * sizeof *values);
    for (size_t j = 0; j < count; j++) {
        direction[j] = (float)pfm_random_normal(&random);
        predicted += (double)direction[j] * gradient[j];
        norm += (double)gradient[j] * gradient[j];
        length += (double)direction[j] * direction[j];
    }
    const double step = 1e-2;
    double side[2];
    for (int s = 0; s < 2; s++) {
        for (size_t j = 0; j < count; j++)
            values[j] = kept[j] + (float)((s == 0 ? step : -step) * direction[j]);
        if (operand >= 0)
            pack(h, operand);
        side[s] = objective(h, op);
    }
    memcpy(values, kept, count * sizeof *values);
    if (operand >= 0)
        pack(h, operand);
    double measured = (side[0] - side[1]) / (2 * step), scale = sqrt(norm * length / (double)count);
    if (fabs(measured - predicted) > 4e-3 * scale + 1e-6)
        fail_msg("%s, %s: slope %g, gradient says %g (scale %g)", op->name, what, measured, predicted, scale);
}

static void check_gradients(const pfm_op *op, const pfm_op_case *c)
{
    harness h;
    set_up(&h, "ref", op, c);
    (void)objective(&h, op);
    op->backward(&h.call);
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        if (h.call.din[i].data != NULL)
            check_slope(&h, op, "input", h.call.in[i].data, h.call.din[i].data, values_of(&h.call.in[i]), -1);
        if (op->passes == i && h.call.in[i].columns > 0) /* the graph hands the output's gradient on */
            check_slope(&h, op, "passed input", h.call.in[i].data, h.call.dout[0].data, values_of(&h.call.in[i]), -1);
    }
    for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++) {
        const pfm_operand *o = &h.call.operand[i];
        if (o->gradient != NULL)
            check_slope(&h, op, "operand", (float *)(uintptr_t)o->values, o->gradient, (size_t)(o->n * o->k), i);
    }
    tear_down(&h);
}

static void assert_near(const char *op, const char *what, const float *a, const float *b, size_t count, double bound)
{
    double difference = 0, norm = 0;
    for (size_t j = 0; j < count; j++) {
        difference += ((double)a[j] - b[j]) * ((double)a[j] - b[j]);
        norm += (double)b[j] * b[j];
    }
    if (!(sqrt(difference) <= bound * sqrt(norm) + 1e-30))
        fail_msg("%s: %s differ by %g of their norm", op, what, sqrt(difference / norm));
}

static void check_level(const pfm_op *op, const pfm_op_case *c, const char *level)
{
    harness a, b;
    set_up(&a, level, op, c);
    set_up(&b, "ref", op, c);
    (void)objective(&a, op);
    (void)objective(&b, op);
    assert_near(op->name, "outputs", a.call.out[0].data, b.call.out[0].data, values_of(&a.call.out[0]), 1e-5);
    op->backward(&a.call);
    op->backward(&b.call);
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        if (a.call.din[i].data != NULL)
            assert_near(op->name, "input gradients", a.call.din[i].data, b.call.din[i].data, values_of(&a.call.in[i]), 1e-5);
    }
    for (int i = 0; i < PFM_OP_MAX_OPERANDS; i++) {
        if (a.call.operand[i].gradient != NULL)
            assert_near(op->name, "operand gradients", a.call.operand[i].gradient, b.call.operand[i].gradient,
                        (size_t)(a.call.operand[i].n * a.call.operand[i].k), 1e-5);
    }
    tear_down(&a);
    tear_down(&b);
}

/* With accumulate a second backward doubles the gradient; operands' gradients add up always. */
static void check_adding(const pfm_op *op, const pfm_op_case *c)
{
    static float once[MOST];
    harness h;
    set_up(&h, "ref", op, c);
    (void)objective(&h, op);
    for (int i = 0; i < PFM_OP_MAX_INPUTS; i++) {
        if (h.call.din[i].data == NULL || (op->accumulates & 1u << i) == 0)
            continue;
        size_t count = values_of(&h.call.in[i]);
        op->backward(&h.call);
        memcpy(once, h.call.din[i].data, count * sizeof *once);
        h.call.accumulate[i] = true;
        op->backward(&h.call);
        h.call.accumulate[i] = false;
        for (size_t j = 0; j < count; j++)
            once[j] *= 2;
        assert_near(op->name, "added gradients", h.call.din[i].data, once, count, 1e-6);
    }
    tear_down(&h);
}

static void check_bad_shapes(const pfm_op *op, const pfm_op_case *c)
{
    harness h;
    pfm_error err = PFM_ERROR_INIT;
    set_up(&h, "ref", op, c);
    pfm_op_call call = h.call;
    call.in[0].storage = PFM_STORAGE_I64;
    if (op == &pfm_op_linear || call.in[1].columns == 0)
        call.in[0].columns++;
    assert_error(op->shape(&call, &err), PFM_ERROR_MISMATCH, op->name);
    tear_down(&h);
}

static void test_every_operator(void **state)
{
    (void)state;
    const char *const levels[] = {"ref", "avx2", "avx512"};
    for (int o = 0; pfm_ops[o] != NULL; o++) {
        const pfm_op *op = pfm_ops[o];
        assert_non_null(op->cases);
        for (const pfm_op_case *c = op->cases; c->label != NULL; c++) {
            check_bad_shapes(op, c);
            if (op->backward != PFM_NOT_DIFFERENTIABLE) {
                check_gradients(op, c);
                check_adding(op, c);
            }
            for (int l = 0; l < 3; l++) {
                pfm_kernels table;
                if (pfm_kernels_select(levels[l], &table, NULL) == PFM_OK)
                    check_level(op, c, levels[l]);
            }
        }
    }
}

/* What reads them before their method gives them a meaning gets zeros, not what happened to be there. */
static void test_virtual_tokens_have_no_embedding(void **state)
{
    (void)state;
    int seen = 0;
    for (const pfm_op_case *c = pfm_op_embed.cases; c->label != NULL; c++) {
        harness h;
        set_up(&h, "ref", &pfm_op_embed, c);
        float *y = h.call.out[0].data;
        const int64_t columns = h.call.out[0].columns;
        for (size_t j = 0; j < values_of(&h.call.out[0]); j++)
            y[j] = 7;
        (void)objective(&h, &pfm_op_embed);
        for (int64_t r = 0; r < h.call.in[0].rows; r++) {
            if (!pfm_id_is_virtual(((const int32_t *)h.call.in[0].data)[r]))
                continue;
            seen++;
            for (int64_t j = 0; j < columns; j++)
                assert_true(y[r * columns + j] == 0);
        }
        tear_down(&h);
    }
    assert_true(seen > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_operator),
                                       cmocka_unit_test(test_virtual_tokens_have_no_embedding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
