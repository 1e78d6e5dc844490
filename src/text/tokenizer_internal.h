/* Inside a tokenizer: what its files share. Text runs through normalise -> split at added tokens -> pre-tokenise -> model, each
 * a file; decoding is one file. */
#ifndef PFM_TEXT_TOKENIZER_INTERNAL_H
#define PFM_TEXT_TOKENIZER_INTERNAL_H

#include "base/map.h"
#include "text/tokenizer.h"

#include <jansson.h>

/* vocabulary.c: every token's text and id. */
typedef struct pfm_token {
    const char *text; /* NULL: a gap in the ids */
    uint32_t length;
    bool special, added;
} pfm_token;

typedef struct pfm_vocabulary {
    pfm_token *tokens; /* [size] */
    size_t size, capacity;
    pfm_map by_text;
    struct pfm_text_chunk *chunks; /* behind the texts */
} pfm_vocabulary;
/* Copies a token's text; an id that has one gets the new one, and a text that has an id moves to the new one. */
pfm_status pfm_vocabulary_set(pfm_vocabulary *vocabulary, const char *text, size_t length, int64_t id,
                              pfm_error *err) PFM_MUST_CHECK;
int32_t pfm_vocabulary_find(const pfm_vocabulary *vocabulary, const char *text, size_t length); /* -1: absent */
void pfm_vocabulary_free(pfm_vocabulary *vocabulary);

/* byte_alphabet.c: GPT-2's spelling of bytes as printable characters. */
size_t pfm_byte_spell(unsigned char byte, char out[4]); /* the bytes written, 1 or 2 */
int pfm_byte_read(uint32_t code);                       /* the byte that a character stands for, or -1 */

/* added_tokens.c: tokens found in the text before anything else is done to it. */
typedef struct pfm_added_token {
    const char *text; /* owned by its list */
    size_t length;
    int32_t id;
    bool special, normalized, single_word, left_strip, right_strip;
} pfm_added_token;

typedef struct pfm_added_tokens {
    pfm_added_token *items; /* sorted bytewise by pfm_added_tokens_sort */
    size_t count, capacity;
    bool has_special;
    size_t first[257]; /* items[first[b] .. first[b+1]) begin with byte b */
} pfm_added_tokens;
/* Copies the token with its text. */
pfm_status pfm_added_tokens_add(pfm_added_tokens *tokens, const pfm_added_token *token, pfm_error *err) PFM_MUST_CHECK;
/* Called once, before find. */
void pfm_added_tokens_sort(pfm_added_tokens *tokens);
/* A text and where special tokens are looked for in it: nowhere, or all but the plain runs. */
typedef struct pfm_searched {
    const char *text;
    size_t size;
    bool special;
    const pfm_text_run *plain; /* [plain_count] */
    size_t plain_count;
} pfm_searched;
/* The first token that stands at or behind `from`, the longest where several begin at one place, and what it takes of the text,
 * white space that it strips included, but nothing before `from`. NULL: there is none. Special tokens are passed over, with all
 * that stands inside them, where they are not looked for. */
const pfm_added_token *pfm_added_tokens_find(const pfm_added_tokens *tokens, const pfm_searched *in, size_t from, size_t *begin,
                                             size_t *end);
void pfm_added_tokens_free(pfm_added_tokens *tokens);

