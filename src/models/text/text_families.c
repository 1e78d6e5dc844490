/* BERT (Devlin et al. 2019), RoBERTa (Liu et al. 2019), DistilBERT (Sanh et al. 2019), as transformers names and configures
 * them. */
#include "models/text/text_family.h"

#include "base/try.h"
#include "models/language/language_config.h"

#include <string.h>

enum { MOST_LAYERS = 1000, MOST_WIDTH = 1 << 20, MOST_ROWS = 1 << 24, MOST_POSITIONS = 1 << 16 };

typedef struct size_keys {
    const char *hidden, *intermediate, *layers, *heads, *activation;
} size_keys;

static pfm_status read_sizes(const json_t *json, const char *path, const size_keys *keys, pfm_text_config *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t layers = 0, heads = 0;
    const char *kind = json_string_value(json_object_get(json, "position_embedding_type"));
    PFM_TRY(pfm_config_integer(json, path, keys->layers, 0, 1, MOST_LAYERS, &layers, err));
    PFM_TRY(pfm_config_integer(json, path, keys->heads, 0, 1, 4096, &heads, err));
    PFM_TRY(pfm_config_integer(json, path, keys->hidden, 0, 1, MOST_WIDTH, &out->hidden, err));
    PFM_TRY(pfm_config_integer(json, path, keys->intermediate, 0, 1, 4 * MOST_WIDTH, &out->intermediate, err));
    PFM_TRY(pfm_config_integer(json, path, "vocab_size", 0, 1, MOST_ROWS, &out->vocabulary, err));
    PFM_TRY(pfm_config_integer(json, path, "max_position_embeddings", 512, 3, MOST_POSITIONS, &out->positions, err));
    PFM_TRY(pfm_config_activation(json, path, keys->activation, "gelu", &out->activation, err));
    if (out->hidden % heads != 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "config.json of %s: %s %lld is not a multiple of %s %lld", path, keys->hidden,
                 (long long)out->hidden, keys->heads, (long long)heads);
    if (kind != NULL && strcmp(kind, "absolute") != 0)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "config.json of %s: position_embedding_type %.40s is not supported", path, kind);
    PFM_TRY(pfm_config_demand(json, path, "is_decoder", false, err));
    PFM_TRY(pfm_config_demand(json, path, "add_cross_attention", false, err));
    out->layers = (int32_t)layers;
    out->heads = (int32_t)heads;
done:
    return status;
}

static pfm_status read_bert(const json_t *json, const char *path, pfm_text_config *out, pfm_error *err)
{
    static const size_keys keys = {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                                   "hidden_act"};
    pfm_status status = PFM_OK;
    PFM_TRY(read_sizes(json, path, &keys, out, err));
    PFM_TRY(pfm_config_integer(json, path, "type_vocab_size", 2, 1, MOST_ROWS, &out->types, err));
    PFM_TRY(pfm_config_number(json, path, "layer_norm_eps", 1e-12, &out->epsilon, err));
done:
    return status;
}

static pfm_status read_roberta(const json_t *json, const char *path, pfm_text_config *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int64_t padding = 0;
    PFM_TRY(read_bert(json, path, out, err));
    PFM_TRY(pfm_config_integer(json, path, "pad_token_id", 1, 0, out->positions - 4, &padding, err));
    out->padding = (int32_t)padding;
    out->first_position = padding + 1;
done:
    return status;
}

static pfm_status read_distilbert(const json_t *json, const char *path, pfm_text_config *out, pfm_error *err)
{
    static const size_keys keys = {"dim", "hidden_dim", "n_layers", "n_heads", "activation"};
    out->epsilon = 1e-12;
    return read_sizes(json, path, &keys, out, err);
}

/* Heads for other tasks, and buffers that older versions saved. */
static const char *const ignored[] = {"*pooler.*", "*position_ids",    "*token_type_ids", "cls.*",        "lm_head.*",
                                      "vocab_*",   "pre_classifier.*", "classifier.*",    "qa_outputs.*", NULL};

#define BERT_NAMES                                                                                                             \
    .words = "embeddings.word_embeddings", .positions = "embeddings.position_embeddings",                                      \
    .types = "embeddings.token_type_embeddings", .norm = "embeddings.LayerNorm", .block = "encoder.layer.%d.",                 \
    .query = "attention.self.query", .key = "attention.self.key", .value = "attention.self.value",                             \
    .mixed = "attention.output.dense", .mixed_norm = "attention.output.LayerNorm", .up = "intermediate.dense",                 \
    .down = "output.dense", .last_norm = "output.LayerNorm", .ignored = ignored

const pfm_text_family pfm_text_bert = {
    .model_type = "bert", .begin = "[CLS]", .end = "[SEP]", .read_config = read_bert, BERT_NAMES};
const pfm_text_family pfm_text_roberta = {
    .model_type = "roberta", .begin = "<s>", .end = "</s>", .wants_space = true, .read_config = read_roberta, BERT_NAMES};
const pfm_text_family pfm_text_distilbert = {.model_type = "distilbert",
                                             .begin = "[CLS]",
                                             .end = "[SEP]",
                                             .words = "embeddings.word_embeddings",
                                             .positions = "embeddings.position_embeddings",
                                             .norm = "embeddings.LayerNorm",
                                             .block = "transformer.layer.%d.",
                                             .query = "attention.q_lin",
                                             .key = "attention.k_lin",
                                             .value = "attention.v_lin",
                                             .mixed = "attention.out_lin",
                                             .mixed_norm = "sa_layer_norm",
                                             .up = "ffn.lin1",
                                             .down = "ffn.lin2",
                                             .last_norm = "output_layer_norm",
                                             .ignored = ignored,
                                             .read_config = read_distilbert};

/* Every family, a line each. */
static const pfm_text_family *const families[] = {
    &pfm_text_bert,
    &pfm_text_roberta,
    &pfm_text_distilbert,
};

pfm_status pfm_text_config_read(const json_t *json, const char *path, pfm_text_config *out, pfm_error *err)
{
    const char *type = json_string_value(json_object_get(json, "model_type"));
    *out = (pfm_text_config){0};
    for (size_t i = 0; type != NULL && i < sizeof families / sizeof families[0]; i++) {
        if (strcmp(families[i]->model_type, type) == 0) {
            out->family = families[i];
            return families[i]->read_config(json, path, out, err);
        }
    }
    return pfm_error_set(
        err, PFM_ERROR_UNSUPPORTED,
        "config.json of %s: model_type %.40s is no text encoder that this program knows: bert, roberta, distilbert", path,
        type == NULL ? "(none)" : type);
}

pfm_text_config pfm_text_config_bert_base(void)
{
    return (pfm_text_config){.family = &pfm_text_bert,
                             .layers = 12,
                             .heads = 12,
                             .hidden = 768,
                             .intermediate = 3072,
                             .vocabulary = 30522,
                             .positions = 512,
                             .types = 2,
                             .epsilon = 1e-12,
                             .activation = PFM_ACTIVATION_GELU};
}
