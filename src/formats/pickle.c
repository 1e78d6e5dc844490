#include "base/memory.h"
#include "base/try.h"
#include "formats/pickle_internal.h"

#include <stdlib.h>

enum { MAX_NODES = 1 << 22, NODE_NONE = 0, NODE_FALSE = 1, NODE_TRUE = 2 };

/* The opcodes that are never interpreted, by the names under which pickletools lists them. */
static const struct {
    unsigned char code;
    const char *name;
} refused[] = {{'i', "INST"},
               {'o', "OBJ"},
               {'P', "PERSID"},
               {'I', "INT"},
               {'L', "LONG"},
               {'F', "FLOAT"},
               {'S', "STRING"},
               {'V', "UNICODE"},
               {'p', "PUT"},
               {'g', "GET"},
               {'0', "POP"},
               {'1', "POP_MARK"},
               {'2', "DUP"},
               {'d', "DICT"},
               {'l', "LIST"},
               {'B', "BINBYTES"},
               {'C', "SHORT_BINBYTES"},
               {0x81, "NEWOBJ"},
               {0x82, "EXT1"},
               {0x83, "EXT2"},
               {0x84, "EXT4"},
               {0x8b, "LONG4"},
               {0x8c, "SHORT_BINUNICODE"},
               {0x8d, "BINUNICODE8"},
               {0x8e, "BINBYTES8"},
               {0x8f, "EMPTY_SET"},
               {0x90, "ADDITEMS"},
               {0x91, "FROZENSET"},
               {0x92, "NEWOBJ_EX"},
               {0x93, "STACK_GLOBAL"},
               {0x94, "MEMOIZE"},
               {0x95, "FRAME"},
               {0x96, "BYTEARRAY8"},
               {0x97, "NEXT_BUFFER"},
               {0x98, "READONLY_BUFFER"}};

static pfm_status refuse(const pfm_pickle_machine *machine, const char *what, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the pickle at byte %zu %s; it is damaged", machine->cursor.place,
                         machine->at, what);
}

pfm_status pfm_pickle_add(pfm_pickle_machine *machine, pfm_pickle_kind kind, uint32_t *index, pfm_error *err)
{
    pfm_pickle *pickle = machine->pickle;
    if (pickle->count >= MAX_NODES)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s: the pickle makes more than %d objects", machine->cursor.place,
                             MAX_NODES);
    pfm_status status = pfm_array_reserve(&pickle->nodes, &pickle->capacity, pickle->count + 1, sizeof *pickle->nodes, err);
    if (status != PFM_OK)
        return status;
    pickle->nodes[pickle->count].kind = kind;
    *index = (uint32_t)pickle->count++;
    return PFM_OK;
}

pfm_status pfm_pickle_append(pfm_pickle_machine *machine, uint32_t list, uint32_t item, pfm_error *err)
{
    pfm_pickle_node *node = &machine->pickle->nodes[list];
    pfm_status status = pfm_array_reserve(&node->list.items, &node->list.capacity, node->list.count + 1, sizeof item, err);
    if (status == PFM_OK)
        node->list.items[node->list.count++] = item;
    return status;
}

static pfm_status push(pfm_pickle_machine *machine, uint32_t index, pfm_error *err)
{
    pfm_status status = pfm_array_reserve(&machine->stack, &machine->stack_capacity, machine->depth + 1, sizeof index, err);
    if (status == PFM_OK)
        machine->stack[machine->depth++] = index;
    return status;
}

/* Pushes a fresh node; *node is borrowed until the next one is made. */
static pfm_status push_new(pfm_pickle_machine *machine, pfm_pickle_kind kind, pfm_pickle_node **node, pfm_error *err)
{
    uint32_t index = 0;
    pfm_status status = pfm_pickle_add(machine, kind, &index, err);
    if (status == PFM_OK)
        status = push(machine, index, err);
    if (status == PFM_OK && node != NULL)
        *node = &machine->pickle->nodes[index];
    return status;
}

