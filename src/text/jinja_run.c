/* Walks the tree of a template and writes what it says. */
#include "text/jinja_internal.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 2000000, DEEPEST = 500 };

static pfm_status evaluate(jinja_run *run, const jinja_node *node, pfm_jinja_value *out);
static pfm_status run_body(jinja_run *run, const jinja_node *node);

static pfm_status step(jinja_run *run, const jinja_node *node)
{
    run->line = node->line;
    if (++run->steps > MOST_STEPS)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "it takes more than %d steps", MOST_STEPS);
    return PFM_OK;
}

static pfm_status evaluate_name(jinja_run *run, const jinja_node *node, pfm_jinja_value *out)
{
    for (const jinja_scope *scope = run->scope; scope != NULL; scope = scope->above) {
        const pfm_jinja_value *value = jinja_dict_get(&scope->variables, node->text, node->length);
        if (value != NULL) {
            *out = *value;
            return PFM_OK;
        }
    }
    char *name = NULL;
    JINJA_TRY(pfm_jinja_allocate(run->arena, node->length + 1, &name, run->err));
    memcpy(name, node->text, node->length);
    *out = jinja_undefined(name);
    if (jinja_is_function(name, node->length))
        *out = (pfm_jinja_value){.type = PFM_JINJA_FUNCTION, .text = name, .length = node->length};
    return PFM_OK;
}

static pfm_status loop_member(jinja_run *run, const pfm_jinja_loop *loop, const char *name, size_t length, pfm_jinja_value *out)
{
    int64_t index = (int64_t)loop->index, count = (int64_t)loop->count;
    const struct {
        const char *name;
        pfm_jinja_value value;
    } members[] = {
        {"index", jinja_integer(index + 1)},
        {"index0", jinja_integer(index)},
        {"first", jinja_boolean(index == 0)},
        {"last", jinja_boolean(index + 1 == count)},
        {"length", jinja_integer(count)},
        {"revindex", jinja_integer(count - index)},
        {"revindex0", jinja_integer(count - index - 1)},
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (jinja_equals(name, length, members[i].name)) {
            *out = members[i].value;
            return PFM_OK;
        }
    }
    return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program does not know loop.%.*s", (int)(length < 40 ? length : 40),
                      name);
}

static pfm_status get_item(jinja_run *run, pfm_jinja_value from, pfm_jinja_value key, pfm_jinja_value *out)
{
    *out = jinja_undefined("an item that is not there");
    if (from.type == PFM_JINJA_UNDEFINED)
        return jinja_fail(run, PFM_ERROR_FORMAT, "'%s' is undefined", from.text);
    if (from.type == PFM_JINJA_DICT && key.type == PFM_JINJA_TEXT) {
        const pfm_jinja_value *value = jinja_dict_get(from.dict, key.text, key.length);
        if (value != NULL)
            *out = *value;
    } else if (from.type == PFM_JINJA_LOOP && key.type == PFM_JINJA_TEXT) {
        return loop_member(run, from.loop, key.text, key.length, out);
    } else if (from.type == PFM_JINJA_LIST && jinja_is_number(key)) {
        int64_t index = key.number < 0 ? key.number + (int64_t)from.length : key.number;
        if (index >= 0 && index < (int64_t)from.length)
            *out = from.items[index];
    } else if (from.type == PFM_JINJA_TEXT && jinja_is_number(key)) {
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program does not know indices into texts");
    }
    return PFM_OK;
}

static pfm_status evaluate_bound(jinja_run *run, const jinja_node *node, int64_t otherwise, int64_t low, int64_t high,
                                 int64_t count, int64_t *out)
{
    pfm_jinja_value value = jinja_none();
    if (node != NULL)
        JINJA_TRY(evaluate(run, node, &value));
    *out = otherwise;
    if (value.type == PFM_JINJA_NONE)
        return PFM_OK;
    if (!jinja_is_number(value))
        return jinja_fail(run, PFM_ERROR_FORMAT, "%s is used as a place in a list", jinja_type_name(value));
    int64_t place = value.number < 0 ? value.number + count : value.number;
    *out = place < low ? low : place > high ? high : place;
    return PFM_OK;
}

