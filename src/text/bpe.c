/* Byte-pair encoding (Sennrich et al. 2016; over bytes: Radford et al. 2019): a word starts as its characters, and of all pairs
 * of neighbours the one with the best rank is joined, the leftmost first, until no pair is a merge. SentencePiece's (Kudo and
 * Richardson 2018) names no merges: any two tokens that spell a third are one, and that token's score ranks it. */
#include "text/tokenizer_internal.h"

#include "base/json.h"
#include "base/try.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct merge_slot {
    uint64_t pair; /* left id in the upper half; EMPTY: free */
    int32_t rank, joined;
} merge_slot;
#define EMPTY UINT64_MAX

typedef struct bpe_model {
    merge_slot *slots; /* open addressing, a power of two and at most half full */
    size_t capacity;
    int32_t spelled[256];  /* the token that spells a byte of the byte alphabet, or -1 */
    int32_t fallback[256]; /* "<0x41>" for a byte, or -1 */
    bool bytes, byte_fallback, ignore_merges, fuse_unknown;
    int32_t unknown; /* -1: a character without a token vanishes */
} bpe_model;

typedef struct symbol {
    int32_t id, previous, next; /* neighbours by index, -1 at the ends; id -1: joined to the left */
} symbol;

/* A pair that could be joined: kept in a binary heap, best rank and then leftmost on top. */
typedef struct candidate {
    int32_t rank, place, left, right, joined;
} candidate;

typedef struct bpe_scratch {
    symbol *symbols;
    size_t count, capacity;
    candidate *heap;
    size_t heap_count, heap_capacity;
    pfm_buffer spelling;
} bpe_scratch;

static uint64_t hash_pair(uint64_t pair)
{
    pair ^= pair >> 32;
    pair *= 0x9e3779b97f4a7c15u;
    return pair ^ pair >> 29;
}

static merge_slot *find_slot(const bpe_model *model, uint64_t pair)
{
    size_t i = (size_t)hash_pair(pair) & (model->capacity - 1);
    while (model->slots[i].pair != EMPTY && model->slots[i].pair != pair)
        i = (i + 1) & (model->capacity - 1);
    return &model->slots[i];
}

static uint64_t make_pair(int32_t left, int32_t right) { return (uint64_t)(uint32_t)left << 32 | (uint32_t)right; }

static void prepare_bytes(const pfm_tokenizer *tokenizer, bpe_model *model)
{
    for (int byte = 0; byte < 256; byte++) {
        char text[8];
        size_t length = pfm_byte_spell((unsigned char)byte, text);
        model->spelled[byte] = pfm_vocabulary_find(&tokenizer->vocabulary, text, length);
        length = (size_t)snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        model->fallback[byte] = pfm_vocabulary_find(&tokenizer->vocabulary, text, length);
    }
}

static pfm_status create_model(const pfm_tokenizer *tokenizer, size_t merges, bpe_model **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bpe_model *model = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *model, &model, err));
    if (merges > INT32_MAX / 4)
        PFM_FAIL(PFM_ERROR_FORMAT, "the tokenizer has %zu merges, more than can be", merges);
    model->capacity = 16;
    while (model->capacity < merges * 2)
        model->capacity *= 2;
    PFM_TRY(pfm_allocate(model->capacity, sizeof *model->slots, &model->slots, err));
    for (size_t i = 0; i < model->capacity; i++)
        model->slots[i].pair = EMPTY;
    model->unknown = -1;
    model->bytes = pfm_pretokenizer_is_byte_level(tokenizer->pretokenizer);
    prepare_bytes(tokenizer, model);
    *out = model;
    model = NULL;
done:
    if (model != NULL)
        free(model->slots);
    free(model);
    return status;
}

static void free_model(void *opaque)
{
    bpe_model *model = opaque;
    if (model == NULL)
        return;
    free(model->slots);
    free(model);
}

static int shown(size_t length) { return (int)(length < 40 ? length : 40); }

static pfm_status add_merge(const pfm_tokenizer *tokenizer, bpe_model *model, size_t rank, pfm_text_view left,
                            pfm_text_view right, pfm_buffer *joined, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_vocabulary *vocabulary = &tokenizer->vocabulary;
    pfm_buffer_clear(joined);
    PFM_TRY(pfm_buffer_append(joined, left.data, left.length, err));
    PFM_TRY(pfm_buffer_append(joined, right.data, right.length, err));
    int32_t a = pfm_vocabulary_find(vocabulary, left.data, left.length);
    int32_t b = pfm_vocabulary_find(vocabulary, right.data, right.length);
    int32_t c = pfm_vocabulary_find(vocabulary, joined->data, joined->size);
    if (a < 0 || b < 0 || c < 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "merge %zu joins \"%.*s\" and \"%.*s\", but the vocabulary lacks %s of them", rank,
                 shown(left.length), left.data, shown(right.length), right.data, a < 0 || b < 0 ? "one" : "the whole");
    merge_slot *slot = find_slot(model, make_pair(a, b));
    *slot = (merge_slot){.pair = make_pair(a, b), .rank = (int32_t)rank, .joined = c}; /* of two the later counts */
done:
    return status;
}

