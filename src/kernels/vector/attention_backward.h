/* Attention backward. A template for an instance that has included attention.h, whose layouts it shares.
 *
 * With w = softmax weights and D_q = out_q . dout_q: dv_k = sum_q w_qk dout_q, and where ds_qk = w_qk (dout_q . v_k - D_q)
 * scale, dq_q = sum_k ds_qk k_k and dk_k = sum_q ds_qk q_q. Weights come back from the scores and lse. Blocks of QUERIES x
 * KEYS. */

typedef struct backward {
    const pfm_attention_head *head;
    const pfm_attention_span *span;
    key_list keys;
    /* the block of queries: transposed panels (lane = query) and panels of rows of q and dout */
    char *queries, *gradients, *query_rows, *gradient_rows;
    char *packed; /* k in panels */
    float *lse, *common, *dq;
    /* the block of keys, [key][QUERIES]: scores and gradients of weights; both in act; ds again as units along keys */
    float *scores, *slopes;
    act *weights, *dscores;
    char *pairs;
} backward;

static void lay_out(backward *b)
{
    size_t dim = padded_dim(b->head->head_dim), tile = (size_t)KEYS * QUERIES;
    float *scratch = b->head->scratch;
    b->queries = (char *)take(&scratch, dim * QUERIES);
    b->gradients = (char *)take(&scratch, dim * QUERIES);
    b->query_rows = (char *)take(&scratch, dim * QUERIES);
    b->gradient_rows = (char *)take(&scratch, dim * QUERIES);
    b->dq = take(&scratch, dim * QUERIES);
    b->lse = take(&scratch, QUERIES);
    b->common = take(&scratch, QUERIES);
    b->scores = take(&scratch, tile);
    b->slopes = take(&scratch, tile);
    b->weights = (act *)(void *)take(&scratch, tile);
    b->dscores = (act *)(void *)take(&scratch, tile);
    b->pairs = (char *)take(&scratch, tile);
    b->packed = (char *)take(&scratch, b->keys.places * dim);
}

/* A block of rows as a transposed panel, a lane a query, and as panels of rows. */
static void pack_both(const act *rows, size_t stride, size_t count, size_t dim, char *transposed, char *panels)
{
    packing lanes = {rows, ACT_TYPE, 1, stride, count, dim}, columns = {rows, ACT_TYPE, stride, 1, dim, count};
    pack(&lanes, 0, count, transposed);
    pack(&columns, 0, dim, panels);
}

/* Packs a block of queries; lanes behind it get an infinite lse, so that their weights are zero. */
static void load_queries(const backward *b, size_t query, size_t count)
{
    const pfm_attention_head *head = b->head;
    const size_t dim = head->head_dim;
    const act *dout = (const act *)head->dout + query * head->out_stride,
              *out = (const act *)head->out + query * head->out_stride;
    pack_both((const act *)head->q + query * head->q_stride, head->q_stride, count, dim, b->queries, b->query_rows);
    pack_both(dout, head->out_stride, count, dim, b->gradients, b->gradient_rows);
    for (size_t i = 0; i < QUERIES; i++) {
        vf sums = vf_zero();
        for (size_t d = 0; i < count && d < dim; d += LANES)
            sums = vf_fma(act_load(out + i * head->out_stride + d, dim - d), act_load(dout + i * head->out_stride + d, dim - d),
                          sums);
        b->common[i] = vf_sum(sums);
        b->lse[i] = i < count ? head->lse[(query + i) * head->lse_stride] : INFINITY;
    }
    for (size_t i = 0; i < padded_dim(dim) * count; i += LANES)
        vf_store(b->dq + i, vf_zero());
}

/* Scores and slopes of `count` keys become weights and the gradients of scores. Of the span's own keys, of which `first` is the
 * first here, some lanes do not see all. */
static void differentiate(const backward *b, size_t count, size_t lanes, bool own, size_t query, size_t first)
{
    const vf scale = vf_set(b->head->scale);
    for (size_t lane = 0; lane < lanes; lane += LANES) {
        const vf lse = vf_load(b->lse + lane), common = vf_load(b->common + lane);
        for (size_t t = 0; t < count; t += UNIT) {
            vf ds[2] = {vf_zero(), vf_zero()};
            for (size_t i = t; i < t + UNIT && i < count; i++) {
                size_t place = i * QUERIES + lane;
                vf weight = vf_exp(vf_load(b->scores + place) - lse);
                if (own)
                    weight = hide(weight, hidden_lanes(b->span, query, first + i), lane, 0);
                ds[i - t] = weight * (vf_load(b->slopes + place) - common) * scale;
                act_store(b->weights + place, weight, LANES);
                act_store(b->dscores + place, ds[i - t], LANES);
            }
            vi_store(b->pairs + (t / UNIT * QUERIES + lane) * 4, vi_units(ds[0], ds[1]));
        }
    }
}

/* One block of keys: rows range->row + t .. of `count` keys. */
static void key_block(const backward *b, const key_range *range, size_t t, size_t count, bool own, size_t query, size_t queries)
{
    const pfm_attention_head *head = b->head;
    const size_t dim = head->head_dim, row = range->row + t, panel = units_of(queries) * 4 * PANEL;
    const size_t lanes = queries > LANES ? QUERIES : LANES, stride = head->dkv_stride;
    score(head->k, head->k_stride, row, count, b->queries, dim, head->scale, queries, b->scores);
    score(head->v, head->v_stride, row, count, b->gradients, dim, 1, queries, b->slopes);
    differentiate(b, count, lanes, own, query, t);
    terms x = {(const char *)b->weights, b->gradient_rows, QUERIES * sizeof(act), 4, 4 * PANEL, queries};
    dots_panels(x, (target){head->dv + row * stride, stride, 0, 1, true}, count, dim, panel);
    x.a = (const char *)b->dscores;
    x.b = b->query_rows;
    dots_panels(x, (target){head->dk + row * stride, stride, 0, 1, true}, count, dim, panel);
    x = (terms){
        b->pairs, b->packed + (range->place + t) * (PANEL * sizeof(act)), 4, 4 * QUERIES, 4 * PANEL, units_of(count) * UNIT};
    dots_panels(x, (target){b->dq, padded_dim(dim), 0, 1, true}, queries, dim, b->keys.places * (PANEL * sizeof(act)));
}

static void query_block(const backward *b, size_t query, size_t count)
{
    const pfm_attention_head *head = b->head;
    const size_t dim = head->head_dim;
    key_list keys = list_keys(b->span, query + count - 1);
    load_queries(b, query, count);
    for (size_t i = 0; i < keys.count; i++)
        for (size_t t = 0; t < keys.ranges[i].count; t += KEYS)
            key_block(b, &keys.ranges[i], t, least(KEYS, keys.ranges[i].count - t), i + 1 == keys.count, query, count);
    for (size_t q = 0; q < count; q++)
        for (size_t d = 0; d < dim; d += LANES)
            act_store((act *)head->dq + (query + q) * head->q_stride + d, vf_load(b->dq + q * padded_dim(dim) + d), dim - d);
}

void NAME(attention_backward)(const pfm_attention_head *head, const pfm_attention_span *span)
{
    const size_t begin = (size_t)span->q_begin, end = (size_t)span->q_end;
    if (begin == end)
        return;
    backward b = {.head = head, .span = span, .keys = list_keys(span, end - 1)};
    lay_out(&b);
    pack_keys(head->k, head->k_stride, &b.keys, head->head_dim, b.packed);
    for (size_t query = begin; query < end; query += QUERIES)
        query_block(&b, query, least(QUERIES, end - query));
}