static pfm_status evaluate_slice(jinja_run *run, const jinja_node *node, pfm_jinja_value *out)
{
    pfm_jinja_value from = {0}, stride = jinja_integer(1);
    int64_t begin, end;
    JINJA_TRY(evaluate(run, node->a, &from));
    if (from.type != PFM_JINJA_LIST)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program knows slices of lists only, not of %s",
                          jinja_type_name(from));
    if (node->other != NULL)
        JINJA_TRY(evaluate(run, node->other, &stride));
    if (stride.type != PFM_JINJA_INTEGER || (stride.number != 1 && stride.number != -1))
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program knows slices with a step of 1 or -1 only");
    int64_t count = (int64_t)from.length;
    bool back = stride.number < 0;
    JINJA_TRY(evaluate_bound(run, node->b, back ? count - 1 : 0, back ? -1 : 0, back ? count - 1 : count, count, &begin));
    JINJA_TRY(evaluate_bound(run, node->c, back ? -1 : count, back ? -1 : 0, back ? count - 1 : count, count, &end));
    int64_t taken = back ? begin - end : end - begin;
    if (!back || taken <= 0) {
        *out = jinja_list(from.items + (taken > 0 ? begin : 0), taken > 0 ? (size_t)taken : 0);
        return PFM_OK;
    }
    pfm_jinja_value *items = NULL;
    JINJA_TRY(pfm_jinja_allocate(run->arena, (size_t)taken * sizeof *items, &items, run->err));
    for (int64_t i = 0; i < taken; i++)
        items[i] = from.items[begin - i];
    *out = jinja_list(items, (size_t)taken);
    return PFM_OK;
}

static pfm_status evaluate_list(jinja_run *run, const jinja_node *node, pfm_jinja_value *out)
{
    size_t count = 0;
    pfm_jinja_value *items = NULL;
    for (const jinja_node *item = node->list; item != NULL; item = item->next)
        count++;
    JINJA_TRY(pfm_jinja_allocate(run->arena, count * sizeof *items, &items, run->err));
    count = 0;
    for (const jinja_node *item = node->list; item != NULL; item = item->next)
        JINJA_TRY(evaluate(run, item, &items[count++]));
    *out = jinja_list(items, count);
    return PFM_OK;
}

static pfm_status evaluate_arguments(jinja_run *run, const jinja_node *list, jinja_arguments *out)
{
    *out = (jinja_arguments){0};
    for (; list != NULL; list = list->next) {
        pfm_jinja_value value = {0};
        JINJA_TRY(evaluate(run, list->kind == NODE_KEYWORD ? list->a : list, &value));
        if (list->kind == NODE_KEYWORD)
            JINJA_TRY(pfm_jinja_dict_set(run->arena, &out->keywords, list->text, list->length, value, run->err));
        else if (out->count == JINJA_ARGUMENTS)
            return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "a call has more than %d arguments", JINJA_ARGUMENTS);
        else
            out->items[out->count++] = value;
    }
    for (size_t i = out->count; i < JINJA_ARGUMENTS; i++)
        out->items[i] = jinja_undefined("an argument");
    return PFM_OK;
}

static pfm_status evaluate_call(jinja_run *run, const jinja_node *node, pfm_jinja_value *out)
{
    jinja_arguments arguments;
    pfm_jinja_value callee = {0};
    JINJA_TRY(evaluate_arguments(run, node->list, &arguments));
    if (node->a->kind == NODE_INDEX && node->a->dotted) {
        JINJA_TRY(evaluate(run, node->a->a, &callee));
        run->line = node->line;
        return jinja_method(run, node->a->b, callee, &arguments, out);
    }
    JINJA_TRY(evaluate(run, node->a, &callee));
    run->line = node->line;
    if (callee.type == PFM_JINJA_UNDEFINED)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program does not know the function %s", callee.text);
    if (callee.type != PFM_JINJA_FUNCTION)
        return jinja_fail(run, PFM_ERROR_FORMAT, "%s is called as a function", jinja_type_name(callee));
    return jinja_function(run, callee.text, callee.length, &arguments, out);
}

