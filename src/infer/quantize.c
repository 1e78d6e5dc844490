/* pefomed quantize: a language model's file with its linear layers in blocks. */
#include "pefomed/infer.h"

#include "base/file.h"
#include "base/json.h"
#include "base/quantise.h"
#include "base/try.h"
#include "formats/gguf.h"
#include "models/language/language.h"
#include "pefomed/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_AT_ONCE = 256, MOST_BLOCK_VALUES = 256 };

typedef struct quantizing {
    pfm_context *context;
    const pfm_quantize_options *options;
    pfm_dtype dtype;
    char *path;
    pfm_weights *weights;
    pfm_language_config language;
    pfm_parameters *parameters; /* which layers the model has, and which of them go into blocks */
    size_t quantised, whole;    /* tensors */
    double square_error, squares;
} quantizing;

/* The model's graph names its linear layers. */
static pfm_status list_layers(quantizing *q, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const int64_t capacity[PFM_DIM_COUNT] = {[PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = 1};
    pfm_language_values values = {.visual = PFM_NO_VALUE};
    pfm_builder builder = {.token_keys = PFM_NO_VALUE, .blocks = q->dtype};
    PFM_TRY(pfm_parameters_create(q->context, PFM_ACT_F32, false, &q->parameters, err));
    PFM_TRY(pfm_graph_create(q->parameters, capacity, &builder.graph, err));
    PFM_TRY(pfm_language_build(&builder, &q->language, false, &values, err));
done:
    pfm_graph_free(builder.graph);
    return status;
}

/* The type that a tensor of the file goes into: its own, or a block type. */
static pfm_dtype target_of(const quantizing *q, const pfm_weight *tensor)
{
    pfm_tensor_place place;
    const bool gguf = strcmp(pfm_weights_format(q->weights), "gguf") == 0;
    for (int i = 0; i < pfm_parameters_count(q->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(q->parameters, i);
        if (!pfm_dtype_quantises(p->blocks))
            continue;
        if (pfm_language_place(&q->language, q->weights, gguf, p->name, &place, NULL) != PFM_OK ||
            place.order == PFM_ORDER_TRANSPOSED) /* blocks go along what a layer sums over */
            continue;
        if (strcmp(place.name, tensor->name) == 0)
            return pfm_dtype_quantises(tensor->dtype) ? tensor->dtype : pfm_quantised_type(p->blocks, (size_t)p->k);
    }
    return tensor->dtype;
}

typedef struct rows_job {
    pfm_dtype dtype;
    const float *values;
    size_t k;
    uint8_t *blocks;
} rows_job;

static void quantise_row(void *user, int item, int thread)
{
    (void)thread;
    const rows_job *job = user;
    const pfm_dtype_info *info = pfm_dtype_get_info(job->dtype);
    const float *row = job->values + (size_t)item * job->k;
    uint8_t *out = job->blocks + (size_t)item * (job->k / info->block_values) * info->block_bytes;
    for (size_t at = 0; at < job->k; at += info->block_values, out += info->block_bytes)
        pfm_quantise_block(job->dtype, row + at, info->block_values, out);
}

/* Called with each run of rows of a tensor in blocks. */
typedef void (*take_blocks)(void *user, size_t first_block, size_t blocks, const uint8_t *data);

static pfm_status visit_blocks(quantizing *q, const pfm_weight *tensor, pfm_dtype dtype, take_blocks take, void *user,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t k = (size_t)tensor->shape[1], n = (size_t)tensor->shape[0];
    const pfm_dtype_info *info = pfm_dtype_get_info(dtype);
    float *values = NULL, *again = NULL;
    uint8_t *blocks = NULL;
    PFM_TRY(pfm_allocate(ROWS_AT_ONCE * k, sizeof *values, &values, err));
    PFM_TRY(pfm_allocate(ROWS_AT_ONCE * k, sizeof *again, &again, err));
    PFM_TRY(pfm_allocate(ROWS_AT_ONCE * (k / info->block_values), info->block_bytes, &blocks, err));
    for (size_t row = 0; row < n; row += ROWS_AT_ONCE) {
        const size_t rows = n - row < ROWS_AT_ONCE ? n - row : ROWS_AT_ONCE;
        const rows_job job = {dtype, values, k, blocks};
        const pfm_weight made = {
            .name = tensor->name, .dtype = dtype, .rank = 2, .shape = {(int64_t)rows, (int64_t)k}, .data = blocks};
        PFM_TRY(pfm_weight_expand_rows(tensor, (int64_t)row, (int64_t)rows, values, err));
        if (tensor->dtype == dtype)
            pfm_weight_copy_blocks(tensor, (int64_t)row, (int64_t)rows, blocks);
        else
            pfm_threads_run(q->context->threads, (int)rows, quantise_row, (void *)(uintptr_t)&job);
        take(user, row * (k / info->block_values), rows * (k / info->block_values), blocks);
        PFM_TRY(pfm_weight_expand(&made, again, err));
        for (size_t i = 0; i < rows * k; i++) {
            q->squares += (double)values[i] * values[i];
            q->square_error += ((double)again[i] - values[i]) * ((double)again[i] - values[i]);
        }
        if (pfm_interrupted(q->context))
            PFM_FAIL(PFM_ERROR_INTERRUPTED, "stopped; nothing was written");
    }
    pfm_weights_release(q->weights, tensor);
done:
    free(values);
    free(again);
    free(blocks);
    return status;
}

typedef struct copying {
    char *out;
    size_t block_bytes;
} copying;

static void copy_blocks(void *user, size_t first_block, size_t blocks, const uint8_t *data)
{
    const copying *c = user;
    memcpy(c->out + first_block * c->block_bytes, data, blocks * c->block_bytes);
}

static pfm_status fill_gguf(void *user, const pfm_weight *tensor, void *out, pfm_error *err)
{
    quantizing *q = user;
    copying c = {out, pfm_dtype_get_info(tensor->dtype)->block_bytes};
    return visit_blocks(q, pfm_weights_find(q->weights, tensor->name), tensor->dtype, copy_blocks, &c, err);
}

/* What general.file_type calls the types (llama.cpp's llama_ftype). */
static uint32_t file_type(pfm_dtype dtype)
{
    return dtype == PFM_DTYPE_Q8_0 ? 7 : dtype == PFM_DTYPE_Q4_0 ? 2 : dtype == PFM_DTYPE_Q4_1 ? 3 : 14;
}

static pfm_status write_gguf(quantizing *q, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_gguf_writer *writer = NULL;
    if (strcmp(pfm_weights_format(q->weights), "gguf") != 0)
        PFM_FAIL(
            PFM_ERROR_UNSUPPORTED,
            "%s is no GGUF, and the key-values of one cannot be made up; convert it with llama.cpp first, or quantize --to nf4",
            q->path);
    PFM_TRY(pfm_gguf_writer_create(&writer, err));
    PFM_TRY(pfm_gguf_copy_meta(writer, q->weights, NULL, err));
    PFM_TRY(pfm_gguf_set_u32(writer, "general.file_type", file_type(q->dtype), err));
    PFM_TRY(pfm_gguf_set_u32(writer, "general.quantization_version", 2, err));
    for (size_t i = 0; i < pfm_weights_count(q->weights); i++) {
        pfm_weight tensor = *pfm_weights_at(q->weights, i);
        const pfm_dtype target = target_of(q, &tensor);
        const bool changes = target != tensor.dtype;
        q->quantised += changes;
        q->whole += !changes;
        tensor.dtype = target;
        tensor.data = changes ? NULL : tensor.data;
        PFM_TRY(pfm_gguf_add_tensor(writer, &tensor, err));
    }
    PFM_TRY(pfm_gguf_write(writer, q->options->out, fill_gguf, q, err));
done:
    pfm_gguf_writer_free(writer);
    return status;
}

/* A tensor of the folder: one of the file's, or a part of one in NF4. */
typedef enum nf4_part { NF4_WHOLE, NF4_HALVES, NF4_ABSMAX, NF4_LEVELS, NF4_STATE } nf4_part;

static const char *const part_ends[] = {"", "", ".absmax", ".quant_map", ".quant_state.bitsandbytes__nf4"};

static void copy_halves(void *user, size_t first_block, size_t blocks, const uint8_t *data)
{
    for (size_t b = 0; b < blocks; b++)
        memcpy((char *)user + (first_block + b) * (PFM_NF4_VALUES / 2), data + b * PFM_NF4_BYTES + 4, PFM_NF4_VALUES / 2);
}

static void copy_absmax(void *user, size_t first_block, size_t blocks, const uint8_t *data)
{
    for (size_t b = 0; b < blocks; b++)
        memcpy((float *)user + first_block + b, data + b * PFM_NF4_BYTES, sizeof(float));
}

static pfm_status fill_nf4(void *user, const pfm_weight *tensor, void *out, pfm_error *err)
{
    static const char end[] = ".absmax";
    const size_t length = strlen(tensor->name);
    const bool absmax = length >= sizeof end && strcmp(tensor->name + length - (sizeof end - 1), end) == 0;
    quantizing *q = user;
    char name[1024];
    (void)snprintf(name, sizeof name, "%.*s", (int)(absmax ? length - (sizeof end - 1) : length), tensor->name);
    return visit_blocks(q, pfm_weights_find(q->weights, name), PFM_DTYPE_NF4, absmax ? copy_absmax : copy_halves, out, err);
}

typedef struct nf4_folder {
    pfm_weight *tensors;
    char (*names)[1100], (*states)[128];
    size_t count;
} nf4_folder;

static void add_part(nf4_folder *f, const pfm_weight *source, nf4_part part)
{
    const int64_t values = (int64_t)pfm_weight_values(source);
    pfm_weight *tensor = &f->tensors[f->count];
    char *name = f->names[f->count], *state = f->states[f->count];
    (void)snprintf(name, sizeof *f->names, "%s%s", source->name, part_ends[part]);
    (void)snprintf(state, sizeof *f->states,
                   "{\"quant_type\": \"nf4\", \"blocksize\": %d, \"dtype\": \"bfloat16\", \"shape\": [%lld, %lld]}",
                   PFM_NF4_VALUES, (long long)source->shape[0], (long long)source->shape[1]);
    switch (part) {
    case NF4_WHOLE: *tensor = *source; break;
    case NF4_HALVES: *tensor = (pfm_weight){.dtype = PFM_DTYPE_U8, .rank = 2, .shape = {values / 2, 1}}; break;
    case NF4_ABSMAX: *tensor = (pfm_weight){.dtype = PFM_DTYPE_F32, .rank = 1, .shape = {values / PFM_NF4_VALUES}}; break;
    case NF4_LEVELS: *tensor = (pfm_weight){.dtype = PFM_DTYPE_F32, .rank = 1, .shape = {16}, .data = pfm_nf4_levels}; break;
    case NF4_STATE:
        *tensor = (pfm_weight){.dtype = PFM_DTYPE_U8, .rank = 1, .shape = {(int64_t)strlen(state)}, .data = state};
        break;
    }
    tensor->name = name;
    f->count++;
}

static pfm_status list_parts(quantizing *q, nf4_folder *f, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t most = pfm_weights_count(q->weights) * NF4_STATE;
    PFM_TRY(pfm_allocate(most, sizeof *f->tensors, &f->tensors, err));
    PFM_TRY(pfm_allocate(most, sizeof *f->names, &f->names, err));
    PFM_TRY(pfm_allocate(most, sizeof *f->states, &f->states, err));
    for (size_t i = 0; i < pfm_weights_count(q->weights); i++) {
        const pfm_weight *source = pfm_weights_at(q->weights, i);
        if (target_of(q, source) != PFM_DTYPE_NF4) {
            add_part(f, source, NF4_WHOLE);
            q->whole++;
            continue;
        }
        if (source->shape[1] % PFM_NF4_VALUES != 0)
            PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: %s has rows of %lld values, not whole blocks of %d; choose --to q8_0 or q4_0",
                     q->path, source->name, (long long)source->shape[1], PFM_NF4_VALUES);
        for (nf4_part part = NF4_HALVES; part <= NF4_STATE; part++)
            add_part(f, source, part);
        q->quantised++;
    }
done:
    return status;
}

/* config.json with what transformers needs to see that the weights are NF4. */
static pfm_status write_config(const quantizing *q, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *from = NULL, *to = NULL;
    json_t *config = NULL, *how = NULL;
    PFM_TRY(pfm_path_beside(q->path, "config.json", &from, err));
    PFM_TRY(pfm_path_join(q->options->out, "config.json", &to, err));
    PFM_TRY(pfm_json_load(from, &config, err));
    how = json_pack("{s:s, s:b, s:b, s:s, s:b, s:s, s:s}", "quant_method", "bitsandbytes", "load_in_4bit", 1, "load_in_8bit", 0,
                    "bnb_4bit_quant_type", "nf4", "bnb_4bit_use_double_quant", 0, "bnb_4bit_compute_dtype", "bfloat16",
                    "bnb_4bit_quant_storage", "uint8");
    PFM_TRY(pfm_json_take(config, "quantization_config", how, err));
    PFM_TRY(pfm_json_save(to, config, err));
done:
    free(from);
    free(to);
    json_decref(config);
    return status;
}

/* The tokenizer's files stand beside the weights; those that are there go along. */
static pfm_status copy_beside(const quantizing *q, pfm_error *err)
{
    static const char *const files[] = {
        "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
        "vocab.json",     "merges.txt",      "chat_template.jinja"};
    pfm_status status = PFM_OK;
    char *from = NULL, *to = NULL;
    pfm_buffer text = {0};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        free(from);
        free(to);
        from = to = NULL;
        pfm_buffer_clear(&text);
        PFM_TRY(pfm_path_beside(q->path, files[i], &from, err));
        PFM_TRY(pfm_path_join(q->options->out, files[i], &to, err));
        if (!pfm_path_exists(from))
            continue;
        PFM_TRY(pfm_file_read(from, 0, &text, err));
        PFM_TRY(pfm_file_write(to, text.data, text.size, err));
    }
done:
    free(from);
    free(to);
    pfm_buffer_free(&text);
    return status;
}

