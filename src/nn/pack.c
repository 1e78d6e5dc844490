#include "nn/pack.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>

/* A row's last token is never an input where it is only to be predicted. */
static size_t input_count(const pfm_sequence *row) { return row->answer < row->count ? row->count - 1 : row->count; }

void pfm_group_count_add(pfm_group_count *group, const pfm_sequence *row)
{
    size_t inputs = input_count(row), limit = inputs - 1, same = 0;
    if (group->rows++ == 0) {
        group->first = *row;
        group->shared = limit;
    }
    limit = limit < group->shared ? limit : group->shared;
    while (same < limit && pfm_sequence_id(row, same) == pfm_sequence_id(&group->first, same))
        same++;
    group->shared = same;
    group->inputs += inputs;
}

size_t pfm_group_count_tokens(const pfm_group_count *group, bool share)
{
    return share && group->rows > 1 ? group->inputs - (group->rows - 1) * group->shared : group->inputs;
}

static pfm_status reserve(pfm_pack *pack, const pfm_sequence *rows, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t tokens = 0, answers = 0, capacity;
    for (size_t r = 0; r < count; r++) {
        tokens += rows[r].count;
        answers += rows[r].count - rows[r].answer + 1;
    }
    capacity = pack->token_capacity;
    PFM_TRY(pfm_array_reserve(&pack->ids, &capacity, tokens, sizeof *pack->ids, err));
    capacity = pack->token_capacity;
    PFM_TRY(pfm_array_reserve(&pack->positions, &capacity, tokens, sizeof *pack->positions, err));
    capacity = pack->token_capacity;
    PFM_TRY(pfm_array_reserve(&pack->adapters, &capacity, tokens, sizeof *pack->adapters, err));
    capacity = pack->token_capacity;
    PFM_TRY(pfm_array_reserve(&pack->key_rows, &capacity, tokens, sizeof *pack->key_rows, err));
    PFM_TRY(pfm_array_reserve(&pack->keys, &pack->token_capacity, tokens, sizeof *pack->keys, err));
    capacity = pack->answer_capacity;
    PFM_TRY(pfm_array_reserve(&pack->index, &capacity, answers, sizeof *pack->index, err));
    capacity = pack->answer_capacity;
    PFM_TRY(pfm_array_reserve(&pack->targets, &capacity, answers, sizeof *pack->targets, err));
    PFM_TRY(pfm_array_reserve(&pack->answer_row, &pack->answer_capacity, answers, sizeof *pack->answer_row, err));
    capacity = pack->span_capacity;
    PFM_TRY(pfm_array_reserve(&pack->image_spans, &capacity, 2 * count, sizeof *pack->image_spans, err));
    PFM_TRY(pfm_array_reserve(&pack->spans, &pack->span_capacity, 2 * count, sizeof *pack->spans, err));
    PFM_TRY(pfm_array_reserve(&pack->image_roots, &pack->image_root_capacity, count + 1, sizeof *pack->image_roots, err));
    PFM_TRY(pfm_array_reserve(&pack->roots, &pack->root_capacity, count + 1, sizeof *pack->roots, err));
    PFM_TRY(pfm_array_reserve(&pack->rows, &pack->row_capacity, count, sizeof *pack->rows, err));
done:
    return status;
}

/* Dropout's counter for a token: a shared one draws once for its group, an own one for its row. */
static int64_t token_key(bool shared, int32_t unit, size_t position)
{
    return (int64_t)(((uint64_t)shared << 62) | (uint64_t)(uint32_t)unit << 24 | (uint64_t)position);
}

/* Appends ids[begin..end) of a row; the first `shared` tokens of the row draw as their group's. */
static void append_tokens(pfm_pack *pack, const pfm_sequence *row, size_t begin, size_t end, size_t shared)
{
    for (size_t i = begin; i < end; i++) {
        size_t t = pack->tokens++;
        pack->ids[t] = pfm_sequence_id(row, i);
        pack->positions[t] = (int32_t)i;
        pack->adapters[t] = row->adapter;
        pack->keys[t] = i < shared ? token_key(true, row->group, i) : token_key(false, row->number, i);
        pack->key_rows[t] = pack->key_row_count++;
    }
}

static void append_span(pfm_pack *pack, size_t begin, int32_t own_begin, const pfm_pack_row *row, int32_t root)
{
    pfm_attention_span *span = &pack->spans[pack->span_count++];
    *span =
        (pfm_attention_span){.q_begin = (int32_t)begin, .q_end = (int32_t)pack->tokens, .own_begin = own_begin, .root = root};
    if (row != NULL && row->prefix_end > row->prefix_begin) {
        span->ancestors = 1;
        span->ancestor_begin[0] = row->prefix_begin;
        span->ancestor_end[0] = row->prefix_end;
    }
    int32_t keys = span->q_end - span->q_begin + (row != NULL ? row->prefix_end - row->prefix_begin : 0);
    pack->most_keys = keys > pack->most_keys ? keys : pack->most_keys;
}

