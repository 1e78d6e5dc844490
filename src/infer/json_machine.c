/* Reads JSON texts byte by byte (RFC 8259), as a shape allows them. White space between tokens is limited, or a model could go
 * on with it for ever. */
#include "infer/json_shape_internal.h"

#include <string.h>

enum { MOST_SPACES = 40, MOST_DIGITS = 18 };

enum { BETWEEN, IN_STRING, IN_KEY, IN_NAMED_KEY, IN_LITERAL, IN_NUMBER };                 /* modes */
enum { BEGIN, COLON, VALUE, AFTER, NEXT };                                                /* phases of a frame */
enum { N_BEGIN, N_MINUS, N_ZERO, N_WHOLE, N_POINT, N_FRACTION, N_E, N_SIGN, N_EXPONENT }; /* of a number */
enum { S_PLAIN, S_ESCAPE, S_HEX };                                                        /* of a string */

static const char *const words[] = {"false", "null", "true"}; /* literals that need no schema */

static const pfm_json_node *node_of(const pfm_json_shape *shape, int32_t node) { return &shape->nodes[node]; }

pfm_json_state pfm_json_begin(void) { return (pfm_json_state){.mode = BETWEEN, .node = -1}; }

static pfm_json_frame *top(pfm_json_state *s) { return &s->frames[s->depth - 1]; }

static bool end_value(pfm_json_state *s)
{
    s->mode = BETWEEN;
    s->spaces = 0;
    if (s->depth == 0)
        s->done = true;
    else
        top(s)->phase = AFTER;
    return true;
}

/* ---- literals ---- */

static const char *literal(const pfm_json_shape *shape, const pfm_json_state *s, int32_t i)
{
    return s->whole ? words[i] : shape->literals[node_of(shape, s->node)->literals + i];
}

/* Narrows to those that have this byte next; they are sorted, so that they stand together. */
static bool narrow(const pfm_json_shape *shape, pfm_json_state *s, unsigned char byte)
{
    int32_t low = s->low, high = s->high;
    while (low < high && (unsigned char)literal(shape, s, low)[s->position] != byte)
        low++;
    while (high > low && (unsigned char)literal(shape, s, high - 1)[s->position] != byte)
        high--;
    if (low == high || byte == '\0')
        return false;
    s->low = low;
    s->high = high;
    s->position++;
    return true;
}

/* The shortest of those that are left comes first. */
static bool is_at_end(const pfm_json_shape *shape, const pfm_json_state *s)
{
    return literal(shape, s, s->low)[s->position] == '\0';
}

static bool feed_between(const pfm_json_shape *shape, pfm_json_state *s, unsigned char byte);

static bool feed_literal(const pfm_json_shape *shape, pfm_json_state *s, unsigned char byte)
{
    if (!narrow(shape, s, byte))
        return is_at_end(shape, s) && end_value(s) && feed_between(shape, s, byte);
    return s->high - s->low > 1 || !is_at_end(shape, s) || end_value(s);
}

static bool begin_literal(const pfm_json_shape *shape, pfm_json_state *s, bool word, int32_t count, unsigned char byte)
{
    s->mode = IN_LITERAL;
    s->whole = word;
    s->low = 0;
    s->high = count;
    s->position = 0;
    return narrow(shape, s, byte) && (s->high - s->low > 1 || !is_at_end(shape, s) || end_value(s));
}

/* ---- numbers ---- */

/* Whether digits behind `digits` can make a magnitude from low to high of it. */
static bool can_reach(uint64_t digits, bool zero, uint64_t low, uint64_t high)
{
    if (zero || digits == 0)
        return low == 0;
    for (uint64_t begin = digits, end = digits; begin <= high; begin *= 10, end = end * 10 + 9) {
        if (end >= low)
            return true;
        if (end > UINT64_MAX / 10 - 9)
            break;
    }
    return false;
}

