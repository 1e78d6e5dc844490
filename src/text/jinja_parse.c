/* Tokens to a tree, by the grammar of Jinja 3.1's own parser (jinja2/parser.py names each level). */
#include "text/jinja_internal.h"

#include <string.h>

enum { DEEPEST = 120 };

typedef struct parser {
    jinja_lexer *lexer;
    jinja_token token;
    int depth;
} parser;

static pfm_status parse_expression(parser *p, jinja_node **out);
static pfm_status parse_unary(parser *p, bool with_filters, jinja_node **out);
static pfm_status parse_primary(parser *p, jinja_node **out);
static pfm_status parse_body(parser *p, jinja_node **out, const char *const *stops);

static pfm_status advance(parser *p) { return jinja_lexer_next(p->lexer, &p->token); }

static bool is(const parser *p, jinja_token_type type, const char *text)
{
    return p->token.type == type && jinja_equals(p->token.text, p->token.length, text);
}

static bool is_operator(const parser *p, const char *text) { return is(p, TOKEN_OPERATOR, text); }
static bool is_name(const parser *p, const char *text) { return is(p, TOKEN_NAME, text); }

static pfm_status unexpected(parser *p, const char *wanted)
{
    static const char *const names[] = {
        [TOKEN_END] = "the end", [TOKEN_DATA] = "text",  [TOKEN_OUTPUT] = "{{",       [TOKEN_OUTPUT_END] = "}}",
        [TOKEN_TAG] = "{%",      [TOKEN_TAG_END] = "%}", [TOKEN_STRING] = "a string", [TOKEN_INTEGER] = "a number"};
    bool spelled = p->token.type == TOKEN_NAME || p->token.type == TOKEN_OPERATOR;
    return pfm_error_set(p->lexer->err, PFM_ERROR_FORMAT, "chat template line %d: %.*s stands where %s should", p->token.line,
                         spelled ? (int)p->token.length : 20, spelled ? p->token.text : names[p->token.type], wanted);
}

static pfm_status unknown(parser *p, const char *what, const jinja_token *token)
{
    return pfm_error_set(p->lexer->err, PFM_ERROR_UNSUPPORTED, "chat template line %d: this program does not know the %s %.*s",
                         token->line, what, (int)(token->length < 40 ? token->length : 40), token->text);
}

static pfm_status expect_operator(parser *p, const char *text)
{
    return is_operator(p, text) ? advance(p) : unexpected(p, text);
}

static pfm_status new_node(parser *p, jinja_node_kind kind, jinja_node **out)
{
    JINJA_TRY(pfm_jinja_allocate(p->lexer->arena, sizeof **out, out, p->lexer->err));
    **out = (jinja_node){.kind = kind, .line = p->token.line, .text = p->token.text, .length = p->token.length};
    return PFM_OK;
}

/* a = {kind, a, b, text of the token}, and past the token. */
static pfm_status combine(parser *p, jinja_node_kind kind, jinja_node **a)
{
    jinja_node *node = NULL;
    JINJA_TRY(new_node(p, kind, &node));
    node->a = *a;
    *a = node;
    return advance(p);
}

static pfm_status constant(parser *p, pfm_jinja_value value, jinja_node **out)
{
    JINJA_TRY(new_node(p, NODE_CONSTANT, out));
    (*out)->value = value;
    return advance(p);
}

static pfm_status deeper(parser *p)
{
    if (++p->depth > DEEPEST)
        return pfm_error_set(p->lexer->err, PFM_ERROR_UNSUPPORTED,
                             "chat template line %d: more than %d levels stand within each other", p->token.line, DEEPEST);
    return PFM_OK;
}

/* (a, b, name=c): behind the opening parenthesis, through the closing one. */
static pfm_status parse_arguments(parser *p, jinja_node **out)
{
    jinja_node **tail = out;
    while (!is_operator(p, ")")) {
        jinja_node *node = NULL;
        if (tail != out)
            JINJA_TRY(expect_operator(p, ","));
        if (is_operator(p, ")"))
            break;
        if (is_operator(p, "*") || is_operator(p, "**"))
            return unknown(p, "unpacking operator", &p->token);
        JINJA_TRY(parse_expression(p, &node));
        if (is_operator(p, "=") && node->kind == NODE_NAME) {
            jinja_node *keyword = node;
            keyword->kind = NODE_KEYWORD;
            JINJA_TRY(advance(p));
            JINJA_TRY(parse_expression(p, &keyword->a));
        }
        *tail = node;
        tail = &node->next;
    }
    return advance(p);
}

