#include "base/memory.h"
#include "base/try.h"
#include "formats/pickle_globals.h"
#include "formats/pickle_internal.h"

enum { ROLE_DICT, ROLE_TENSOR, ROLE_PARAMETER, ROLE_STORAGE };

typedef struct global_info {
    const char *module, *name;
    int role;
    pfm_dtype dtype;
} global_info;

#define LINE(module, name, role, dtype) {module, name, role, dtype},
static const global_info globals[] = {PFM_PICKLE_GLOBALS(LINE)};

static bool equals(const char *text, size_t length, const char *wanted)
{
    return strlen(wanted) == length && memcmp(text, wanted, length) == 0;
}

static int shown(size_t length) { return length > 100 ? 100 : (int)length; }

pfm_status pfm_pickle_find_global(pfm_pickle_machine *machine, const char *module, size_t module_length, const char *name,
                                  size_t name_length, int *line, pfm_error *err)
{
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        if (equals(module, module_length, globals[i].module) && equals(name, name_length, globals[i].name)) {
            *line = (int)i;
            return PFM_OK;
        }
    }
    return pfm_error_set(
        err, PFM_ERROR_FORMAT,
        "%s imports %.*s.%.*s at byte %zu; only tensors are rebuilt from a checkpoint and none of its code is run: save its "
        "state_dict instead, or as safetensors",
        machine->cursor.place, shown(module_length), module, shown(name_length), name, machine->at);
}

static pfm_status refuse(pfm_pickle_machine *machine, const char *what, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the pickle at byte %zu %s", machine->cursor.place, machine->at, what);
}

static pfm_pickle_node *node_at(const pfm_pickle_machine *machine, uint32_t index) { return &machine->pickle->nodes[index]; }

/* The item of a tuple where it is of this kind, else NULL. */
static const pfm_pickle_node *item_of(const pfm_pickle_machine *machine, const pfm_pickle_node *tuple, size_t index,
                                      pfm_pickle_kind kind)
{
    if (index >= tuple->list.count)
        return NULL;
    const pfm_pickle_node *item = node_at(machine, tuple->list.items[index]);
    return item->kind == kind ? item : NULL;
}

/* OrderedDict(), or OrderedDict([(key, value), ...]) as Python 2 wrote it. */
static pfm_status build_dict(pfm_pickle_machine *machine, uint32_t arguments, uint32_t *result, pfm_error *err)
{
    pfm_status status = pfm_pickle_add(machine, PFM_PICKLE_DICT, result, err);
    const pfm_pickle_node *tuple = node_at(machine, arguments);
    if (status != PFM_OK || tuple->list.count == 0)
        return status;
    const pfm_pickle_node *pairs = item_of(machine, tuple, 0, PFM_PICKLE_LIST);
    if (pairs == NULL || tuple->list.count != 1)
        return refuse(machine, "makes an OrderedDict of something else than a list of pairs", err);
    for (size_t i = 0; status == PFM_OK && i < pairs->list.count; i++) {
        const pfm_pickle_node *pair = node_at(machine, pairs->list.items[i]);
        if ((pair->kind != PFM_PICKLE_TUPLE && pair->kind != PFM_PICKLE_LIST) || pair->list.count != 2)
            return refuse(machine, "makes an OrderedDict of something else than a list of pairs", err);
        status = pfm_pickle_append(machine, *result, pair->list.items[0], err);
        if (status == PFM_OK)
            status = pfm_pickle_append(machine, *result, pair->list.items[1], err);
    }
    return status;
}

/* Not negative integers of a tuple, PFM_MAX_RANK at most. */
static bool read_sizes(const pfm_pickle_machine *machine, const pfm_pickle_node *tuple, int64_t *out)
{
    if (tuple == NULL || tuple->list.count > PFM_MAX_RANK)
        return false;
    for (size_t i = 0; i < tuple->list.count; i++) {
        const pfm_pickle_node *size = item_of(machine, tuple, i, PFM_PICKLE_INTEGER);
        if (size == NULL || size->integer < 0)
            return false;
        out[i] = size->integer;
    }
    return true;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks[, metadata]) */
