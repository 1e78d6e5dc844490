/* transformers' form of a LLaVA: the files beside its weights. */
#include "infer/llava.h"

#include "base/file.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_EXTRA_ROWS = 1024 };
static const char image_text[] = "<image>";

/* ---- the token <image> ---- */

static void raise(int64_t *most, const json_t *id)
{
    if (json_is_integer(id) && json_integer_value(id) > *most)
        *most = json_integer_value(id);
}

/* *id = that of <image>, or the next free one; *added: it is a token of its own already. */
static void find_id(const json_t *tokenizer, int64_t *id, bool *added)
{
    const json_t *vocabulary = json_object_get(json_object_get(tokenizer, "model"), "vocab"), *token, *value;
    int64_t most = (int64_t)json_array_size(vocabulary) - 1;
    const char *text;
    size_t i;
    *added = false;
    json_object_foreach((json_t *)(uintptr_t)vocabulary, text, value) raise(&most, value);
    json_array_foreach(json_object_get(tokenizer, "added_tokens"), i, token)
    {
        raise(&most, json_object_get(token, "id"));
        text = json_string_value(json_object_get(token, "content"));
        if (text != NULL && strcmp(text, image_text) == 0) {
            *id = json_integer_value(json_object_get(token, "id"));
            *added = true;
        }
    }
    value = json_object_get(vocabulary, image_text);
    if (!*added)
        *id = json_is_integer(value) ? json_integer_value(value) : most + 1;
}

static pfm_status add_to_tokenizer(const pfm_llava *llava, json_t *tokenizer, pfm_error *err)
{
    json_t *token = json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)llava->image_token, "content",
                              image_text, "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1);
    json_t *list = json_object_get(tokenizer, "added_tokens");
    list = json_is_array(list) ? json_incref(list) : json_array();
    return pfm_json_take(tokenizer, "added_tokens", pfm_json_add(list, token), err);
}

pfm_status pfm_llava_add_image_token(pfm_llava *llava, const char *folder, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int64_t rows = llava->session->model->language.vocabulary;
    char *path = NULL;
    json_t *tokenizer = NULL;
    bool added = false;
    PFM_TRY(pfm_path_join(folder, "tokenizer.json", &path, err));
    if (!pfm_path_exists(path))
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s has no tokenizer.json, which a LLaVA needs for its token %s; save one beside it with transformers "
                 "(AutoTokenizer.from_pretrained(...).save_pretrained(...))",
                 llava->session->language_path, image_text);
    PFM_TRY(pfm_json_load(path, &tokenizer, err));
    find_id(tokenizer, &llava->image_token, &added);
    if (llava->image_token < 0 || llava->image_token >= rows + MOST_EXTRA_ROWS)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: the token %s would be number %lld, far behind the %lld of the language model",
                 llava->session->language_path, image_text, (long long)llava->image_token, (long long)rows);
    llava->extra_rows = llava->image_token < rows ? 0 : llava->image_token + 1 - rows;
    if (!added) {
        PFM_TRY(add_to_tokenizer(llava, tokenizer, err));
        PFM_TRY(pfm_json_save(path, tokenizer, err));
    }
done:
    json_decref(tokenizer);
    free(path);
    return status;
}

/* ---- configurations ---- */

static json_t *vision_config(const pfm_clip *c)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:i}", "model_type", "clip_vision_model",
                     "hidden_size", (int)c->width, "intermediate_size", (int)c->mlp, "num_hidden_layers", (int)c->layers,
                     "num_attention_heads", (int)c->heads, "image_size", c->image_size, "patch_size", (int)c->patch,
                     "num_channels", 3, "hidden_act", c->activation, "layer_norm_eps", c->epsilon, "projection_dim",
                     (int)c->width);
}

static const char *select_strategy(const pfm_clip *clip) { return clip->class_token ? "full" : "default"; }

/* Where a list of ids, or one, does not hold `id`, both. */
static pfm_status add_id(json_t *document, const char *key, int64_t id, pfm_error *err)
{
    json_t *old = json_object_get(document, key), *list = json_array(), *member;
    size_t i;
    bool there = json_is_integer(old) && json_integer_value(old) == id;
    if (json_is_integer(old))
        list = pfm_json_add(list, json_incref(old));
    json_array_foreach(old, i, member)
    {
        there = there || (json_is_integer(member) && json_integer_value(member) == id);
        list = pfm_json_add(list, json_incref(member));
    }
    return pfm_json_take(document, key, there ? list : pfm_json_add(list, json_integer(id)), err);
}