static pfm_status parse_subscript(parser *p, jinja_node **node)
{
    JINJA_TRY(combine(p, NODE_INDEX, node));
    jinja_node *index = *node, **parts[] = {&index->b, &index->c, &index->other};
    int colons = 0;
    while (!is_operator(p, "]")) {
        if (is_operator(p, ":") && colons < 2) {
            colons++;
            JINJA_TRY(advance(p));
        } else if (*parts[colons] == NULL) {
            JINJA_TRY(parse_expression(p, parts[colons]));
        } else {
            return unexpected(p, "]");
        }
    }
    if (colons > 0)
        index->kind = NODE_SLICE;
    else if (index->b == NULL)
        return unexpected(p, "an index");
    return advance(p);
}

static pfm_status parse_postfix(parser *p, jinja_node **node)
{
    for (;;) {
        if (is_operator(p, ".")) {
            JINJA_TRY(combine(p, NODE_INDEX, node));
            (*node)->dotted = true;
            if (p->token.type != TOKEN_NAME && p->token.type != TOKEN_INTEGER)
                return unexpected(p, "a name");
            pfm_jinja_value key =
                p->token.type == TOKEN_NAME ? jinja_string(p->token.text, p->token.length) : jinja_integer(p->token.number);
            JINJA_TRY(constant(p, key, &(*node)->b));
        } else if (is_operator(p, "[")) {
            JINJA_TRY(parse_subscript(p, node));
        } else if (is_operator(p, "(")) {
            JINJA_TRY(combine(p, NODE_CALL, node));
            JINJA_TRY(parse_arguments(p, &(*node)->list));
        } else {
            return PFM_OK;
        }
    }
}

static bool begins_argument(const parser *p)
{
    if (p->token.type == TOKEN_NAME)
        return !is_name(p, "else") && !is_name(p, "or") && !is_name(p, "and") && !is_name(p, "is") && !is_name(p, "if") &&
               !is_name(p, "in") && !is_name(p, "not");
    return p->token.type == TOKEN_STRING || p->token.type == TOKEN_INTEGER || is_operator(p, "[");
}

static pfm_status parse_test(parser *p, jinja_node **node)
{
    JINJA_TRY(advance(p)); /* "is" */
    bool negated = is_name(p, "not");
    if (negated)
        JINJA_TRY(advance(p));
    if (p->token.type != TOKEN_NAME)
        return unexpected(p, "the name of a test");
    JINJA_TRY(combine(p, NODE_TEST, node));
    if (is_operator(p, "(")) {
        JINJA_TRY(advance(p));
        JINJA_TRY(parse_arguments(p, &(*node)->list));
    } else if (begins_argument(p)) {
        JINJA_TRY(parse_primary(p, &(*node)->list));
        JINJA_TRY(parse_postfix(p, &(*node)->list));
    }
    if (!negated)
        return PFM_OK;
    jinja_node *inner = *node;
    JINJA_TRY(new_node(p, NODE_NOT, node));
    (*node)->a = inner;
    return PFM_OK;
}

static pfm_status parse_filters(parser *p, jinja_node **node)
{
    for (;;) {
        if (is_operator(p, "|")) {
            JINJA_TRY(advance(p));
            if (p->token.type != TOKEN_NAME)
                return unexpected(p, "the name of a filter");
            JINJA_TRY(combine(p, NODE_FILTER, node));
            if (is_operator(p, "(")) {
                JINJA_TRY(advance(p));
                JINJA_TRY(parse_arguments(p, &(*node)->list));
            }
        } else if (is_name(p, "is")) {
            JINJA_TRY(parse_test(p, node));
        } else if (is_operator(p, "(")) {
            JINJA_TRY(combine(p, NODE_CALL, node));
            JINJA_TRY(parse_arguments(p, &(*node)->list));
        } else {
            return PFM_OK;
        }
    }
}