/* Items below the last mark are out of reach. */
static size_t reach(const pfm_pickle_machine *machine)
{
    return machine->depth - (machine->mark_count > 0 ? machine->marks[machine->mark_count - 1] : 0);
}

static pfm_status pop(pfm_pickle_machine *machine, uint32_t *out, pfm_error *err)
{
    if (reach(machine) == 0)
        return refuse(machine, "takes from an empty stack", err);
    *out = machine->stack[--machine->depth];
    return PFM_OK;
}

/* *first = the position on the stack right above the last mark, which is gone. */
static pfm_status pop_mark(pfm_pickle_machine *machine, size_t *first, pfm_error *err)
{
    if (machine->mark_count == 0)
        return refuse(machine, "has no mark", err);
    *first = machine->marks[--machine->mark_count];
    return PFM_OK;
}

static pfm_status push_mark(pfm_pickle_machine *machine, pfm_error *err)
{
    pfm_status status =
        pfm_array_reserve(&machine->marks, &machine->mark_capacity, machine->mark_count + 1, sizeof *machine->marks, err);
    if (status == PFM_OK)
        machine->marks[machine->mark_count++] = machine->depth;
    return status;
}

/* Replaces the items from `first` on by a tuple of them. */
static pfm_status make_tuple(pfm_pickle_machine *machine, size_t first, pfm_error *err)
{
    uint32_t tuple = 0;
    pfm_status status = pfm_pickle_add(machine, PFM_PICKLE_TUPLE, &tuple, err);
    for (size_t i = first; status == PFM_OK && i < machine->depth; i++)
        status = pfm_pickle_append(machine, tuple, machine->stack[i], err);
    machine->depth = first;
    return status == PFM_OK ? push(machine, tuple, err) : status;
}

static pfm_status make_small_tuple(pfm_pickle_machine *machine, size_t count, pfm_error *err)
{
    if (reach(machine) < count)
        return refuse(machine, "takes from an empty stack", err);
    return make_tuple(machine, machine->depth - count, err);
}

/* Appends the items from `first` on to the list or dict right below them. */
static pfm_status extend(pfm_pickle_machine *machine, size_t first, pfm_pickle_kind kind, pfm_error *err)
{
    size_t floor = machine->mark_count > 0 ? machine->marks[machine->mark_count - 1] : 0;
    if (first <= floor || machine->pickle->nodes[machine->stack[first - 1]].kind != kind)
        return refuse(machine, "adds to something that is no container", err);
    if (kind == PFM_PICKLE_DICT && (machine->depth - first) % 2 != 0)
        return refuse(machine, "adds a key without a value", err);
    uint32_t target = machine->stack[first - 1];
    for (size_t i = first; i < machine->depth; i++) {
        pfm_status status = pfm_pickle_append(machine, target, machine->stack[i], err);
        if (status != PFM_OK)
            return status;
    }
    machine->depth = first;
    return PFM_OK;
}

static pfm_status extend_marked(pfm_pickle_machine *machine, pfm_pickle_kind kind, pfm_error *err)
{
    size_t first = 0;
    pfm_status status = pop_mark(machine, &first, err);
    return status == PFM_OK ? extend(machine, first, kind, err) : status;
}

static pfm_status extend_by(pfm_pickle_machine *machine, size_t count, pfm_pickle_kind kind, pfm_error *err)
{
    if (reach(machine) < count + 1)
        return refuse(machine, "takes from an empty stack", err);
    return extend(machine, machine->depth - count, kind, err);
}

static pfm_status push_integer(pfm_pickle_machine *machine, int64_t value, pfm_error *err)
{
    pfm_pickle_node *node = NULL;
    pfm_status status = push_new(machine, PFM_PICKLE_INTEGER, &node, err);
    if (status == PFM_OK)
        node->integer = value;
    return status;
}

/* An unsigned little-endian number of 1, 2 or 4 bytes. */
static pfm_status take_unsigned(pfm_pickle_machine *machine, size_t bytes, uint32_t *out, pfm_error *err)
{
    *out = 0;
    return pfm_cursor_copy(&machine->cursor, out, bytes, "a pickle", err);
}

