/* Reads a SentencePiece model, a protocol buffer (sentencepiece_model.proto: ModelProto): pieces with scores and types, and how
 * the text was prepared. What it describes is what a GGUF file's arrays describe, and is made into a tokenizer as those are. */
#include "text/tokenizer_internal.h"

#include "base/file.h"
#include "base/try.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

/* A message within the file. */
typedef struct proto {
    const unsigned char *at, *end;
} proto;

typedef struct proto_field {
    uint32_t number;
    uint64_t value; /* varints and fixed numbers */
    proto bytes;    /* strings and messages; empty for numbers */
    bool is_bytes;
} proto_field;

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static pfm_status damaged(pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT,
                         "it is no SentencePiece model, or a damaged one: a field does not end in the file");
}

static pfm_status read_varint(proto *p, uint64_t *out, pfm_error *err)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && p->at < p->end; shift += 7) {
        unsigned char byte = *p->at++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return PFM_OK;
    }
    return damaged(err);
}

static pfm_status read_fixed(proto *p, size_t count, uint64_t *out, pfm_error *err)
{
    if ((size_t)(p->end - p->at) < count)
        return damaged(err);
    *out = 0;
    for (size_t i = 0; i < count; i++)
        *out |= (uint64_t)*p->at++ << (8 * i);
    return PFM_OK;
}

/* The next field of a message that has one. */
static pfm_status read_field(proto *p, proto_field *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint64_t key = 0, length = 0;
    *out = (proto_field){0};
    PFM_TRY(read_varint(p, &key, err));
    out->number = (uint32_t)(key >> 3);
    switch (key & 7) {
    case VARINT: PFM_TRY(read_varint(p, &out->value, err)); break;
    case FIXED64: PFM_TRY(read_fixed(p, 8, &out->value, err)); break;
    case FIXED32: PFM_TRY(read_fixed(p, 4, &out->value, err)); break;
    case BYTES:
        PFM_TRY(read_varint(p, &length, err));
        if (length > (uint64_t)(p->end - p->at))
            PFM_FAIL(PFM_ERROR_FORMAT,
                     "it is no SentencePiece model, or was cut short: a field of %llu bytes begins %zu before the end",
                     (unsigned long long)length, (size_t)(p->end - p->at));
        out->bytes = (proto){p->at, p->at + length};
        out->is_bytes = true;
        p->at += length;
        break;
    default: status = damaged(err);
    }
done:
    return status;
}

/* ModelProto, as far as it says how to tokenise. */
typedef struct spm_model {
    pfm_text_view *tokens;
    float *scores;
    int32_t *types;
    size_t count, token_capacity, score_capacity, type_capacity;
    uint64_t kind;                        /* TrainerSpec.model_type */
    int32_t unknown, begin, end, padding; /* ids */
    bool normalises, dummy_prefix, removes_spaces, escapes_spaces, suffix;
} spm_model;

enum { UNIGRAM = 1, BPE = 2 };

static void free_model(spm_model *model)
{
    free(model->tokens);
    free(model->scores);
    free(model->types);
}

static pfm_status read_piece(spm_model *model, proto p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    proto_field field;
    pfm_text_view text = {"", 0};
    float score = 0;
    uint64_t type = PFM_TOKEN_NORMAL;
    while (p.at < p.end) {
        PFM_TRY(read_field(&p, &field, err));
        if (field.number == 1 && field.is_bytes)
            text = (pfm_text_view){(const char *)field.bytes.at, (size_t)(field.bytes.end - field.bytes.at)};
        else if (field.number == 2 && !field.is_bytes)
            memcpy(&score, &(uint32_t){(uint32_t)field.value}, sizeof score);
        else if (field.number == 3 && !field.is_bytes)
            type = field.value;
    }
    if (type < PFM_TOKEN_NORMAL || type > PFM_TOKEN_BYTE)
        PFM_FAIL(PFM_ERROR_FORMAT, "piece %zu has the type %llu, which SentencePiece does not have", model->count,
                 (unsigned long long)type);
    if (text.length == 0 || !pfm_utf8_valid(text.data, text.length))
        PFM_FAIL(PFM_ERROR_FORMAT, "piece %zu has no text, or one that is not UTF-8", model->count);
    if (type == PFM_TOKEN_USER_DEFINED) /* it takes a space before it as no other piece does */
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program does not know SentencePiece models with user-defined pieces (\"%.*s\")",
                 (int)(text.length < 40 ? text.length : 40), text.data);
    PFM_TRY(pfm_array_reserve(&model->tokens, &model->token_capacity, model->count + 1, sizeof *model->tokens, err));
    PFM_TRY(pfm_array_reserve(&model->scores, &model->score_capacity, model->count + 1, sizeof *model->scores, err));
    PFM_TRY(pfm_array_reserve(&model->types, &model->type_capacity, model->count + 1, sizeof *model->types, err));
    model->tokens[model->count] = text;
    model->scores[model->count] = score;
    model->types[model->count++] = (int32_t)type;
done:
    return status;
}

/* TrainerSpec: model_type, treat_whitespace_as_suffix and the ids with a role. */
static pfm_status read_trainer(spm_model *model, proto p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    proto_field field;
    while (p.at < p.end) {
        PFM_TRY(read_field(&p, &field, err));
        if (field.is_bytes)
            continue;
        switch (field.number) {
        case 3: model->kind = field.value; break;
        case 24: model->suffix = field.value != 0; break;
        case 40: model->unknown = (int32_t)field.value; break;
        case 41: model->begin = (int32_t)field.value; break;
        case 42: model->end = (int32_t)field.value; break;
        case 43: model->padding = (int32_t)field.value; break;
        default: break;
        }
    }
done:
    return status;
}

