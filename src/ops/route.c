/* The gates of a mixture of experts, chosen by each token: p = softmax(l); a token takes the top_k experts of the largest l, of
 * equal ones the first. Taking one, its gate is p, so that the loss teaches the router (Fedus et al., Switch Transformers,
 * 2021); taking several, p over the sum of p of those taken, so that gates add up to 1 (Jiang et al., Mixtral of Experts,
 * 2024). While training, with a capacity, an expert takes at most ceil(capacity * top_k * n / experts) of the first n tokens of
 * a row, whatever follows: a token that comes too late goes without it, its other gates unchanged.
 *
 * in[0] l f32 [T,E]; out[0] gates f32 [T,E], zero where an expert is not taken, or [T,E+1] where attributes.shared, the last
 * gate 1; out[1] f32 [1,E+3], what the rows of a training step say, summed over them: each expert's share of what was taken,
 * the balance loss E sum_e f_e P_e (f_e: that share, P_e: the mean of p_e; 1 where all is even), the mean entropy of p, the
 * share of what capacity refused. Each row counts its own tokens and those that it shares, so that packing changes nothing.
 *
 * The balance loss (Switch's, of each row as in DeepSeek-V3, arXiv 2412.19437) is no output: the backward adds the gradient of
 * alpha * the rows' scale * its sum over rows to that of l, f_e being constant. */
#include "ops/op.h"

#include <math.h>

enum { MOST_EXPERTS = 64 };

/* A piece of the scratch each. A set of experts is an integer, bit e for expert e. */
typedef struct routing {
    int64_t tokens, experts;
    float *p;               /* [tokens, experts] */
    double *push;           /* [tokens, experts] the balance loss's gradient by p; backward only */
    uint64_t *taken, *kept; /* [tokens] kept: those of the taken that capacity leaves */
    double *entropy;        /* [tokens] of p */
} routing;

/* Where the pieces begin; the first begins at 0. */
typedef struct places {
    size_t push, taken, kept, entropy, end;
} places;

static places find_places(const pfm_op_call *call)
{
    const size_t tokens = (size_t)call->in[0].rows, values = tokens * (size_t)call->in[0].columns;
    places at;
    at.push = pfm_op_align(values * sizeof(float));
    at.taken = at.push + pfm_op_align(values * sizeof(double));
    at.kept = at.taken + pfm_op_align(tokens * sizeof(uint64_t));
    at.entropy = at.kept + pfm_op_align(tokens * sizeof(uint64_t));
    at.end = at.entropy + tokens * sizeof(double);
    return at;
}

static routing lay_out(const pfm_op_call *call)
{
    const places at = find_places(call);
    char *begin = call->scratch;
    return (routing){.tokens = call->in[0].rows,
                     .experts = call->in[0].columns,
                     .p = (float *)(void *)begin,
                     .push = (double *)(void *)(begin + at.push),
                     .taken = (uint64_t *)(void *)(begin + at.taken),
                     .kept = (uint64_t *)(void *)(begin + at.kept),
                     .entropy = (double *)(void *)(begin + at.entropy)};
}

static size_t scratch(const pfm_op_call *call, bool backward_pass)
{
    (void)backward_pass;
    return find_places(call).end;
}

static pfm_status shape(pfm_op_call *call, pfm_error *err)
{
    const pfm_tensor *l = &call->in[0];
    const pfm_op_attributes *a = &call->attributes;
    pfm_status status = pfm_op_require(l->storage == PFM_STORAGE_F32 && l->columns <= MOST_EXPERTS, "route",
                                       "the logits are not f32, or there are more than 64 experts", err);
    if (status == PFM_OK)
        status = pfm_op_require(a->top_k >= 1 && a->top_k <= l->columns && a->capacity >= 0, "route",
                                "a token takes no expert, or more than there are", err);
    call->out[0] = *l;
    call->out[0].columns += a->shared;
    call->out[1] = (pfm_tensor){.dim = PFM_DIM_FIXED, .rows = 1, .columns = l->columns + 3, .storage = PFM_STORAGE_F32};
    return status;
}

/* Returns p's entropy, log(sum_e exp(l_e - m)) - sum_e p_e (l_e - m), m the largest l. */
static double softmax(const float *l, int64_t count, float *p)
{
    float most = l[0];
    double sum = 0, mean = 0;
    for (int64_t e = 1; e < count; e++)
        most = l[e] > most ? l[e] : most;
    for (int64_t e = 0; e < count; e++) {
        p[e] = expf(l[e] - most);
        sum += (double)p[e];
        mean += p[e] > 0 ? (double)p[e] * (double)(l[e] - most) : 0;
    }
    for (int64_t e = 0; e < count; e++)
        p[e] = (float)((double)p[e] / sum);
    return log(sum) - mean / sum;
}

