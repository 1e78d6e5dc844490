#include "models/language/language.h"

#include "base/file.h"
#include "base/json.h"
#include "base/quantise.h"
#include "base/try.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Every family, a line each. */
static const pfm_language_family *const families[] = {&pfm_language_llama};

static pfm_status find_family(const char *name, const char *path, const pfm_language_family **out, pfm_error *err)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (name != NULL && strcmp(families[i]->name, name) == 0) {
            *out = families[i];
            return PFM_OK;
        }
    }
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s is a language model of the family '%s'; known is: llama", path,
                         name != NULL ? name : "(not stated)");
}

/* The config.json of a Hugging Face folder, beside the weights. */
static pfm_status load_config_json(const char *path, json_t **out, pfm_error *err)
{
    char *file = NULL;
    pfm_status status = pfm_path_beside(path, "config.json", &file, err);
    if (status == PFM_OK)
        status = pfm_json_load(file, out, err);
    free(file);
    return status;
}

pfm_status pfm_language_read_config(const pfm_weights *weights, pfm_language_config *config, pfm_error *err)
{
    const pfm_language_family *family = NULL;
    pfm_status status = PFM_OK;
    json_t *json = NULL;
    *config = (pfm_language_config){0};
    if (strcmp(pfm_weights_format(weights), "gguf") == 0) {
        PFM_TRY(find_family(pfm_weights_meta_string(weights, "general.architecture", NULL), pfm_weights_path(weights), &family,
                            err));
        PFM_TRY(family->read_config(weights, config, err));
    } else {
        PFM_TRY(load_config_json(pfm_weights_path(weights), &json, err));
        PFM_TRY(find_family(json_string_value(json_object_get(json, "model_type")), pfm_weights_path(weights), &family, err));
        PFM_TRY(family->read_config_json(json, pfm_weights_path(weights), config, err));
    }
    config->family = family;
done:
    json_decref(json);
    return status;
}

/* The shapes of models that fetch knows, a line each, so that a plan needs no file. */
static const struct {
    const char *name;
    pfm_language_config config;
} known_models[] = {
    {"smollm2-135m-instruct",
     {.family = &pfm_language_llama,
      .vocabulary = 49152,
      .hidden = 576,
      .intermediate = 1536,
      .context = 8192,
      .layers = 30,
      .heads = 9,
      .kv_heads = 3,
      .head_dim = 64,
      .epsilon = 1e-5,
      .rope_theta = 100000,
      .tied = true}},
};

pfm_status pfm_language_known(const char *name, pfm_language_config *config, pfm_error *err)
{
    for (size_t i = 0; i < sizeof known_models / sizeof *known_models; i++) {
        if (strcmp(known_models[i].name, name) == 0) {
            *config = known_models[i].config;
            return PFM_OK;
        }
    }
    return pfm_error_set(err, PFM_ERROR_USAGE,
                         "the shapes of the language model '%s' are not known without its files; fetch it or name its path",
                         name);
}

pfm_status pfm_language_build(pfm_builder *builder, const pfm_language_config *config, bool with_loss,
                              pfm_language_values *values, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_graph *graph = builder->graph;
    values->targets = values->loss = values->logits = PFM_NO_VALUE;
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_TOKENS, 0, 1, PFM_STORAGE_I32, false, &values->ids, err));
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_TOKENS, 0, 1, PFM_STORAGE_I32, false, &values->positions, err));
    PFM_TRY(
        pfm_graph_input(graph, PFM_DIM_FIXED, config->context, config->head_dim, PFM_STORAGE_F32, false, &values->rope, err));
    PFM_TRY(pfm_graph_input(graph, PFM_DIM_ANSWERS, 0, 1, PFM_STORAGE_I32, false, &values->index, err));
    if (with_loss)
        PFM_TRY(pfm_graph_input(graph, PFM_DIM_ANSWERS, 0, 1, PFM_STORAGE_I32, false, &values->targets, err));
    PFM_TRY(config->family->build(builder, config, with_loss, values, err));
done:
    return status;
}

/* GGUF keeps the rows of a rotary head as pairs (i, i + head_dim/2) side by side; Hugging Face keeps the halves apart. to_gguf:
 * the way back. */
