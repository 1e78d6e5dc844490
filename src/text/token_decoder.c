/* Tokens back to text: the byte alphabet, or the chain Replace*, ByteFallback, Fuse, Strip that LLaMA's tokenizer.json has, or
 * BERT's WordPiece, where a space stands before each token that does not go on with a word.
 * There is one path: decoding a list is a stream that gets all ids at once. */
#include "text/tokenizer_internal.h"

#include "base/try.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

typedef struct replacement {
    char *from, *to;
} replacement;

struct pfm_decoder {
    bool bytes; /* the byte alphabet; the rest is then unused */
    replacement *replacements;
    size_t count, capacity;
    bool byte_fallback, fuse;
    char *prefix; /* WordPiece: what a token begins with that goes on with a word; NULL: none of that kind */
    bool cleanup; /* WordPiece: no space before marks and ends of English words */
    char *strip;  /* NULL, or what is taken off the beginning, at most strip_count times */
    size_t strip_count;
};

struct pfm_text_stream {
    const pfm_tokenizer *tokenizer;
    bool skip_special;
    pfm_buffer held; /* bytes that may still become a character */
    pfm_buffer run;  /* byte-fallback tokens that follow each other */
    size_t stripped;
    bool begun;
    bool spaced; /* WordPiece: a token came before */
};

static pfm_status add_replacement(pfm_decoder *decoder, const json_t *definition, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *from = pfm_member_text(json_object_get(definition, "pattern"), "String"),
               *to = pfm_member_text(definition, "content");
    if (from == NULL || from[0] == '\0' || to == NULL || decoder->byte_fallback)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "a decoder of type Replace has no plain string, or stands behind ByteFallback");
    PFM_TRY(
        pfm_array_reserve(&decoder->replacements, &decoder->capacity, decoder->count + 1, sizeof *decoder->replacements, err));
    replacement *added = &decoder->replacements[decoder->count++];
    *added = (replacement){0};
    PFM_TRY(pfm_string_copy(from, &added->from, err));
    PFM_TRY(pfm_string_copy(to, &added->to, err));
done:
    return status;
}

static pfm_status set_strip(pfm_decoder *decoder, const json_t *definition, pfm_error *err)
{
    const json_t *start = json_object_get(definition, "start"), *stop = json_object_get(definition, "stop");
    const char *content = pfm_member_text(definition, "content");
    if (content == NULL || !json_is_integer(start) || json_integer_value(start) < 0 || json_integer_value(stop) != 0 ||
        !decoder->fuse || decoder->strip != NULL)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "a decoder of type Strip takes something off the end, or stands before Fuse");
    decoder->strip_count = (size_t)json_integer_value(start);
    return pfm_string_copy(content, &decoder->strip, err);
}

static pfm_status set_wordpiece(pfm_decoder *decoder, const json_t *definition, pfm_error *err)
{
    const char *prefix = pfm_member_text(definition, "prefix");
    if (decoder->prefix != NULL || decoder->count > 0 || decoder->byte_fallback || decoder->fuse)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "a decoder of type WordPiece stands behind another");
    decoder->cleanup = pfm_member_flag(definition, "cleanup", true);
    return pfm_string_copy(prefix == NULL ? "##" : prefix, &decoder->prefix, err);
}

static pfm_status add_part(pfm_decoder *decoder, const json_t *definition, int depth, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *type = pfm_member_text(definition, "type");
    if (type == NULL || depth > 8)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "the tokenizer has no decoder of a known type");
    if (decoder->bytes || decoder->prefix != NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program does not know a decoder of type %s behind %s", type,
                 decoder->bytes ? "ByteLevel" : "WordPiece");
    if (strcmp(type, "Sequence") == 0) {
        size_t index;
        json_t *part;
        json_array_foreach(json_object_get(definition, "decoders"), index, part)
            PFM_TRY(add_part(decoder, part, depth + 1, err));
    } else if (strcmp(type, "ByteLevel") == 0 && decoder->count == 0 && !decoder->byte_fallback && !decoder->fuse) {
        decoder->bytes = true;
    } else if (strcmp(type, "WordPiece") == 0) {
        status = set_wordpiece(decoder, definition, err);
    } else if (strcmp(type, "Replace") == 0) {
        status = add_replacement(decoder, definition, err);
    } else if (strcmp(type, "ByteFallback") == 0 && !decoder->fuse) {
        decoder->byte_fallback = true;
    } else if (strcmp(type, "Fuse") == 0) {
        decoder->fuse = true;
    } else if (strcmp(type, "Strip") == 0) {
        status = set_strip(decoder, definition, err);
    } else {
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program does not know a decoder of type %s at this place", type);
    }
done:
    return status;
}

