/* Attention at any vector width, forward; attention_backward.h stands beside it. A template for an instance that has included
 * units.h and what dots.h asks for.
 *
 * A lane is a query. A block of queries is transposed once into a panel, so that scores are the product of rows of keys, as
 * they lie in memory, with that panel, [key][query]: softmax then needs no sum across lanes, and what the causal order hides
 * from a query is a run of lanes. The weights become units along keys, their product with the values (packed into panels once
 * a head) gives rows of the output. Two passes over the scores of a block: what is kept is [keys][QUERIES], never T x T. */
#include "kernels/vector/attention_shape.h"
#include "kernels/vector/dots.h"
#include "kernels/vector/exp.h"

/* What is left of n from position i on. */
static ALWAYS_INLINE size_t from(size_t n, size_t i) { return n > i ? n - i : 0; }

/* The next part of the scratch. */
static inline float *take(float **scratch, size_t floats)
{
    float *part = *scratch;
    *scratch += floats;
    return part;
}

/* Key rows row .. row + count - 1, whose scores and packed values begin at `place`, a multiple of UNIT. */
typedef struct key_range {
    size_t row, count, place;
} key_range;

typedef struct key_list {
    key_range ranges[PFM_MAX_ANCESTORS + 1]; /* the last is the span's own */
    size_t count, places;
} key_list;

/* What the queries up to `last` see, the hidden ones among them included. */
static key_list list_keys(const pfm_attention_span *span, size_t last)
{
    key_list out = {.count = 0};
    for (int32_t a = 0; a <= span->ancestors; a++) {
        bool own = a == span->ancestors;
        size_t begin = (size_t)(own ? span->own_begin : span->ancestor_begin[a]);
        size_t end = own ? begin + pfm_attention_span_seen(span, last) : (size_t)span->ancestor_end[a];
        out.ranges[out.count++] = (key_range){begin, end - begin, out.places};
        out.places += units_of(end - begin) * UNIT;
    }
    return out;
}

/* Where the sums of dots go: row r at out + r * stride, `scale` times them, added to what is there or not. */
typedef struct target {
    float *out;
    size_t stride, columns;
    float scale;
    bool add;
} target;

static ALWAYS_INLINE void put(float *out, vf sum, size_t count, const target *y)
{
    sum = sum * vf_set(y->scale);
    if (y->add)
        sum += vf_load_part(out, count);
    vf_store_part(out, sum, count);
}

static ALWAYS_INLINE void dots(const terms *x, const target *y, const int rows, const int vectors)
{
    vf sums[GEMM_ROWS][2];
    accumulate(sums, rows, vectors, *x);
    UNROLL for (int r = 0; r < rows; r++)
    {
        put(y->out + (size_t)r * y->stride, sums[r][0], y->columns, y);
        if (vectors == 2)
            put(y->out + (size_t)r * y->stride + LANES, sums[r][1], y->columns - LANES, y);
    }
}

#define DOTS(rows)                                                                                                             \
    static void dots_##rows##_1(const terms *x, const target *y) { dots(x, y, rows, 1); }                                      \
    static void dots_##rows##_2(const terms *x, const target *y) { dots(x, y, rows, 2); }
GEMM_EACH_ROWS(DOTS)
#define DOTS_ENTRY(rows) {dots_##rows##_1, dots_##rows##_2},
static void (*const dots_of[][2])(const terms *x, const target *y) = {{NULL, NULL}, GEMM_EACH_ROWS(DOTS_ENTRY)};

/* All rows against the columns of one panel; y->columns >= 1. */
static void dots_rows(terms x, target y, size_t rows)
{
    const int vectors = y.columns > LANES ? 1 : 0;
    for (size_t groups = (rows + GEMM_ROWS - 1) / GEMM_ROWS; groups > 0; groups--) {
        size_t count = (rows + groups - 1) / groups;
        dots_of[count][vectors](&x, &y);
        x.a += count * x.row_stride;
        y.out += count * y.stride;
        rows -= count;
    }
}

/* The same against panels side by side, panel_bytes apart, `columns` columns in all. */
static void dots_panels(terms x, target y, size_t rows, size_t columns, size_t panel_bytes)
{
    for (size_t column = 0; column < columns; column += PANEL, x.b += panel_bytes, y.out += PANEL) {
        y.columns = least(PANEL, columns - column);
        dots_rows(x, y, rows);
    }
}

/* Packs the rows of a list of keys (of k or v) into panels of [places / UNIT][PANEL] units. */
static void pack_keys(const void *rows, size_t stride, const key_list *keys, size_t dim, char *out)
{
    for (size_t column = 0; column < dim; column += PANEL, out += keys->places * (PANEL * sizeof(act)))
        for (size_t i = 0; i < keys->count; i++) {
            const key_range *range = &keys->ranges[i];
            packing x = {(const act *)rows + range->row * stride, ACT_TYPE, stride, 1, dim, range->count};
            pack_rows(&x, column, out + range->place * (PANEL * sizeof(act)));
        }
}