/* An answer ends where a run ends it, and is not made of <image>. */
static pfm_status extend_generation(const pfm_llava *llava, const json_t *config, json_t *generation, pfm_error *err)
{
    static const char *const ids[] = {"bos_token_id", "eos_token_id", "pad_token_id"};
    pfm_status status = PFM_OK;
    const bool empty = json_object_size(generation) == 0;
    for (size_t i = 0; empty && i < sizeof ids / sizeof *ids; i++)
        if (json_object_get(config, ids[i]) != NULL)
            PFM_TRY(pfm_json_take(generation, ids[i], json_incref(json_object_get(config, ids[i])), err));
    const int32_t end = pfm_tokenizer_end(llava->session->model->tokenizer);
    if (end >= 0)
        PFM_TRY(add_id(generation, "eos_token_id", end, err));
    for (int64_t i = 0; i < llava->extra_rows; i++)
        PFM_TRY(add_id(generation, "suppress_tokens", llava->session->model->language.vocabulary + i, err));
done:
    return status;
}

pfm_status pfm_llava_wrap_configs(const pfm_llava *llava, json_t **config, json_t *generation, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_clip *clip = llava->clip;
    const pfm_language_config *c = &llava->session->model->language;
    PFM_TRY(pfm_json_take(*config, "vocab_size", json_integer(c->vocabulary + llava->extra_rows), err));
    PFM_TRY(extend_generation(llava, *config, generation, err));
    json_t *whole =
        json_pack("{s:[s], s:s, s:I, s:I, s:s, s:b, s:i, s:s, s:b, s:s, s:o, s:O}", "architectures",
                  "LlavaForConditionalGeneration", "model_type", "llava", "image_token_index", (json_int_t)llava->image_token,
                  "image_seq_length", (json_int_t)llava->session->model->visual_tokens, "projector_hidden_act", "gelu",
                  "multimodal_projector_bias", 1, "vision_feature_layer", clip->layer - clip->layers - 1,
                  "vision_feature_select_strategy", select_strategy(clip), "tie_word_embeddings", (int)c->tied, "torch_dtype",
                  "float32", "vision_config", vision_config(clip), "text_config", *config);
    if (whole == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not make config.json");
    json_decref(*config);
    *config = whole;
done:
    return status;
}

static json_t *channels(const float values[3])
{
    return json_pack("[f, f, f]", (double)values[0], (double)values[1], (double)values[2]);
}

static pfm_status save_in(const char *folder, const char *name, json_t *document, pfm_error *err)
{
    char *path = NULL;
    pfm_status status = pfm_path_join(folder, name, &path, err);
    if (status == PFM_OK && document == NULL)
        status = pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not make %s", path);
    if (status == PFM_OK)
        status = pfm_json_save(path, document, err);
    json_decref(document);
    free(path);
    return status;
}

pfm_status pfm_llava_write_processor(const pfm_llava *llava, const char *folder, pfm_error *err)
{
    const pfm_clip *c = llava->clip;
    pfm_status status = PFM_OK;
    /* squashed to the square, nothing cropped, by Pillow's bicubic (3) */
    json_t *pictures =
        json_pack("{s:s, s:s, s:b, s:b, s:{s:i, s:i}, s:i, s:b, s:{s:i, s:i}, s:b, s:f, s:b, s:o, s:o}", "image_processor_type",
                  "CLIPImageProcessor", "processor_class", "LlavaProcessor", "do_convert_rgb", 1, "do_resize", 1, "size",
                  "height", c->image_size, "width", c->image_size, "resample", 3, "do_center_crop", 0, "crop_size", "height",
                  c->image_size, "width", c->image_size, "do_rescale", 1, "rescale_factor", c->scale, "do_normalize", 1,
                  "image_mean", channels(c->mean), "image_std", channels(c->deviation));
    PFM_TRY(save_in(folder, "preprocessor_config.json", pictures, err));
    PFM_TRY(save_in(folder, "processor_config.json",
                    json_pack("{s:s, s:i, s:s, s:s, s:i}", "processor_class", "LlavaProcessor", "patch_size", (int)c->patch,
                              "vision_feature_select_strategy", select_strategy(c), "image_token", image_text,
                              "num_additional_image_tokens", 1),
                    err));
done:
    return status;
}