static bool is_within(const pfm_json_node *n, const pfm_json_state *s, bool exactly)
{
    if ((n->types & PFM_JSON_NUMBER) != 0)
        return true;
    const uint64_t low = s->negative  ? (n->high < 0 ? (uint64_t) - (n->high + 1) + 1 : 0)
                         : n->low > 0 ? (uint64_t)n->low
                                      : 0,
                   high = s->negative    ? (n->low < 0 ? (uint64_t) - (n->low + 1) + 1 : 0)
                          : n->high >= 0 ? (uint64_t)n->high
                                         : 0;
    if ((s->negative && n->low >= 0) || (!s->negative && n->high < 0))
        return false;
    return exactly ? s->number >= low && s->number <= high : can_reach(s->number, s->phase == N_ZERO, low, high);
}

static bool is_whole_number(const pfm_json_shape *shape, const pfm_json_state *s)
{
    const pfm_json_node *n = node_of(shape, s->node);
    if (s->phase == N_ZERO || s->phase == N_WHOLE)
        return is_within(n, s, true);
    return s->phase == N_FRACTION || s->phase == N_EXPONENT;
}

static bool add_digit(const pfm_json_node *n, pfm_json_state *s, unsigned char byte)
{
    s->position++;
    s->number = s->number * 10 + (uint64_t)(byte - '0');
    return s->position <= MOST_DIGITS && is_within(n, s, false);
}

/* Another phase on this byte; false: the number does not go on with it. */
static bool go_on_number(const pfm_json_node *n, pfm_json_state *s, unsigned char byte)
{
    const bool digit = byte >= '0' && byte <= '9', any = (n->types & PFM_JSON_NUMBER) != 0;
    switch (s->phase) {
    case N_BEGIN:
        if (byte == '-') {
            s->phase = N_MINUS;
            s->negative = true;
            return any || n->low < 0;
        }
        /* fall through */
    case N_MINUS: s->phase = byte == '0' ? N_ZERO : N_WHOLE; return digit && add_digit(n, s, byte);
    case N_WHOLE:
        if (digit)
            return add_digit(n, s, byte);
        /* fall through */
    case N_ZERO:
        s->phase = byte == '.' ? N_POINT : N_E;
        return any && (byte == '.' ? s->position < MOST_DIGITS : byte == 'e' || byte == 'E');
    case N_FRACTION:
        if (!digit) {
            s->phase = N_E;
            return byte == 'e' || byte == 'E';
        }
        /* fall through */
    case N_POINT: s->phase = N_FRACTION; return digit && ++s->position <= MOST_DIGITS;
    case N_E:
        if (byte == '+' || byte == '-') {
            s->phase = N_SIGN;
            s->position = 0;
            return true;
        }
        s->position = 0;
        /* fall through */
    default: s->phase = N_EXPONENT; return digit && ++s->position <= 2; /* what a double can be */
    }
}

static bool feed_number(const pfm_json_shape *shape, pfm_json_state *s, unsigned char byte)
{
    const bool whole = is_whole_number(shape, s);
    pfm_json_state next = *s;
    if (go_on_number(node_of(shape, s->node), &next, byte)) {
        *s = next;
        return true;
    }
    return whole && end_value(s) && feed_between(shape, s, byte);
}

static bool begin_number(const pfm_json_shape *shape, pfm_json_state *s, unsigned char byte)
{
    s->mode = IN_NUMBER;
    s->phase = N_BEGIN;
    s->negative = false;
    s->number = 0;
    s->position = 0;
    return feed_number(shape, s, byte);
}

/* ---- strings ---- */

static void begin_string(pfm_json_state *s, unsigned char mode)
{
    s->mode = mode;
    s->phase = S_PLAIN;
    s->pending = 0;
    s->position = 0; /* characters so far */
}

static bool end_string(const pfm_json_shape *shape, pfm_json_state *s)
{
    if (s->mode == IN_STRING)
        return s->position >= node_of(shape, s->node)->least_characters && end_value(s);
    s->mode = BETWEEN;
    s->spaces = 0;
    top(s)->phase = COLON;
    return true;
}

/* Room for one more, which is looked at where one begins: an escape, or the first byte of several, could not be ended else. */
static bool has_room(const pfm_json_shape *shape, const pfm_json_state *s)
{
    enum { LONGEST_KEY = 1000 };
    return s->position < (s->mode == IN_KEY ? LONGEST_KEY : node_of(shape, s->node)->most_characters);
}

