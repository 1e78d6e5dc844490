/* A tokenizer's arrays as the tokenizer.json that says the same. */
#include "text/tokenizer_internal.h"

#include "base/json.h"
#include "base/try.h"

static pfm_status no_memory(pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write the tokenizer");
}

/* {"token": id, ...} in the order of the ids. */
static pfm_status make_vocabulary(const pfm_tokenizer_source *source, json_t *vocabulary, pfm_error *err)
{
    for (size_t i = 0; i < source->token_count; i++) {
        pfm_text_view text = source->tokens[i];
        if (json_object_setn_new(vocabulary, text.data, text.length, json_integer((json_int_t)i)) != 0)
            return no_memory(err);
    }
    return PFM_OK;
}

/* The tokens that are found in a text as they stand, as pfm_tokenizer_create takes them. */
static pfm_status make_added(const pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, json_t *added, pfm_error *err)
{
    for (size_t i = 0; i < source->token_count; i++) {
        const pfm_token *token = &tokenizer->vocabulary.tokens[i];
        if (!token->added)
            continue;
        json_t *item = json_pack("{s:I, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)i, "content",
                                 json_stringn(token->text, token->length), "single_word", 0, "lstrip", 0, "rstrip", 0,
                                 "normalized", 0, "special", token->special);
        if (json_array_append_new(added, item) != 0)
            return no_memory(err);
    }
    return PFM_OK;
}

static pfm_status make_model(const pfm_tokenizer *tokenizer, const pfm_tokenizer_source *source, bool ignore_merges,
                             json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *vocabulary = json_object();
    json_t *model = json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b}", "type", "BPE", "dropout", "unk_token",
                              "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0,
                              "ignore_merges", ignore_merges);
    PFM_TRY(make_vocabulary(source, vocabulary, err));
    PFM_TRY(pfm_json_take(model, "vocab", json_incref(vocabulary), err));
    PFM_TRY(tokenizer->kind->describe(tokenizer, source, model, err));
    *out = json_incref(model);
done:
    json_decref(vocabulary);
    json_decref(model);
    return status;
}

pfm_status pfm_tokenizer_write_json(const pfm_tokenizer_source *source, const char *path, pfm_error *err)
{
    static const char *const nothing[] = {"truncation", "padding", "normalizer", "pre_tokenizer", "post_processor"};
    pfm_status status = PFM_OK;
    pfm_tokenizer *tokenizer = NULL;
    const pfm_model_kind *kind = NULL;
    const pfm_gguf_pre *pre = NULL;
    json_t *document = NULL, *added = json_array(), *model = NULL;
    PFM_TRY(pfm_tokenizer_create(source, &tokenizer, err)); /* what cannot be made is not written */
    PFM_TRY(pfm_tokenizer_find_kind(source, &kind, &pre, err));
    PFM_TRY(make_added(tokenizer, source, added, err));
    PFM_TRY(make_model(tokenizer, source, pre->ignore_merges, &model, err));
    document = json_loads(pre->pipeline, 0, NULL);
    PFM_TRY(pfm_json_take(document, "version", json_string("1.0"), err));
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        if (json_object_get(document, nothing[i]) == NULL)
            PFM_TRY(pfm_json_take(document, nothing[i], json_null(), err));
    }
    PFM_TRY(pfm_json_take(document, "added_tokens", json_incref(added), err));
    PFM_TRY(pfm_json_take(document, "model", json_incref(model), err));
    PFM_TRY(pfm_json_save(path, document, err));
done:
    json_decref(document);
    json_decref(added);
    json_decref(model);
    pfm_tokenizer_free(tokenizer);
    return status;
}