/* The token in the pack that holds position i of a row: in the shared run or among its own. */
static size_t token_at(size_t i, size_t stored_shared, size_t prefix_begin, size_t own_begin)
{
    return i < stored_shared ? prefix_begin + i : own_begin + i - stored_shared;
}

static void append_answers(pfm_pack *pack, const pfm_sequence *row, bool inference, size_t stored_shared, size_t prefix_begin,
                           size_t own_begin)
{
    size_t first = inference ? row->count : row->answer, last = inference ? row->count + 1 : row->count;
    for (size_t i = first; i < last; i++) {
        size_t a = pack->answers++;
        pack->index[a] = (int32_t)token_at(i - 1, stored_shared, prefix_begin, own_begin);
        pack->targets[a] = inference ? -1 : pfm_sequence_id(row, i);
        pack->answer_row[a] = (int32_t)pack->row_count;
    }
}

static void pack_group(pfm_pack *pack, const pfm_sequence *rows, size_t count, const pfm_pack_options *options)
{
    pfm_group_count group = {0};
    const size_t first_span = pack->span_count;
    for (size_t r = 0; r < count; r++)
        pfm_group_count_add(&group, &rows[r]);
    size_t shared = count > 1 ? group.shared : 0, prefix_begin = pack->tokens;
    bool stored = options->share && shared > 0;
    int32_t prefix_rows = pack->key_row_count;
    if (stored) {
        pack->roots[pack->root_count] = (int32_t)pack->span_count;
        append_tokens(pack, &rows[0], 0, shared, shared);
        append_span(pack, prefix_begin, prefix_rows, NULL, (int32_t)pack->root_count);
    }
    for (size_t r = 0; r < count; r++) {
        size_t own_begin = pack->tokens, from = stored ? shared : 0, inputs = input_count(&rows[r]);
        if (!stored)
            pack->roots[pack->root_count] = (int32_t)pack->span_count;
        pfm_pack_row *row = &pack->rows[pack->row_count];
        *row = (pfm_pack_row){.prefix_begin = prefix_rows,
                              .prefix_end = stored ? prefix_rows + (int32_t)shared : prefix_rows,
                              .own_begin = pack->key_row_count,
                              .own_count = (int32_t)(inputs - from),
                              .position = (int32_t)inputs,
                              .visual_begin = rows[r].visual_begin,
                              .visual_end = rows[r].visual_end};
        append_tokens(pack, &rows[r], from, inputs, shared);
        append_span(pack, own_begin, row->own_begin, row, (int32_t)pack->root_count);
        append_answers(pack, &rows[r], options->inference, from, prefix_begin, own_begin);
        pack->row_count++;
        if (options->inference)
            pack->key_row_count += options->reserve;
        if (!stored)
            pack->root_count++;
    }
    if (stored)
        pack->root_count++;
    pack->image_roots[pack->image_root_count++] = (int32_t)first_span;
    for (size_t s = first_span; s < pack->span_count; s++)
        pack->image_spans[s] =
            pfm_pack_image_span(pack->spans[s].q_begin, pack->spans[s].q_end, rows[0].visual_begin, rows[0].visual_end);
}

pfm_status pfm_pack_rows(pfm_pack *pack, const pfm_sequence *rows, size_t count, const pfm_pack_options *options,
                         pfm_error *err)
{
    pfm_status status = reserve(pack, rows, count, err);
    if (status != PFM_OK)
        return status;
    pack->tokens = pack->answers = pack->span_count = pack->root_count = pack->image_root_count = pack->row_count = 0;
    pack->most_keys = pack->key_row_count = 0;
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && rows[end].group == rows[begin].group; end++)
            ;
        pack_group(pack, rows + begin, end - begin, options);
    }
    pack->roots[pack->root_count] = pack->image_roots[pack->image_root_count] = (int32_t)pack->span_count;
    return PFM_OK;
}

void pfm_pack_free(pfm_pack *pack)
{
    if (pack == NULL)
        return;
    free(pack->ids);
    free(pack->positions);
    free(pack->adapters);
    free(pack->key_rows);
    free(pack->keys);
    free(pack->index);
    free(pack->targets);
    free(pack->answer_row);
    free(pack->spans);
    free(pack->roots);
    free(pack->image_spans);
    free(pack->image_roots);
    free(pack->rows);
    *pack = (pfm_pack){0};
}