pfm_status pfm_decoder_create(const json_t *definition, pfm_decoder **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_decoder *decoder = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *decoder, &decoder, err));
    PFM_TRY(add_part(decoder, definition, 0, err));
    *out = decoder;
    decoder = NULL;
done:
    pfm_decoder_free(decoder);
    return status;
}

void pfm_decoder_free(pfm_decoder *decoder)
{
    if (decoder == NULL)
        return;
    for (size_t i = 0; i < decoder->count; i++) {
        free(decoder->replacements[i].from);
        free(decoder->replacements[i].to);
    }
    free(decoder->replacements);
    free(decoder->strip);
    free(decoder->prefix);
    free(decoder);
}

/* Appends what is whole of the held bytes; all of them at the end. */
static pfm_status release(pfm_text_stream *stream, bool all, pfm_buffer *out, pfm_error *err)
{
    pfm_buffer *held = &stream->held;
    size_t keep = all ? 0 : pfm_utf8_pending(held->data, held->size);
    pfm_status status = pfm_utf8_append_repaired(out, held->data, held->size - keep, err);
    if (status == PFM_OK && held->size > keep) {
        memmove(held->data, held->data + held->size - keep, keep);
        held->size = keep;
    }
    return status;
}

/* A token of the byte alphabet; one that has any other character stands for its own text. */
static pfm_status hold_bytes(pfm_text_stream *stream, const pfm_token *token, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t size = stream->held.size;
    for (size_t i = 0, length; i < token->length; i += length) {
        int byte = pfm_byte_read(pfm_utf8_decode(token->text + i, token->length - i, &length));
        if (byte < 0) {
            stream->held.size = size;
            return pfm_buffer_append(&stream->held, token->text, token->length, err);
        }
        PFM_TRY(pfm_buffer_append(&stream->held, &(char){(char)byte}, 1, err));
    }
done:
    return status;
}

/* The value of "<0x41>", or -1. */
static int fallback_byte(const char *text, size_t length)
{
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    int value = 0;
    for (int i = 3; i < 5; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = strchr(digits, text[i] | 0x20);
        if (text[i] == '\0' || digit == NULL)
            return -1;
        value = value * 16 + (int)(digit - digits);
    }
    return value;
}

static pfm_status hold_text(pfm_text_stream *stream, const char *text, size_t length, pfm_error *err)
{
    const pfm_decoder *decoder = stream->tokenizer->decoder;
    size_t strip = decoder->strip == NULL ? 0 : strlen(decoder->strip);
    while (strip > 0 && !stream->begun && stream->stripped < decoder->strip_count && length >= strip &&
           memcmp(text, decoder->strip, strip) == 0) {
        text += strip;
        length -= strip;
        stream->stripped++;
    }
    stream->begun = stream->begun || length > 0;
    return pfm_buffer_append(&stream->held, text, length, err);
}

/* The bytes of a run are a text if they are one as a whole, else a U+FFFD each. */
static pfm_status end_run(pfm_text_stream *stream, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (pfm_utf8_valid(stream->run.data, stream->run.size))
        PFM_TRY(hold_text(stream, stream->run.data, stream->run.size, err));
    else {
        for (size_t i = 0; i < stream->run.size; i++)
            PFM_TRY(hold_text(stream, "\xef\xbf\xbd", 3, err));
    }
    pfm_buffer_clear(&stream->run);
done:
    return status;
}

static pfm_status replace_all(const replacement *rule, pfm_buffer *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer result = {0};
    const char *at = text->data;
    for (const char *hit; at != NULL && (hit = strstr(at, rule->from)) != NULL; at = hit + strlen(rule->from)) {
        PFM_TRY(pfm_buffer_append(&result, at, (size_t)(hit - at), err));
        PFM_TRY(pfm_buffer_append_string(&result, rule->to, err));
    }
    PFM_TRY(pfm_buffer_append(&result, at, text->size - (size_t)(at - text->data), err));
    pfm_buffer swap = *text;
    *text = result;
    result = swap;
done:
    pfm_buffer_free(&result);
    return status;
}

static pfm_status hold_chain(pfm_text_stream *stream, const pfm_token *token, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    const pfm_decoder *decoder = stream->tokenizer->decoder;
    PFM_TRY(pfm_buffer_append(&text, token->text, token->length, err));
    for (size_t i = 0; i < decoder->count; i++)
        PFM_TRY(replace_all(&decoder->replacements[i], &text, err));
    int byte = decoder->byte_fallback ? fallback_byte(text.data, text.size) : -1;
    if (byte >= 0) {
        PFM_TRY(pfm_buffer_append(&stream->run, &(char){(char)byte}, 1, err));
    } else {
        PFM_TRY(end_run(stream, err));
        PFM_TRY(hold_text(stream, text.data, text.size, err));
    }
done:
    pfm_buffer_free(&text);
    return status;
}