static pfm_status push_long(pfm_pickle_machine *machine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t length = 0;
    const unsigned char *bytes = NULL;
    PFM_TRY(take_unsigned(machine, 1, &length, err));
    PFM_TRY(pfm_cursor_take(&machine->cursor, length, "a pickle", &bytes, err));
    if (length > 8) {
        pfm_pickle_node *node = NULL;
        PFM_TRY(push_new(machine, PFM_PICKLE_BIG, &node, err));
        node->text.data = (const char *)bytes;
        node->text.length = length;
    } else {
        uint64_t value = length > 0 && bytes[length - 1] >= 128 ? UINT64_MAX : 0;
        memcpy(&value, bytes, length);
        PFM_TRY(push_integer(machine, (int64_t)value, err));
    }
done:
    return status;
}

/* Big-endian, unlike everything else in a pickle. */
static pfm_status push_number(pfm_pickle_machine *machine, pfm_error *err)
{
    uint64_t bits = 0;
    pfm_pickle_node *node = NULL;
    pfm_status status = pfm_cursor_u64(&machine->cursor, "a pickle", &bits, err);
    if (status == PFM_OK)
        status = push_new(machine, PFM_PICKLE_NUMBER, &node, err);
    if (status == PFM_OK) {
        bits = __builtin_bswap64(bits);
        memcpy(&node->number, &bits, sizeof bits);
    }
    return status;
}

static pfm_status push_text(pfm_pickle_machine *machine, size_t length_bytes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t length = 0;
    const unsigned char *bytes = NULL;
    pfm_pickle_node *node = NULL;
    PFM_TRY(take_unsigned(machine, length_bytes, &length, err));
    PFM_TRY(pfm_cursor_take(&machine->cursor, length, "a pickle", &bytes, err));
    PFM_TRY(push_new(machine, PFM_PICKLE_TEXT, &node, err));
    node->text.data = (const char *)bytes;
    node->text.length = length;
done:
    return status;
}

/* A line of text, without its newline. */
static pfm_status take_line(pfm_pickle_machine *machine, const char **text, size_t *length, pfm_error *err)
{
    pfm_cursor *cursor = &machine->cursor;
    const unsigned char *begin = cursor->data + cursor->offset, *end = memchr(begin, '\n', cursor->size - cursor->offset);
    if (end == NULL)
        return refuse(machine, "names a global without end", err);
    *text = (const char *)begin;
    *length = (size_t)(end - begin);
    cursor->offset += *length + 1;
    return PFM_OK;
}

static pfm_status push_global(pfm_pickle_machine *machine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *module = NULL, *name = NULL;
    size_t module_length = 0, name_length = 0;
    pfm_pickle_node *node = NULL;
    int line = 0;
    PFM_TRY(take_line(machine, &module, &module_length, err));
    PFM_TRY(take_line(machine, &name, &name_length, err));
    PFM_TRY(pfm_pickle_find_global(machine, module, module_length, name, name_length, &line, err));
    PFM_TRY(push_new(machine, PFM_PICKLE_GLOBAL, &node, err));
    node->integer = line;
done:
    return status;
}

static pfm_status memorise(pfm_pickle_machine *machine, size_t bytes, pfm_error *err)
{
    uint32_t index = 0;
    pfm_status status = take_unsigned(machine, bytes, &index, err);
    if (status != PFM_OK)
        return status;
    if (reach(machine) == 0)
        return refuse(machine, "keeps the top of an empty stack", err);
    if (index > machine->cursor.offset) /* a pickler counts up from 0 */
        return refuse(machine, "keeps an object under a number out of order", err);
    status = pfm_array_reserve(&machine->memo, &machine->memo_capacity, (size_t)index + 1, sizeof *machine->memo, err);
    if (status != PFM_OK)
        return status;
    machine->memo[index] = machine->stack[machine->depth - 1] + 1;
    if (machine->memo_count <= index)
        machine->memo_count = (size_t)index + 1;
    return PFM_OK;
}