static bool add_character(pfm_json_state *s)
{
    s->position++;
    return true;
}

/* \uXXXX, but for NUL and halves of characters. */
static bool feed_hex(pfm_json_state *s, unsigned char byte)
{
    const bool digit = byte >= '0' && byte <= '9', letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'f';
    if (!digit && !letter)
        return false;
    s->number = s->number * 16 + (uint64_t)(digit ? byte - '0' : (byte | 0x20) - 'a' + 10);
    if (--s->pending > 0)
        return s->pending != 2 || s->number < 0xd8 || s->number > 0xdf;
    s->phase = S_PLAIN;
    return s->number != 0 && add_character(s);
}

static bool feed_string(const pfm_json_shape *shape, pfm_json_state *s, unsigned char byte)
{
    if (s->phase == S_HEX)
        return feed_hex(s, byte);
    if (s->phase == S_ESCAPE) {
        s->phase = byte == 'u' ? S_HEX : S_PLAIN;
        s->pending = byte == 'u' ? 4 : 0;
        s->number = 0;
        return byte == 'u' || (byte != '\0' && strchr("\"\\/bfnrt", byte) != NULL && add_character(s));
    }
    if (s->pending > 0) { /* within a character of UTF-8 (RFC 3629); low and high: what its next byte may be */
        const bool fits = byte >= s->low && byte <= s->high;
        s->low = 0x80;
        s->high = 0xbf;
        return fits && (--s->pending > 0 || add_character(s));
    }
    if (byte == '"')
        return end_string(shape, s);
    if (!has_room(shape, s))
        return false;
    if (byte == '\\') {
        s->phase = S_ESCAPE;
        return true;
    }
    if (byte < 0x80)
        return byte >= 0x20 && add_character(s);
    s->pending = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
    s->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    s->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    return byte >= 0xc2 && byte <= 0xf4;
}

/* ---- keys that the schema names ---- */

/* Those that may come now: up to the next one that has to. As bits. */
static uint64_t next_properties(const pfm_json_node *n, int32_t from)
{
    uint64_t out = 0;
    for (int32_t i = from; i < n->property_count; i++) {
        out |= UINT64_C(1) << i;
        if (n->properties[i].required)
            break;
    }
    return out;
}

static bool may_close(const pfm_json_node *n, int32_t from)
{
    for (int32_t i = from; i < n->property_count; i++)
        if (n->properties[i].required)
            return false;
    return true;
}

static bool feed_named_key(const pfm_json_shape *shape, pfm_json_state *s, unsigned char byte)
{
    const pfm_json_node *n = node_of(shape, top(s)->node);
    for (int32_t i = 0; i < n->property_count; i++) {
        if ((s->number >> i & 1) == 0)
            continue;
        if ((unsigned char)n->properties[i].key[s->position] != byte || byte == '\0')
            s->number &= ~(UINT64_C(1) << i);
    }
    s->position++;
    for (int32_t i = 0; i < n->property_count; i++) {
        if ((s->number >> i & 1) != 0 && n->properties[i].key[s->position] == '\0') { /* its quote ends it */
            top(s)->index = i + 1;
            top(s)->phase = COLON;
            s->mode = BETWEEN;
            s->spaces = 0;
            return true;
        }
    }
    return s->number != 0;
}

static bool begin_key(const pfm_json_shape *shape, pfm_json_state *s)
{
    const pfm_json_node *n = node_of(shape, top(s)->node);
    if (n->property_count == 0) {
        begin_string(s, IN_KEY);
        return n->others >= 0;
    }
    s->mode = IN_NAMED_KEY;
    s->number = next_properties(n, top(s)->index);
    s->position = 0;
    return feed_named_key(shape, s, '"');
}

/* ---- between tokens ---- */

static bool open_frame(pfm_json_state *s, int32_t node, bool is_array)
{
    if (s->depth == PFM_JSON_DEPTH)
        return false;
    s->frames[s->depth++] = (pfm_json_frame){.node = node, .is_array = is_array, .phase = BEGIN};
    return true;
}