static pfm_status evaluate_filter(jinja_run *run, const jinja_node *node, pfm_jinja_value *out)
{
    jinja_arguments arguments;
    pfm_jinja_value value = {0};
    JINJA_TRY(evaluate(run, node->a, &value));
    JINJA_TRY(evaluate_arguments(run, node->list, &arguments));
    run->line = node->line;
    return jinja_filter(run, node, value, &arguments, out);
}

static pfm_status evaluate_test(jinja_run *run, const jinja_node *node, pfm_jinja_value *out)
{
    pfm_jinja_value value = {0}, argument = jinja_undefined("an argument");
    bool result = false;
    JINJA_TRY(evaluate(run, node->a, &value));
    if (node->list != NULL)
        JINJA_TRY(evaluate(run, node->list, &argument));
    run->line = node->line;
    JINJA_TRY(jinja_test(run, node->text, node->length, value, argument, &result));
    *out = jinja_boolean(result);
    return PFM_OK;
}

static pfm_status contains(jinja_run *run, pfm_jinja_value item, pfm_jinja_value in, pfm_jinja_value *out)
{
    bool found = false;
    if (in.type == PFM_JINJA_TEXT && item.type == PFM_JINJA_TEXT) {
        found = jinja_find(in.text, in.length, item.text, item.length) != NULL;
        run->steps += in.length / 256;
    } else if (in.type == PFM_JINJA_LIST) {
        for (size_t i = 0; i < in.length && !found; i++)
            found = jinja_same(item, in.items[i]);
        run->steps += in.length;
    } else if (in.type == PFM_JINJA_DICT && !in.dict->is_namespace) {
        found = item.type == PFM_JINJA_TEXT && jinja_dict_get(in.dict, item.text, item.length) != NULL;
    } else if (in.type != PFM_JINJA_UNDEFINED) {
        return jinja_fail(run, PFM_ERROR_FORMAT, "%s cannot be in %s", jinja_type_name(item), jinja_type_name(in));
    }
    *out = jinja_boolean(found);
    return PFM_OK;
}

static pfm_status calculate(jinja_run *run, const char *operator, int64_t a, int64_t b, pfm_jinja_value *out)
{
    int64_t result = 0;
    bool overflow = false;
    switch (operator[0]) {
    case '+': overflow = __builtin_add_overflow(a, b, &result); break;
    case '-': overflow = __builtin_sub_overflow(a, b, &result); break;
    case '*': overflow = __builtin_mul_overflow(a, b, &result); break;
    default:
        if (b == 0 || (a == INT64_MIN && b == -1))
            return jinja_fail(run, PFM_ERROR_FORMAT, "a division by zero");
        result = operator[0] == '%' ? a % b : a / b;
        if (a % b != 0 && (a % b < 0) != (b < 0)) /* Python rounds down */
            result += operator[0] == '%' ? b : - 1;
    }
    *out = jinja_integer(result);
    return overflow ? jinja_fail(run, PFM_ERROR_UNSUPPORTED, "a number is too large") : PFM_OK;
}

/* < > <= >= of two numbers or two texts. */
static bool order(const char *operator, size_t length, pfm_jinja_value a, pfm_jinja_value b)
{
    int sign;
    if (a.type == PFM_JINJA_TEXT) {
        sign = memcmp(a.text, b.text, a.length < b.length ? a.length : b.length);
        sign = sign != 0 ? sign : (a.length > b.length) - (a.length < b.length);
    } else {
        sign = (a.number > b.number) - (a.number < b.number);
    }
    return (operator[0] == '<' ? sign < 0 : sign> 0) || (length == 2 && sign == 0);
}