static pfm_status recall(pfm_pickle_machine *machine, size_t bytes, pfm_error *err)
{
    uint32_t index = 0;
    pfm_status status = take_unsigned(machine, bytes, &index, err);
    if (status != PFM_OK)
        return status;
    if (index >= machine->memo_count || machine->memo[index] == 0)
        return refuse(machine, "recalls an object that it did not keep", err);
    return push(machine, machine->memo[index] - 1, err);
}

/* REDUCE: calls the second from the top with the top. */
static pfm_status call(pfm_pickle_machine *machine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t callee = 0, arguments = 0, result = 0;
    PFM_TRY(pop(machine, &arguments, err));
    PFM_TRY(pop(machine, &callee, err));
    PFM_TRY(pfm_pickle_call(machine, callee, arguments, &result, err));
    PFM_TRY(push(machine, result, err));
done:
    return status;
}

static pfm_status refer(pfm_pickle_machine *machine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t id = 0, result = 0;
    PFM_TRY(pop(machine, &id, err));
    PFM_TRY(pfm_pickle_refer(machine, id, &result, err));
    PFM_TRY(push(machine, result, err));
done:
    return status;
}

/* BUILD: only the attributes of an OrderedDict (torch's _metadata), which no tensor needs. */
static pfm_status build(pfm_pickle_machine *machine, pfm_error *err)
{
    uint32_t attributes = 0;
    pfm_status status = pop(machine, &attributes, err);
    if (status != PFM_OK)
        return status;
    if (reach(machine) == 0 || machine->pickle->nodes[machine->stack[machine->depth - 1]].kind != PFM_PICKLE_DICT)
        return refuse(machine, "sets the attributes of something that is no dictionary", err);
    return PFM_OK;
}

static pfm_status read_protocol(pfm_pickle_machine *machine, pfm_error *err)
{
    uint32_t protocol = 0;
    pfm_status status = take_unsigned(machine, 1, &protocol, err);
    if (status == PFM_OK && protocol > 3)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "%s was saved with pickle protocol %u; save it with torch.save's default, 2",
                             machine->cursor.place, protocol);
    return status;
}

static pfm_status refuse_opcode(const pfm_pickle_machine *machine, unsigned char code, pfm_error *err)
{
    const char *name = "unknown";
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (refused[i].code == code)
            name = refused[i].name;
    }
    return pfm_error_set(err, PFM_ERROR_FORMAT,
                         "%s: the pickle at byte %zu holds the opcode 0x%02x (%s), which no tensor needs; none of the "
                         "file's code is run",
                         machine->cursor.place, machine->at, code, name);
}

static pfm_status step_marked_tuple(pfm_pickle_machine *machine, pfm_error *err)
{
    size_t first = 0;
    pfm_status status = pop_mark(machine, &first, err);
    return status == PFM_OK ? make_tuple(machine, first, err) : status;
}

static pfm_status step_integer(pfm_pickle_machine *machine, size_t bytes, pfm_error *err)
{
    uint32_t value = 0;
    pfm_status status = take_unsigned(machine, bytes, &value, err);
    return status == PFM_OK ? push_integer(machine, bytes == 4 ? (int64_t)(int32_t)value : (int64_t)value, err) : status;
}

