/* Shared by the files of the template interpreter. */
#ifndef PFM_TEXT_JINJA_INTERNAL_H
#define PFM_TEXT_JINJA_INTERNAL_H

#include "text/jinja.h"

/* Everything lives in the arena, so an error needs no cleaning up. */
#define JINJA_TRY(call)                                                                                                        \
    do {                                                                                                                       \
        pfm_status jinja_status = (call);                                                                                      \
        if (jinja_status != PFM_OK)                                                                                            \
            return jinja_status;                                                                                               \
    } while (0)

/* jinja_lex.c */
typedef enum jinja_token_type {
    TOKEN_END,
    TOKEN_DATA,   /* text outside of tags, as it is to be written */
    TOKEN_OUTPUT, /* {{ */
    TOKEN_OUTPUT_END,
    TOKEN_TAG, /* {% */
    TOKEN_TAG_END,
    TOKEN_NAME,
    TOKEN_STRING, /* escapes resolved */
    TOKEN_INTEGER,
    TOKEN_OPERATOR
} jinja_token_type;

typedef struct jinja_token {
    jinja_token_type type;
    const char *text;
    size_t length;
    int64_t number;
    int line;
} jinja_token;

typedef struct jinja_lexer {
    pfm_jinja_arena *arena;
    pfm_error *err;
    const char *at, *end, *counted; /* counted: up to where `line` is right */
    int line;
    char inside;  /* '{' within {{ }}, '%' within {% %}, 0 outside */
    int depth;    /* open brackets within a tag */
    char pending; /* the tag that begins behind the text just given */
    bool line_starts;
} jinja_lexer;
pfm_status jinja_lexer_start(jinja_lexer *lexer, const char *source, size_t length) PFM_MUST_CHECK;
pfm_status jinja_lexer_next(jinja_lexer *lexer, jinja_token *out) PFM_MUST_CHECK;

/* jinja_parse.c */
typedef enum jinja_node_kind {
    NODE_DATA,     /* text */
    NODE_OUTPUT,   /* a */
    NODE_IF,       /* a: condition, list: then, other: else */
    NODE_FOR,      /* b: the names, a: what is walked over, c: its condition or NULL, list: body, other: else */
    NODE_SET,      /* a: name or attribute, b: value */
    NODE_BODY,     /* list */
    NODE_CONSTANT, /* value */
    NODE_NAME,     /* text */
    NODE_LIST,     /* list */
    NODE_INDEX,    /* a[b]; a.name is a["name"] with `dotted` */
    NODE_SLICE,    /* a[b:c:other], NULL where left out */
    NODE_CALL,     /* a(list); keyword arguments are NODE_KEYWORD text=a */
    NODE_KEYWORD,
    NODE_FILTER, /* a | text(list) */
    NODE_TEST,   /* a is text(list) */
    NODE_NOT,
    NODE_NEGATE,
    NODE_AND,
    NODE_OR,
    NODE_BINARY, /* a text b, an operator or "in" */
    NODE_CHOOSE  /* b if a else c, c NULL where left out */
} jinja_node_kind;

typedef struct jinja_node {
    jinja_node_kind kind;
    int line;
    const char *text;
    size_t length;
    bool dotted;
    pfm_jinja_value value;
    struct jinja_node *a, *b, *c, *list, *other, *next;
} jinja_node;
pfm_status jinja_parse(jinja_lexer *lexer, jinja_node **out) PFM_MUST_CHECK;

/* jinja_values.c */
static inline pfm_jinja_value jinja_undefined(const char *name)
{
    return (pfm_jinja_value){.type = PFM_JINJA_UNDEFINED, .text = name};
}
static inline pfm_jinja_value jinja_none(void) { return (pfm_jinja_value){.type = PFM_JINJA_NONE}; }
static inline pfm_jinja_value jinja_boolean(bool value)
{
    return (pfm_jinja_value){.type = PFM_JINJA_BOOLEAN, .number = value};
}
static inline pfm_jinja_value jinja_integer(int64_t value)
{
    return (pfm_jinja_value){.type = PFM_JINJA_INTEGER, .number = value};
}
static inline pfm_jinja_value jinja_string(const char *text, size_t length)
{
    return (pfm_jinja_value){.type = PFM_JINJA_TEXT, .text = text, .length = length};
}
static inline pfm_jinja_value jinja_list(const pfm_jinja_value *items, size_t count)
{
    return (pfm_jinja_value){.type = PFM_JINJA_LIST, .items = items, .length = count};
}
static inline bool jinja_is_number(pfm_jinja_value value)
{
    return value.type == PFM_JINJA_INTEGER || value.type == PFM_JINJA_BOOLEAN;
}
const char *jinja_type_name(pfm_jinja_value value);
bool jinja_equals(const char *text, size_t length, const char *literal);
bool jinja_is_true(pfm_jinja_value value);
bool jinja_same(pfm_jinja_value a, pfm_jinja_value b);
const pfm_jinja_value *jinja_dict_get(const pfm_jinja_dict *dict, const char *key, size_t length); /* NULL: absent */
const char *jinja_find(const char *text, size_t length, const char *part, size_t part_length);     /* NULL: absent */
size_t jinja_code_points(const char *text, size_t length);

/* One rendering. */
typedef struct jinja_scope {
    pfm_jinja_dict variables;
    struct jinja_scope *above;
} jinja_scope;

typedef struct pfm_jinja_loop {
    const pfm_jinja_value *items;
    size_t index, count;
} pfm_jinja_loop;

typedef struct jinja_run {
    pfm_jinja_arena *arena;
    pfm_error *err;
    pfm_buffer *out;
    jinja_scope *scope;
    size_t steps;
    int line, depth;
} jinja_run;

/* UNSUPPORTED or another error, with "chat template line N: " before it. */
pfm_status jinja_fail(const jinja_run *run, pfm_status code, const char *format, ...) PFM_PRINTF(3, 4);
/* Appends what {{ value }} writes; `where` is the buffer. */
pfm_status jinja_write(const jinja_run *run, pfm_jinja_value value, pfm_buffer *where) PFM_MUST_CHECK;
/* *out = the joined text, in the arena. */
pfm_status jinja_concatenate(const jinja_run *run, pfm_jinja_value a, pfm_jinja_value b, pfm_jinja_value *out) PFM_MUST_CHECK;
/* A text of the arena from a buffer. */
pfm_status jinja_keep(const jinja_run *run, const pfm_buffer *buffer, pfm_jinja_value *out) PFM_MUST_CHECK;

/* jinja_builtins.c. Arguments that were not given are undefined. */
enum { JINJA_ARGUMENTS = 4 };
typedef struct jinja_arguments {
    pfm_jinja_value items[JINJA_ARGUMENTS];
    size_t count;
    pfm_jinja_dict keywords;
} jinja_arguments;
pfm_status jinja_filter(const jinja_run *run, const jinja_node *node, pfm_jinja_value value, const jinja_arguments *arguments,
                        pfm_jinja_value *out) PFM_MUST_CHECK;
pfm_status jinja_test(const jinja_run *run, const char *name, size_t length, pfm_jinja_value value, pfm_jinja_value argument,
                      bool *out) PFM_MUST_CHECK;
pfm_status jinja_method(const jinja_run *run, const jinja_node *node, pfm_jinja_value self, const jinja_arguments *arguments,
                        pfm_jinja_value *out) PFM_MUST_CHECK;
pfm_status jinja_function(const jinja_run *run, const char *name, size_t length, const jinja_arguments *arguments,
                          pfm_jinja_value *out) PFM_MUST_CHECK;
bool jinja_is_function(const char *name, size_t length);

#endif