static uint64_t choose(const float *l, int64_t count, int32_t top_k)
{
    uint64_t taken = 0;
    for (int32_t k = 0; k < top_k; k++) {
        int64_t best = 0;
        while (best + 1 < count && (taken >> best & 1) != 0)
            best++;
        for (int64_t e = best + 1; e < count; e++) {
            if ((taken >> e & 1) == 0 && l[e] > l[best])
                best = e;
        }
        taken |= UINT64_C(1) << best;
    }
    return taken;
}

static void decide_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const routing r = lay_out(call);
    for (int64_t t = begin; t < end; t++) {
        const float *l = pfm_tensor_row(&call->in[0], t, call->env->act);
        r.entropy[t] = softmax(l, r.experts, r.p + t * r.experts);
        r.taken[t] = r.kept[t] = choose(l, r.experts, call->attributes.top_k);
    }
}

/* None where nothing trains. */
static pfm_row_set rows_of(const pfm_op_call *call)
{
    return call->env->training ? call->env->rows[call->attributes.rows] : (pfm_row_set){0};
}

/* Capacity looks back alone: what rows share comes out the same for each of them. */
static void limit_row(const pfm_op_call *call, const routing *r, const pfm_token_row *row)
{
    int64_t count[MOST_EXPERTS] = {0};
    const double share = (double)call->attributes.capacity * call->attributes.top_k / (double)r->experts;
    for (int64_t i = 0; i < pfm_token_row_length(row); i++) {
        const int64_t t = pfm_token_row_at(row, i);
        const double most = ceil(share * (double)(i + 1));
        r->kept[t] = 0;
        for (int64_t e = 0; e < r->experts; e++) {
            const uint64_t bit = UINT64_C(1) << e;
            if ((r->taken[t] & bit) != 0 && (double)count[e] < most) {
                r->kept[t] |= bit;
                count[e]++;
            }
        }
    }
}

static void decide(const pfm_op_call *call)
{
    const routing r = lay_out(call);
    pfm_op_for_rows(call, r.tokens, decide_rows);
    const pfm_row_set set = rows_of(call);
    for (int32_t i = 0; call->attributes.capacity > 0 && i < set.count; i++)
        limit_row(call, &r, &set.rows[i]);
}

/* Whose probabilities the gates of a token are shares of: all, where one is taken. */
static uint64_t among(const pfm_op_call *call, const routing *r, int64_t t)
{
    return call->attributes.top_k == 1 ? UINT64_MAX : r->taken[t];
}

static double sum_over(const routing *r, int64_t t, uint64_t set)
{
    double sum = 0;
    for (int64_t e = 0; e < r->experts; e++)
        sum += (set >> e & 1) != 0 ? (double)r->p[t * r->experts + e] : 0;
    return sum;
}

static void gate_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const routing r = lay_out(call);
    for (int64_t t = begin; t < end; t++) {
        float *gates = pfm_tensor_row(&call->out[0], t, call->env->act);
        const double sum = sum_over(&r, t, among(call, &r, t));
        for (int64_t e = 0; e < r.experts; e++)
            gates[e] = (r.kept[t] >> e & 1) != 0 ? (float)((double)r.p[t * r.experts + e] / sum) : 0;
        if (call->attributes.shared)
            gates[r.experts] = 1;
    }
}

/* What some tokens say, summed: how often each expert was taken, the probabilities, entropies, and what was refused. */
typedef struct tally {
    double taken[MOST_EXPERTS], p[MOST_EXPERTS], entropy, refused;
} tally;

static void add_tokens(const routing *r, int64_t begin, int64_t end, tally *sum)
{
    for (int64_t t = begin; t < end; t++) {
        const float *p = r->p + t * r->experts;
        for (int64_t e = 0; e < r->experts; e++) {
            sum->taken[e] += (double)(r->taken[t] >> e & 1);
            sum->p[e] += (double)p[e];
        }
        for (uint64_t left = r->taken[t] & ~r->kept[t]; left != 0; left &= left - 1)
            sum->refused++;
        sum->entropy += r->entropy[t];
    }
}

static bool share(const pfm_token_row *a, const pfm_token_row *b)
{
    return a->shared_begin == b->shared_begin && a->shared_end == b->shared_end;
}

/* *whole = what row i says. *shared holds what its shared tokens say, which are
 * read once where rows that share them follow each other. */
static void tally_row(const pfm_row_set *set, const routing *r, int32_t i, tally *shared, tally *whole)
{
    const pfm_token_row *row = &set->rows[i];
    if (i == 0 || !share(row, row - 1)) {
        *shared = (tally){0};
        add_tokens(r, row->shared_begin, row->shared_end, shared);
    }
    *whole = *shared;
    add_tokens(r, row->own_begin, row->own_end, whole);
}

static void report(const pfm_op_call *call)
{
    const routing r = lay_out(call);
    const pfm_row_set set = rows_of(call);
    double sums[MOST_EXPERTS + 3] = {0};
    tally shared, whole;
    for (int32_t i = 0; i < set.count; i++) {
        const double length = (double)pfm_token_row_length(&set.rows[i]), taken = length * (double)call->attributes.top_k;
        tally_row(&set, &r, i, &shared, &whole);
        for (int64_t e = 0; e < r.experts; e++) {
            sums[e] += whole.taken[e] / taken;
            sums[r.experts] += (double)r.experts * whole.taken[e] / taken * whole.p[e] / length;
        }
        sums[r.experts + 1] += whole.entropy / length;
        sums[r.experts + 2] += whole.refused / taken;
    }
    for (int64_t i = 0; i < r.experts + 3; i++)
        ((float *)call->out[1].data)[i] = (float)sums[i];
}

