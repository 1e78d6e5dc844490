/* PyTorch checkpoints: the zip archive of torch 1.6 and later (NAME/data.pkl, NAME/data/KEY), and the form before it (five
 * pickles, then the storages). */
#include "base/try.h"
#include "formats/torch_tensors.h"
#include "formats/zip_map.h"

#include <stdlib.h>

static const unsigned char legacy_magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
enum { LEGACY_PROTOCOL = 1001 };

static bool is_zip(const unsigned char *data, size_t size) { return size >= 4 && memcmp(data, "PK\3\4", 4) == 0; }

static bool probe(const unsigned char *data, size_t size)
{
    return is_zip(data, size) || (size >= 2 && data[0] == 0x80 && data[1] >= 1 && data[1] <= 5);
}

static uint64_t storage_bytes(const pfm_pickle_storage *storage)
{
    uint64_t bytes = 0;
    return __builtin_mul_overflow(storage->values, (uint64_t)pfm_dtype_get_info(storage->dtype)->block_bytes, &bytes)
               ? UINT64_MAX
               : bytes;
}

static bool ends_with(const pfm_zip_entry *entry, const char *tail)
{
    size_t length = strlen(tail);
    return entry->name_length >= length && memcmp(entry->name + entry->name_length - length, tail, length) == 0;
}

/* The entry PREFIX/data.pkl; NULL: there is none or there are two. */
static const pfm_zip_entry *find_pickle(const pfm_zip_entry *entries, size_t count)
{
    const pfm_zip_entry *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!ends_with(&entries[i], "/data.pkl"))
            continue;
        if (found != NULL)
            return NULL;
        found = &entries[i];
    }
    return found;
}

static pfm_status check_order(const pfm_zip_entry *entries, size_t count, const char *path, pfm_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (ends_with(&entries[i], "/byteorder") && entries[i].data != NULL && entries[i].size == 3 &&
            memcmp(entries[i].data, "big", 3) == 0)
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s was saved on a big-endian machine", path);
    }
    return PFM_OK;
}

/* Gives every storage the bytes of its entry. */
static pfm_status bind_entries(pfm_pickle *pickle, const pfm_zip_entry *entries, size_t count, const pfm_zip_entry *prefix,
                               const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_map names = {0};
    pfm_buffer name = {0};
    for (size_t i = 0; i < count; i++)
        PFM_TRY(pfm_map_set(&names, entries[i].name, entries[i].name_length, (int64_t)i, err));
    for (size_t i = 0; i < pickle->storage_count; i++) {
        pfm_pickle_storage *storage = &pickle->storages[i];
        int64_t index = 0;
        pfm_buffer_clear(&name);
        PFM_TRY(pfm_buffer_append(&name, prefix->name, prefix->name_length - strlen("data.pkl"), err));
        PFM_TRY(pfm_buffer_append_string(&name, "data/", err));
        PFM_TRY(pfm_buffer_append(&name, storage->key, storage->key_length, err));
        if (!pfm_map_get(&names, name.data, name.size, &index))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s does not hold the storage %.100s that it refers to", path, name.data);
        if (entries[index].data == NULL)
            PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                     "%s: the entry %.100s is compressed; torch.save stores tensors uncompressed, load and save it again", path,
                     name.data);
        if (entries[index].size < storage_bytes(storage))
            PFM_FAIL(PFM_ERROR_FORMAT, "%s: the entry %.100s has %zu bytes for %llu values", path, name.data,
                     entries[index].size, (unsigned long long)storage->values);
        storage->data = entries[index].data;
    }
done:
    pfm_map_free(&names);
    pfm_buffer_free(&name);
    return status;
}