/* The first token stands as it is, with its prefix. */
static pfm_status hold_piece(pfm_text_stream *stream, const pfm_token *token, pfm_error *err)
{
    static const char *const close[] = {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"};
    pfm_status status = PFM_OK;
    const pfm_decoder *decoder = stream->tokenizer->decoder;
    const size_t prefix = strlen(decoder->prefix);
    const bool goes_on = token->length >= prefix && memcmp(token->text, decoder->prefix, prefix) == 0;
    bool space = stream->spaced && !goes_on;
    for (size_t i = 0; i < sizeof close / sizeof close[0] && decoder->cleanup; i++)
        space = space && !(token->length >= strlen(close[i]) && memcmp(token->text, close[i], strlen(close[i])) == 0);
    const size_t skipped = stream->spaced && goes_on ? prefix : 0;
    if (space)
        PFM_TRY(pfm_buffer_append(&stream->held, " ", 1, err));
    PFM_TRY(pfm_buffer_append(&stream->held, token->text + skipped, token->length - skipped, err));
    stream->spaced = true;
done:
    return status;
}

pfm_status pfm_text_stream_create(const pfm_tokenizer *tokenizer, bool skip_special, pfm_text_stream **out, pfm_error *err)
{
    pfm_status status = pfm_allocate(1, sizeof **out, out, err);
    if (status == PFM_OK)
        **out = (pfm_text_stream){.tokenizer = tokenizer, .skip_special = skip_special};
    return status;
}

void pfm_text_stream_free(pfm_text_stream *stream)
{
    if (stream == NULL)
        return;
    pfm_buffer_free(&stream->held);
    pfm_buffer_free(&stream->run);
    free(stream);
}

static pfm_status hold(pfm_text_stream *stream, const pfm_token *token, pfm_error *err)
{
    const pfm_decoder *decoder = stream->tokenizer->decoder;
    return decoder->bytes            ? hold_bytes(stream, token, err)
           : decoder->prefix != NULL ? hold_piece(stream, token, err)
                                     : hold_chain(stream, token, err);
}

pfm_status pfm_text_stream_put(pfm_text_stream *stream, int32_t id, pfm_buffer *out, pfm_error *err)
{
    const pfm_vocabulary *vocabulary = &stream->tokenizer->vocabulary;
    if (id < 0 || (size_t)id >= vocabulary->size || vocabulary->tokens[id].text == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "token id %d is not in the vocabulary, which has ids from 0 to %zu", id,
                             vocabulary->size - 1);
    const pfm_token *token = &vocabulary->tokens[id];
    if (token->special && stream->skip_special)
        return PFM_OK;
    const pfm_status status = hold(stream, token, err);
    return status == PFM_OK ? release(stream, false, out, err) : status;
}

pfm_status pfm_tokenizer_token_bytes(const pfm_tokenizer *tokenizer, int32_t id, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_vocabulary *vocabulary = &tokenizer->vocabulary;
    pfm_text_stream stream = {.tokenizer = tokenizer, .begun = true, .spaced = true};
    if (id < 0 || (size_t)id >= vocabulary->size || vocabulary->tokens[id].text == NULL || vocabulary->tokens[id].special)
        return PFM_OK;
    PFM_TRY(hold(&stream, &vocabulary->tokens[id], err));
    PFM_TRY(pfm_buffer_append(out, stream.held.data, stream.held.size, err));
    PFM_TRY(pfm_buffer_append(out, stream.run.data, stream.run.size, err)); /* what stands for a byte */
done:
    pfm_buffer_free(&stream.held);
    pfm_buffer_free(&stream.run);
    return status;
}

pfm_status pfm_text_stream_finish(pfm_text_stream *stream, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = end_run(stream, err);
    if (status == PFM_OK)
        status = release(stream, true, out, err);
    stream->begun = stream->spaced = false;
    stream->stripped = 0;
    return status;
}

pfm_status pfm_tokenizer_decode(const pfm_tokenizer *tokenizer, const int32_t *ids, size_t count, bool skip_special,
                                pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t size = out->size;
    pfm_text_stream stream = {.tokenizer = tokenizer, .skip_special = skip_special};
    for (size_t i = 0; i < count; i++)
        PFM_TRY(pfm_text_stream_put(&stream, ids[i], out, err));
    PFM_TRY(pfm_text_stream_finish(&stream, out, err));
done:
    if (status != PFM_OK && out->data != NULL) {
        out->size = size;
        out->data[size] = '\0';
    }
    pfm_buffer_free(&stream.held);
    pfm_buffer_free(&stream.run);
    return status;
}
