#include "models/language/tokenizer_save.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "models/language/tokenizer_load.h"

#include <stdlib.h>
#include <string.h>

static json_t *string_at(const pfm_weights *weights, const char *key, size_t i)
{
    const char *text = NULL;
    size_t length = 0;
    return pfm_weights_meta_array_string(weights, key, i, &text, &length) ? json_stringn(text, length) : NULL;
}

static pfm_status write(const pfm_tokenizer_source *source, void *path, pfm_error *err)
{
    return pfm_tokenizer_write_json(source, path, err);
}

static pfm_status save_json(const pfm_weights *weights, const char *folder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(pfm_path_join(folder, "tokenizer.json", &path, err));
    PFM_TRY(pfm_tokenizer_with_source(weights, write, path, err));
done:
    free(path);
    return status;
}

static pfm_status save_config(const pfm_weights *weights, const char *folder, pfm_error *err)
{
    static const char *const ids[][2] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                         {"eos_token", "tokenizer.ggml.eos_token_id"},
                                         {"pad_token", "tokenizer.ggml.padding_token_id"},
                                         {"unk_token", "tokenizer.ggml.unknown_token_id"}};
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *document = json_object();
    PFM_TRY(pfm_json_take(document, "tokenizer_class", json_string("PreTrainedTokenizerFast"), err));
    PFM_TRY(pfm_json_take(document, "clean_up_tokenization_spaces", json_false(), err));
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        int64_t id = -1;
        if (pfm_weights_meta_integer(weights, ids[i][1], &id) && id >= 0)
            PFM_TRY(pfm_json_take(document, ids[i][0], string_at(weights, "tokenizer.ggml.tokens", (size_t)id), err));
    }
    const char *chat = pfm_weights_meta_string(weights, "tokenizer.chat_template", NULL);
    if (chat != NULL)
        PFM_TRY(pfm_json_take(document, "chat_template", json_string(chat), err));
    PFM_TRY(pfm_path_join(folder, "tokenizer_config.json", &path, err));
    PFM_TRY(pfm_json_save(path, document, err));
done:
    json_decref(document);
    free(path);
    return status;
}

/* Copies FROM's folder's file `name` where there is one. */
static pfm_status copy_file(const char *from, const char *folder, const char *name, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *source = NULL, *target = NULL;
    pfm_buffer text = {0};
    PFM_TRY(pfm_path_beside(from, name, &source, err));
    if (!pfm_path_exists(source))
        goto done;
    PFM_TRY(pfm_path_join(folder, name, &target, err));
    PFM_TRY(pfm_file_read(source, 0, &text, err));
    PFM_TRY(pfm_file_write(target, text.data, text.size, err));
done:
    free(source);
    free(target);
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_tokenizer_save(const pfm_weights *weights, const char *folder, pfm_error *err)
{
    static const char *const files[] = {"tokenizer.json",    "tokenizer.model",       "vocab.json",
                                        "merges.txt",        "tokenizer_config.json", "special_tokens_map.json",
                                        "added_tokens.json", "chat_template.jinja"};
    pfm_status status = PFM_OK;
    if (strcmp(pfm_weights_format(weights), "gguf") == 0) {
        status = save_json(weights, folder, err);
        return status == PFM_OK ? save_config(weights, folder, err) : status;
    }
    for (size_t i = 0; status == PFM_OK && i < sizeof files / sizeof *files; i++)
        status = copy_file(pfm_weights_path(weights), folder, files[i], err);
    return status;
}