static pfm_status write_nf4(quantizing *q, pfm_error *err)
{
    static const char *const metadata[] = {"format", "pt"};
    pfm_status status = PFM_OK;
    nf4_folder f = {0};
    char *path = NULL;
    if (strcmp(pfm_weights_format(q->weights), "gguf") == 0)
        PFM_FAIL(
            PFM_ERROR_UNSUPPORTED,
            "%s is a GGUF, and bitsandbytes reads folders of Hugging Face; pefomed export RECIPE FOLDER --base makes one of it",
            q->path);
    PFM_TRY(list_parts(q, &f, err));
    PFM_TRY(pfm_folder_create(q->options->out, err));
    PFM_TRY(pfm_path_join(q->options->out, "model.safetensors", &path, err));
    PFM_TRY(pfm_safetensors_write_from(path, f.tensors, f.count, metadata, 1, fill_nf4, q, err));
    PFM_TRY(write_config(q, err));
    PFM_TRY(copy_beside(q, err));
done:
    free(f.tensors);
    free(f.names);
    free(f.states);
    free(path);
    return status;
}

static pfm_status check(const quantizing *q, pfm_error *err)
{
    if (!pfm_dtype_quantises(q->dtype))
        return pfm_error_set(err, PFM_ERROR_USAGE, "cannot quantize to '%s'; it is q8_0, q4_0, q4_1, q4_k or nf4",
                             q->options->to);
    for (int i = 0; i < pfm_parameters_count(q->parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(q->parameters, i);
        if (pfm_dtype_quantises(p->blocks) && p->k % PFM_QUANT_BLOCK != 0)
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: %s has rows of %lld values, not whole blocks of %d", q->path,
                                 p->name, (long long)p->k, PFM_QUANT_BLOCK);
    }
    return PFM_OK;
}

