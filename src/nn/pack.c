#include "nn/pack.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdlib.h>

/* A row's last token is never an input where it is only to be predicted. */
static size_t input_count(const pfm_sequence *row) { return row->answer < row->count ? row->count - 1 : row->count; }

/* What rows of one context in a group have in common; start with {0}. */
typedef struct common_run {
    pfm_sequence first;
    size_t rows;
    size_t inputs; /* tokens of all rows, each alone */
    size_t shared; /* the longest common run, at least one token of each row left over */
} common_run;

static void add_row(common_run *run, const pfm_sequence *row)
{
    size_t inputs = input_count(row), limit = inputs - 1, same = 0;
    if (run->rows++ == 0) {
        run->first = *row;
        run->shared = limit;
    }
    limit = limit < run->shared ? limit : run->shared;
    while (same < limit && pfm_sequence_id(row, same) == pfm_sequence_id(&run->first, same))
        same++;
    run->shared = same;
    run->inputs += inputs;
}

/* Whether a row of a group has the context of one before it. */
static bool follows(size_t i, pfm_sequence (*row)(const void *user, size_t i), const void *user)
{
    const int32_t context = row(user, i).context;
    while (i > 0) {
        if (row(user, --i).context == context)
            return true;
    }
    return false;
}

/* The rows of a group from `first` on that have its context. */
static common_run run_of(size_t first, size_t count, pfm_sequence (*row)(const void *user, size_t i), const void *user)
{
    common_run run = {0};
    const int32_t context = row(user, first).context;
    for (size_t i = first; i < count; i++) {
        const pfm_sequence other = row(user, i);
        if (other.context == context)
            add_row(&run, &other);
    }
    return run;
}

size_t pfm_group_tokens(size_t count, pfm_sequence (*row)(const void *user, size_t i), const void *user, bool share)
{
    size_t tokens = 0;
    for (size_t i = 0; i < count; i++) {
        if (follows(i, row, user))
            continue;
        const common_run run = run_of(i, count, row, user);
        tokens += run.inputs - (share ? (run.rows - 1) * run.shared : 0);
    }
    return tokens;
}

