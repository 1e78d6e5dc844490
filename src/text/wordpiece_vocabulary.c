/* Reads a WordPiece vocabulary as BERT published it: vocab.txt, a token a line, whose number is the id; tokenizer_config.json
 * beside it says what is done to a text before. */
#include "text/tokenizer_internal.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_VOCABULARY = 64 << 20 };

static pfm_status read_lines(const char *path, json_t *vocabulary, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    json_int_t id = 0;
    PFM_TRY(pfm_file_read(path, LARGEST_VOCABULARY, &text, err));
    for (size_t at = 0, next; at < text.size; at = next, id++) {
        const char *line = text.data + at, *newline = memchr(line, '\n', text.size - at);
        size_t length = newline == NULL ? text.size - at : (size_t)(newline - line);
        next = at + length + 1;
        if (length > 0 && line[length - 1] == '\r')
            length--;
        if (json_object_setn_new(vocabulary, line, length, json_integer(id)) != 0)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: line %lld is not UTF-8", path, (long long)id + 1);
    }
done:
    pfm_buffer_free(&text);
    return status;
}

/* *out = what tokenizer.json would be. */
static pfm_status make_document(const char *path, const pfm_beside *beside, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool lower = pfm_member_flag(beside->config, "do_lower_case", true);
    json_t *vocabulary = json_object();
    json_t *document = json_pack("{s:{s:s, s:b, s:b, s:b, s:b}, s:{s:s}, s:{s:s, s:s, s:b}, s:{s:s, s:O}}", "normalizer",
                                 "type", "BertNormalizer", "clean_text", true, "handle_chinese_chars",
                                 pfm_member_flag(beside->config, "tokenize_chinese_chars", true), "strip_accents",
                                 pfm_member_flag(beside->config, "strip_accents", lower), "lowercase", lower, "pre_tokenizer",
                                 "type", "BertPreTokenizer", "decoder", "type", "WordPiece", "prefix", "##", "cleanup", true,
                                 "model", "type", "WordPiece", "vocab", vocabulary);
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", path);
    if (!pfm_member_flag(beside->config, "do_basic_tokenize", true))
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "tokenizer_config.json beside %s has do_basic_tokenize false, which this program does not know", path);
    PFM_TRY(read_lines(path, vocabulary, err));
    *out = json_incref(document);
done:
    json_decref(document);
    json_decref(vocabulary);
    return status;
}

/* The tokens that transformers' BertTokenizer has where no file names others. */
static pfm_status set_roles(pfm_tokenizer *tokenizer, pfm_error *err)
{
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const pfm_added_token token = {
            .text = names[i], .length = strlen(names[i]), .id = pfm_tokenizer_id(tokenizer, names[i]), .special = true};
        if (token.id >= 0)
            PFM_TRY(pfm_tokenizer_add_token(tokenizer, &token, err));
    }
    tokenizer->padding = pfm_tokenizer_id(tokenizer, names[0]);
done:
    return status;
}

pfm_status pfm_tokenizer_load_wordpiece(const char *path, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_tokenizer *tokenizer = NULL;
    json_t *document = NULL;
    pfm_beside beside = {0};
    PFM_TRY(pfm_beside_open(path, &beside, err));
    PFM_TRY(make_document(path, &beside, &document, err));
    PFM_TRY(pfm_tokenizer_begin_json(path, document, &tokenizer, err));
    PFM_TRY(set_roles(tokenizer, err));
    PFM_TRY(pfm_beside_apply(&beside, tokenizer, err));
    PFM_TRY(pfm_tokenizer_seal(tokenizer, err));
    *out = tokenizer;
    tokenizer = NULL;
done:
    pfm_beside_close(&beside);
    json_decref(document);
    pfm_tokenizer_free(tokenizer);
    return status;
}