static pfm_status read_zip(pfm_weights *weights, const unsigned char *data, size_t size, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_zip_entry *entries = NULL;
    size_t count = 0, used = 0;
    pfm_pickle pickle = {0};
    PFM_TRY(pfm_zip_list(data, size, path, &entries, &count, err));
    const pfm_zip_entry *entry = find_pickle(entries, count);
    if (entry == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is a zip archive without exactly one data.pkl: no PyTorch checkpoint", path);
    if (entry->data == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "%s: its data.pkl is compressed; torch.save stores it uncompressed, load and save it again", path);
    PFM_TRY(check_order(entries, count, path, err));
    PFM_TRY(pfm_pickle_read(entry->data, entry->size, path, (size_t)(entry->data - data), &pickle, &used, err));
    PFM_TRY(bind_entries(&pickle, entries, count, entry, path, err));
    PFM_TRY(pfm_torch_add_tensors(weights, &pickle, size, path, err));
done:
    pfm_pickle_free(&pickle);
    free(entries);
    return status;
}

typedef struct legacy_file {
    const unsigned char *data;
    size_t size, offset;
    const char *path;
} legacy_file;

static pfm_status next_pickle(legacy_file *file, pfm_pickle *out, pfm_error *err)
{
    size_t used = 0;
    pfm_pickle_free(out);
    pfm_status status =
        pfm_pickle_read(file->data + file->offset, file->size - file->offset, file->path, file->offset, out, &used, err);
    file->offset += used;
    return status;
}

static pfm_status read_legacy_header(legacy_file *file, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pickle pickle = {0};
    PFM_TRY(next_pickle(file, &pickle, err));
    const pfm_pickle_node *node = &pickle.nodes[pickle.root];
    if (node->kind != PFM_PICKLE_BIG || node->text.length != sizeof legacy_magic ||
        memcmp(node->text.data, legacy_magic, sizeof legacy_magic) != 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s is a pickle, but no PyTorch checkpoint", file->path);
    PFM_TRY(next_pickle(file, &pickle, err));
    node = &pickle.nodes[pickle.root];
    if (node->kind != PFM_PICKLE_INTEGER || node->integer != LEGACY_PROTOCOL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s is a PyTorch checkpoint of an unknown version", file->path);
    PFM_TRY(next_pickle(file, &pickle, err));
    node = pfm_pickle_get(&pickle, &pickle.nodes[pickle.root], "little_endian");
    if (node == NULL || node->kind != PFM_PICKLE_BOOL || node->integer != 1)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s was saved on a big-endian machine", file->path);
done:
    pfm_pickle_free(&pickle);
    return status;
}

/* A storage of the list of keys: u64 number of values, the values. */
static pfm_status take_storage(legacy_file *file, const pfm_pickle_node *key, const pfm_map *by_key, pfm_pickle *pickle,
                               pfm_error *err)
{
    int64_t index = 0;
    uint64_t values = 0;
    if (key->kind != PFM_PICKLE_TEXT || !pfm_map_get(by_key, key->text.data, key->text.length, &index))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s lists a storage that no tensor has", file->path);
    pfm_pickle_storage *storage = &pickle->storages[index];
    size_t left = file->size - file->offset;
    if (left >= sizeof values)
        memcpy(&values, file->data + file->offset, sizeof values);
    uint64_t bytes = storage_bytes(storage);
    if (left < sizeof values || values != storage->values || bytes > left - sizeof values)
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "%s: the storage at byte %zu should have %llu values; the file was cut short or is damaged",
                             file->path, file->offset, (unsigned long long)storage->values);
    storage->data = file->data + file->offset + sizeof values;
    file->offset += sizeof values + (size_t)bytes;
    return PFM_OK;
}

/* Storages of the same key are one; all must agree in type and size. */
static pfm_status share_storages(const legacy_file *file, const pfm_map *by_key, pfm_pickle *pickle, pfm_error *err)
{
    for (size_t i = 0; i < pickle->storage_count; i++) {
        pfm_pickle_storage *storage = &pickle->storages[i];
        int64_t index = 0;
        (void)pfm_map_get(by_key, storage->key, storage->key_length, &index);
        const pfm_pickle_storage *first = &pickle->storages[index];
        if (first->data == NULL || first->dtype != storage->dtype || first->values != storage->values)
            return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the storage %.*s is %s", file->path,
                                 storage->key_length > 100 ? 100 : (int)storage->key_length, storage->key,
                                 first->data == NULL ? "not in the file" : "described in two ways");
        storage->data = first->data;
    }
    return PFM_OK;
}

static pfm_status read_legacy(pfm_weights *weights, const unsigned char *data, size_t size, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    legacy_file file = {.data = data, .size = size, .path = path};
    pfm_pickle pickle = {0}, keys = {0};
    pfm_map by_key = {0};
    PFM_TRY(read_legacy_header(&file, err));
    PFM_TRY(next_pickle(&file, &pickle, err));
    PFM_TRY(next_pickle(&file, &keys, err));
    const pfm_pickle_node *list = &keys.nodes[keys.root];
    if (list->kind != PFM_PICKLE_LIST)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s has no list of storages", path);
    for (size_t i = 0; i < pickle.storage_count; i++) {
        if (!pfm_map_get(&by_key, pickle.storages[i].key, pickle.storages[i].key_length, NULL))
            PFM_TRY(pfm_map_set(&by_key, pickle.storages[i].key, pickle.storages[i].key_length, (int64_t)i, err));
    }
    for (size_t i = 0; i < list->list.count; i++)
        PFM_TRY(take_storage(&file, &keys.nodes[list->list.items[i]], &by_key, &pickle, err));
    PFM_TRY(share_storages(&file, &by_key, &pickle, err));
    PFM_TRY(pfm_torch_add_tensors(weights, &pickle, size, path, err));
done:
    pfm_map_free(&by_key);
    pfm_pickle_free(&pickle);
    pfm_pickle_free(&keys);
    return status;
}

static pfm_status read_file(pfm_weights *weights, const unsigned char *data, size_t size, const char *path, pfm_error *err)
{
    return is_zip(data, size) ? read_zip(weights, data, size, path, err) : read_legacy(weights, data, size, path, err);
}

const pfm_weights_reader pfm_reader_torch = {.format = "torch", .probe = probe, .read = read_file};