/* "left right", with exactly one space. */
static pfm_status split_merge(pfm_text_view text, size_t rank, pfm_text_view *left, pfm_text_view *right, pfm_error *err)
{
    const char *space = text.length == 0 ? NULL : memchr(text.data, ' ', text.length);
    size_t before = space == NULL ? 0 : (size_t)(space - text.data);
    if (space == NULL || before + 1 == text.length || before == 0 || memchr(space + 1, ' ', text.length - before - 1) != NULL)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "merge %zu is not two tokens with a space between: \"%.*s\"", rank,
                             shown(text.length), text.length == 0 ? "" : text.data);
    *left = (pfm_text_view){text.data, before};
    *right = (pfm_text_view){space + 1, text.length - before - 1};
    return PFM_OK;
}

static pfm_status create_source(pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, bool ignore_merges, void **out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    bpe_model *model = NULL;
    pfm_buffer joined = {0};
    PFM_TRY(create_model(tokenizer, source->merge_count, &model, err));
    model->ignore_merges = ignore_merges;
    for (size_t i = 0; i < source->merge_count; i++) {
        pfm_text_view left, right;
        PFM_TRY(split_merge(source->merges[i], i, &left, &right, err));
        PFM_TRY(add_merge(tokenizer, model, i, left, right, &joined, err));
    }
    *out = model;
    model = NULL;
done:
    pfm_buffer_free(&joined);
    free_model(model);
    return status;
}

/* Longer than any piece (SentencePiece makes 16 characters, LLaMA has 48 bytes), and short enough to be cut everywhere. */
enum { LONGEST_PIECE = 512 };

/* What SentencePiece joins: neither control tokens nor bytes nor what is added. */
static bool is_piece(const pfm_tokenizer_source *source, int32_t id)
{
    return id >= 0 && (source->types == NULL || source->types[id] == PFM_TOKEN_NORMAL);
}

/* A pair of pieces that spell a third. */
typedef pfm_status visit_cut(void *user, int32_t left, int32_t right, int32_t joined, int32_t rank, pfm_error *err);

static pfm_status visit_cuts_of(const pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, int32_t id, int32_t rank,
                                visit_cut *visit, void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_text_view text = source->tokens[id];
    if (!is_piece(source, id) || pfm_vocabulary_find(&tokenizer->vocabulary, text.data, text.length) != id)
        return PFM_OK; /* of two with one text the later counts */
    for (size_t at = 1; at < text.length; at++) {
        int32_t left = pfm_vocabulary_find(&tokenizer->vocabulary, text.data, at);
        if (!is_piece(source, left))
            continue;
        int32_t right = pfm_vocabulary_find(&tokenizer->vocabulary, text.data + at, text.length - at);
        if (is_piece(source, right))
            PFM_TRY(visit(user, left, right, id, rank, err));
    }
done:
    return status;
}

static pfm_status check_scores(const pfm_tokenizer_source *source, pfm_error *err)
{
    if (source->scores == NULL)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "the tokenizer has no scores, by which SentencePiece joins its tokens");
    for (size_t i = 0; i < source->token_count; i++) {
        if (!isfinite(source->scores[i]))
            return pfm_error_set(err, PFM_ERROR_FORMAT, "the score of token %zu is not a number", i);
        if (source->tokens[i].length > LONGEST_PIECE)
            return pfm_error_set(err, PFM_ERROR_FORMAT, "token %zu has %zu bytes; up to %d can be used", i,
                                 source->tokens[i].length, LONGEST_PIECE);
    }
    return PFM_OK;
}

typedef struct scored {
    float score;
    int32_t id;
} scored;

static int compare_scored(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : (x->id > y->id) - (x->id < y->id);
}

