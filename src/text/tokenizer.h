/* Text to token ids and back, and the chat template of a model.
 *
 * A tokenizer is made from a tokenizer.json (Hugging Face tokenizers' format) or from the arrays of a GGUF file
 * (pfm_tokenizer_source; models/language/tokenizer_load.h opens either by path). It gives the ids and the text that
 * transformers gives: no special tokens are added, and no spaces are cleaned up.
 *
 * Invalid UTF-8 in a text to encode is read as Python's errors="replace" reads it: U+FFFD for each ill-formed part.
 * Threads: a tokenizer does not change once made; any number of threads may use it at once. */
#ifndef PFM_TEXT_TOKENIZER_H
#define PFM_TEXT_TOKENIZER_H

#include "base/memory.h"

#include <stdbool.h>

typedef struct pfm_tokenizer pfm_tokenizer;

/* A growing list of token ids. Start with {0}; release with pfm_ids_free. */
typedef struct pfm_ids {
    int32_t *data;
    size_t count, capacity;
} pfm_ids;
pfm_status pfm_ids_append(pfm_ids *ids, int32_t id, pfm_error *err) PFM_MUST_CHECK;
void pfm_ids_free(pfm_ids *ids);

/* A run of bytes that someone else owns; not ended by a NUL. */
typedef struct pfm_text_view {
    const char *data;
    size_t length;
} pfm_text_view;

/* GGUF's token types. */
enum {
    PFM_TOKEN_NORMAL = 1,
    PFM_TOKEN_UNKNOWN = 2,
    PFM_TOKEN_CONTROL = 3,
    PFM_TOKEN_USER_DEFINED = 4,
    PFM_TOKEN_UNUSED = 5,
    PFM_TOKEN_BYTE = 6
};

/* Where SentencePiece puts a space that the text does not have: before each part between special tokens, before the text if it
 * begins with no space and no special token (what transformers calls legacy: false), nowhere. */
typedef enum pfm_space_prefix { PFM_SPACE_EACH, PFM_SPACE_FIRST, PFM_SPACE_NONE } pfm_space_prefix;

/* What a GGUF file says of its tokenizer. Everything is borrowed for the call of pfm_tokenizer_create only. Ids are -1 where
 * the file has none. */
typedef struct pfm_tokenizer_source {
    const char *model;           /* tokenizer.ggml.model: "gpt2", bytes by merges, or "llama", SentencePiece by scores */
    const char *pre;             /* tokenizer.ggml.pre: "smollm"; NULL is "default"; of "gpt2" alone */
    const pfm_text_view *tokens; /* [token_count]; the index is the id */
    const int32_t *types;        /* [token_count] PFM_TOKEN_*, or NULL: all are normal */
    const float *scores;         /* [token_count] of "llama": the best is joined first; or NULL */
    pfm_space_prefix prefix;     /* of "llama" alone */
    size_t token_count;
    const pfm_text_view *merges; /* [merge_count] "left right", best first */
    size_t merge_count;
    int32_t begin, end, end_of_turn, unknown, padding; /* bos, eos, eot, unk, pad */
    const char *chat_template;                         /* NULL: none */
} pfm_tokenizer_source;

/* UNSUPPORTED names a model or pre-tokenizer that this program does not know; FORMAT a merge or id that does not fit the
 * vocabulary. The caller frees *out. */
pfm_status pfm_tokenizer_create(const pfm_tokenizer_source *source, pfm_tokenizer **out, pfm_error *err) PFM_MUST_CHECK;
/* Writes the tokenizer.json that says the same, with its chat template and roles left out. */
pfm_status pfm_tokenizer_write_json(const pfm_tokenizer_source *source, const char *path, pfm_error *err) PFM_MUST_CHECK;
/* From a tokenizer.json; tokenizer_config.json and chat_template.jinja beside it give the end of turn and the chat template
 * where they exist. UNSUPPORTED names the part that this program does not know. */
pfm_status pfm_tokenizer_load_json(const char *path, pfm_tokenizer **out, pfm_error *err) PFM_MUST_CHECK;
/* From a SentencePiece file (tokenizer.model) of the BPE kind, with tokenizer_config.json ("legacy"), added_tokens.json and
 * special_tokens_map.json beside it where they exist. UNSUPPORTED: a unigram model, a normalising one, a tiktoken file. */