/* Behind the opening bracket, through the closing one. */
static pfm_status parse_list(parser *p, jinja_node *node)
{
    jinja_node **tail = &node->list;
    while (!is_operator(p, "]")) {
        if (tail != &node->list)
            JINJA_TRY(expect_operator(p, ","));
        if (is_operator(p, "]"))
            break;
        jinja_node *item = NULL;
        JINJA_TRY(parse_expression(p, &item));
        *tail = item;
        tail = &item->next;
    }
    return advance(p);
}

static pfm_status parse_parentheses(parser *p, jinja_node **out)
{
    JINJA_TRY(advance(p));
    if (is_operator(p, ")"))
        return unexpected(p, "an expression");
    JINJA_TRY(parse_expression(p, out));
    if (is_operator(p, ","))
        return pfm_error_set(p->lexer->err, PFM_ERROR_UNSUPPORTED, "chat template line %d: this program does not know tuples",
                             p->token.line);
    return expect_operator(p, ")");
}

static pfm_status parse_string(parser *p, jinja_node **out)
{
    JINJA_TRY(constant(p, jinja_string(p->token.text, p->token.length), out));
    while (p->token.type == TOKEN_STRING) { /* strings beside each other are one */
        jinja_node *rest = NULL;
        jinja_node *first = *out;
        JINJA_TRY(new_node(p, NODE_BINARY, out));
        JINJA_TRY(constant(p, jinja_string(p->token.text, p->token.length), &rest));
        (*out)->a = first;
        (*out)->b = rest;
        (*out)->text = "~";
        (*out)->length = 1;
    }
    return PFM_OK;
}

static pfm_status parse_primary(parser *p, jinja_node **out)
{
    switch (p->token.type) {
    case TOKEN_STRING: return parse_string(p, out);
    case TOKEN_INTEGER: return constant(p, jinja_integer(p->token.number), out);
    case TOKEN_NAME:
        if (is_name(p, "true") || is_name(p, "True") || is_name(p, "false") || is_name(p, "False"))
            return constant(p, jinja_boolean(p->token.text[0] == 't' || p->token.text[0] == 'T'), out);
        if (is_name(p, "none") || is_name(p, "None"))
            return constant(p, jinja_none(), out);
        JINJA_TRY(new_node(p, NODE_NAME, out));
        return advance(p);
    case TOKEN_OPERATOR:
        if (is_operator(p, "("))
            return parse_parentheses(p, out);
        if (is_operator(p, "{"))
            return unknown(p, "dict that begins with", &p->token);
        if (is_operator(p, "[")) {
            JINJA_TRY(new_node(p, NODE_LIST, out));
            JINJA_TRY(advance(p));
            return parse_list(p, *out);
        }
        break;
    default: break;
    }
    return unexpected(p, "an expression");
}

static pfm_status parse_unary(parser *p, bool with_filters, jinja_node **out)
{
    JINJA_TRY(deeper(p));
    if (is_operator(p, "-")) {
        JINJA_TRY(new_node(p, NODE_NEGATE, out));
        JINJA_TRY(advance(p));
        JINJA_TRY(parse_unary(p, false, &(*out)->a));
    } else {
        JINJA_TRY(parse_primary(p, out));
    }
    JINJA_TRY(parse_postfix(p, out));
    if (with_filters)
        JINJA_TRY(parse_filters(p, out));
    if (is_operator(p, "**"))
        return unknown(p, "operator", &p->token);
    p->depth--;
    return PFM_OK;
}