/* Every pair, the best first. Equal scores are one rank: of those the leftmost is joined first. */
static pfm_status visit_cuts(const pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, visit_cut *visit, void *user,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    scored *order = NULL;
    int32_t rank = 0;
    PFM_TRY(check_scores(source, err));
    PFM_TRY(pfm_allocate(source->token_count, sizeof *order, &order, err));
    for (size_t i = 0; i < source->token_count; i++)
        order[i] = (scored){source->scores[i], (int32_t)i};
    qsort(order, source->token_count, sizeof *order, compare_scored);
    for (size_t i = 0; i < source->token_count; i++) {
        if (i > 0 && order[i].score != order[i - 1].score)
            rank++;
        PFM_TRY(visit_cuts_of(tokenizer, source, order[i].id, rank, visit, user, err));
    }
done:
    free(order);
    return status;
}

static pfm_status count_cut(void *user, int32_t left, int32_t right, int32_t joined, int32_t rank, pfm_error *err)
{
    (void)left, (void)right, (void)joined, (void)rank, (void)err;
    (*(size_t *)user)++;
    return PFM_OK;
}

static pfm_status keep_cut(void *user, int32_t left, int32_t right, int32_t joined, int32_t rank, pfm_error *err)
{
    (void)err;
    *find_slot(user, make_pair(left, right)) = (merge_slot){make_pair(left, right), rank, joined};
    return PFM_OK;
}

static bool has_bytes(const pfm_tokenizer_source *source)
{
    bool found = source->types == NULL;
    for (size_t i = 0; i < source->token_count && !found; i++)
        found = source->types[i] == PFM_TOKEN_BYTE;
    return found;
}

static pfm_status create_scored(pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, bool ignore_merges, void **out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    bpe_model *model = NULL;
    size_t merges = 0;
    PFM_TRY(visit_cuts(tokenizer, source, count_cut, &merges, err));
    PFM_TRY(create_model(tokenizer, merges, &model, err));
    PFM_TRY(visit_cuts(tokenizer, source, keep_cut, model, err));
    model->byte_fallback = has_bytes(source);
    model->ignore_merges = ignore_merges;
    model->fuse_unknown = true;
    model->unknown = source->unknown;
    *out = model;
    model = NULL;
done:
    free_model(model);
    return status;
}

/* What one call of describe_scored carries. */
typedef struct described {
    const pfm_tokenizer_source *source;
    json_t *merges;
} described;

static json_t *text_of(pfm_text_view text) { return json_stringn(text.data, text.length); }

static pfm_status write_cut(void *user, int32_t left, int32_t right, int32_t joined, int32_t rank, pfm_error *err)
{
    (void)joined, (void)rank;
    const described *d = user;
    json_t *pair = json_pack("[o, o]", text_of(d->source->tokens[left]), text_of(d->source->tokens[right]));
    if (json_array_append_new(d->merges, pair) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the tokenizer");
    return PFM_OK;
}

static pfm_status describe_scored(const pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, json_t *model,
                                  pfm_error *err)
{
    pfm_status status = PFM_OK;
    described d = {source, json_array()};
    PFM_TRY(visit_cuts(tokenizer, source, write_cut, &d, err));
    PFM_TRY(pfm_json_take(model, "merges", json_incref(d.merges), err));
    PFM_TRY(pfm_json_take(model, "fuse_unk", json_true(), err));
    PFM_TRY(pfm_json_take(model, "byte_fallback", json_boolean(has_bytes(source)), err));
    if (source->unknown >= 0)
        PFM_TRY(pfm_json_take(model, "unk_token", text_of(source->tokens[source->unknown]), err));
done:
    json_decref(d.merges);
    return status;
}

static pfm_status describe_merges(const pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, json_t *model,
                                  pfm_error *err)
{
    (void)tokenizer;
    json_t *merges = json_array();
    for (size_t i = 0; i < source->merge_count; i++)
        merges = pfm_json_add(merges, text_of(source->merges[i]));
    return pfm_json_take(model, "merges", merges, err);
}

static const pfm_gguf_pre *find_named_pre(const pfm_tokenizer_source *source)
{
    return pfm_gguf_pre_find(source->pre != NULL ? source->pre : "default");
}

static const pfm_gguf_pre *find_spaced_pre(const pfm_tokenizer_source *source) { return pfm_sentencepiece_pre(source->prefix); }

static pfm_status check_options(const json_t *definition, pfm_error *err)
{
    static const char *const prefixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 2; i++) {
        const char *text = pfm_member_text(definition, prefixes[i]);
        if (text != NULL && text[0] != '\0')
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "this program does not know a BPE model with %s \"%s\"",
                                 prefixes[i], text);
    }
    if (json_number_value(json_object_get(definition, "dropout")) > 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "this program does not know a BPE model with dropout");
    return PFM_OK;
}