/* NormalizerSpec: precompiled_charsmap, add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces. */
static pfm_status read_normaliser(spm_model *model, proto p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    proto_field field;
    while (p.at < p.end) {
        PFM_TRY(read_field(&p, &field, err));
        if (field.number == 2 && field.is_bytes)
            model->normalises = field.bytes.end > field.bytes.at;
        else if (field.number == 3 && !field.is_bytes)
            model->dummy_prefix = field.value != 0;
        else if (field.number == 4 && !field.is_bytes)
            model->removes_spaces = field.value != 0;
        else if (field.number == 5 && !field.is_bytes)
            model->escapes_spaces = field.value != 0;
    }
done:
    return status;
}

static pfm_status read_model(spm_model *model, proto p, pfm_error *err)
{
    pfm_status status = PFM_OK;
    proto_field field;
    while (p.at < p.end) {
        PFM_TRY(read_field(&p, &field, err));
        if (field.number == 1 && field.is_bytes)
            PFM_TRY(read_piece(model, field.bytes, err));
        else if (field.number == 2 && field.is_bytes)
            PFM_TRY(read_trainer(model, field.bytes, err));
        else if (field.number == 3 && field.is_bytes)
            PFM_TRY(read_normaliser(model, field.bytes, err));
    }
    if (model->count == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "it is no SentencePiece model: it has no pieces");
    if (model->kind != BPE)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program knows SentencePiece models of the BPE kind; this one is %s",
                 model->kind == UNIGRAM ? "a unigram model" : "of words or characters");
    if (model->normalises || model->removes_spaces)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program knows SentencePiece models that leave the text as it is; this one %s",
                 model->normalises ? "normalises it (precompiled_charsmap)"
                                   : "removes extra spaces (remove_extra_whitespaces)");
    if (!model->escapes_spaces || model->suffix)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "this program knows SentencePiece models that mark spaces before words; this one does not "
                 "(escape_whitespaces, treat_whitespace_as_suffix)");
done:
    return status;
}

/* Llama 3 calls a list of base64 words and ranks tokenizer.model too. */
static bool looks_like_tiktoken(const pfm_mapping *file)
{
    const char *text = (const char *)file->data;
    size_t length = 0;
    while (length < file->size && strchr("\n ", text[length]) == NULL && length < 512)
        length++;
    return length > 0 && length + 1 < file->size && text[length] == ' ' && text[length + 1] >= '0' && text[length + 1] <= '9';
}

/* What tokenizer_config.json says of spaces. transformers' LlamaTokenizer takes a missing "legacy" for false, others for true.
 */
static pfm_space_prefix find_prefix(const spm_model *model, const pfm_beside *beside)
{
    size_t length = 0;
    const char *name = pfm_beside_class(beside, &length);
    bool is_llama = name != NULL && length == strlen("LlamaTokenizer") && memcmp(name, "LlamaTokenizer", length) == 0;
    if (!pfm_member_flag(beside->config, "add_prefix_space", model->dummy_prefix))
        return PFM_SPACE_NONE;
    return pfm_member_flag(beside->config, "legacy", !is_llama) ? PFM_SPACE_EACH : PFM_SPACE_FIRST;
}

static pfm_status make(const spm_model *model, const pfm_beside *beside, pfm_tokenizer **out, pfm_error *err)
{
    const pfm_tokenizer_source source = {.model = "llama",
                                         .prefix = find_prefix(model, beside),
                                         .tokens = model->tokens,
                                         .types = model->types,
                                         .scores = model->scores,
                                         .token_count = model->count,
                                         .begin = model->begin,
                                         .end = model->end,
                                         .end_of_turn = -1,
                                         .unknown = model->unknown,
                                         .padding = model->padding};
    return pfm_tokenizer_begin_source(&source, out, err);
}

pfm_status pfm_tokenizer_load_sentencepiece(const char *path, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_tokenizer *tokenizer = NULL;
    pfm_mapping file = {0};
    pfm_beside beside = {0};
    pfm_error inner = PFM_ERROR_INIT; /* the readers know no path */
    spm_model model = {.kind = UNIGRAM,
                       .begin = 1,
                       .end = 2,
                       .padding = -1,
                       .dummy_prefix = true,
                       .removes_spaces = true,
                       .escapes_spaces = true}; /* what the format takes for granted */
    PFM_TRY(pfm_mapping_open(path, &file, err));
    if (looks_like_tiktoken(&file))
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s is a tiktoken file, not a SentencePiece model; put the model's tokenizer.json beside it", path);
    PFM_TRY(pfm_beside_open(path, &beside, err));
    static const unsigned char nothing[1]; /* an empty file has no bytes to point at */
    const unsigned char *bytes = file.size > 0 ? file.data : nothing;
    if (read_model(&model, (proto){bytes, bytes + file.size}, &inner) != PFM_OK ||
        make(&model, &beside, &tokenizer, &inner) != PFM_OK)
        PFM_FAIL(inner.code, "%s: %s", path, inner.message);
    PFM_TRY(pfm_beside_apply(&beside, tokenizer, err));
    PFM_TRY(pfm_tokenizer_seal(tokenizer, err));
    *out = tokenizer;
    tokenizer = NULL;
done:
    free_model(&model);
    pfm_beside_close(&beside);
    pfm_mapping_close(&file);
    pfm_tokenizer_free(tokenizer);
    return status;
}