static pfm_status build_tensor(pfm_pickle_machine *machine, uint32_t arguments, uint32_t *result, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pickle *pickle = machine->pickle;
    const pfm_pickle_node *tuple = node_at(machine, arguments);
    const pfm_pickle_node *storage = item_of(machine, tuple, 0, PFM_PICKLE_STORAGE),
                          *offset = item_of(machine, tuple, 1, PFM_PICKLE_INTEGER);
    const pfm_pickle_node *size = item_of(machine, tuple, 2, PFM_PICKLE_TUPLE),
                          *stride = item_of(machine, tuple, 3, PFM_PICKLE_TUPLE);
    pfm_pickle_tensor tensor = {0};
    if (storage == NULL || offset == NULL || offset->integer < 0 || !read_sizes(machine, size, tensor.shape) ||
        !read_sizes(machine, stride, tensor.stride) || size->list.count != stride->list.count)
        return refuse(
            machine, "describes a tensor wrongly: a storage, an offset, a size and a stride of at most 8 dimensions are needed",
            err);
    tensor.storage = (size_t)storage->integer;
    tensor.offset = (uint64_t)offset->integer;
    tensor.rank = (int)size->list.count;
    PFM_TRY(pfm_array_reserve(&pickle->tensors, &pickle->tensor_capacity, pickle->tensor_count + 1, sizeof tensor, err));
    PFM_TRY(pfm_pickle_add(machine, PFM_PICKLE_TENSOR, result, err));
    pickle->nodes[*result].integer = (int64_t)pickle->tensor_count;
    pickle->tensors[pickle->tensor_count++] = tensor;
done:
    return status;
}

pfm_status pfm_pickle_call(pfm_pickle_machine *machine, uint32_t callee, uint32_t arguments, uint32_t *result, pfm_error *err)
{
    const pfm_pickle_node *function = node_at(machine, callee), *tuple = node_at(machine, arguments);
    if (function->kind != PFM_PICKLE_GLOBAL || tuple->kind != PFM_PICKLE_TUPLE)
        return refuse(machine, "calls something that is no function", err);
    switch (globals[function->integer].role) {
    case ROLE_DICT: return build_dict(machine, arguments, result, err);
    case ROLE_TENSOR: return build_tensor(machine, arguments, result, err);
    case ROLE_PARAMETER:
        if (item_of(machine, tuple, 0, PFM_PICKLE_TENSOR) == NULL)
            return refuse(machine, "makes a parameter of something that is no tensor", err);
        *result = tuple->list.items[0];
        return PFM_OK;
    default: return refuse(machine, "calls a storage type; the file is of a form that is not read here", err);
    }
}

/* ("storage", type, key, location, number of values[, view]) */
pfm_status pfm_pickle_refer(pfm_pickle_machine *machine, uint32_t id, uint32_t *result, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pickle *pickle = machine->pickle;
    const pfm_pickle_node *tuple = node_at(machine, id);
    if (tuple->kind != PFM_PICKLE_TUPLE || tuple->list.count < 5 || tuple->list.count > 6 ||
        !pfm_pickle_is_text(node_at(machine, tuple->list.items[0]), "storage"))
        return refuse(machine, "refers to something that is no storage", err);
    const pfm_pickle_node *type = item_of(machine, tuple, 1, PFM_PICKLE_GLOBAL),
                          *key = item_of(machine, tuple, 2, PFM_PICKLE_TEXT);
    const pfm_pickle_node *values = item_of(machine, tuple, 4, PFM_PICKLE_INTEGER);
    if (type == NULL || globals[type->integer].role != ROLE_STORAGE || key == NULL || values == NULL || values->integer < 0)
        return refuse(machine, "describes a storage wrongly", err);
    if (tuple->list.count == 6 && item_of(machine, tuple, 5, PFM_PICKLE_NONE) == NULL)
        return refuse(machine, "holds a view of a storage (saved before torch 0.4), which is not read here", err);
    pfm_pickle_storage storage = {.key = key->text.data,
                                  .key_length = key->text.length,
                                  .dtype = globals[type->integer].dtype,
                                  .values = (uint64_t)values->integer};
    PFM_TRY(pfm_array_reserve(&pickle->storages, &pickle->storage_capacity, pickle->storage_count + 1, sizeof storage, err));
    PFM_TRY(pfm_pickle_add(machine, PFM_PICKLE_STORAGE, result, err));
    pickle->nodes[*result].integer = (int64_t)pickle->storage_count;
    pickle->storages[pickle->storage_count++] = storage;
done:
    return status;
}
