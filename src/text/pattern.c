#include "text/pattern.h"

#include "base/try.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* Generous for honest patterns; a hostile one fails within about a second and 64 MiB. */
enum { LONGEST_PATTERN = 1 << 16, MATCH_LIMIT = 20000000, HEAP_LIMIT_KIB = 65536 };

struct pfm_pattern {
    pcre2_code *code;
};

struct pfm_pattern_scratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
};

/* White_Space, which PCRE2's own \s is not: it has U+180E besides. */
#define SPACE_MEMBERS "\\x{9}-\\x{d}\\x{20}\\x{85}\\p{Z}"
/* All but those, for within a class, where a \S cannot be written as a negated one. */
#define NO_SPACE_MEMBERS                                                                                                       \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"         \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"

/* Walks over Oniguruma's pattern and writes PCRE2's. */
typedef struct translation {
    const char *at, *end;
    pfm_buffer out;
    size_t atom; /* where in `out` the last character, class or escape begins; SIZE_MAX: a group */
    bool in_class, class_begins;
} translation;

static pfm_status emit(translation *t, size_t count, pfm_error *err)
{
    pfm_status status = pfm_buffer_append(&t->out, t->at, count, err);
    t->at += count;
    return status;
}

static pfm_status emit_instead(translation *t, size_t count, const char *text, pfm_error *err)
{
    t->at += count;
    return pfm_buffer_append_string(&t->out, text, err);
}

/* \uHHHH, which PCRE2 writes \x{HHHH}. */
static pfm_status translate_unicode_escape(translation *t, pfm_error *err)
{
    if (t->end - t->at < 6 || strspn(t->at + 2, "0123456789abcdefABCDEF") < 4)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "a split pattern has \\u without four hexadecimal digits");
    pfm_status status = pfm_buffer_append_format(&t->out, err, "\\x{%.4s}", t->at + 2);
    t->at += 6;
    return status;
}

/* \x{2028} or \x20 as it stands. */
static pfm_status translate_code(translation *t, pfm_error *err)
{
    const char *close = t->end - t->at > 2 && t->at[2] == '{' ? memchr(t->at, '}', (size_t)(t->end - t->at)) : NULL;
    if (close == NULL && (t->end - t->at < 4 || t->at[2] < '0' || t->at[2] > '7')) /* from \x80 on it is a byte to Oniguruma */
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "a split pattern has \\x that names no character");
    return emit(t, close == NULL ? 2 : (size_t)(close + 1 - t->at), err);
}

/* \p{Lu} as it stands; a longer name is a script, which PCRE2 would else widen by its extensions. */
static pfm_status translate_property(translation *t, pfm_error *err)
{
    const char *close = t->end - t->at > 3 && t->at[2] == '{' ? memchr(t->at, '}', (size_t)(t->end - t->at)) : NULL;
    if (close == NULL)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "a split pattern has \\%c without {}", t->at[1]);
    const char *name = t->at + 3 + (t->at[3] == '^');
    if (close - name <= 2)
        return emit(t, (size_t)(close + 1 - t->at), err);
    pfm_status status = pfm_buffer_append(&t->out, t->at, (size_t)(name - t->at), err);
    if (status == PFM_OK)
        status = pfm_buffer_append_string(&t->out, "sc:", err);
    t->at = name;
    return status != PFM_OK ? status : emit(t, (size_t)(close + 1 - name), err);
}

static pfm_status translate_escape(translation *t, pfm_error *err)
{
    char c = t->at + 1 < t->end ? t->at[1] : '\0';
    switch (c) {
    case 's': return emit_instead(t, 2, t->in_class ? SPACE_MEMBERS : "[" SPACE_MEMBERS "]", err);
    case 'S': return emit_instead(t, 2, t->in_class ? NO_SPACE_MEMBERS : "[^" SPACE_MEMBERS "]", err);
    case 'v': return emit_instead(t, 2, "\\x{b}", err);
    case 'u': return translate_unicode_escape(t, err);
    case 'x': return translate_code(t, err);
    case 'p':
    case 'P': return translate_property(t, err);
    case 'd':
    case 'D':
    case 'n':
    case 'r':
    case 't':
    case 'f':
    case 'a':
    case 'e': return emit(t, 2, err);
    case 'A':
    case 'z':
        if (!t->in_class)
            return emit(t, 2, err);
        break;
    default:
        if ((unsigned char)c >= 0x80 ||
            (c > ' ' && c < 0x7f && strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ<>", c) == NULL))
            return emit(t, 2, err);
        if (c == '<' || c == '>')
            return emit_instead(t, 2, c == '<' ? "<" : ">", err);
    }
    return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "this program does not know \\%c %sin a split pattern",
                         c == '\0' ? ' ' : c, t->in_class ? "within [] " : "");
}

static pfm_status translate_in_class(translation *t, pfm_error *err)
{
    char c = *t->at;
    bool begins = t->class_begins;
    t->class_begins = begins && c == '^';
    if (c == '[' || (c == '&' && t->at + 1 < t->end && t->at[1] == '&'))
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "this program does not know %s within [] in a split pattern",
                             c == '[' ? "[" : "&&");
    if (c == ']' && !begins)
        t->in_class = false;
    return emit(t, 1, err);
}

/* (?i: (?: (?= (?! (?<= (?<! (?> mean the same to both engines. */
static bool group_is_known(const char *at, const char *end)
{
    static const char *const known[] = {"(?i:", "(?i)", "(?-i:", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t length = strlen(known[i]);
        if ((size_t)(end - at) >= length && memcmp(at, known[i], length) == 0)
            return true;
    }
    return false;
}

