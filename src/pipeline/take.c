#define PCRE2_CODE_UNIT_WIDTH 8

#include "pipeline/take.h"

#include "base/try.h"

#include <pcre2.h>
#include <string.h>

const char *const pfm_take_names[] = {"whole", "last_line", "after", "line_after", "match", NULL};

bool pfm_take_has_argument(pfm_take_kind kind) { return kind >= PFM_TAKE_AFTER; }

enum { MOST_STEPS = 1000000, MOST_KIB = 65536 }; /* of matching a reply, whatever the expression */

static pcre2_code *compile(const pfm_take *take, pfm_error *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    PCRE2_UCHAR reason[200];
    pcre2_code *expression = pcre2_compile((PCRE2_SPTR)take->argument, PCRE2_ZERO_TERMINATED,
                                           PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (expression == NULL) {
        (void)pcre2_get_error_message(code, reason, sizeof reason);
        (void)pfm_error_set(err, PFM_ERROR_USAGE, "the regular expression '%.100s' is wrong at sign %zu: %s", take->argument,
                            at + 1, (const char *)reason);
    }
    return expression;
}

pfm_status pfm_take_check(const pfm_take *take, pfm_error *err)
{
    if (!pfm_take_has_argument(take->kind))
        return PFM_OK;
    if (take->argument == NULL || take->argument[0] == '\0')
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s needs a text, as in {%s: \"Diagnosis:\"}", pfm_take_names[take->kind],
                             pfm_take_names[take->kind]);
    if (take->kind != PFM_TAKE_MATCH)
        return PFM_OK;
    pcre2_code *expression = compile(take, err);
    pcre2_code_free(expression);
    return expression != NULL ? PFM_OK : PFM_ERROR_USAGE;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static pfm_status copy_trimmed(const char *begin, const char *end, char **out, pfm_error *err)
{
    while (begin < end && is_blank(*begin))
        begin++;
    while (end > begin && is_blank(end[-1]))
        end--;
    return begin < end ? pfm_string_copy_n(begin, (size_t)(end - begin), out, err) : PFM_OK;
}

static const char *last_mark(const char *reply, const char *mark)
{
    const char *found = NULL;
    for (const char *at = strstr(reply, mark); at != NULL; at = strstr(at + 1, mark))
        found = at;
    return found;
}

static pfm_status take_after(const pfm_take *take, const char *reply, char **out, pfm_error *err)
{
    const char *at = last_mark(reply, take->argument);
    if (at == NULL)
        return PFM_OK;
    at += strlen(take->argument);
    return copy_trimmed(at, at + (take->kind == PFM_TAKE_AFTER ? strlen(at) : strcspn(at, "\r\n")), out, err);
}

static pfm_status take_last_line(const char *reply, char **out, pfm_error *err)
{
    const char *end = reply + strlen(reply);
    while (end > reply && is_blank(end[-1]))
        end--;
    const char *begin = end;
    while (begin > reply && begin[-1] != '\n' && begin[-1] != '\r')
        begin--;
    return copy_trimmed(begin, end, out, err);
}

/* An expression that takes too long on a reply, and a reply that is no UTF-8, match nothing. */
static pfm_status take_match(const pfm_take *take, const char *reply, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pcre2_code *expression = compile(take, err);
    pcre2_match_data *match = expression != NULL ? pcre2_match_data_create_from_pattern(expression, NULL) : NULL;
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    const size_t length = strlen(reply);
    size_t begin = 0, end = 0;
    bool found = false;
    if (expression == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "a regular expression is wrong"); /* compile() has said more */
    if (match == NULL || limits == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not match a reply");
    (void)pcre2_set_match_limit(limits, MOST_STEPS);
    (void)pcre2_set_heap_limit(limits, MOST_KIB);
    for (size_t from = 0; from <= length;) {
        const uint32_t known = found ? PCRE2_NO_UTF_CHECK : 0; /* looked at once */
        const int groups = pcre2_match(expression, (PCRE2_SPTR)reply, length, from, known, match, limits);
        if (groups < 0)
            break;
        const PCRE2_SIZE *places = pcre2_get_ovector_pointer(match);
        const bool grouped = groups > 1 && places[2] != PCRE2_UNSET;
        begin = places[grouped ? 2 : 0];
        end = places[grouped ? 3 : 1];
        found = true;
        from = places[1] > from ? places[1] : from + 1;
        while (from < length && ((unsigned char)reply[from] & 0xC0) == 0x80)
            from++;
    }
    if (found && begin <= end)
        PFM_TRY(copy_trimmed(reply + begin, reply + end, out, err));
done:
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    pcre2_code_free(expression);
    return status;
}

pfm_status pfm_take_apply(const pfm_take *take, const char *reply, char **out, pfm_error *err)
{
    *out = NULL;
    switch (take->kind) {
    case PFM_TAKE_LAST_LINE: return take_last_line(reply, out, err);
    case PFM_TAKE_AFTER:
    case PFM_TAKE_LINE_AFTER: return take_after(take, reply, out, err);
    case PFM_TAKE_MATCH: return take_match(take, reply, out, err);
    default: return copy_trimmed(reply, reply + strlen(reply), out, err);
    }
}