static void forward(const pfm_op_call *call)
{
    decide(call);
    pfm_op_for_rows(call, call->in[0].rows, gate_rows);
    report(call);
}

static void push_tokens(const routing *r, int64_t begin, int64_t end, const double *by)
{
    for (int64_t t = begin; t < end; t++) {
        for (int64_t e = 0; e < r->experts; e++)
            r->push[t * r->experts + e] += by[e];
    }
}

/* push = the gradient of the balance losses of all rows by p; a shared token gets that of each row which it is part of. */
static void push_apart(const pfm_op_call *call, const routing *r)
{
    const pfm_row_set set = call->attributes.alpha != 0 ? rows_of(call) : (pfm_row_set){0};
    tally shared, whole;
    double all[MOST_EXPERTS] = {0}; /* of the rows that share the tokens at hand, up to this one */
    memset(r->push, 0, (size_t)(r->tokens * r->experts) * sizeof *r->push);
    for (int32_t i = 0; i < set.count; i++) {
        const pfm_token_row *row = &set.rows[i];
        const double length = (double)pfm_token_row_length(row), scale = (double)call->attributes.alpha * (double)set.scale *
                                                                         (double)r->experts /
                                                                         (length * length * (double)call->attributes.top_k);
        double own[MOST_EXPERTS];
        tally_row(&set, r, i, &shared, &whole);
        for (int64_t e = 0; e < r->experts; e++) {
            own[e] = scale * whole.taken[e];
            all[e] = own[e] + (i > 0 && share(row, row - 1) ? all[e] : 0);
        }
        push_tokens(r, row->own_begin, row->own_end, own);
        if (i + 1 == set.count || !share(row, row + 1))
            push_tokens(r, row->shared_begin, row->shared_end, all);
    }
}

/* The softmax's derivative: weights w that add up to 1 move by w_e (d_e - sum_i w_i d_i). */
static void gradient_row(const pfm_op_call *call, const routing *r, int64_t t, float *dl)
{
    const float *p = r->p + t * r->experts, *dgates = pfm_tensor_row(&call->dout[0], t, call->env->act);
    const double *push = r->push + t * r->experts;
    const uint64_t set = among(call, r, t);
    const double sum = sum_over(r, t, set);
    double mean = 0, mean_push = 0;
    for (int64_t e = 0; e < r->experts; e++) {
        mean += (r->kept[t] >> e & 1) != 0 ? (double)p[e] / sum * (double)dgates[e] : 0;
        mean_push += (double)p[e] * push[e];
    }
    for (int64_t e = 0; e < r->experts; e++) {
        const double own = (r->kept[t] >> e & 1) != 0 ? (double)dgates[e] : 0,
                     of_gates = (set >> e & 1) != 0 ? (double)p[e] / sum * (own - mean) : 0,
                     value = of_gates + (double)p[e] * (push[e] - mean_push);
        dl[e] = (float)(value + (call->accumulate[0] ? (double)dl[e] : 0));
    }
}

static void backward_rows(const pfm_op_call *call, int64_t begin, int64_t end)
{
    const routing r = lay_out(call);
    for (int64_t t = begin; t < end; t++)
        gradient_row(call, &r, t, pfm_tensor_row(&call->din[0], t, call->env->act));
}

static void backward(const pfm_op_call *call)
{
    const routing r = lay_out(call);
    decide(call);
    push_apart(call, &r);
    pfm_op_for_rows(call, r.tokens, backward_rows);
}

static double operations(const pfm_op_call *call) { return 4.0 * (double)call->in[0].rows * (double)call->in[0].columns; }

/* The gradient of the balance loss is not that of an output: tests/ops/test_route.c checks it. */
static const pfm_op_case cases[] = {
    {"all are taken", {{17, 5, PFM_STORAGE_F32, 0}}, {{0}}, {.top_k = 5}},
    {"two of four, and a shared one", {{3, 4, PFM_STORAGE_F32, 0}}, {{0}}, {.top_k = 2, .shared = true}},
    {"one of three, some refused", {{5, 3, PFM_STORAGE_F32, 0}}, {{0}}, {.top_k = 1, .capacity = 0.5f}},
    {0},
};

const pfm_op pfm_op_route = {.name = "route",
                             .shape = shape,
                             .forward = forward,
                             .backward = backward,
                             .operations = operations,
                             .scratch = scratch,
                             .backward_inputs = 1u << 0,
                             .gradients = 1u,
                             .operand_gradients = 0u,
                             .accumulates = 1u << 0,
                             .passes = -1,
                             .cases = cases};
