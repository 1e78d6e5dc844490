/* A template's text cut into tokens, with white space taken off around tags as Jinja takes it off. */
#include "text/jinja_internal.h"

#include <ctype.h>
#include <string.h>

static bool is_space(char c) { return c != '\0' && strchr(" \t\n\r\v\f", c) != NULL; }
static bool is_name_start(char c) { return isalpha((unsigned char)c) || c == '_'; }
static bool is_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

static bool starts(const jinja_lexer *lexer, const char *at, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(lexer->end - at) >= length && memcmp(at, text, length) == 0;
}

static void count_lines(jinja_lexer *lexer)
{
    for (; lexer->counted < lexer->at; lexer->counted++)
        lexer->line += *lexer->counted == '\n';
}

static pfm_status fail(jinja_lexer *lexer, pfm_status code, const char *what)
{
    count_lines(lexer);
    return pfm_error_set(lexer->err, code, "chat template line %d: %s", lexer->line, what);
}

/* The source with line ends as \n and without the last of them. */
pfm_status jinja_lexer_start(jinja_lexer *lexer, const char *source, size_t length)
{
    char *copy = NULL;
    size_t size = 0;
    JINJA_TRY(pfm_jinja_allocate(lexer->arena, length + 1, &copy, lexer->err));
    for (size_t i = 0; i < length; i++) {
        if (source[i] == '\r' && i + 1 < length && source[i + 1] == '\n')
            continue;
        copy[size++] = source[i] == '\r' ? '\n' : source[i];
    }
    if (size > 0 && copy[size - 1] == '\n')
        size--;
    lexer->at = lexer->counted = copy;
    lexer->end = copy + size;
    lexer->line = 1;
    lexer->line_starts = true;
    return PFM_OK;
}

/* Where the text before a tag ends: "-" takes all white space, and a block alone on its line its indentation. */
static const char *end_of_text(const jinja_lexer *lexer, const char *begin, const char *tag)
{
    char sign = tag + 2 < lexer->end ? tag[2] : '\0';
    const char *end = tag;
    if (sign == '-') {
        while (end > begin && is_space(end[-1]))
            end--;
        return end;
    }
    if (sign == '+' || tag[1] == '{')
        return tag;
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    bool alone = end > begin ? end[-1] == '\n' : lexer->line_starts;
    return alone ? end : tag;
}

/* Goes behind the end of a tag at `at`, whose sign, if any, stands before it. */
static void pass_end(jinja_lexer *lexer, const char *at, char sign, bool block)
{
    lexer->at = at + 2;
    if (sign == '-') {
        while (lexer->at < lexer->end && is_space(*lexer->at))
            lexer->at++;
    } else if (block && sign != '+' && lexer->at < lexer->end && *lexer->at == '\n') {
        lexer->at++;
    }
    lexer->line_starts = lexer->at[-1] == '\n';
}

static pfm_status pass_comment(jinja_lexer *lexer, const char *tag)
{
    const char *close = jinja_find(tag + 2, (size_t)(lexer->end - tag - 2), "#}", 2);
    if (close == NULL)
        return fail(lexer, PFM_ERROR_FORMAT, "a comment does not end");
    pass_end(lexer, close, close > tag + 2 ? close[-1] : '\0', true);
    return PFM_OK;
}

static void open_tag(jinja_lexer *lexer, jinja_token *out)
{
    out->type = lexer->pending == '{' ? TOKEN_OUTPUT : TOKEN_TAG;
    lexer->inside = lexer->pending;
    lexer->pending = 0;
    lexer->depth = 0;
    lexer->at += 2;
    if (lexer->at < lexer->end && (*lexer->at == '-' || *lexer->at == '+'))
        lexer->at++;
}

/* The text up to the next tag, if there is any, else the tag. */
static pfm_status next_outside(jinja_lexer *lexer, jinja_token *out)
{
    while (lexer->pending == 0 && lexer->at < lexer->end) {
        const char *begin = lexer->at, *tag = begin;
        while (tag < lexer->end && !(tag[0] == '{' && tag + 1 < lexer->end && strchr("{%#", tag[1]) != NULL && tag[1] != '\0'))
            tag++;
        const char *end = tag == lexer->end ? tag : end_of_text(lexer, begin, tag);
        lexer->line_starts = false;
        lexer->at = tag;
        if (tag < lexer->end && tag[1] == '#')
            JINJA_TRY(pass_comment(lexer, tag));
        else if (tag < lexer->end)
            lexer->pending = tag[1];
        if (end > begin) {
            *out = (jinja_token){.type = TOKEN_DATA, .text = begin, .length = (size_t)(end - begin), .line = lexer->line};
            return PFM_OK;
        }
    }
    if (lexer->pending != 0)
        open_tag(lexer, out);
    return PFM_OK;
}

