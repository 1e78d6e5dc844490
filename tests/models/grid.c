#include "grid.h"

#include "base/file.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"

json_t *grid_load(void)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *list = NULL;
    assert_ok(pfm_json_load(tiny_path("families.json"), &list, &err));
    assert_true(json_array_size(list) > 0);
    return list;
}

/* [name, shape, number, scale, offset] */
static void make_tensor(const json_t *row, bool changed, pfm_weight *out)
{
    size_t count = 1;
    const json_t *shape = json_array_get(row, 1);
    *out = (pfm_weight){
        .name = json_string_value(json_array_get(row, 0)), .dtype = PFM_DTYPE_F32, .rank = (int)json_array_size(shape)};
    for (int i = 0; i < out->rank; i++) {
        out->shape[i] = json_integer_value(json_array_get(shape, (size_t)i));
        count *= (size_t)out->shape[i];
    }
    float *values = calloc(count, sizeof *values);
    assert_non_null(values);
    tiny_spread((uint32_t)json_integer_value(json_array_get(row, 2)) + (changed ? 50000000u : 0), count, values);
    for (size_t i = 0; i < count; i++)
        values[i] =
            values[i] * (float)json_number_value(json_array_get(row, 3)) + (float)json_number_value(json_array_get(row, 4));
    out->data = values;
    out->bytes = count * sizeof *values;
}

void grid_model_create(const json_t *list, size_t i, int changed, grid_model *out)
{
    const json_t *model = json_array_get(list, i), *tensors = json_object_get(model, "tensors");
    *out = (grid_model){.name = json_string_value(json_object_get(model, "name")),
                        .config = json_object_get(model, "config"),
                        .gguf = json_object_get(model, "gguf"),
                        .count = json_array_size(tensors)};
    assert_true(out->name != NULL && out->config != NULL && out->count <= GRID_TENSORS);
    for (size_t t = 0; t < out->count; t++)
        make_tensor(json_array_get(tensors, t), (int)t == changed, &out->tensors[t]);
}

void grid_model_free(grid_model *model)
{
    for (size_t t = 0; t < model->count; t++)
        free((void *)(uintptr_t)model->tensors[t].data);
    *model = (grid_model){0};
}

static const char *shard_name(int shard, int shards)
{
    static char name[64];
    (void)snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", shard + 1, shards);
    return name;
}

static void write_shards(const char *folder, const pfm_weight *tensors, size_t count, int shards)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *map = json_object(), *index = json_pack("{s:{s:i}, s:o}", "metadata", "total_size", 0, "weight_map", map);
    for (int s = 0; s < shards; s++) {
        size_t begin = count * (size_t)s / (size_t)shards, end = count * (size_t)(s + 1) / (size_t)shards;
        const char *name = shard_name(s, shards);
        for (size_t t = begin; t < end; t++)
            assert_int_equal(json_object_set_new(map, tensors[t].name, json_string(name)), 0);
        assert_ok(pfm_safetensors_write(test_path(folder, name), tensors + begin, end - begin, NULL, 0, &err));
    }
    assert_ok(pfm_json_save(test_path(folder, "model.safetensors.index.json"), index, &err));
    json_decref(index);
}

const char *grid_write(const grid_model *model, const char *name, size_t first, size_t left_out, int shards)
{
    static char folder[256];
    pfm_error err = PFM_ERROR_INIT;
    pfm_weight kept[GRID_TENSORS];
    size_t count = 0;
    for (size_t t = 0; t < model->count; t++)
        if (t < first || t >= first + left_out)
            kept[count++] = model->tensors[t];
    (void)snprintf(folder, sizeof folder, "%s", test_path(test_scratch_folder(), name));
    assert_ok(pfm_folder_create(folder, &err));
    assert_ok(pfm_json_save(test_path(folder, "config.json"), model->config, &err));
    if (shards > 1)
        write_shards(folder, kept, count, shards);
    else
        assert_ok(pfm_safetensors_write(test_path(folder, "model.safetensors"), kept, count, NULL, 0, &err));
    return folder;
}

static void set_meta(pfm_gguf_writer *writer, const json_t *gguf)
{
    pfm_error err = PFM_ERROR_INIT;
    const char *key;
    json_t *value;
    assert_ok(
        pfm_gguf_set_text(writer, "general.architecture", json_string_value(json_object_get(gguf, "architecture")), &err));
    json_object_foreach(json_object_get(gguf, "meta"), key, value)
    {
        if (json_is_string(value))
            assert_ok(pfm_gguf_set_text(writer, key, json_string_value(value), &err));
        else if (json_is_integer(value))
            assert_ok(pfm_gguf_set_u32(writer, key, (uint32_t)json_integer_value(value), &err));
        else
            assert_ok(pfm_gguf_set_f32(writer, key, (float)json_real_value(value), &err));
    }
}