pfm_status pfm_quantize(pfm_context *context, const pfm_quantize_options *options, char **json, pfm_error *err)
{
    pfm_status status = PFM_OK;
    quantizing q = {.context = context, .options = options};
    for (int dtype = 0; dtype < PFM_DTYPE_COUNT; dtype++) {
        if (strcmp(pfm_dtype_get_info((pfm_dtype)dtype)->name, options->to) == 0)
            q.dtype = (pfm_dtype)dtype;
    }
    PFM_TRY(pfm_model_path(context, options->model, &q.path, err));
    PFM_TRY(pfm_weights_open(q.path, &q.weights, err));
    PFM_TRY(pfm_language_read_config(q.weights, &q.language, err));
    PFM_TRY(list_layers(&q, err));
    PFM_TRY(check(&q, err));
    PFM_TRY(q.dtype == PFM_DTYPE_NF4 ? write_nf4(&q, err) : write_gguf(&q, err));
    json_t *document =
        json_pack("{s:s, s:s, s:I, s:I, s:f}", "output", options->out, "to", options->to, "quantised", (json_int_t)q.quantised,
                  "kept", (json_int_t)q.whole, "relative_error", q.squares > 0 ? sqrt(q.square_error / q.squares) : 0.0);
    status = pfm_json_print(document, json, err);
    json_decref(document);
done:
    pfm_parameters_free(q.parameters);
    pfm_weights_close(q.weights);
    free(q.path);
    return status;
}
