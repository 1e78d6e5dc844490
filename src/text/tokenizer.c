#include "text/tokenizer_internal.h"

#include "base/try.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

pfm_status pfm_ids_append(pfm_ids *ids, int32_t id, pfm_error *err)
{
    pfm_status status = pfm_array_reserve(&ids->data, &ids->capacity, ids->count + 1, sizeof *ids->data, err);
    if (status == PFM_OK)
        ids->data[ids->count++] = id;
    return status;
}

void pfm_ids_free(pfm_ids *ids)
{
    if (ids == NULL)
        return;
    free(ids->data);
    *ids = (pfm_ids){0};
}

void pfm_tokenizer_free(pfm_tokenizer *tokenizer)
{
    if (tokenizer == NULL)
        return;
    if (tokenizer->kind != NULL)
        tokenizer->kind->free(tokenizer->model);
    pfm_vocabulary_free(&tokenizer->vocabulary);
    pfm_added_tokens_free(&tokenizer->raw);
    pfm_added_tokens_free(&tokenizer->normalized);
    pfm_normalizer_free(tokenizer->normalizer);
    pfm_pretokenizer_free(tokenizer->pretokenizer);
    pfm_decoder_free(tokenizer->decoder);
    free(tokenizer->chat_template);
    free(tokenizer);
}

size_t pfm_tokenizer_vocabulary(const pfm_tokenizer *tokenizer) { return tokenizer->vocabulary.size; }

int32_t pfm_tokenizer_id(const pfm_tokenizer *tokenizer, const char *token)
{
    return pfm_vocabulary_find(&tokenizer->vocabulary, token, strlen(token));
}

int32_t pfm_tokenizer_end(const pfm_tokenizer *tokenizer) { return tokenizer->end; }

const char *pfm_tokenizer_begin_text(const pfm_tokenizer *tokenizer)
{
    const char *text = tokenizer->begin < 0 ? NULL : tokenizer->vocabulary.tokens[tokenizer->begin].text;
    return text != NULL ? text : "";
}

pfm_status pfm_tokenizer_set_pipeline(pfm_tokenizer *tokenizer, const json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_normalizer_create(json_object_get(document, "normalizer"), &tokenizer->normalizer, err));
    PFM_TRY(pfm_pretokenizer_create(json_object_get(document, "pre_tokenizer"), &tokenizer->pretokenizer, err));
    PFM_TRY(pfm_decoder_create(json_object_get(document, "decoder"), &tokenizer->decoder, err));
done:
    return status;
}

pfm_status pfm_tokenizer_add_token(pfm_tokenizer *tokenizer, const pfm_added_token *token, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    pfm_added_token added = *token;
    if (tokenizer->vocabulary.tokens[token->id].added)
        return PFM_OK;
    tokenizer->vocabulary.tokens[token->id].special = token->special;
    if (token->normalized && tokenizer->normalizer != NULL) { /* then it is found in what the normaliser made */
        PFM_TRY(pfm_normalizer_run(tokenizer->normalizer, token->text, token->length, &text, err));
        added.text = text.data;
        added.length = text.size;
    }
    if (added.length == 0 || !pfm_utf8_valid(added.text, added.length))
        goto done; /* no text has it */
    bool later = token->normalized && tokenizer->normalizer != NULL;
    PFM_TRY(pfm_added_tokens_add(later ? &tokenizer->normalized : &tokenizer->raw, &added, err));
    tokenizer->vocabulary.tokens[token->id].added = true;
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_tokenizer_seal(pfm_tokenizer *tokenizer, pfm_error *err)
{
    const int32_t ids[] = {tokenizer->begin, tokenizer->end, tokenizer->unknown, tokenizer->padding};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (ids[i] < -1 || (ids[i] >= 0 && (size_t)ids[i] >= tokenizer->vocabulary.size))
            return pfm_error_set(err, PFM_ERROR_FORMAT,
                                 "the tokenizer names token %d as one with a role, but its vocabulary has %zu", ids[i],
                                 tokenizer->vocabulary.size);
    }
    pfm_added_tokens_sort(&tokenizer->raw);
    pfm_added_tokens_sort(&tokenizer->normalized);
    return PFM_OK;
}