/* One row of scores per key: scale * rows . panel, rows of k (or of v, for the gradient of the weights). */
static void score(const void *rows, size_t stride, size_t first, size_t count, const char *panel, size_t dim, float scale,
                  size_t queries, float *out)
{
    terms x = {(const char *)((const act *)rows + first * stride), panel, stride * sizeof(act), 4, 4 * PANEL, dim};
    dots_rows(x, (target){out, QUERIES, queries > LANES ? QUERIES : LANES, scale, false}, count);
}

/* How many of the first lanes do not see own key t: those of the queries before it. */
static inline size_t hidden_lanes(const pfm_attention_span *span, size_t query, size_t t)
{
    size_t seen = pfm_attention_span_seen(span, query);
    return t < seen ? 0 : t + 1 - seen;
}

static ALWAYS_INLINE vf hide(vf x, size_t hidden, size_t lane, float value)
{
    return hidden <= lane ? x : vf_first(vf_set(value), hidden - lane, x);
}

typedef struct forward {
    const pfm_attention_head *head;
    const pfm_attention_span *span;
    key_list values; /* as packed: all keys of the span */
    char *queries, *packed;
    float *scores, *sums, *outputs;
} forward;

/* The scores of a block, [place][QUERIES]; minus infinity where a query does not see. */
static void score_block(const forward *f, const key_list *keys, size_t query, size_t count)
{
    const pfm_attention_head *head = f->head;
    for (size_t i = 0; i < keys->count; i++) {
        const key_range *range = &keys->ranges[i];
        float *out = f->scores + range->place * QUERIES;
        score(head->k, head->k_stride, range->row, range->count, f->queries, head->head_dim, head->scale, count, out);
        if (range->count % UNIT != 0)
            for (size_t lane = 0; lane < QUERIES; lane += LANES)
                vf_store(out + range->count * QUERIES + lane, vf_set(-INFINITY));
    }
    const key_range *own = &keys->ranges[keys->count - 1];
    for (size_t t = own->count; t > 0 && hidden_lanes(f->span, query, t - 1) > 0; t--)
        for (size_t lane = 0; lane < QUERIES; lane += LANES) {
            float *out = f->scores + (own->place + t - 1) * QUERIES + lane;
            vf_store(out, hide(vf_load(out), hidden_lanes(f->span, query, t - 1), lane, -INFINITY));
        }
}

/* The scores of a vector of queries become weights, not yet divided by their sum, as units along keys. */
static void weigh(float *scores, size_t places, float *sum, float *most)
{
    vf largest = vf_load(scores), total = vf_zero();
    for (size_t place = 1; place < places; place++)
        largest = vf_max(vf_load(scores + place * QUERIES), largest);
    for (size_t place = 0; place < places; place += UNIT) {
        vf weights[2] = {vf_zero(), vf_zero()};
        for (size_t i = 0; i < UNIT; i++) {
            weights[i] = vf_exp(vf_load(scores + (place + i) * QUERIES) - largest);
            total += weights[i];
        }
        vi_store(scores + place / UNIT * QUERIES, vi_units(weights[0], weights[1]));
    }
    vf_store(sum, total);
    vf_store(most, largest);
}

static void attend_block(const forward *f, size_t query, size_t count)
{
    const pfm_attention_head *head = f->head;
    const size_t dim = head->head_dim, padded = padded_dim(dim);
    float *most = f->sums + QUERIES;
    key_list keys = list_keys(f->span, query + count - 1);
    packing queries = {(const act *)head->q + query * head->q_stride, ACT_TYPE, 1, head->q_stride, count, dim};
    pack(&queries, 0, count, f->queries);
    score_block(f, &keys, query, count);
    for (size_t lane = 0; lane < count; lane += LANES)
        weigh(f->scores + lane, keys.places, f->sums + lane, most + lane);
    terms x = {(const char *)f->scores, f->packed, 4, 4 * QUERIES, 4 * PANEL, keys.places};
    dots_panels(x, (target){f->outputs, padded, 0, 1, false}, count, dim, f->values.places * (PANEL * sizeof(act)));
    for (size_t q = 0; q < count; q++) {
        const vf factor = vf_set(1 / f->sums[q]);
        act *out = (act *)head->out + (query + q) * head->out_stride;
        for (size_t d = 0; d < dim; d += LANES)
            act_store(out + d, vf_load(f->outputs + q * padded + d) * factor, dim - d);
        head->lse[(query + q) * head->lse_stride] = most[q] + logf(f->sums[q]);
    }
}

