#include "peft/expression.h"

#include "base/memory.h"
#include "base/try.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* Generous for names of modules; a hostile one fails within a second. */
enum { LONGEST = 1 << 14, MATCH_LIMIT = 1000000, HEAP_LIMIT_KIB = 16384 };

struct pfm_expression {
    pcre2_code *code;
    char *text;
};

static pfm_status refuse(const char *at, size_t length, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                         "the regular expression has '%.*s', which is not read here as Python reads it", (int)length, at);
}

/* What stands behind a backslash: digits, signs, and the letters that mean the same to both. */
static bool knows_escape(char c)
{
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return c != '\0' && (!letter || strchr("AbBdDsSwWZafnrtx", c) != NULL);
}

/* "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?#", "(?>", "(?P<name>", "(?P=name)", and flags, "(?i)" or "(?i:". */
static bool knows_group(const char *at)
{
    if (at[1] == '*')
        return false;
    if (at[1] != '?')
        return true;
    const char c = at[2], next = c == '\0' ? '\0' : at[3];
    if (c == '<')
        return next == '=' || next == '!';
    if (c == 'P')
        return next == '<' || next == '=';
    if (c != '\0' && strchr(":=!#>", c) != NULL)
        return true;
    const size_t flags = strspn(at + 2, "imsx-");
    return flags > 0 && (at[2 + flags] == ')' || at[2 + flags] == ':');
}

/* Walks over the expression and refuses what the engines read differently: PCRE2 alone knows classes with names, verbs,
 * recursion and some escapes, and Python's {,3} is plain text to it. */
static pfm_status check_syntax(const char *text, pfm_error *err)
{
    const char *class_begins = NULL; /* behind the [ that is open */
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\\') {
            if (!knows_escape(at[1]))
                return refuse(at, at[1] == '\0' ? 1 : 2, err);
            at++;
        } else if (class_begins != NULL) {
            if (*at == '[' && at[1] != '\0' && strchr(":.=", at[1]) != NULL)
                return refuse(at, 2, err);
            if (*at == ']' && at > class_begins)
                class_begins = NULL;
        } else if (*at == '[') {
            class_begins = at + 1 + (at[1] == '^');
        } else if (*at == '(' && !knows_group(at)) {
            return refuse(at, strnlen(at, 4), err);
        } else if (*at == '{' && at[1] == ',') {
            return refuse(at, 2, err);
        }
    }
    return PFM_OK;
}

pfm_status pfm_expression_create(const char *text, pfm_expression **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_expression *expression = NULL;
    int code = 0;
    PCRE2_SIZE place = 0;
    const size_t length = strnlen(text, LONGEST + 1);
    if (length > LONGEST)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "a regular expression has more than %d bytes", LONGEST);
    PFM_TRY(check_syntax(text, err));
    PFM_TRY(pfm_allocate(1, sizeof *expression, &expression, err));
    PFM_TRY(pfm_string_copy(text, &expression->text, err));
    expression->code = pcre2_compile((PCRE2_SPTR)text, length, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &place, NULL);
    if (expression->code == NULL) {
        PCRE2_UCHAR reason[160] = {0};
        (void)pcre2_get_error_message(code, reason, sizeof reason);
        PFM_FAIL(code == PCRE2_ERROR_HEAP_FAILED ? PFM_ERROR_NO_MEMORY : PFM_ERROR_USAGE,
                 "'%.100s' is no regular expression: %s at byte %zu", text, (const char *)reason, (size_t)place);
    }
    *out = expression;
    expression = NULL;
done:
    pfm_expression_free(expression);
    return status;
}

void pfm_expression_free(pfm_expression *expression)
{
    if (expression == NULL)
        return;
    pcre2_code_free(expression->code);
    free(expression->text);
    free(expression);
}

pfm_status pfm_expression_match(const pfm_expression *expression, const char *text, bool *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    *out = false;
    if (data == NULL || context == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not look for modules");
    (void)pcre2_set_match_limit(context, MATCH_LIMIT);
    (void)pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
    const int found =
        pcre2_match(expression->code, (PCRE2_SPTR)text, strlen(text), 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED, data, context);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH) {
        PCRE2_UCHAR reason[160] = {0};
        (void)pcre2_get_error_message(found, reason, sizeof reason);
        PFM_FAIL(found == PCRE2_ERROR_NOMEMORY ? PFM_ERROR_NO_MEMORY : PFM_ERROR_UNSUPPORTED,
                 "the regular expression '%.100s' cannot be used on the name %.100s: %s", expression->text, text,
                 (const char *)reason);
    }
    *out = found >= 0;
done:
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    return status;
}
