/* Reads tokenizer.json. */
#include "text/tokenizer_internal.h"

#include "base/json.h"
#include "base/try.h"

#include <string.h>

static pfm_status read_vocabulary(pfm_tokenizer *tokenizer, const json_t *model, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *vocabulary = json_object_get(model, "vocab");
    if (!json_is_object(vocabulary) || json_object_size(vocabulary) == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "the model of the tokenizer has no vocabulary");
    const char *text;
    json_t *id;
    json_object_foreach(vocabulary, text, id)
    {
        if (!json_is_integer(id))
            PFM_FAIL(PFM_ERROR_FORMAT, "the id of the token \"%.40s\" is not a whole number", text);
        PFM_TRY(pfm_vocabulary_set(&tokenizer->vocabulary, text, strlen(text), json_integer_value(id), err));
    }
done:
    return status;
}

static pfm_status read_added_token(pfm_tokenizer *tokenizer, const json_t *definition, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *content = json_object_get(definition, "content"), *id = json_object_get(definition, "id");
    if (!json_is_string(content) || !json_is_integer(id))
        PFM_FAIL(PFM_ERROR_FORMAT, "an added token has no content or no id");
    pfm_added_token token = {.text = json_string_value(content),
                             .length = json_string_length(content),
                             .special = pfm_member_flag(definition, "special", false),
                             .single_word = pfm_member_flag(definition, "single_word", false),
                             .left_strip = pfm_member_flag(definition, "lstrip", false),
                             .right_strip = pfm_member_flag(definition, "rstrip", false)};
    token.normalized = pfm_member_flag(definition, "normalized", !token.special);
    token.id = pfm_vocabulary_find(&tokenizer->vocabulary, token.text, token.length);
    if (token.id < 0) { /* the vocabulary's own id goes first */
        PFM_TRY(pfm_vocabulary_set(&tokenizer->vocabulary, token.text, token.length, json_integer_value(id), err));
        token.id = (int32_t)json_integer_value(id);
    }
    PFM_TRY(pfm_tokenizer_add_token(tokenizer, &token, err));
done:
    return status;
}

static pfm_status read_document(pfm_tokenizer *tokenizer, const json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *model = json_object_get(document, "model");
    const char *type = pfm_member_text(model, "type");
    if (!json_is_object(model))
        PFM_FAIL(PFM_ERROR_FORMAT, "it has no \"model\": not a tokenizer.json");
    if (type == NULL && json_is_array(json_object_get(model, "merges")))
        type = "BPE"; /* the oldest files do not say it */
    const pfm_model_kind *kind = pfm_model_kind_find(type == NULL ? "" : type, NULL);
    if (kind == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program does not know tokenizer models of type %s",
                 type == NULL ? "(none)" : type);
    PFM_TRY(read_vocabulary(tokenizer, model, err));
    PFM_TRY(pfm_tokenizer_set_pipeline(tokenizer, document, err));
    size_t index;
    json_t *token;
    json_array_foreach(json_object_get(document, "added_tokens"), index, token)
        PFM_TRY(read_added_token(tokenizer, token, err));
    PFM_TRY(kind->create_json(tokenizer, model, &tokenizer->model, err));
    tokenizer->kind = kind;
done:
    return status;
}

pfm_status pfm_tokenizer_begin_json(const char *path, const json_t *document, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_tokenizer *tokenizer = NULL;
    pfm_error inner = PFM_ERROR_INIT; /* the readers know no path */
    PFM_TRY(pfm_allocate(1, sizeof *tokenizer, &tokenizer, err));
    tokenizer->begin = tokenizer->end = tokenizer->unknown = tokenizer->padding = -1;
    if (read_document(tokenizer, document, &inner) != PFM_OK)
        PFM_FAIL(inner.code, "%s: %s", path, inner.message);
    *out = tokenizer;
    tokenizer = NULL;
done:
    pfm_tokenizer_free(tokenizer);
    return status;
}

pfm_status pfm_tokenizer_load_json(const char *path, pfm_tokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_tokenizer *tokenizer = NULL;
    json_t *document = NULL;
    pfm_beside beside = {0};
    PFM_TRY(pfm_json_load(path, &document, err));
    PFM_TRY(pfm_tokenizer_begin_json(path, document, &tokenizer, err));
    json_decref(document); /* the largest part of the memory */
    document = NULL;
    PFM_TRY(pfm_beside_open(path, &beside, err));
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