static pfm_status evaluate_binary(jinja_run *run, const jinja_node *node, pfm_jinja_value *out)
{
    pfm_jinja_value a = {0}, b = {0};
    const char *operator= node->text;
    size_t length = node->length;
    JINJA_TRY(evaluate(run, node->a, &a));
    JINJA_TRY(evaluate(run, node->b, &b));
    run->line = node->line;
    bool numbers = jinja_is_number(a) && jinja_is_number(b), texts = a.type == PFM_JINJA_TEXT && b.type == PFM_JINJA_TEXT;
    if (operator[0] == '~')
        return jinja_concatenate(run, a, b, out);
    if (operator[0] == 'i')
        return contains(run, a, b, out);
    if (jinja_equals(operator, length, "==") || jinja_equals(operator, length, "!=")) {
        *out = jinja_boolean(jinja_same(a, b) == (operator[0] == '='));
        return PFM_OK;
    }
    if (operator[0] == '<' || operator[0] == '>') {
        if (!numbers && !texts)
            return jinja_fail(run, PFM_ERROR_FORMAT, "%s and %s have no order", jinja_type_name(a), jinja_type_name(b));
        *out = jinja_boolean(order(operator, length, a, b));
        return PFM_OK;
    }
    if (operator[0] == '+' && texts)
        return jinja_concatenate(run, a, b, out);
    if (numbers && !jinja_equals(operator, length, "/"))
        return calculate(run, operator, a.number, b.number, out);
    bool undefined = a.type == PFM_JINJA_UNDEFINED || b.type == PFM_JINJA_UNDEFINED;
    return jinja_fail(run, undefined ? PFM_ERROR_FORMAT : PFM_ERROR_UNSUPPORTED, "this program cannot take %s %.*s %s",
                      jinja_type_name(a), (int)length, operator, jinja_type_name(b));
}

/* and, or, if: what is not needed is not evaluated. */
static pfm_status evaluate_choice(jinja_run *run, const jinja_node *node, pfm_jinja_value *out)
{
    JINJA_TRY(evaluate(run, node->a, out));
    bool yes = jinja_is_true(*out);
    if (node->kind == NODE_CHOOSE) {
        *out = jinja_undefined("the value of an if without else");
        const jinja_node *chosen = yes ? node->b : node->c;
        return chosen == NULL ? PFM_OK : evaluate(run, chosen, out);
    }
    return yes == (node->kind == NODE_AND) ? evaluate(run, node->b, out) : PFM_OK;
}

static pfm_status evaluate_kind(jinja_run *run, const jinja_node *node, pfm_jinja_value *out)
{
    pfm_jinja_value value = {0}, key = {0};
    switch (node->kind) {
    case NODE_CONSTANT: *out = node->value; return PFM_OK;
    case NODE_NAME: return evaluate_name(run, node, out);
    case NODE_LIST: return evaluate_list(run, node, out);
    case NODE_INDEX:
        JINJA_TRY(evaluate(run, node->a, &value));
        JINJA_TRY(evaluate(run, node->b, &key));
        run->line = node->line;
        return get_item(run, value, key, out);
    case NODE_SLICE: return evaluate_slice(run, node, out);
    case NODE_CALL: return evaluate_call(run, node, out);
    case NODE_FILTER: return evaluate_filter(run, node, out);
    case NODE_TEST: return evaluate_test(run, node, out);
    case NODE_NOT:
        JINJA_TRY(evaluate(run, node->a, &value));
        *out = jinja_boolean(!jinja_is_true(value));
        return PFM_OK;
    case NODE_NEGATE:
        JINJA_TRY(evaluate(run, node->a, &value));
        return jinja_is_number(value) ? calculate(run, "-", 0, value.number, out)
                                      : jinja_fail(run, PFM_ERROR_FORMAT, "%s has no negative", jinja_type_name(value));
    case NODE_AND:
    case NODE_OR:
    case NODE_CHOOSE: return evaluate_choice(run, node, out);
    case NODE_BINARY: return evaluate_binary(run, node, out);
    default: return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program does not know a part of an expression");
    }
}