static pfm_status reserve(pfm_pack *pack, const pfm_sequence *rows, size_t count, size_t spread, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t tokens = 0, answers = 0, capacity;
    for (size_t r = 0; r < count; r++) {
        tokens += rows[r].count;
        answers += rows[r].count - rows[r].answer + 1;
    }
    count *= spread; /* rows that go on have a token, a span and an answer each */
    tokens = tokens > count ? tokens : count;
    answers = answers > count ? answers : count;
    capacity = pack->token_capacity;
    PFM_TRY(pfm_array_reserve(&pack->ids, &capacity, tokens, sizeof *pack->ids, err));
    capacity = pack->token_capacity;
    PFM_TRY(pfm_array_reserve(&pack->positions, &capacity, tokens, sizeof *pack->positions, err));
    capacity = pack->token_capacity;
    PFM_TRY(pfm_array_reserve(&pack->adapters, &capacity, tokens, sizeof *pack->adapters, err));
    capacity = pack->token_capacity;
    PFM_TRY(pfm_array_reserve(&pack->contexts, &capacity, tokens, sizeof *pack->contexts, err));
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
    capacity = pack->row_capacity;
    PFM_TRY(pfm_array_reserve(&pack->token_rows, &capacity, count, sizeof *pack->token_rows, err));
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
        pack->contexts[t] = row->context;
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

/* number: of the row in the pack. */
static void append_answers(pfm_pack *pack, const pfm_sequence *row, bool inference, size_t number)
{
    size_t first = inference ? row->count : row->answer, last = inference ? row->count + 1 : row->count;
    for (size_t i = first; i < last; i++) {
        size_t a = pack->answers++;
        pack->index[a] = (int32_t)pfm_token_row_at(&pack->token_rows[number], (int64_t)i - 1);
        pack->targets[a] = inference ? -1 : pfm_sequence_id(row, i);
        pack->answer_row[a] = (int32_t)number;
    }
}

/* What the rows of a group share in the pack: tokens and key rows of it, none where it is not stored. */
typedef struct stored_run {
    size_t shared, begin; /* shared: also where it is not stored, for dropout's counters */
    int32_t key_rows;
    bool stored;
} stored_run;

static void append_row(pfm_pack *pack, const pfm_sequence *sequence, size_t number, const stored_run *run, int32_t reserved)
{
    const size_t own_begin = pack->tokens, from = run->stored ? run->shared : 0, inputs = input_count(sequence);
    pfm_pack_row *row = &pack->rows[number];
    if (!run->stored)
        pack->roots[pack->root_count] = (int32_t)pack->span_count;
    *row = (pfm_pack_row){.prefix_begin = run->key_rows,
                          .prefix_end = run->key_rows + (int32_t)from,
                          .own_begin = pack->key_row_count,
                          .own_count = (int32_t)(inputs - from),
                          .position = (int32_t)inputs,
                          .visual_begin = sequence->visual_begin,
                          .visual_end = sequence->visual_end};
    append_tokens(pack, sequence, from, inputs, run->shared);
    pack->token_rows[number] = (pfm_token_row){.shared_begin = (int32_t)run->begin,
                                               .shared_end = (int32_t)(run->begin + from),
                                               .own_begin = (int32_t)own_begin,
                                               .own_end = (int32_t)pack->tokens};
    append_span(pack, own_begin, row->own_begin, row, (int32_t)pack->root_count);
    pack->key_row_count += reserved;
    pack->root_count += !run->stored;
}

static pfm_sequence row_of(const void *user, size_t i) { return ((const pfm_sequence *)user)[i]; }

/* The rows of a group from `first` on that have its context, behind what they have in common. base: the number of the group's
 * first row in the pack. */
static void pack_context(pfm_pack *pack, const pfm_sequence *rows, size_t first, size_t count, size_t base,
                         const pfm_pack_options *options)
{
    const common_run common = run_of(first, count, row_of, rows);
    stored_run run = {.shared = common.rows > 1 ? common.shared : 0, .begin = pack->tokens, .key_rows = pack->key_row_count};
    run.stored = options->share && run.shared > 0;
    if (run.stored) {
        pack->roots[pack->root_count] = (int32_t)pack->span_count;
        append_tokens(pack, &rows[first], 0, run.shared, run.shared);
        append_span(pack, run.begin, run.key_rows, NULL, (int32_t)pack->root_count);
    }
    for (size_t r = first; r < count; r++) {
        if (rows[r].context == rows[first].context)
            append_row(pack, &rows[r], base + r, &run, options->inference ? options->reserve : 0);
    }
    pack->root_count += run.stored;
}

static void pack_group(pfm_pack *pack, const pfm_sequence *rows, size_t count, const pfm_pack_options *options)
{
    const size_t first_span = pack->span_count, base = pack->row_count;
    for (size_t r = 0; r < count; r++) {
        if (!follows(r, row_of, rows))
            pack_context(pack, rows, r, count, base, options);
    }
    pack->row_count += count;
    for (size_t r = 0; r < count; r++)
        append_answers(pack, &rows[r], options->inference, base + r);
    pack->image_roots[pack->image_root_count++] = (int32_t)first_span;
    for (size_t s = first_span; s < pack->span_count; s++)
        pack->image_spans[s] =
            pfm_pack_image_span(pack->spans[s].q_begin, pack->spans[s].q_end, rows[0].visual_begin, rows[0].visual_end);
}

pfm_status pfm_pack_rows(pfm_pack *pack, const pfm_sequence *rows, size_t count, const pfm_pack_options *options,
                         pfm_error *err)
{
    pfm_status status = reserve(pack, rows, count, options->spread > 1 ? (size_t)options->spread : 1, err);
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
    free(pack->contexts);
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
    free(pack->token_rows);
    *pack = (pfm_pack){0};
}