static void reorder_heads(const void *from, int64_t heads, int64_t head_rows, size_t row_bytes, bool to_gguf, void *to)
{
    for (int64_t h = 0; from != NULL && to != NULL && h < heads; h++) {
        for (int64_t r = 0; r < head_rows; r++) {
            int64_t paired = r < head_rows / 2 ? 2 * r : 2 * (r - head_rows / 2) + 1; /* where GGUF has Hugging Face's row r */
            int64_t source = to_gguf ? r : paired, target = to_gguf ? paired : r;
            memcpy((char *)to + (size_t)(h * head_rows + target) * row_bytes,
                   (const char *)from + (size_t)(h * head_rows + source) * row_bytes, row_bytes);
        }
    }
}

pfm_status pfm_language_to_gguf_order(const pfm_language_config *config, const char *name, int64_t n, int64_t k, float *values,
                                      pfm_error *err)
{
    char full[128];
    int heads = 0;
    float *copy = NULL;
    if (!config->family->gguf_name(config, name, full, &heads) || heads == 0)
        return PFM_OK;
    pfm_status status = pfm_allocate((size_t)(n * k), sizeof *copy, &copy, err);
    if (status != PFM_OK || copy == NULL)
        return status;
    memcpy(copy, values, (size_t)(n * k) * sizeof *values);
    reorder_heads(copy, heads, n / heads, (size_t)k * sizeof *values, true, values);
    free(copy);
    return PFM_OK;
}

static pfm_status file_name(const pfm_weights *weights, const pfm_language_config *config, const char *name, char out[128],
                            int *heads, pfm_error *err)
{
    *heads = 0;
    if (strcmp(pfm_weights_format(weights), "gguf") != 0)
        (void)snprintf(out, 128, "%s", name);
    else if (!config->family->gguf_name(config, name, out, heads))
        return pfm_error_set(err, PFM_ERROR_MISMATCH, "no tensor of a GGUF file corresponds to %s", name);
    return PFM_OK;
}

/* *out = the tensor of a parameter, its shape checked; *heads: as reorder_heads takes it, 0 where nothing is to be reordered.
 */
static pfm_status find_tensor(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                              int64_t k, const pfm_weight **out, int *heads, pfm_error *err)
{
    char full[128];
    pfm_status status = PFM_OK;
    PFM_TRY(file_name(weights, config, name, full, heads, err));
    const pfm_weight *weight = pfm_weights_find(weights, full);
    if (weight == NULL)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s lacks the tensor %s; it is not the model that its configuration describes",
                 pfm_weights_path(weights), full);
    bool fits = weight->rank == 1 ? k == 1 && weight->shape[0] == n
                                  : weight->rank == 2 && weight->shape[0] == n && weight->shape[1] == k;
    if (!fits)
        PFM_FAIL(PFM_ERROR_MISMATCH, "%s: the tensor %s is not %lld x %lld, as the configuration demands",
                 pfm_weights_path(weights), full, (long long)n, (long long)k);
    *out = weight;
done:
    return status;
}

pfm_status pfm_language_read_tensor(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                                    int64_t k, float *out, pfm_error *err)
{
    int heads = 0;
    const pfm_weight *weight = NULL;
    float *interleaved = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(find_tensor(weights, config, name, n, k, &weight, &heads, err));
    if (heads > 0) {
        PFM_TRY(pfm_allocate((size_t)(n * k), sizeof *interleaved, &interleaved, err));
        PFM_TRY(pfm_weight_expand(weight, interleaved, err));
        reorder_heads(interleaved, heads, n / heads, (size_t)k * sizeof *out, false, out);
    } else {
        PFM_TRY(pfm_weight_expand(weight, out, err));
    }
    pfm_weights_release(weights, weight);
done:
    free(interleaved);
    return status;
}

bool pfm_language_owns(const pfm_parameter *parameter)
{
    return parameter->initial == PFM_INITIAL_LOADED &&
           (strncmp(parameter->name, "model.", 6) == 0 || strncmp(parameter->name, "lm_head.", 8) == 0);
}