static const pfm_weight *find(const grid_model *model, const char *name)
{
    for (size_t t = 0; t < model->count; t++)
        if (strcmp(model->tensors[t].name, name) == 0)
            return &model->tensors[t];
    fail_msg("%s has no tensor %s", model->name, name);
    return NULL;
}

/* The halves of each run of head_rows rows in turn. */
static void interleave(const float *from, int64_t rows, int64_t k, int64_t head_rows, float *to)
{
    for (int64_t r = 0; r < rows; r++) {
        int64_t head = r / head_rows, at = r % head_rows;
        memcpy(to + r * k, from + (head * head_rows + at / 2 + at % 2 * (head_rows / 2)) * k, (size_t)k * sizeof *to);
    }
}

/* [GGUF's name, [ours, one below the other], "same", "transposed" or "pairs of D"]; the caller frees its data. */
static pfm_weight make_gguf_tensor(const grid_model *model, const json_t *row)
{
    const json_t *parts = json_array_get(row, 1);
    const char *how = json_string_value(json_array_get(row, 2));
    pfm_weight out = *find(model, json_string_value(json_array_get(parts, 0)));
    int64_t rows = 0, k = out.rank == 1 ? 1 : out.shape[1];
    float *values = calloc((size_t)k * 4096, sizeof *values);
    assert_true(values != NULL && how != NULL);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const pfm_weight *part = find(model, json_string_value(json_array_get(parts, i)));
        const float *from = part->data;
        assert_true(rows + part->shape[0] <= 4096);
        if (strncmp(how, "pairs of ", 9) == 0)
            interleave(from, part->shape[0], k, strtol(how + 9, NULL, 10), values);
        else if (strcmp(how, "transposed") == 0)
            for (int64_t j = 0; j < part->shape[0] * k; j++)
                values[j % k * part->shape[0] + j / k] = from[j];
        else
            memcpy(values + rows * k, from, (size_t)(part->shape[0] * k) * sizeof *values);
        rows += part->shape[0];
    }
    bool transposed = strcmp(how, "transposed") == 0;
    out.name = json_string_value(json_array_get(row, 0));
    out.shape[0] = transposed ? k : rows;
    out.shape[1] = transposed ? rows : k;
    out.data = values;
    out.bytes = (size_t)(rows * k) * sizeof *values;
    return out;
}

const char *grid_write_gguf(const grid_model *model)
{
    static char path[256];
    pfm_error err = PFM_ERROR_INIT;
    pfm_gguf_writer *writer = NULL;
    pfm_weight made[GRID_TENSORS];
    float factors[256];
    const json_t *tensors = json_object_get(model->gguf, "tensors"), *freqs = json_object_get(model->gguf, "rope_freqs");
    size_t count = json_array_size(tensors);
    assert_ok(pfm_gguf_writer_create(&writer, &err));
    set_meta(writer, model->gguf);
    assert_true(count > 0 && count < GRID_TENSORS);
    for (size_t t = 0; t < count; t++) {
        made[t] = make_gguf_tensor(model, json_array_get(tensors, t));
        assert_ok(pfm_gguf_add_tensor(writer, &made[t], &err));
    }
    for (size_t i = 0; i < json_array_size(freqs); i++)
        factors[i] = (float)json_number_value(json_array_get(freqs, i));
    pfm_weight rope = {.name = "rope_freqs.weight", .dtype = PFM_DTYPE_F32, .rank = 1, .data = factors};
    rope.shape[0] = (int64_t)json_array_size(freqs);
    rope.bytes = json_array_size(freqs) * sizeof *factors;
    if (json_is_array(freqs))
        assert_ok(pfm_gguf_add_tensor(writer, &rope, &err));
    (void)snprintf(path, sizeof path, "%s.gguf", test_path(test_scratch_folder(), model->name));
    assert_ok(pfm_gguf_write(writer, path, NULL, NULL, &err));
    for (size_t t = 0; t < count; t++)
        free((void *)(uintptr_t)made[t].data);
    pfm_gguf_writer_free(writer);
    return path;
}

float *grid_golden(const grid_model *model, const char *what, int64_t shape[2])
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    char name[256];
    (void)snprintf(name, sizeof name, "%s.%s", model->name, what);
    assert_ok(pfm_weights_open(tiny_path("families.safetensors"), &weights, &err));
    const pfm_weight *weight = pfm_weights_find(weights, name);
    if (weight == NULL)
        fail_msg("families.safetensors lacks %s", name);
    float *out = calloc(pfm_weight_values(weight), sizeof *out);
    assert_non_null(out);
    assert_ok(pfm_weight_expand(weight, out, &err));
    if (shape != NULL) {
        shape[0] = weight->shape[0];
        shape[1] = weight->rank > 1 ? weight->shape[1] : 1;
    }
    pfm_weights_close(weights);
    return out;
}