static pfm_status add_source_tokens(pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < source->token_count; i++)
        PFM_TRY(pfm_vocabulary_set(&tokenizer->vocabulary, source->tokens[i].data, source->tokens[i].length, (int64_t)i, err));
    for (size_t i = 0; i < source->token_count && source->types != NULL; i++) {
        bool special = source->types[i] == PFM_TOKEN_CONTROL || source->types[i] == PFM_TOKEN_UNKNOWN;
        if (!special && source->types[i] != PFM_TOKEN_USER_DEFINED)
            continue;
        pfm_added_token token = {
            .text = source->tokens[i].data, .length = source->tokens[i].length, .id = (int32_t)i, .special = special};
        PFM_TRY(pfm_tokenizer_add_token(tokenizer, &token, err));
    }
done:
    return status;
}

pfm_status pfm_tokenizer_find_kind(const pfm_tokenizer_source *source, const pfm_model_kind **kind, const pfm_gguf_pre **pre,
                                   pfm_error *err)
{
    *kind = pfm_model_kind_find(NULL, source->model);
    if (*kind == NULL)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "this program does not know tokenizers of the kind \"%s\" (tokenizer.ggml.model)", source->model);
    *pre = (*kind)->find_pre(source);
    if (*pre == NULL)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "this program does not know the pre-tokenizer \"%s\" (tokenizer.ggml.pre)", source->pre);
    return PFM_OK;
}

pfm_status pfm_tokenizer_begin_source(const pfm_tokenizer_source *source, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_tokenizer *tokenizer = NULL;
    json_t *pipeline = NULL;
    const pfm_gguf_pre *pre = NULL;
    const pfm_model_kind *kind = NULL;
    PFM_TRY(pfm_tokenizer_find_kind(source, &kind, &pre, err));
    PFM_TRY(pfm_allocate(1, sizeof *tokenizer, &tokenizer, err));
    pipeline = json_loads(pre->pipeline, 0, NULL);
    if (pipeline == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not prepare the pre-tokenizer \"%s\"", pre->name);
    PFM_TRY(pfm_tokenizer_set_pipeline(tokenizer, pipeline, err));
    PFM_TRY(add_source_tokens(tokenizer, source, err));
    PFM_TRY(kind->create_source(tokenizer, source, pre->ignore_merges, &tokenizer->model, err));
    tokenizer->kind = kind;
    tokenizer->begin = source->begin;
    tokenizer->end = source->end_of_turn >= 0 ? source->end_of_turn : source->end;
    tokenizer->unknown = source->unknown;
    tokenizer->padding = source->padding;
    if (source->chat_template != NULL)
        PFM_TRY(pfm_string_copy(source->chat_template, &tokenizer->chat_template, err));
    *out = tokenizer;
    tokenizer = NULL;
done:
    json_decref(pipeline);
    pfm_tokenizer_free(tokenizer);
    return status;
}

pfm_status pfm_tokenizer_create(const pfm_tokenizer_source *source, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_tokenizer *tokenizer = NULL;
    PFM_TRY(pfm_tokenizer_begin_source(source, &tokenizer, err));
    PFM_TRY(pfm_tokenizer_seal(tokenizer, err));
    *out = tokenizer;
    tokenizer = NULL;
done:
    pfm_tokenizer_free(tokenizer);
    return status;
}

/* What one call of encode carries. */
typedef struct encoding {
    const pfm_tokenizer *tokenizer;
    bool special;
    bool begins_text; /* nothing stands before what is encoded now, no added token either */
    pfm_split_scratch *split;
    pfm_buffer normal;
    pfm_ids *out;
} encoding;

static pfm_status encode_plain(encoding *e, const char *text, size_t size, pfm_error *err)
{
    const pfm_words *words = NULL;
    if (size == 0)
        return PFM_OK;
    pfm_status status = pfm_pretokenizer_run(e->tokenizer->pretokenizer, e->split, text, size, e->begins_text, &words, err);
    return status != PFM_OK ? status : e->tokenizer->kind->encode(e->tokenizer, words, e->out, err);
}

/* Encodes a text with the tokens of one list cut out of it; `rest` encodes what stands between them. */
static pfm_status encode_around(encoding *e, const pfm_added_tokens *tokens, const pfm_searched *in,
                                pfm_status (*rest)(encoding *e, const char *text, size_t size, pfm_error *err), pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t done_to = 0, begin, end;
    const pfm_added_token *token;
    while ((token = pfm_added_tokens_find(tokens, in, done_to, &begin, &end)) != NULL) {
        PFM_TRY(rest(e, in->text + done_to, begin - done_to, err));
        PFM_TRY(pfm_ids_append(e->out, token->id, err));
        e->begins_text = false;
        done_to = end;
    }
    PFM_TRY(rest(e, in->text + done_to, in->size - done_to, err));
done:
    return status;
}