static pfm_status read_merge(const json_t *merge, size_t rank, pfm_text_view *left, pfm_text_view *right, pfm_error *err)
{
    if (json_is_string(merge))
        return split_merge((pfm_text_view){json_string_value(merge), json_string_length(merge)}, rank, left, right, err);
    const json_t *a = json_array_get(merge, 0), *b = json_array_get(merge, 1);
    if (json_array_size(merge) != 2 || !json_is_string(a) || !json_is_string(b))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "merge %zu is neither a string nor a pair of strings", rank);
    *left = (pfm_text_view){json_string_value(a), json_string_length(a)};
    *right = (pfm_text_view){json_string_value(b), json_string_length(b)};
    return PFM_OK;
}

static pfm_status create_json(pfm_tokenizer *tokenizer, const json_t *definition, void **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bpe_model *model = NULL;
    pfm_buffer joined = {0};
    const json_t *merges = json_object_get(definition, "merges");
    const char *unknown = pfm_member_text(definition, "unk_token");
    if (!json_is_array(merges))
        PFM_FAIL(PFM_ERROR_FORMAT, "the BPE model has no list of merges");
    PFM_TRY(check_options(definition, err));
    PFM_TRY(create_model(tokenizer, json_array_size(merges), &model, err));
    model->byte_fallback = pfm_member_flag(definition, "byte_fallback", false);
    model->ignore_merges = pfm_member_flag(definition, "ignore_merges", false);
    model->fuse_unknown = pfm_member_flag(definition, "fuse_unk", false);
    if (unknown != NULL)
        model->unknown = pfm_tokenizer_id(tokenizer, unknown);
    size_t rank;
    json_t *merge;
    json_array_foreach(merges, rank, merge)
    {
        pfm_text_view left, right;
        PFM_TRY(read_merge(merge, rank, &left, &right, err));
        PFM_TRY(add_merge(tokenizer, model, rank, left, right, &joined, err));
    }
    *out = model;
    model = NULL;
done:
    pfm_buffer_free(&joined);
    free_model(model);
    return status;
}

static pfm_status add_symbol(bpe_scratch *scratch, int32_t id, pfm_error *err)
{
    pfm_status status =
        pfm_array_reserve(&scratch->symbols, &scratch->capacity, scratch->count + 1, sizeof *scratch->symbols, err);
    if (status == PFM_OK) {
        scratch->symbols[scratch->count] = (symbol){id, (int32_t)scratch->count - 1, (int32_t)scratch->count + 1};
        scratch->count++;
    }
    return status;
}

/* A character that is no token: its bytes as tokens, else the unknown token, else nothing. */
static pfm_status add_unknown(const bpe_model *model, bpe_scratch *scratch, const char *text, size_t length,
                              bool *unknown_before, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool all = model->byte_fallback;
    for (size_t i = 0; i < length && all; i++)
        all = model->fallback[(unsigned char)text[i]] >= 0;
    for (size_t i = 0; i < length && all; i++)
        PFM_TRY(add_symbol(scratch, model->fallback[(unsigned char)text[i]], err));
    if (!all && model->unknown >= 0 && !(model->fuse_unknown && *unknown_before))
        PFM_TRY(add_symbol(scratch, model->unknown, err));
    *unknown_before = !all;
done:
    return status;
}

/* Characters are bytes in the byte alphabet, else code points. */
static pfm_status add_characters(const pfm_tokenizer *tokenizer, const bpe_model *model, bpe_scratch *scratch,
                                 pfm_text_view word, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool unknown_before = false;
    for (size_t i = 0, length = 1; i < word.length; i += length) {
        int32_t id;
        if (model->bytes) {
            id = model->spelled[(unsigned char)word.data[i]];
        } else {
            (void)pfm_utf8_decode(word.data + i, word.length - i, &length);
            id = pfm_vocabulary_find(&tokenizer->vocabulary, word.data + i, length);
        }
        if (id < 0) {
            PFM_TRY(add_unknown(model, scratch, word.data + i, length, &unknown_before, err));
        } else {
            unknown_before = false;
            PFM_TRY(add_symbol(scratch, id, err));
        }
    }
done:
    return status;
}

static bool is_better(const candidate *a, const candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->place < b->place;
}

/* Puts the pair that begins at `place` into the heap if it is a merge. */
static pfm_status consider(const bpe_model *model, bpe_scratch *scratch, int32_t place, pfm_error *err)
{
    const symbol *left = &scratch->symbols[place];
    if (left->next < 0)
        return PFM_OK;
    int32_t right = scratch->symbols[left->next].id;
    const merge_slot *slot = find_slot(model, make_pair(left->id, right));
    if (slot->pair == EMPTY)
        return PFM_OK;
    pfm_status status =
        pfm_array_reserve(&scratch->heap, &scratch->heap_capacity, scratch->heap_count + 1, sizeof *scratch->heap, err);
    if (status != PFM_OK)
        return status;
    candidate added = {slot->rank, place, left->id, right, slot->joined};
    size_t i = scratch->heap_count++;
    for (; i > 0 && is_better(&added, &scratch->heap[(i - 1) / 2]); i = (i - 1) / 2)
        scratch->heap[i] = scratch->heap[(i - 1) / 2];
    scratch->heap[i] = added;
    return PFM_OK;
}