static pfm_status evaluate(jinja_run *run, const jinja_node *node, pfm_jinja_value *out)
{
    JINJA_TRY(step(run, node));
    if (run->depth == DEEPEST)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "an expression has more than %d levels", DEEPEST);
    run->depth++;
    pfm_status status = evaluate_kind(run, node, out);
    run->depth--;
    return status;
}

static pfm_status run_set(jinja_run *run, const jinja_node *node)
{
    pfm_jinja_value value = {0}, owner = {0};
    JINJA_TRY(evaluate(run, node->b, &value));
    if (node->a->kind == NODE_NAME)
        return pfm_jinja_dict_set(run->arena, &run->scope->variables, node->a->text, node->a->length, value, run->err);
    JINJA_TRY(evaluate(run, node->a->a, &owner));
    if (owner.type != PFM_JINJA_DICT || !owner.dict->is_namespace)
        return jinja_fail(run, PFM_ERROR_FORMAT, "only members of a namespace can be set");
    return pfm_jinja_dict_set(run->arena, owner.dict, node->a->b->value.text, node->a->b->value.length, value, run->err);
}

/* What a loop walks over: the items of a list, the keys of a dict. */
static pfm_status list_items(jinja_run *run, pfm_jinja_value from, pfm_jinja_value *out)
{
    *out = jinja_list(NULL, 0);
    if (from.type == PFM_JINJA_LIST)
        *out = from;
    if (from.type == PFM_JINJA_LIST || from.type == PFM_JINJA_UNDEFINED)
        return PFM_OK;
    if (from.type != PFM_JINJA_DICT || from.dict->is_namespace)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program cannot walk over %s", jinja_type_name(from));
    size_t count = 0;
    pfm_jinja_value *keys = NULL;
    for (const pfm_jinja_entry *entry = from.dict->first; entry != NULL; entry = entry->next)
        count++;
    JINJA_TRY(pfm_jinja_allocate(run->arena, count * sizeof *keys, &keys, run->err));
    *out = jinja_list(keys, count);
    for (const pfm_jinja_entry *entry = from.dict->first; entry != NULL; entry = entry->next)
        *keys++ = jinja_string(entry->key, entry->length);
    return PFM_OK;
}

/* Gives the loop's names their values: the item, or its parts. */
static pfm_status bind_names(jinja_run *run, const jinja_node *names, pfm_jinja_value item)
{
    size_t part = 0;
    const bool several = names != NULL && names->next != NULL;
    for (const jinja_node *name = names; name != NULL; name = name->next, part++) {
        if (several && (item.type != PFM_JINJA_LIST || part >= item.length))
            return jinja_fail(run, PFM_ERROR_FORMAT, "an item of the loop has not as many parts as the loop has names");
        pfm_jinja_value value = several ? item.items[part] : item;
        JINJA_TRY(pfm_jinja_dict_set(run->arena, &run->scope->variables, name->text, name->length, value, run->err));
    }
    if (several && part != item.length)
        return jinja_fail(run, PFM_ERROR_FORMAT, "an item of the loop has not as many parts as the loop has names");
    return PFM_OK;
}