/* Every tensor of the file must be one that the model reads. A head that repeats a tied embedding is allowed. */
static pfm_status refuse_extra(const pfm_weights *weights, const pfm_language_config *config, const pfm_parameters *parameters,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_weight_expected *expected = NULL;
    char(*names)[128] = NULL;
    size_t count = 0;
    int heads;
    PFM_TRY(pfm_allocate((size_t)pfm_parameters_count(parameters) + 1, sizeof *expected, &expected, err));
    PFM_TRY(pfm_allocate((size_t)pfm_parameters_count(parameters) + 1, sizeof *names, &names, err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *parameter = pfm_parameters_get(parameters, i);
        if (!pfm_language_owns(parameter))
            continue;
        PFM_TRY(file_name(weights, config, parameter->name, names[count], &heads, err));
        expected[count] = (pfm_weight_expected){
            .name = names[count], .rank = parameter->k == 1 ? 1 : 2, .shape = {parameter->n, parameter->k}};
        count++;
    }
    const char *ignored[] = {"*.rotary_emb.inv_freq", config->tied ? "lm_head.weight" : NULL, NULL};
    PFM_TRY(pfm_weights_expect(weights, expected, count, ignored, err));
done:
    free(expected);
    free(names);
    return status;
}

pfm_status pfm_language_visit_rows(const pfm_weights *weights, const pfm_language_config *config, const char *name, int64_t n,
                                   int64_t k, int64_t rows, pfm_language_rows *visit, void *user, pfm_error *err)
{
    int heads = 0;
    const pfm_weight *weight = NULL;
    float *values = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(find_tensor(weights, config, name, n, k, &weight, &heads, err));
    if (heads > 0 || k == 1) /* small ones, whose rows may stand in another order */
        rows = n;
    rows = rows < n ? rows : n;
    PFM_TRY(pfm_allocate((size_t)(rows * k), sizeof *values, &values, err));
    if (rows == n) {
        PFM_TRY(pfm_language_read_tensor(weights, config, name, n, k, values, err));
        visit(user, 0, n, values);
        goto done;
    }
    for (int64_t row = 0; row < n; row += rows) {
        int64_t count = n - row < rows ? n - row : rows;
        PFM_TRY(pfm_weight_expand_rows(weight, row, count, values, err));
        visit(user, row, count, values);
    }
    pfm_weights_release(weights, weight);
done:
    free(values);
    return status;
}

typedef struct loading {
    pfm_parameters *parameters;
    int id;
} loading;

static void set_rows(void *user, int64_t row0, int64_t rows, const float *values)
{
    const loading *l = user;
    pfm_parameters_set_rows(l->parameters, l->id, row0, rows, values);
}

pfm_status pfm_language_keep_blocks(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                                    pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        pfm_parameter *p = pfm_parameters_get(parameters, i);
        const pfm_weight *weight = NULL;
        int heads;
        if (!pfm_language_owns(p) || !pfm_dtype_quantises(p->blocks))
            continue;
        PFM_TRY(find_tensor(weights, config, p->name, p->n, p->k, &weight, &heads, err));
        if (pfm_dtype_quantises(weight->dtype))
            p->blocks = weight->dtype;
    }
done:
    return status;
}

pfm_status pfm_language_round_to_blocks(const pfm_weights *weights, const pfm_language_config *config,
                                        const pfm_parameter *parameter, float *values, pfm_error *err)
{
    enum { MOST_VALUES = 256, MOST_BYTES = 256 }; /* of a block */
    const pfm_weight *weight = NULL;
    int heads;
    pfm_status status = PFM_OK;
    if (!pfm_dtype_quantises(parameter->blocks))
        return PFM_OK;
    PFM_TRY(find_tensor(weights, config, parameter->name, parameter->n, parameter->k, &weight, &heads, err));
    if (pfm_dtype_quantises(weight->dtype))
        goto done;
    const pfm_dtype type = pfm_quantised_type(parameter->blocks, (size_t)parameter->k);
    const int64_t whole = (int64_t)pfm_dtype_get_info(type)->block_values;
    for (int64_t row = 0; row < parameter->n; row++)
        for (int64_t at = 0; at < parameter->k; at += whole) {
            unsigned char block[MOST_BYTES];
            float expanded[MOST_VALUES], *from = values + row * parameter->k + at;
            const int64_t count = parameter->k - at < whole ? parameter->k - at : whole;
            const pfm_weight one = {.name = parameter->name, .dtype = type, .rank = 1, .shape = {whole}, .data = block};
            pfm_quantise_block(type, from, (size_t)count, block);
            PFM_TRY(pfm_weight_expand(&one, expanded, err));
            memcpy(from, expanded, (size_t)count * sizeof *from);
        }
done:
    return status;
}