/* x{1,3}, and x{1,3}+, which repeats the whole to Oniguruma but is possessive to PCRE2: (?:x{1,3})+. */
static pfm_status translate_interval(translation *t, pfm_error *err)
{
    const char *close = memchr(t->at, '}', (size_t)(t->end - t->at));
    size_t length = close == NULL ? 1 : (size_t)(close + 1 - t->at);
    bool again = close != NULL && close + 1 < t->end && close[1] == '+';
    pfm_status status = emit(t, length, err);
    if (status != PFM_OK || !again)
        return status;
    if (t->atom == SIZE_MAX)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                             "this program does not know a group with }+ behind it in a split pattern");
    status = pfm_buffer_append(&t->out, "(?:)", 4, err); /* room */
    if (status == PFM_OK) {
        char *atom = t->out.data + t->atom;
        memmove(atom + 3, atom, t->out.size - 4 - t->atom);
        static const char group[] = {'(', '?', ':'};
        memcpy(atom, group, sizeof group);
    }
    return status;
}

static pfm_status translate_one(translation *t, pfm_error *err)
{
    char c = *t->at;
    char next = t->at + 1 < t->end ? t->at[1] : '\0';
    if (t->in_class && c != '\\')
        return translate_in_class(t, err);
    if (c == '{')
        return translate_interval(t, err);
    if (!t->in_class && strchr("*+?", c) == NULL)
        t->atom = c == ')' ? SIZE_MAX : t->out.size;
    if (c == '\\') {
        t->class_begins = false;
        return translate_escape(t, err);
    }
    if (c == '[')
        t->in_class = t->class_begins = true;
    if (c == '(' && next == '?' && !group_is_known(t->at, t->end))
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "this program does not know the group %.4s in a split pattern", t->at);
    if (c == '(' && next == '*')
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "this program does not know (* in a split pattern");
    return emit(t, 1, err);
}

static pfm_status compile(const char *text, size_t length, uint32_t options, pcre2_code **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not prepare a split pattern");
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int code = 0;
    PCRE2_SIZE place = 0;
    *out = pcre2_compile((PCRE2_SPTR)text, length, options, &code, &place, context);
    if (*out == NULL) {
        PCRE2_UCHAR reason[160] = {0};
        (void)pcre2_get_error_message(code, reason, sizeof reason);
        PFM_FAIL(code == PCRE2_ERROR_HEAP_FAILED ? PFM_ERROR_NO_MEMORY : PFM_ERROR_UNSUPPORTED,
                 "a split pattern cannot be used: %s at byte %zu of %.100s", (const char *)reason, (size_t)place, text);
    }
    (void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* where there is no JIT, the interpreter does the same */
done:
    pcre2_compile_context_free(context);
    return status;
}

pfm_status pfm_pattern_create(const char *text, size_t length, bool literal, pfm_pattern **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pattern *pattern = NULL;
    translation t = {.at = text, .end = text + length};
    if (length == 0 || length > LONGEST_PATTERN)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "a split pattern has %zu bytes; 1 to %d can be used", length, LONGEST_PATTERN);
    PFM_TRY(pfm_allocate(1, sizeof *pattern, &pattern, err));
    while (!literal && t.at < t.end)
        PFM_TRY(translate_one(&t, err));
    if (literal)
        PFM_TRY(emit(&t, length, err));
    uint32_t options = literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    PFM_TRY(compile(t.out.data, t.out.size, options, &pattern->code, err));
    *out = pattern;
    pattern = NULL;
done:
    pfm_buffer_free(&t.out);
    pfm_pattern_free(pattern);
    return status;
}

void pfm_pattern_free(pfm_pattern *pattern)
{
    if (pattern == NULL)
        return;
    pcre2_code_free(pattern->code);
    free(pattern);
}

pfm_status pfm_pattern_scratch_create(pfm_pattern_scratch **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pattern_scratch *scratch = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *scratch, &scratch, err));
    scratch->match = pcre2_match_data_create(1, NULL); /* only the whole match is looked at */
    scratch->context = pcre2_match_context_create(NULL);
    if (scratch->match == NULL || scratch->context == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not prepare to split a text");
    (void)pcre2_set_match_limit(scratch->context, MATCH_LIMIT);
    (void)pcre2_set_heap_limit(scratch->context, HEAP_LIMIT_KIB);
    *out = scratch;
    scratch = NULL;
done:
    pfm_pattern_scratch_free(scratch);
    return status;
}

void pfm_pattern_scratch_free(pfm_pattern_scratch *scratch)
{
    if (scratch == NULL)
        return;
    pcre2_match_data_free(scratch->match);
    pcre2_match_context_free(scratch->context);
    free(scratch);
}

pfm_status pfm_pattern_find(const pfm_pattern *pattern, pfm_pattern_scratch *scratch, const char *text, size_t size,
                            size_t from, size_t *begin, size_t *end, pfm_error *err)
{
    int found = pcre2_match(pattern->code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK, scratch->match, scratch->context);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter's stack is the heap */
        found = pcre2_match(pattern->code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, scratch->match,
                            scratch->context);
    *begin = SIZE_MAX;
    if (found == PCRE2_ERROR_NOMATCH)
        return PFM_OK;
    if (found < 0) {
        PCRE2_UCHAR reason[160] = {0};
        (void)pcre2_get_error_message(found, reason, sizeof reason);
        return pfm_error_set(err, found == PCRE2_ERROR_NOMEMORY ? PFM_ERROR_NO_MEMORY : PFM_ERROR_UNSUPPORTED,
                             "a text of %zu bytes cannot be split by the tokenizer's pattern: %s", size, (const char *)reason);
    }
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(scratch->match);
    *begin = range[0];
    *end = range[1];
    return PFM_OK;
}
