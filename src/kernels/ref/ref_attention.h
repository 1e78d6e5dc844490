/* Reference attention, a query row at a time, in double. A template: see ref_template.h. The scratch holds a double per
 * visible key and one per element of the head. */

static inline double dot(const act *a, const act *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += load(a + i) * load(b + i);
    return sum;
}

/* The visible key rows of query row q as ranges; returns how many ranges. */
static size_t visible_ranges(const pfm_attention_span *span, int32_t q, size_t begin[PFM_MAX_ANCESTORS + 1],
                             size_t end[PFM_MAX_ANCESTORS + 1])
{
    size_t count = 0;
    for (int32_t a = 0; a < span->ancestors; a++, count++) {
        begin[count] = (size_t)span->ancestor_begin[a];
        end[count] = (size_t)span->ancestor_end[a];
    }
    begin[count] = (size_t)span->own_begin;
    end[count] = (size_t)span->own_begin + pfm_attention_span_seen(span, (size_t)q);
    return count + 1;
}

static void attend_row(const pfm_attention_head *head, const pfm_attention_span *span, int32_t row)
{
    size_t begin[PFM_MAX_ANCESTORS + 1], end[PFM_MAX_ANCESTORS + 1], ranges = visible_ranges(span, row, begin, end);
    const size_t r = (size_t)row, dim = head->head_dim;
    double *sums = (double *)(void *)head->scratch, *scores = sums + dim;
    double most = -INFINITY, sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < ranges; i++)
        for (size_t key = begin[i]; key < end[i]; key++, count++) {
            scores[count] =
                head->scale * dot((const act *)head->q + r * head->q_stride, (const act *)head->k + key * head->k_stride, dim);
            most = fmax(most, scores[count]);
        }
    for (size_t d = 0; d < dim; d++)
        sums[d] = 0;
    count = 0;
    for (size_t i = 0; i < ranges; i++)
        for (size_t key = begin[i]; key < end[i]; key++, count++) {
            double weight = exp(scores[count] - most);
            sum += weight;
            for (size_t d = 0; d < dim; d++)
                sums[d] += weight * load((const act *)head->v + key * head->v_stride + d);
        }
    for (size_t d = 0; d < dim; d++)
        store((act *)head->out + r * head->out_stride + d, sums[d] / sum);
    head->lse[r * head->lse_stride] = (float)(most + log(sum));
}

void NAME(attention)(const pfm_attention_head *head, const pfm_attention_span *span)
{
    for (int32_t row = span->q_begin; row < span->q_end; row++)
        attend_row(head, span, row);
}

static void attend_row_backward(const pfm_attention_head *head, const pfm_attention_span *span, int32_t row)
{
    size_t begin[PFM_MAX_ANCESTORS + 1], end[PFM_MAX_ANCESTORS + 1], ranges = visible_ranges(span, row, begin, end);
    const size_t r = (size_t)row, dim = head->head_dim;
    const act *q = (const act *)head->q + r * head->q_stride, *dout = (const act *)head->dout + r * head->out_stride;
    double *sums = (double *)(void *)head->scratch;
    double common = dot(dout, (const act *)head->out + r * head->out_stride, dim), lse = head->lse[r * head->lse_stride];
    for (size_t d = 0; d < dim; d++)
        sums[d] = 0;
    for (size_t i = 0; i < ranges; i++)
        for (size_t key = begin[i]; key < end[i]; key++) {
            const act *k = (const act *)head->k + key * head->k_stride, *v = (const act *)head->v + key * head->v_stride;
            float *dk = head->dk + key * head->dkv_stride, *dv = head->dv + key * head->dkv_stride;
            double weight = exp(head->scale * dot(q, k, dim) - lse);
            double dscore = weight * (dot(dout, v, dim) - common) * head->scale;
            for (size_t d = 0; d < dim; d++) {
                dv[d] += (float)(weight * load(dout + d));
                dk[d] += (float)(dscore * load(q + d));
                sums[d] += dscore * load(k + d);
            }
        }
    for (size_t d = 0; d < dim; d++)
        store((act *)head->dq + r * head->q_stride + d, sums[d]);
}

void NAME(attention_backward)(const pfm_attention_head *head, const pfm_attention_span *span)
{
    for (int32_t row = span->q_begin; row < span->q_end; row++)
        attend_row_backward(head, span, row);
}
