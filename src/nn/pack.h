/* Packing: rows of one group become one tree in a single sequence, their longest common run of tokens once, then each row's own
 * tokens, which see the common run and themselves, at the positions that they would have alone. Loss and gradients equal those
 * of the separate rows. Rows of a group that differ in their context share nothing: what is computed may depend on it. */
#ifndef PFM_NN_PACK_H
#define PFM_NN_PACK_H

#include "ops/op.h"

/* One row, wholly tokenised: ids[0 .. count-1], image tokens as -1 - (visual row). ids[answer .. count-1] are to be predicted;
 * answer == count: nothing, the row waits for its next token. With a tail, ids ends before the answer, which stands there. */
typedef struct pfm_sequence {
    const int32_t *ids, *tail;        /* tail: NULL, or [count - answer] */
    size_t count, answer;             /* 1 <= answer <= count, count >= 2 where there is an answer */
    int32_t group;                    /* rows of a group stand next to each other */
    int32_t visual_begin, visual_end; /* visual tokens of the row's images, the same in a group and ascending with the groups */
    int32_t number;                   /* of the row within the step, for dropout's counters */
    int32_t adapter;                  /* which of several it goes through, the same in a group; -1: the base */
    int32_t context;                  /* what a router may see of the row (its modality, its task), from 1; 0: nothing known */
} pfm_sequence;

static inline int32_t pfm_sequence_id(const pfm_sequence *row, size_t i)
{
    return row->tail == NULL || i < row->answer ? row->ids[i] : row->tail[i - row->answer];
}

typedef struct pfm_pack_row {
    int32_t prefix_begin, prefix_end; /* key rows of the shared run; empty where nothing is shared */
    int32_t own_begin, own_count;     /* key rows of the row's own tokens */
    int32_t position;                 /* of its next token */
    int32_t visual_begin, visual_end; /* of its images */
} pfm_pack_row;

typedef struct pfm_pack_options {
    bool share;      /* false: each row alone, drawing the same dropout as when packed */
    bool inference;  /* every row's last token is predicted from; key rows are those of a key-value store */
    int32_t reserve; /* inference: key rows kept free behind each row's own */
    int32_t spread;  /* inference: how many rows each may become when it goes on; 0 as 1 */
} pfm_pack_options;

/* All arrays are owned; a pack can be used again, its memory is kept. Start with {0}. */
typedef struct pfm_pack {
    int32_t *ids, *positions, *key_rows; /* [tokens] key_rows: inference only */
    int32_t *contexts;                   /* [tokens] of their rows */
    int64_t *keys;                       /* [tokens] for dropout */
    int32_t *adapters;                   /* [tokens] of their rows */
    size_t tokens;
    int32_t *index, *targets, *answer_row; /* [answers] token, target (not in inference), row */
    size_t answers;
    pfm_attention_span *spans;
    size_t span_count;
    int32_t *roots; /* [root_count + 1] */
    size_t root_count;
    pfm_attention_span *image_spans; /* [span_count] the same queries over the visual tokens of their images */
    int32_t *image_roots;            /* [image_root_count + 1] one a group */
    size_t image_root_count;
    pfm_pack_row *rows;        /* [row_count] */
    pfm_token_row *token_rows; /* [row_count] the same rows as tokens of the sequence */
    size_t row_count;
    int32_t most_keys, key_row_count;
    size_t token_capacity, answer_capacity, span_capacity, root_capacity, image_root_capacity, row_capacity;
} pfm_pack;

pfm_status pfm_pack_rows(pfm_pack *pack, const pfm_sequence *rows, size_t count, const pfm_pack_options *options,
                         pfm_error *err) PFM_MUST_CHECK;
void pfm_pack_free(pfm_pack *pack);

/* The span by which queries see visual tokens that stand beside the sequence, and nothing else. */
static inline pfm_attention_span pfm_pack_image_span(int32_t q_begin, int32_t q_end, int32_t visual_begin, int32_t visual_end)
{
    return (pfm_attention_span){.q_begin = q_begin,
                                .q_end = q_end,
                                .own_past = q_begin - q_end, /* no keys of their own */
                                .ancestors = visual_begin < visual_end,
                                .ancestor_begin = {visual_begin},
                                .ancestor_end = {visual_end},
                                .whole = true};
}

/* How many tokens a group of `count` rows takes, row(user, i) being its i-th: without share those of all rows, each alone. */
size_t pfm_group_tokens(size_t count, pfm_sequence (*row)(const void *user, size_t i), const void *user, bool share);

#endif