static bool begin_value(const pfm_json_shape *shape, pfm_json_state *s, int32_t node, unsigned char byte)
{
    const pfm_json_node *n = node_of(shape, node);
    s->node = node;
    if (n->literal_count > 0)
        return begin_literal(shape, s, false, n->literal_count, byte);
    switch (byte) {
    case '{': return (n->types & PFM_JSON_OBJECT) != 0 && open_frame(s, node, false);
    case '[': return (n->types & PFM_JSON_ARRAY) != 0 && open_frame(s, node, true);
    case '"': begin_string(s, IN_STRING); return (n->types & PFM_JSON_STRING) != 0;
    case 't':
    case 'f': return (n->types & PFM_JSON_BOOLEAN) != 0 && begin_literal(shape, s, true, 3, byte);
    case 'n': return (n->types & PFM_JSON_NULL) != 0 && begin_literal(shape, s, true, 3, byte);
    default: return (n->types & (PFM_JSON_INTEGER | PFM_JSON_NUMBER)) != 0 && begin_number(shape, s, byte);
    }
}

static bool close_frame(pfm_json_state *s)
{
    s->depth--;
    return end_value(s);
}

static bool feed_object(const pfm_json_shape *shape, pfm_json_state *s, unsigned char byte)
{
    pfm_json_frame *frame = top(s);
    const pfm_json_node *n = node_of(shape, frame->node);
    switch (frame->phase) {
    case BEGIN:
    case AFTER:
        if (byte == '}')
            return may_close(n, frame->index) && close_frame(s);
        if (frame->phase == AFTER) {
            frame->phase = NEXT;
            return byte == ',' && (n->property_count == 0 || frame->index < n->property_count);
        }
        /* fall through */
    case NEXT: return byte == '"' && begin_key(shape, s);
    case COLON: frame->phase = VALUE; return byte == ':';
    default: return begin_value(shape, s, n->property_count > 0 ? n->properties[frame->index - 1].node : n->others, byte);
    }
}

static bool feed_array(const pfm_json_shape *shape, pfm_json_state *s, unsigned char byte)
{
    pfm_json_frame *frame = top(s);
    const pfm_json_node *n = node_of(shape, frame->node);
    if (byte == ']' && frame->phase != NEXT)
        return frame->index >= n->least_items && close_frame(s);
    if (frame->phase == AFTER) {
        frame->phase = NEXT;
        return byte == ',' && frame->index < n->most_items;
    }
    frame->index++;
    return frame->index <= n->most_items && begin_value(shape, s, n->items, byte);
}

static bool feed_between(const pfm_json_shape *shape, pfm_json_state *s, unsigned char byte)
{
    if (s->done)
        return false;
    if (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r')
        return ++s->spaces <= MOST_SPACES;
    s->spaces = 0;
    if (s->depth == 0)
        return begin_value(shape, s, shape->root, byte);
    return top(s)->is_array ? feed_array(shape, s, byte) : feed_object(shape, s, byte);
}

bool pfm_json_feed(const pfm_json_shape *shape, pfm_json_state *state, unsigned char byte)
{
    switch (state->mode) {
    case IN_STRING:
    case IN_KEY: return feed_string(shape, state, byte);
    case IN_NAMED_KEY: return feed_named_key(shape, state, byte);
    case IN_LITERAL: return feed_literal(shape, state, byte);
    case IN_NUMBER: return feed_number(shape, state, byte);
    default: return feed_between(shape, state, byte);
    }
}

bool pfm_json_is_whole(const pfm_json_shape *shape, const pfm_json_state *state)
{
    if (state->done)
        return true;
    return state->depth == 0 && ((state->mode == IN_NUMBER && is_whole_number(shape, state)) ||
                                 (state->mode == IN_LITERAL && is_at_end(shape, state)));
}

bool pfm_json_is_in_free_text(const pfm_json_shape *shape, const pfm_json_state *state)
{
    return state->mode == IN_STRING && state->phase == S_PLAIN && state->pending == 0 &&
           node_of(shape, state->node)->most_characters == INT32_MAX;
}