/* normalizer.c */
typedef struct pfm_normalizer pfm_normalizer;
/* *out = NULL for a JSON null. */
pfm_status pfm_normalizer_create(const json_t *definition, pfm_normalizer **out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_normalizer_run(const pfm_normalizer *normalizer, const char *text, size_t size, pfm_buffer *out,
                              pfm_error *err) PFM_MUST_CHECK; /* out is emptied first */
void pfm_normalizer_free(pfm_normalizer *normalizer);

/* pretokenizer.c: cuts a text into the words that the model sees. */
typedef struct pfm_pretokenizer pfm_pretokenizer;
typedef struct pfm_words {
    pfm_text_view *items;
    size_t count, capacity;
} pfm_words;
typedef struct pfm_split_scratch pfm_split_scratch; /* of one call of encode */
pfm_status pfm_pretokenizer_create(const json_t *definition, pfm_pretokenizer **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_pretokenizer_free(pfm_pretokenizer *pretokenizer);
bool pfm_pretokenizer_is_byte_level(const pfm_pretokenizer *pretokenizer);
pfm_status pfm_split_scratch_create(pfm_split_scratch **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_split_scratch_free(pfm_split_scratch *scratch);
/* *out = the words of a valid UTF-8 text, borrowed from it or from the scratch until the next call. begins_text: nothing stands
 * before it in what is encoded, no added token either. */
pfm_status pfm_pretokenizer_run(const pfm_pretokenizer *pretokenizer, pfm_split_scratch *scratch, const char *text, size_t size,
                                bool begins_text, const pfm_words **out, pfm_error *err) PFM_MUST_CHECK;

/* token_decoder.c */
typedef struct pfm_decoder pfm_decoder;
pfm_status pfm_decoder_create(const json_t *definition, pfm_decoder **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_decoder_free(pfm_decoder *decoder);

/* One way to turn words into ids: a file and a line in model_kinds.c. */
typedef struct pfm_model_kind {
    const char *json_name, *gguf_name; /* model.type in tokenizer.json, tokenizer.ggml.model; NULL: not there */
    /* The model's own part, from tokenizer.json's `model` (the vocabulary is filled already). */
    pfm_status (*create_json)(struct pfm_tokenizer *tokenizer, const json_t *model, void **out, pfm_error *err);
    pfm_status (*create_source)(struct pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, bool ignore_merges,
                                void **out, pfm_error *err);
    /* The pipeline of a source; NULL: its name is unknown. */
    const struct pfm_gguf_pre *(*find_pre)(const pfm_tokenizer_source *source);
    /* Sets "merges" and what else tokenizer.json's `model` says differently from its defaults. */
    pfm_status (*describe)(const struct pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, json_t *model,
                           pfm_error *err);
    void (*free)(void *model);
    /* Appends the ids of words, in order. */
    pfm_status (*encode)(const struct pfm_tokenizer *tokenizer, const pfm_words *words, pfm_ids *out, pfm_error *err);
} pfm_model_kind;
const pfm_model_kind *pfm_model_kind_find(const char *json_name, const char *gguf_name); /* by whichever is not NULL; or NULL */
extern const pfm_model_kind pfm_model_bpe, pfm_model_sentencepiece, pfm_model_wordpiece;

struct pfm_tokenizer {
    pfm_vocabulary vocabulary;
    pfm_added_tokens raw, normalized; /* found before and behind the normaliser */
    pfm_normalizer *normalizer;       /* NULL: none */
    pfm_pretokenizer *pretokenizer;
    pfm_decoder *decoder;
    const pfm_model_kind *kind;
    void *model; /* of the kind */
    int32_t begin, end, unknown, padding;
    char *chat_template; /* NULL: none */
};

/* Marks an id as an added token and files it to be found in texts; one that is filed already stays as it is. */
pfm_status pfm_tokenizer_add_token(pfm_tokenizer *tokenizer, const pfm_added_token *token, pfm_error *err) PFM_MUST_CHECK;
/* Reads "normalizer", "pre_tokenizer" and "decoder" of a tokenizer.json, or of what gguf_pre.c says of a GGUF's name. */
pfm_status pfm_tokenizer_set_pipeline(pfm_tokenizer *tokenizer, const json_t *document, pfm_error *err) PFM_MUST_CHECK;
/* Making one: from arrays (pfm_tokenizer_create) or a tokenizer.json as a value, then whatever else is known of it, then seal,
 * which sorts what is searched and checks the ids. */
pfm_status pfm_tokenizer_begin_source(const pfm_tokenizer_source *source, pfm_tokenizer **out, pfm_error *err) PFM_MUST_CHECK;
/* The kind of a source and the pipeline around it; UNSUPPORTED names the one that is not known. */
pfm_status pfm_tokenizer_find_kind(const pfm_tokenizer_source *source, const pfm_model_kind **kind,
                                   const struct pfm_gguf_pre **pre, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_tokenizer_begin_json(const char *path, const json_t *document, pfm_tokenizer **out,
                                    pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_tokenizer_seal(pfm_tokenizer *tokenizer, pfm_error *err) PFM_MUST_CHECK;

/* tokenizer_beside.c: the files that stand beside a vocabulary. */
typedef struct pfm_beside {
    json_t *config;  /* tokenizer_config.json, whole numbers as reals, or NULL */
    json_t *special; /* special_tokens_map.json, or NULL */
    json_t *added;   /* added_tokens.json, or NULL */
    char *folder;
} pfm_beside;
/* *out = those beside the file at `path`; release with pfm_beside_close, also after an error. */
pfm_status pfm_beside_open(const char *path, pfm_beside *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_beside_close(pfm_beside *beside);
/* The kind of tokenizer that tokenizer_config.json's tokenizer_class names, without a "Fast" behind; NULL: none is named. The
 * name has *length bytes. */
const char *pfm_beside_class(const pfm_beside *beside, size_t *length);
/* Adds the tokens that those files add, sets the roles that they name and takes the chat template. */
pfm_status pfm_beside_apply(const pfm_beside *beside, pfm_tokenizer *tokenizer, pfm_error *err) PFM_MUST_CHECK;

/* gguf_pre.c: the pipeline behind a tokenizer.ggml.pre, or of a SentencePiece model, as tokenizer.json would write it; NULL:
 * unknown. */
typedef struct pfm_gguf_pre {
    const char *name, *pipeline;
    bool ignore_merges;
} pfm_gguf_pre;
const pfm_gguf_pre *pfm_gguf_pre_find(const char *name);
const pfm_gguf_pre *pfm_sentencepiece_pre(pfm_space_prefix prefix);

/* Members of the definitions in a tokenizer.json. */
static inline const char *pfm_member_text(const json_t *object, const char *key) /* NULL: absent or no string */
{
    return json_string_value(json_object_get(object, key));
}

static inline bool pfm_member_flag(const json_t *object, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

#endif