static pfm_status step(pfm_pickle_machine *machine, unsigned char code, pfm_error *err)
{
    switch (code) {
    case 0x80: return read_protocol(machine, err);
    case '(': return push_mark(machine, err);
    case 'N': return push(machine, NODE_NONE, err);
    case 0x88: return push(machine, NODE_TRUE, err);
    case 0x89: return push(machine, NODE_FALSE, err);
    case 'J': return step_integer(machine, 4, err);
    case 'K': return step_integer(machine, 1, err);
    case 'M': return step_integer(machine, 2, err);
    case 0x8a: return push_long(machine, err);
    case 'G': return push_number(machine, err);
    case 'X': return push_text(machine, 4, err);
    case 'T': return push_text(machine, 4, err);
    case 'U': return push_text(machine, 1, err);
    case ')': return push_new(machine, PFM_PICKLE_TUPLE, NULL, err);
    case ']': return push_new(machine, PFM_PICKLE_LIST, NULL, err);
    case '}': return push_new(machine, PFM_PICKLE_DICT, NULL, err);
    case 't': return step_marked_tuple(machine, err);
    case 0x85: return make_small_tuple(machine, 1, err);
    case 0x86: return make_small_tuple(machine, 2, err);
    case 0x87: return make_small_tuple(machine, 3, err);
    case 'a': return extend_by(machine, 1, PFM_PICKLE_LIST, err);
    case 'e': return extend_marked(machine, PFM_PICKLE_LIST, err);
    case 's': return extend_by(machine, 2, PFM_PICKLE_DICT, err);
    case 'u': return extend_marked(machine, PFM_PICKLE_DICT, err);
    case 'q': return memorise(machine, 1, err);
    case 'r': return memorise(machine, 4, err);
    case 'h': return recall(machine, 1, err);
    case 'j': return recall(machine, 4, err);
    case 'c': return push_global(machine, err);
    case 'R': return call(machine, err);
    case 'Q': return refer(machine, err);
    case 'b': return build(machine, err);
    default: return refuse_opcode(machine, code, err);
    }
}

static pfm_status start(pfm_pickle_machine *machine, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint32_t index = 0;
    PFM_TRY(pfm_pickle_add(machine, PFM_PICKLE_NONE, &index, err));
    PFM_TRY(pfm_pickle_add(machine, PFM_PICKLE_BOOL, &index, err));
    PFM_TRY(pfm_pickle_add(machine, PFM_PICKLE_BOOL, &index, err));
    machine->pickle->nodes[NODE_TRUE].integer = 1;
done:
    return status;
}

pfm_status pfm_pickle_read(const unsigned char *data, size_t size, const char *place, size_t base, pfm_pickle *out,
                           size_t *used, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pickle_machine machine = {.pickle = out, .cursor = {.data = data, .size = size, .place = place}};
    PFM_TRY(start(&machine, err));
    for (;;) {
        const unsigned char *code = NULL;
        machine.at = base + machine.cursor.offset;
        PFM_TRY(pfm_cursor_take(&machine.cursor, 1, "a pickle", &code, err));
        if (*code == '.')
            break;
        PFM_TRY(step(&machine, *code, err));
    }
    PFM_TRY(pop(&machine, &out->root, err));
    *used = machine.cursor.offset;
done:
    free(machine.stack);
    free(machine.marks);
    free(machine.memo);
    return status;
}

void pfm_pickle_free(pfm_pickle *pickle)
{
    if (pickle == NULL)
        return;
    for (size_t i = 0; i < pickle->count; i++) {
        pfm_pickle_kind kind = pickle->nodes[i].kind;
        if (kind == PFM_PICKLE_TUPLE || kind == PFM_PICKLE_LIST || kind == PFM_PICKLE_DICT)
            free(pickle->nodes[i].list.items);
    }
    free(pickle->nodes);
    free(pickle->storages);
    free(pickle->tensors);
    *pickle = (pfm_pickle){0};
}

bool pfm_pickle_is_text(const pfm_pickle_node *node, const char *text)
{
    return node->kind == PFM_PICKLE_TEXT && node->text.length == strlen(text) &&
           memcmp(node->text.data, text, node->text.length) == 0;
}

pfm_pickle_node *pfm_pickle_get(const pfm_pickle *pickle, const pfm_pickle_node *dict, const char *key)
{
    for (size_t i = 0; dict->kind == PFM_PICKLE_DICT && i + 1 < dict->list.count; i += 2) {
        if (pfm_pickle_is_text(&pickle->nodes[dict->list.items[i]], key))
            return &pickle->nodes[dict->list.items[i + 1]];
    }
    return NULL;
}