pfm_status pfm_tokenizer_load_sentencepiece(const char *path, pfm_tokenizer **out, pfm_error *err) PFM_MUST_CHECK;
/* From a vocab.json and the merges.txt beside it; tokenizer_config.json beside them, or else config.json, must say whose. */
pfm_status pfm_tokenizer_load_merges(const char *path, pfm_tokenizer **out, pfm_error *err) PFM_MUST_CHECK;
/* From a vocab.txt, a WordPiece vocabulary with a token a line; what tokenizer_config.json beside it says of BERT's text
 * (do_lower_case, strip_accents, tokenize_chinese_chars) holds. */
pfm_status pfm_tokenizer_load_wordpiece(const char *path, pfm_tokenizer **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_tokenizer_free(pfm_tokenizer *tokenizer);

/* One more than the largest id. */
size_t pfm_tokenizer_vocabulary(const pfm_tokenizer *tokenizer);
/* The id of a token as the vocabulary spells it ("<|im_end|>", "\u0120the" for " the"), or -1. */
int32_t pfm_tokenizer_id(const pfm_tokenizer *tokenizer, const char *token);
/* The id that ends the model's turn, or -1 where the model names none. */
int32_t pfm_tokenizer_end(const pfm_tokenizer *tokenizer);
/* The token that begins every text ("<s>"), or "" where the model has none. A chat template writes it where it is wanted;
 * nothing else puts it in. */
const char *pfm_tokenizer_begin_text(const pfm_tokenizer *tokenizer);

/* Appends the ids of `length` bytes of text. With parse_special, special tokens that the text spells out ("<|im_end|>") become
 * their ids; without, they are text like any other (what a user typed should be encoded so). Added tokens that are not special
 * are always found. A character for which the vocabulary has neither token nor unknown token gives nothing, as in transformers.
 * On error `out` is as before. */
pfm_status pfm_tokenizer_encode(const pfm_tokenizer *tokenizer, const char *text, size_t length, bool parse_special,
                                pfm_ids *out, pfm_error *err) PFM_MUST_CHECK;
/* The same for a text that has a history: `continues` says that something that is no text (an image) stands before it, and
 * special tokens are not looked for in the plain runs, which a person wrote; it is still one text, in which tokens may
 * reach over those places. */
typedef struct pfm_text_run {
    size_t begin, end; /* bytes */
} pfm_text_run;
typedef struct pfm_text_part {
    const char *text;
    size_t length;
    bool parse_special, continues;
    const pfm_text_run *plain; /* [plain_count] in their order, none over another */
    size_t plain_count;
} pfm_text_part;
pfm_status pfm_tokenizer_encode_part(const pfm_tokenizer *tokenizer, const pfm_text_part *part, pfm_ids *out,
                                     pfm_error *err) PFM_MUST_CHECK;
/* Appends the text of the ids, always valid UTF-8 (bytes that form no character become U+FFFD); with skip_special without the
 * special tokens. USAGE names an id outside of the vocabulary; `out` is then as before. */
pfm_status pfm_tokenizer_decode(const pfm_tokenizer *tokenizer, const int32_t *ids, size_t count, bool skip_special,
                                pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

/* Appends the bytes that a token stands for within a text, which need not be whole characters; of a special token, and of an id
 * that is none, nothing. */
pfm_status pfm_tokenizer_token_bytes(const pfm_tokenizer *tokenizer, int32_t id, pfm_buffer *out,
                                     pfm_error *err) PFM_MUST_CHECK;

/* The same, id by id, for an answer shown while it is made: put appends what is certain by now and holds back what later ids
 * can still change (half a character); finish appends the rest. All that was appended equals pfm_tokenizer_decode of all ids.
 * The tokenizer is borrowed until the stream is freed. A stream belongs to one thread. */
typedef struct pfm_text_stream pfm_text_stream;
pfm_status pfm_text_stream_create(const pfm_tokenizer *tokenizer, bool skip_special, pfm_text_stream **out,
                                  pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_text_stream_put(pfm_text_stream *stream, int32_t id, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_text_stream_finish(pfm_text_stream *stream, pfm_buffer *out,
                                  pfm_error *err) PFM_MUST_CHECK; /* then put starts anew */
void pfm_text_stream_free(pfm_text_stream *stream);

typedef struct pfm_chat_message {
    const char *role, *content; /* UTF-8, ended by NUL */
} pfm_chat_message;
/* Appends what transformers' apply_chat_template(messages, tokenize=False, add_generation_prompt=generation_prompt) gives with
 * the model's own template. USAGE: no messages, or the template itself refuses them (raise_exception); UNSUPPORTED: the model
 * has no template, or it uses a construct, named in the error, that this program does not know. `out` is then as before. */
pfm_status pfm_chat_render(const pfm_tokenizer *tokenizer, const pfm_chat_message *messages, size_t count,
                           bool generation_prompt, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