/* The levels of binary operators, loosest first; all group to the left. */
static const char *const levels[][6] = {
    {"==", "!=", "<", ">", "<=", ">="},
    {"+", "-"},
    {"~"},
    {"*", "/", "//", "%"},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

static bool is_at_level(const parser *p, int level)
{
    for (int i = 0; i < 6 && levels[level][i] != NULL; i++) {
        if (is_operator(p, levels[level][i]))
            return true;
    }
    return level == 0 && is_name(p, "in");
}

static pfm_status parse_level(parser *p, int level, jinja_node **out)
{
    if (level == LEVELS)
        return parse_unary(p, true, out);
    JINJA_TRY(parse_level(p, level + 1, out));
    for (int count = 0;; count++) {
        bool negated = level == 0 && is_name(p, "not");
        jinja_token token = p->token;
        if (negated)
            JINJA_TRY(advance(p));
        if (!is_at_level(p, level))
            return negated ? unexpected(p, "in") : PFM_OK;
        if (level == 0 && count > 0)
            return unknown(p, "chain of comparisons with", &token);
        JINJA_TRY(combine(p, NODE_BINARY, out));
        JINJA_TRY(parse_level(p, level + 1, &(*out)->b));
        if (negated) {
            jinja_node *inner = *out;
            JINJA_TRY(new_node(p, NODE_NOT, out));
            (*out)->a = inner;
        }
    }
}

static pfm_status parse_not(parser *p, jinja_node **out)
{
    if (!is_name(p, "not"))
        return parse_level(p, 0, out);
    JINJA_TRY(deeper(p));
    JINJA_TRY(new_node(p, NODE_NOT, out));
    JINJA_TRY(advance(p));
    JINJA_TRY(parse_not(p, &(*out)->a));
    p->depth--;
    return PFM_OK;
}

static pfm_status parse_and(parser *p, jinja_node **out)
{
    JINJA_TRY(parse_not(p, out));
    while (is_name(p, "and")) {
        JINJA_TRY(combine(p, NODE_AND, out));
        JINJA_TRY(parse_not(p, &(*out)->b));
    }
    return PFM_OK;
}

static pfm_status parse_or(parser *p, jinja_node **out)
{
    JINJA_TRY(parse_and(p, out));
    while (is_name(p, "or")) {
        JINJA_TRY(combine(p, NODE_OR, out));
        JINJA_TRY(parse_and(p, &(*out)->b));
    }
    return PFM_OK;
}

static pfm_status parse_expression(parser *p, jinja_node **out)
{
    JINJA_TRY(deeper(p));
    JINJA_TRY(parse_or(p, out));
    while (is_name(p, "if")) {
        jinja_node *choose = NULL;
        JINJA_TRY(new_node(p, NODE_CHOOSE, &choose));
        choose->b = *out;
        *out = choose;
        JINJA_TRY(advance(p));
        JINJA_TRY(parse_or(p, &choose->a));
        if (is_name(p, "else")) {
            JINJA_TRY(advance(p));
            JINJA_TRY(parse_expression(p, &choose->c));
        }
    }
    p->depth--;
    return PFM_OK;
}

static pfm_status end_tag(parser *p) { return p->token.type == TOKEN_TAG_END ? advance(p) : unexpected(p, "%}"); }

/* Behind "if" or "elif", through "endif". */
static pfm_status parse_if(parser *p, jinja_node **out)
{
    static const char *const stops[] = {"elif", "else", "endif", NULL};
    static const char *const last[] = {"endif", NULL};
    JINJA_TRY(deeper(p));
    JINJA_TRY(new_node(p, NODE_IF, out));
    JINJA_TRY(parse_expression(p, &(*out)->a));
    JINJA_TRY(end_tag(p));
    JINJA_TRY(parse_body(p, &(*out)->list, stops));
    bool otherwise = is_name(p, "elif"), at_last = is_name(p, "endif");
    JINJA_TRY(advance(p));
    if (otherwise) {
        JINJA_TRY(parse_if(p, &(*out)->other));
    } else if (!at_last) {
        JINJA_TRY(end_tag(p));
        JINJA_TRY(parse_body(p, &(*out)->other, last));
        JINJA_TRY(advance(p));
    }
    p->depth--;
    return PFM_OK;
}

static pfm_status parse_for(parser *p, jinja_node **out)
{
    static const char *const stops[] = {"else", "endfor", NULL};
    static const char *const last[] = {"endfor", NULL};
    JINJA_TRY(new_node(p, NODE_FOR, out));
    for (jinja_node **tail = &(*out)->b;; tail = &(*tail)->next) {
        JINJA_TRY(p->token.type == TOKEN_NAME ? new_node(p, NODE_NAME, tail) : unexpected(p, "a name"));
        JINJA_TRY(advance(p));
        if (!is_operator(p, ","))
            break;
        JINJA_TRY(advance(p));
    }
    JINJA_TRY(is_name(p, "in") ? advance(p) : unexpected(p, "in"));
    JINJA_TRY(parse_or(p, &(*out)->a)); /* an "if" behind it is the loop's */
    if (is_name(p, "if")) {
        JINJA_TRY(advance(p));
        JINJA_TRY(parse_expression(p, &(*out)->c));
    }
    if (is_name(p, "recursive"))
        return unknown(p, "word", &p->token);
    JINJA_TRY(end_tag(p));
    JINJA_TRY(parse_body(p, &(*out)->list, stops));
    bool otherwise = is_name(p, "else");
    JINJA_TRY(advance(p));
    if (otherwise) {
        JINJA_TRY(end_tag(p));
        JINJA_TRY(parse_body(p, &(*out)->other, last));
        JINJA_TRY(advance(p));
    }
    return PFM_OK;
}

static pfm_status parse_set(parser *p, jinja_node **out)
{
    JINJA_TRY(new_node(p, NODE_SET, out));
    JINJA_TRY(p->token.type == TOKEN_NAME ? parse_primary(p, &(*out)->a) : unexpected(p, "a name"));
    if (is_operator(p, ".")) {
        JINJA_TRY(combine(p, NODE_INDEX, &(*out)->a));
        JINJA_TRY(p->token.type == TOKEN_NAME ? constant(p, jinja_string(p->token.text, p->token.length), &(*out)->a->b)
                                              : unexpected(p, "a name"));
    }
    if (p->token.type == TOKEN_TAG_END || is_operator(p, "|") || is_operator(p, ","))
        return pfm_error_set(p->lexer->err, PFM_ERROR_UNSUPPORTED,
                             "chat template line %d: this program knows set with one name and = only", p->token.line);
    JINJA_TRY(expect_operator(p, "="));
    return parse_expression(p, &(*out)->b);
}

/* Behind "{%": the statement, through "%}". */
static pfm_status parse_statement(parser *p, jinja_node **out)
{
    static const char *const last[] = {"endgeneration", NULL};
    jinja_token name = p->token;
    if (name.type != TOKEN_NAME)
        return unexpected(p, "the name of a tag");
    JINJA_TRY(advance(p));
    if (jinja_equals(name.text, name.length, "if")) {
        JINJA_TRY(parse_if(p, out));
    } else if (jinja_equals(name.text, name.length, "for")) {
        JINJA_TRY(parse_for(p, out));
    } else if (jinja_equals(name.text, name.length, "set")) {
        JINJA_TRY(parse_set(p, out));
    } else if (jinja_equals(name.text, name.length, "generation")) { /* marks what the model said: of no effect here */
        JINJA_TRY(new_node(p, NODE_BODY, out));
        JINJA_TRY(end_tag(p));
        JINJA_TRY(parse_body(p, &(*out)->list, last));
        JINJA_TRY(advance(p));
    } else {
        return unknown(p, "tag", &name);
    }
    return end_tag(p);
}

/* Statements up to a tag that one of `stops` names, which is then the token; stops NULL: up to the end. */
static pfm_status parse_body(parser *p, jinja_node **out, const char *const *stops)
{
    JINJA_TRY(deeper(p));
    for (jinja_node **tail = out;; tail = &(*tail)->next) {
        if (p->token.type == TOKEN_END && stops == NULL)
            break;
        if (p->token.type == TOKEN_DATA) {
            JINJA_TRY(new_node(p, NODE_DATA, tail));
            JINJA_TRY(advance(p));
        } else if (p->token.type == TOKEN_OUTPUT) {
            JINJA_TRY(new_node(p, NODE_OUTPUT, tail));
            JINJA_TRY(advance(p));
            JINJA_TRY(parse_expression(p, &(*tail)->a));
            JINJA_TRY(p->token.type == TOKEN_OUTPUT_END ? advance(p) : unexpected(p, "}}"));
        } else if (p->token.type == TOKEN_TAG) {
            JINJA_TRY(advance(p));
            for (const char *const *stop = stops; stop != NULL && *stop != NULL; stop++) {
                if (is_name(p, *stop)) {
                    p->depth--;
                    return PFM_OK;
                }
            }
            JINJA_TRY(parse_statement(p, tail));
        } else {
            return unexpected(p, stops == NULL ? "text" : stops[0]);
        }
    }
    p->depth--;
    return PFM_OK;
}

pfm_status jinja_parse(jinja_lexer *lexer, jinja_node **out)
{
    parser p = {.lexer = lexer};
    JINJA_TRY(advance(&p));
    return parse_body(&p, out, NULL);
}