/* Python's escapes; an unknown one stays as it is. */
static pfm_status unescape(jinja_lexer *lexer, const char *at, const char *end, jinja_token *out)
{
    static const char names[] = "nrt\\'\"", meant[] = "\n\r\t\\'\"";
    char *text = NULL;
    size_t size = 0;
    JINJA_TRY(pfm_jinja_allocate(lexer->arena, (size_t)(end - at) + 1, &text, lexer->err));
    while (at < end) {
        if (*at != '\\' || at + 1 == end) {
            text[size++] = *at++;
            continue;
        }
        const char *known = strchr(names, at[1]);
        at += 2;
        if (at[-1] != '\0' && known != NULL) {
            text[size++] = meant[known - names];
        } else if (strchr("01234567abfvxuUN\n", at[-1]) != NULL) {
            return fail(lexer, PFM_ERROR_UNSUPPORTED, "this program knows \\n, \\r, \\t, \\\\, \\' and \\\" in strings only");
        } else {
            text[size++] = '\\';
            text[size++] = at[-1];
        }
    }
    out->text = text;
    out->length = size;
    return PFM_OK;
}

static pfm_status next_string(jinja_lexer *lexer, jinja_token *out)
{
    char quote = *lexer->at;
    const char *begin = lexer->at + 1, *at = begin;
    while (at < lexer->end && *at != quote)
        at += *at == '\\' && at + 1 < lexer->end ? 2 : 1;
    if (at >= lexer->end)
        return fail(lexer, PFM_ERROR_FORMAT, "a string does not end");
    out->type = TOKEN_STRING;
    lexer->at = at + 1;
    return unescape(lexer, begin, at, out);
}

static pfm_status next_number(jinja_lexer *lexer, jinja_token *out)
{
    out->type = TOKEN_INTEGER;
    for (; lexer->at < lexer->end && isdigit((unsigned char)*lexer->at); lexer->at++) {
        if (out->number > (INT64_MAX - 9) / 10)
            return fail(lexer, PFM_ERROR_UNSUPPORTED, "a number is too large");
        out->number = out->number * 10 + (*lexer->at - '0');
    }
    if (lexer->at < lexer->end &&
        (is_name(*lexer->at) || (*lexer->at == '.' && lexer->at + 1 < lexer->end && isdigit((unsigned char)lexer->at[1]))))
        return fail(lexer, PFM_ERROR_UNSUPPORTED, "this program knows whole numbers only");
    return PFM_OK;
}

static pfm_status next_operator(jinja_lexer *lexer, jinja_token *out)
{
    static const char *const longer[] = {"==", "!=", "<=", ">=", "//", "**"};
    size_t length = strchr("+-*/%~<>=.,:|()[]{}", *lexer->at) != NULL && *lexer->at != '\0';
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++) {
        if (starts(lexer, lexer->at, longer[i]))
            length = 2;
    }
    if (length == 0)
        return fail(lexer, PFM_ERROR_FORMAT, "a tag has a character that means nothing there");
    if (strchr("([{", *lexer->at) != NULL)
        lexer->depth++;
    if (strchr(")]}", *lexer->at) != NULL && lexer->depth > 0)
        lexer->depth--;
    *out = (jinja_token){.type = TOKEN_OPERATOR, .text = lexer->at, .length = length, .line = lexer->line};
    lexer->at += length;
    return PFM_OK;
}

/* Whether the tag ends here, and if so goes behind it. */
static bool pass_tag_end(jinja_lexer *lexer, jinja_token *out)
{
    bool block = lexer->inside == '%';
    const char *close = block ? "%}" : "}}";
    bool sign = *lexer->at == '-' || (*lexer->at == '+' && block);
    if (lexer->depth > 0 || !starts(lexer, lexer->at + sign, close))
        return false;
    pass_end(lexer, lexer->at + sign, sign ? *lexer->at : '\0', block);
    out->type = block ? TOKEN_TAG_END : TOKEN_OUTPUT_END;
    lexer->inside = 0;
    return true;
}

pfm_status jinja_lexer_next(jinja_lexer *lexer, jinja_token *out)
{
    *out = (jinja_token){.type = TOKEN_END};
    if (lexer->inside == 0) {
        count_lines(lexer);
        out->line = lexer->line;
        return next_outside(lexer, out);
    }
    while (lexer->at < lexer->end && is_space(*lexer->at))
        lexer->at++;
    count_lines(lexer);
    out->line = lexer->line;
    if (lexer->at == lexer->end)
        return fail(lexer, PFM_ERROR_FORMAT, "a tag does not end");
    if (pass_tag_end(lexer, out))
        return PFM_OK;
    if (*lexer->at == '\'' || *lexer->at == '"')
        return next_string(lexer, out);
    if (isdigit((unsigned char)*lexer->at))
        return next_number(lexer, out);
    if (!is_name_start(*lexer->at))
        return next_operator(lexer, out);
    *out = (jinja_token){.type = TOKEN_NAME, .text = lexer->at, .line = lexer->line};
    while (lexer->at < lexer->end && is_name(*lexer->at))
        lexer->at++;
    out->length = (size_t)(lexer->at - out->text);
    return PFM_OK;
}