static candidate take_best(bpe_scratch *scratch)
{
    candidate best = scratch->heap[0], last = scratch->heap[--scratch->heap_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < scratch->heap_count; i = child) {
        if (child + 1 < scratch->heap_count && is_better(&scratch->heap[child + 1], &scratch->heap[child]))
            child++;
        if (!is_better(&scratch->heap[child], &last))
            break;
        scratch->heap[i] = scratch->heap[child];
    }
    scratch->heap[i] = last;
    return best;
}

static pfm_status join_all(const bpe_model *model, bpe_scratch *scratch, pfm_error *err)
{
    pfm_status status = PFM_OK;
    symbol *symbols = scratch->symbols;
    scratch->heap_count = 0;
    for (size_t i = 0; i + 1 < scratch->count; i++)
        PFM_TRY(consider(model, scratch, (int32_t)i, err));
    while (scratch->heap_count > 0) {
        candidate best = take_best(scratch);
        symbol *left = &symbols[best.place];
        if (left->id != best.left || left->next < 0 || symbols[left->next].id != best.right)
            continue; /* one of the two has been joined to something else */
        symbol *right = &symbols[left->next];
        left->id = best.joined;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0)
            symbols[left->next].previous = best.place;
        PFM_TRY(consider(model, scratch, best.place, err));
        if (left->previous >= 0)
            PFM_TRY(consider(model, scratch, left->previous, err));
    }
done:
    return status;
}

/* The token that spells the whole word, or -1. */
static pfm_status find_whole(const pfm_tokenizer *tokenizer, const bpe_model *model, bpe_scratch *scratch, pfm_text_view word,
                             int32_t *id, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer_clear(&scratch->spelling);
    for (size_t i = 0; i < word.length && model->bytes; i++) {
        char text[4];
        size_t length = pfm_byte_spell((unsigned char)word.data[i], text);
        PFM_TRY(pfm_buffer_append(&scratch->spelling, text, length, err));
    }
    if (model->bytes)
        word = (pfm_text_view){scratch->spelling.data, scratch->spelling.size};
    *id = pfm_vocabulary_find(&tokenizer->vocabulary, word.data, word.length);
done:
    return status;
}

static pfm_status encode_word(const pfm_tokenizer *tokenizer, const bpe_model *model, bpe_scratch *scratch, pfm_text_view word,
                              pfm_ids *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int32_t whole = -1;
    if (word.length > INT32_MAX / 2)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "a word of %zu bytes is too long to encode", word.length);
    if (model->ignore_merges)
        PFM_TRY(find_whole(tokenizer, model, scratch, word, &whole, err));
    scratch->count = 0;
    if (whole >= 0) {
        PFM_TRY(add_symbol(scratch, whole, err));
    } else {
        PFM_TRY(add_characters(tokenizer, model, scratch, word, err));
    }
    if (scratch->count == 0)
        goto done;
    scratch->symbols[scratch->count - 1].next = -1;
    PFM_TRY(join_all(model, scratch, err));
    for (int32_t i = 0; i >= 0; i = scratch->symbols[i].next)
        PFM_TRY(pfm_ids_append(out, scratch->symbols[i].id, err));
done:
    return status;
}

static pfm_status encode(const pfm_tokenizer *tokenizer, const pfm_words *words, pfm_ids *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bpe_scratch scratch = {0};
    for (size_t i = 0; i < words->count; i++)
        PFM_TRY(encode_word(tokenizer, tokenizer->model, &scratch, words->items[i], out, err));
done:
    free(scratch.symbols);
    free(scratch.heap);
    pfm_buffer_free(&scratch.spelling);
    return status;
}

const pfm_model_kind pfm_model_bpe = {
    .json_name = "BPE",
    .gguf_name = "gpt2",
    .create_json = create_json,
    .create_source = create_source,
    .find_pre = find_named_pre,
    .describe = describe_merges,
    .free = free_model,
    .encode = encode,
};

const pfm_model_kind pfm_model_sentencepiece = {
    .gguf_name = "llama",
    .create_source = create_scored,
    .find_pre = find_spaced_pre,
    .describe = describe_scored,
    .free = free_model,
    .encode = encode,
};