size_t pfm_language_loading_bytes(const pfm_weights *weights, const pfm_language_config *config,
                                  const pfm_parameters *parameters)
{
    size_t most = 0;
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        const pfm_weight *weight = NULL;
        int heads = 0;
        if (!pfm_language_owns(p))
            continue;
        const bool known =
            weights != NULL && find_tensor(weights, config, p->name, p->n, p->k, &weight, &heads, NULL) == PFM_OK;
        const int64_t rows = heads > 0 ? 2 * p->n : pfm_parameters_rows_at_once(parameters, i); /* heads are put into order */
        const size_t values = (size_t)(p->n * p->k),
                     bytes = (known ? weight->bytes : values * sizeof(float)) + (size_t)(rows * p->k) * sizeof(float);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Blocks go from the file to the parameter as they are. */
static pfm_status load_blocks(const pfm_weights *weights, const pfm_weight *weight, int heads, pfm_parameters *parameters,
                              int id, pfm_error *err)
{
    const pfm_parameter *p = pfm_parameters_get(parameters, id);
    const size_t row_bytes = pfm_weight_row_blocks(weight);
    const int64_t once = heads > 0 ? p->n : pfm_parameters_rows_at_once(parameters, id);
    pfm_status status = PFM_OK;
    char *blocks = NULL, *ordered = NULL;
    PFM_TRY(pfm_allocate((size_t)once, row_bytes, &blocks, err));
    if (heads > 0)
        PFM_TRY(pfm_allocate((size_t)once, row_bytes, &ordered, err));
    for (int64_t row = 0; row < p->n; row += once) {
        const int64_t count = p->n - row < once ? p->n - row : once;
        pfm_weight_copy_blocks(weight, row, count, blocks);
        if (heads > 0)
            reorder_heads(blocks, heads, p->n / heads, row_bytes, false, ordered);
        pfm_parameters_set_blocks(parameters, id, row, count, heads > 0 ? ordered : blocks);
    }
    pfm_weights_release(weights, weight);
done:
    free(blocks);
    free(ordered);
    return status;
}

static pfm_status load_parameter(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                                 int id, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_parameter *p = pfm_parameters_get(parameters, id);
    const pfm_weight *weight = NULL;
    loading l = {parameters, id};
    int heads;
    PFM_TRY(find_tensor(weights, config, p->name, p->n, p->k, &weight, &heads, err));
    if (p->quantised != NULL && weight->dtype == p->operand.quant_format && p->rows == NULL && p->values == NULL)
        PFM_TRY(load_blocks(weights, weight, heads, parameters, id, err));
    else
        PFM_TRY(pfm_language_visit_rows(weights, config, p->name, p->n, p->k, pfm_parameters_rows_at_once(parameters, id),
                                        set_rows, &l, err));
done:
    return status;
}

pfm_status pfm_language_load(const pfm_weights *weights, const pfm_language_config *config, pfm_parameters *parameters,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(refuse_extra(weights, config, parameters, err));
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (pfm_language_owns(p))
            PFM_TRY(load_parameter(weights, config, parameters, i, err));
    }
done:
    return status;
}

pfm_status pfm_language_rope_table(const pfm_language_config *config, int64_t positions, float **out, pfm_error *err)
{
    int32_t half = config->head_dim / 2;
    pfm_status status = pfm_allocate((size_t)positions * (size_t)config->head_dim, sizeof **out, out, err);
    for (int64_t p = 0; status == PFM_OK && p < positions; p++) {
        float *row = *out + p * config->head_dim;
        for (int32_t i = 0; i < half; i++) {
            /* in f32 as transformers does it: the frequencies, then the product with the position */
            float frequency = 1.0f / powf((float)config->rope_theta, (float)(2 * i) / (float)config->head_dim);
            float angle = (float)p * frequency;
            row[i] = cosf(angle);
            row[half + i] = sinf(angle);
        }
    }
    return status;
}