/* q . k of LANES key rows at once, or of the `count` there are; a lane a key. */
static ALWAYS_INLINE vf dot_keys(const act *q, const act *k, size_t stride, size_t count, size_t dim)
{
    enum { WHOLE = LANES * UNIT };
    vi sums[LANES];
    for (size_t key = 0; key < LANES; key++) {
        vf sum = vf_zero();
        const act *row = k + (key < count ? key : 0) * stride;
        size_t d = 0;
        for (; d + WHOLE <= dim; d += WHOLE)
            sum = operand_dot(sum, operand_load((const char *)(q + d)), operand_load((const char *)(row + d)));
        for (; d < dim; d += LANES)
            sum = vf_fma(act_load(q + d, dim - d), act_load(row + d, dim - d), sum);
        sums[key] = vi_bits(sum);
    }
    vi_transpose(sums);
    vf total = vf_zero();
    for (size_t i = 0; i < LANES; i++)
        total += vf_bits(sums[i]);
    return total;
}

/* The scores of one query, as they follow each other in the list; returns the largest. */
static float score_one(const pfm_attention_head *head, const key_list *keys, const act *q, float *scores)
{
    vf most = vf_set(-INFINITY);
    for (size_t i = 0; i < keys->count; i++) {
        const key_range *range = &keys->ranges[i];
        const act *k = (const act *)head->k + range->row * head->k_stride;
        for (size_t t = 0; t < range->count; t += LANES, k += LANES * head->k_stride) {
            size_t count = range->count - t;
            vf score = dot_keys(q, k, head->k_stride, count, head->head_dim) * vf_set(head->scale);
            vf_store_part(scores + t, score, count);
            most = vf_max(vf_first(score, count, most), most);
        }
        scores += range->count;
    }
    return vf_most(most);
}

enum { WIDTH = 4 }; /* vectors of the head at a time */

/* factor times the sum of weight times value over the keys, WIDTH vectors from d on; `whole` is a constant of the caller. */
static ALWAYS_INLINE void combine_columns(const pfm_attention_head *head, const key_list *keys, const float *weight,
                                          float factor, size_t d, const bool whole, act *out)
{
    vf sums[WIDTH];
    size_t left[WIDTH];
    UNROLL for (int w = 0; w < WIDTH; w++)
    {
        sums[w] = vf_zero();
        left[w] = whole ? LANES : from(head->head_dim, d + (size_t)w * LANES);
    }
    for (size_t i = 0; i < keys->count; i++) {
        const act *v = (const act *)head->v + keys->ranges[i].row * head->v_stride + d;
        for (size_t t = 0; t < keys->ranges[i].count; t++, v += head->v_stride, weight++)
            UNROLL for (int w = 0; w < WIDTH; w++) sums[w] = vf_fma(vf_set(*weight), act_load(v + w * LANES, left[w]), sums[w]);
    }
    UNROLL for (int w = 0; w < WIDTH; w++) act_store(out + d + w * LANES, sums[w] * vf_set(factor), left[w]);
}

static void combine_one(const pfm_attention_head *head, const key_list *keys, const float *weights, float factor, act *out)
{
    size_t d = 0;
    for (; d + WIDTH * LANES <= head->head_dim; d += WIDTH * LANES)
        combine_columns(head, keys, weights, factor, d, true, out);
    if (d < head->head_dim)
        combine_columns(head, keys, weights, factor, d, false, out);
}

/* One query alone, as in decoding: lanes are elements of the head, so that no lane is idle. */
static void attend_one(const pfm_attention_head *head, const pfm_attention_span *span, size_t query)
{
    key_list keys = list_keys(span, query);
    float *scores = head->scratch;
    size_t total = 0;
    for (size_t i = 0; i < keys.count; i++)
        total += keys.ranges[i].count;
    float most = score_one(head, &keys, (const act *)head->q + query * head->q_stride, scores);
    vf sums = vf_zero();
    for (size_t t = 0; t < total; t += LANES) {
        vf weights = vf_first(vf_exp(vf_load_part(scores + t, total - t) - vf_set(most)), total - t, vf_zero());
        vf_store_part(scores + t, weights, total - t);
        sums += weights;
    }
    float sum = vf_sum(sums);
    combine_one(head, &keys, scores, 1 / sum, (act *)head->out + query * head->out_stride);
    head->lse[query * head->lse_stride] = most + logf(sum);
}

void NAME(attention)(const pfm_attention_head *head, const pfm_attention_span *span)
{
    enum { FEW = 2 }; /* queries for which a block would be mostly idle lanes */
    const size_t begin = (size_t)span->q_begin, end = (size_t)span->q_end, padded = padded_dim(head->head_dim);
    if (end - begin <= FEW) {
        for (size_t query = begin; query < end; query++)
            attend_one(head, span, query);
        return;
    }
    forward f = {.head = head, .span = span, .values = list_keys(span, end - 1)};
    float *scratch = head->scratch;
    f.queries = (char *)take(&scratch, padded * QUERIES);
    f.outputs = take(&scratch, padded * QUERIES);
    f.sums = take(&scratch, 2 * QUERIES);
    f.packed = (char *)take(&scratch, f.values.places * padded);
    f.scores = take(&scratch, f.values.places * QUERIES);
    pack_keys(head->v, head->v_stride, &f.values, head->head_dim, f.packed);
    for (size_t query = begin; query < end; query += QUERIES)
        attend_block(&f, query, least(QUERIES, end - query));
}