/* *kept = the items for which the loop's condition holds. */
static pfm_status filter_items(jinja_run *run, const jinja_node *node, pfm_jinja_value items, pfm_jinja_value *kept)
{
    pfm_jinja_value *chosen = NULL;
    size_t count = 0;
    JINJA_TRY(pfm_jinja_allocate(run->arena, items.length * sizeof *chosen, &chosen, run->err));
    jinja_scope *scope = NULL; /* in the arena: a failure leaves run->scope where it is */
    JINJA_TRY(pfm_jinja_allocate(run->arena, sizeof *scope, &scope, run->err));
    *scope = (jinja_scope){.above = run->scope};
    run->scope = scope;
    for (size_t i = 0; i < items.length; i++) {
        pfm_jinja_value condition = {0};
        JINJA_TRY(bind_names(run, node->b, items.items[i]));
        JINJA_TRY(evaluate(run, node->c, &condition));
        if (jinja_is_true(condition))
            chosen[count++] = items.items[i];
    }
    run->scope = scope->above;
    *kept = jinja_list(chosen, count);
    return PFM_OK;
}

static pfm_status run_for(jinja_run *run, const jinja_node *node)
{
    pfm_jinja_value from = {0}, items = {0};
    JINJA_TRY(evaluate(run, node->a, &from));
    JINJA_TRY(list_items(run, from, &items));
    if (node->c != NULL)
        JINJA_TRY(filter_items(run, node, items, &items));
    pfm_jinja_loop *loop = NULL;
    JINJA_TRY(pfm_jinja_allocate(run->arena, sizeof *loop, &loop, run->err));
    *loop = (pfm_jinja_loop){.items = items.items, .count = items.length};
    jinja_scope *above = run->scope, *scope = NULL;
    JINJA_TRY(pfm_jinja_allocate(run->arena, sizeof *scope, &scope, run->err));
    for (; items.items != NULL && loop->index < loop->count; loop->index++) {
        *scope = (jinja_scope){.above = above}; /* what is set within is forgotten */
        run->scope = scope;
        JINJA_TRY(bind_names(run, node->b, items.items[loop->index]));
        pfm_jinja_value self = {.type = PFM_JINJA_LOOP, .loop = loop};
        JINJA_TRY(pfm_jinja_dict_set(run->arena, &scope->variables, "loop", 4, self, run->err));
        JINJA_TRY(run_body(run, node->list));
        run->scope = above;
    }
    return loop->count == 0 && node->other != NULL ? run_body(run, node->other) : PFM_OK;
}

static pfm_status run_statement(jinja_run *run, const jinja_node *node)
{
    pfm_jinja_value value = {0};
    JINJA_TRY(step(run, node));
    if (run->out->size > run->arena->limit)
        return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "it writes more than %zu bytes", run->arena->limit);
    switch (node->kind) {
    case NODE_DATA: return pfm_buffer_append(run->out, node->text, node->length, run->err);
    case NODE_OUTPUT: JINJA_TRY(evaluate(run, node->a, &value)); return jinja_write(run, value, run->out);
    case NODE_IF:
        JINJA_TRY(evaluate(run, node->a, &value));
        return run_body(run, jinja_is_true(value) ? node->list : node->other);
    case NODE_FOR: return run_for(run, node);
    case NODE_SET: return run_set(run, node);
    case NODE_BODY: return run_body(run, node->list);
    default: return jinja_fail(run, PFM_ERROR_UNSUPPORTED, "this program does not know a statement");
    }
}

static pfm_status run_body(jinja_run *run, const jinja_node *node)
{
    for (; node != NULL; node = node->next)
        JINJA_TRY(run_statement(run, node));
    return PFM_OK;
}

pfm_status pfm_jinja_render(const char *source, size_t length, pfm_jinja_dict *variables, pfm_jinja_arena *arena,
                            pfm_buffer *out, pfm_error *err)
{
    jinja_lexer lexer = {.arena = arena, .err = err};
    jinja_node *body = NULL;
    jinja_scope scope = {.variables = *variables};
    jinja_run run = {.arena = arena, .err = err, .out = out, .scope = &scope};
    JINJA_TRY(jinja_lexer_start(&lexer, source, length));
    JINJA_TRY(jinja_parse(&lexer, &body));
    return run_body(&run, body);
}