static pfm_status encode_normal(encoding *e, const char *text, size_t size, pfm_error *err)
{
    if (size == 0 || e->tokenizer->normalizer == NULL)
        return encode_plain(e, text, size, err);
    pfm_status status = pfm_normalizer_run(e->tokenizer->normalizer, text, size, &e->normal, err);
    if (status != PFM_OK)
        return status;
    const pfm_searched in = {.text = e->normal.data, .size = e->normal.size, .special = e->special};
    return encode_around(e, &e->tokenizer->normalized, &in, encode_plain, err);
}

/* A run of a text in which special tokens are looked for everywhere or nowhere. */
static pfm_status encode_run(encoding *e, const pfm_searched *in, size_t begin, size_t end, bool special, pfm_error *err)
{
    const pfm_searched run = {.text = in->text + begin, .size = end - begin, .special = special};
    e->special = special;
    pfm_status status = encode_around(e, &e->tokenizer->raw, &run, encode_normal, err);
    e->begins_text = e->begins_text && run.size == 0;
    return status;
}

/* One text or part of one, in valid UTF-8. */
static pfm_status encode_searched(encoding *e, const pfm_searched *in, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t at = 0;
    bool plain = false;
    for (size_t i = 0; i < in->plain_count; i++)
        plain = plain || in->plain[i].end > in->plain[i].begin;
    e->special = in->special;
    if (!(in->special && plain && e->tokenizer->normalized.has_special))
        return encode_around(e, &e->tokenizer->raw, in, encode_normal, err);
    for (size_t i = 0; i < in->plain_count; i++) { /* what a normaliser made has other places, so each run goes alone */
        PFM_TRY(encode_run(e, in, at, in->plain[i].begin, true, err));
        PFM_TRY(encode_run(e, in, in->plain[i].begin, in->plain[i].end, false, err));
        at = in->plain[i].end;
    }
    PFM_TRY(encode_run(e, in, at, in->size, true, err));
done:
    return status;
}

/* Repairs the runs of a text one by one, so that the places of the plain ones stay known. */
static pfm_status repair(pfm_searched *in, pfm_buffer *out, pfm_text_run **runs, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t at = 0;
    PFM_TRY(pfm_allocate(in->plain_count, sizeof **runs, runs, err));
    for (size_t i = 0; i < in->plain_count; i++) {
        PFM_TRY(pfm_utf8_append_repaired(out, in->text + at, in->plain[i].begin - at, err));
        (*runs)[i].begin = out->size;
        at = in->plain[i].end;
        PFM_TRY(pfm_utf8_append_repaired(out, in->text + in->plain[i].begin, at - in->plain[i].begin, err));
        (*runs)[i].end = out->size;
    }
    PFM_TRY(pfm_utf8_append_repaired(out, in->text + at, in->size - at, err));
    *in = (pfm_searched){out->data, out->size, in->special, *runs, in->plain_count};
done:
    return status;
}

pfm_status pfm_tokenizer_encode_part(const pfm_tokenizer *tokenizer, const pfm_text_part *part, pfm_ids *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_searched in = {part->text, part->length, part->parse_special, part->plain, part->plain_count};
    encoding e = {.tokenizer = tokenizer, .begins_text = !part->continues, .out = out};
    pfm_buffer repaired = {0};
    size_t count = out->count;
    pfm_text_run *runs = NULL;
    for (size_t i = 0; i < part->plain_count; i++)
        assert((i == 0 || part->plain[i - 1].end <= part->plain[i].begin) && part->plain[i].begin <= part->plain[i].end &&
               part->plain[i].end <= part->length);
    if (!pfm_utf8_valid(in.text, in.size))
        PFM_TRY(repair(&in, &repaired, &runs, err));
    PFM_TRY(pfm_split_scratch_create(&e.split, err));
    PFM_TRY(encode_searched(&e, &in, err));
done:
    if (status != PFM_OK)
        out->count = count;
    pfm_split_scratch_free(e.split);
    pfm_buffer_free(&e.normal);
    pfm_buffer_free(&repaired);
    free(runs);
    return status;
}

pfm_status pfm_tokenizer_encode(const pfm_tokenizer *tokenizer, const char *text, size_t length, bool parse_special,
                                pfm_ids *out, pfm_error *err)
{
    const pfm_text_part part = {.text = text, .length = length, .parse_special = parse_special};
    return pfm_tokenizer_encode_part(tokenizer, &part, out, err);
}
