/* WordPiece (Schuster and Nakajima 2012; Devlin et al. 2019): of a word the longest token that it begins with, then of what is
 * left the longest that goes on with a word ("##ing"); a word that cannot be spelled so, or is too long, is one unknown token.
 */
#include "text/tokenizer_internal.h"

#include "base/try.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

typedef struct wordpiece_model {
    int32_t unknown;
    size_t most_characters; /* of a word */
    size_t longest;         /* bytes of a token: no longer one is looked for */
    char *prefix;           /* of what goes on with a word */
} wordpiece_model;

static void free_model(void *opaque)
{
    wordpiece_model *model = opaque;
    if (model == NULL)
        return;
    free(model->prefix);
    free(model);
}

static pfm_status create_json(pfm_tokenizer *tokenizer, const json_t *definition, void **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    wordpiece_model *model = NULL;
    const pfm_vocabulary *vocabulary = &tokenizer->vocabulary;
    const char *unknown = pfm_member_text(definition, "unk_token"),
               *prefix = pfm_member_text(definition, "continuing_subword_prefix");
    const json_t *most = json_object_get(definition, "max_input_chars_per_word");
    PFM_TRY(pfm_allocate(1, sizeof *model, &model, err));
    unknown = unknown == NULL ? "[UNK]" : unknown;
    model->unknown = pfm_vocabulary_find(vocabulary, unknown, strlen(unknown));
    if (model->unknown < 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "the vocabulary lacks the token for unknown words, \"%.40s\"", unknown);
    if (most != NULL && (!json_is_integer(most) || json_integer_value(most) < 1 || json_integer_value(most) > 1 << 20))
        PFM_FAIL(PFM_ERROR_FORMAT, "max_input_chars_per_word is no number from 1 to %d", 1 << 20);
    model->most_characters = most == NULL ? 100 : (size_t)json_integer_value(most);
    PFM_TRY(pfm_string_copy(prefix == NULL ? "##" : prefix, &model->prefix, err));
    for (size_t i = 0; i < vocabulary->size; i++)
        model->longest = vocabulary->tokens[i].length > model->longest ? vocabulary->tokens[i].length : model->longest;
    tokenizer->unknown = model->unknown;
    *out = model;
    model = NULL;
done:
    free_model(model);
    return status;
}

/* *id = the longest token that the text begins with, *length its bytes of the text; -1: none. `spelling` is scratch. */
static pfm_status find_longest(const pfm_tokenizer *tokenizer, const wordpiece_model *model, bool goes_on, pfm_text_view text,
                               pfm_buffer *spelling, int32_t *id, size_t *length, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t prefix = goes_on ? strlen(model->prefix) : 0, most = model->longest > prefix ? model->longest - prefix : 0;
    size_t end = text.length < most ? text.length : most;
    *id = -1;
    pfm_buffer_clear(spelling);
    PFM_TRY(pfm_buffer_append(spelling, model->prefix, prefix, err));
    PFM_TRY(pfm_buffer_append(spelling, text.data, end, err));
    for (; end > 0 && *id < 0; end--) {
        const bool inside = end < text.length && ((unsigned char)text.data[end] & 0xC0) == 0x80; /* of a character */
        if (!inside)
            *id = pfm_vocabulary_find(&tokenizer->vocabulary, spelling->data, prefix + end);
        *length = end;
    }
done:
    return status;
}

static size_t count_characters(pfm_text_view word)
{
    size_t count = 0;
    for (size_t i = 0; i < word.length; i++)
        count += ((unsigned char)word.data[i] & 0xC0) != 0x80;
    return count;
}

static pfm_status encode_word(const pfm_tokenizer *tokenizer, pfm_text_view word, pfm_buffer *spelling, pfm_ids *out,
                              pfm_error *err)
{
    pfm_status status = PFM_OK;
    const wordpiece_model *model = tokenizer->model;
    const size_t before = out->count;
    int32_t id = count_characters(word) > model->most_characters ? -1 : 0;
    for (size_t at = 0, length; at < word.length && id >= 0; at += length) {
        const pfm_text_view rest = {word.data + at, word.length - at};
        length = 0;
        PFM_TRY(find_longest(tokenizer, model, at > 0, rest, spelling, &id, &length, err));
        if (id >= 0)
            PFM_TRY(pfm_ids_append(out, id, err));
    }
    if (id < 0) {
        out->count = before;
        PFM_TRY(pfm_ids_append(out, model->unknown, err));
    }
done:
    return status;
}

static pfm_status encode(const pfm_tokenizer *tokenizer, const pfm_words *words, pfm_ids *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer spelling = {0};
    for (size_t i = 0; i < words->count; i++)
        PFM_TRY(encode_word(tokenizer, words->items[i], &spelling, out, err));
done:
    pfm_buffer_free(&spelling);
    return status;
}

const pfm_model_kind pfm_model_wordpiece = {
    .json_name = "WordPiece",
    .create_json = create_json,
    .free = free_model,
    .encode = encode,
};
