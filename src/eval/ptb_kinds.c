#include "eval/ptb_kinds.h"

#include <string.h>
#include <strings.h>

utf8proc_int32_t pfm_ptb_character(const char *at, const char *end, size_t *bytes)
{
    utf8proc_int32_t c = 0;
    utf8proc_ssize_t length = at < end ? utf8proc_iterate((const utf8proc_uint8_t *)at, (utf8proc_ssize_t)(end - at), &c) : 0;
    *bytes = length > 0 ? (size_t)length : at < end ? 1 : 0;
    return length > 0 ? c : -1;
}

/* The bytes of a letter (with marks, as the program has it), else 0. */
size_t pfm_ptb_letter(pfm_ptb_view v, size_t i)
{
    size_t bytes = 0;
    char c = pfm_ptb_byte(v, i);
    if ((unsigned char)c < 0x80)
        return pfm_ptb_is_letter(c);
    utf8proc_int32_t point = pfm_ptb_character(v.at + i, v.end, &bytes);
    if (point < 0)
        return 0;
    utf8proc_category_t category = utf8proc_category(point);
    bool letter = (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ME) || point == 0xAD;
    return letter ? bytes : 0;
}

size_t pfm_ptb_letter_or_digit(pfm_ptb_view v, size_t i)
{
    return pfm_ptb_is_digit(pfm_ptb_byte(v, i)) ? 1 : pfm_ptb_letter(v, i);
}

/* The bytes of an apostrophe, straight or curved, else 0. */
size_t pfm_ptb_apostrophe(pfm_ptb_view v, size_t i)
{
    if (pfm_ptb_byte(v, i) == '\'')
        return 1;
    return v.end - v.at >= (ptrdiff_t)(i + 3) && memcmp(v.at + i, "\xE2\x80\x99", 3) == 0 ? 3 : 0;
}

size_t pfm_ptb_run(pfm_ptb_view v, size_t i, size_t (*bytes)(pfm_ptb_view v, size_t i))
{
    size_t begin = i;
    for (size_t step = 0; (step = bytes(v, i)) > 0;)
        i += step;
    return i - begin;
}

static size_t longer(size_t a, size_t b) { return a > b ? a : b; }

bool pfm_ptb_is_one_of(const char *word, size_t length, const char *const *list, size_t count, bool any_case)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(list[i]) == length && (any_case ? strncasecmp(list[i], word, length) : strncmp(list[i], word, length)) == 0)
            return true;
    }
    return false;
}

/* Below, each function gives the length of the longest of its kind here, or 0. */

/* Letters and digits from a letter on, and after one of .!? again. */
size_t pfm_ptb_match_word(pfm_ptb_view v)
{
    size_t i = 0;
    if (pfm_ptb_letter(v, 0) == 0)
        return 0;
    for (;;) {
        i += pfm_ptb_run(v, i, pfm_ptb_letter_or_digit);
        char c = pfm_ptb_byte(v, i);
        if ((c != '.' && c != '!' && c != '?') || pfm_ptb_letter(v, i + 1) == 0)
            return i;
        i++;
    }
}

/* Letters and digits joined by hyphens; the first part may have commas, full stops, and one of d', l' and o' before it. */
static size_t match_hyphens(pfm_ptb_view v)
{
    size_t i = 0, best = 0;
    char c = pfm_ptb_byte(v, 0);
    size_t apostrophe = c != '\0' && strchr("dDlLoO", c) != NULL ? pfm_ptb_apostrophe(v, 1) : 0;
    if (apostrophe > 0 && pfm_ptb_letter_or_digit(v, 1 + apostrophe) > 0) {
        i = 1 + apostrophe;
        i += pfm_ptb_run(v, i, pfm_ptb_letter_or_digit);
        best = i;
    } else {
        size_t plain = pfm_ptb_run(v, 0, pfm_ptb_letter_or_digit);
        best = plain;
        for (i = plain; i > 0 && (pfm_ptb_byte(v, i) == '.' || pfm_ptb_byte(v, i) == ',' || pfm_ptb_letter_or_digit(v, i) > 0);)
            i += pfm_ptb_byte(v, i) == '.' || pfm_ptb_byte(v, i) == ',' ? 1 : pfm_ptb_letter_or_digit(v, i);
    }
    while (i > 0 && pfm_ptb_byte(v, i) == '-' && pfm_ptb_letter_or_digit(v, i + 1) > 0) {
        i += 1 + pfm_ptb_run(v, i + 1, pfm_ptb_letter_or_digit);
        best = i;
    }
    return best;
}

/* Letters and digits, and up to two parts of letters behind hyphens. */
static size_t match_part(pfm_ptb_view v, size_t i)
{
    size_t begin = i;
    i += pfm_ptb_run(v, i, pfm_ptb_letter_or_digit);
    for (int n = 0; i > begin && n < 2 && pfm_ptb_byte(v, i) == '-' && pfm_ptb_letter(v, i + 1) > 0; n++)
        i += 1 + pfm_ptb_run(v, i + 1, pfm_ptb_letter);
    return i - begin;
}

/* Two or three such parts with slashes between them, escaped or not. */
static size_t match_slashes(pfm_ptb_view v)
{
    size_t i = match_part(v, 0), best = 0;
    for (int n = 0; i > 0 && n < 2; n++) {
        size_t slash = pfm_ptb_byte(v, i) == '/' ? 1 : pfm_ptb_byte(v, i) == '\\' && pfm_ptb_byte(v, i + 1) == '/' ? 2 : 0;
        size_t part = slash > 0 ? match_part(v, i + slash) : 0;
        if (part == 0)
            break;
        i += slash + part;
        best = i;
    }
    return best;
}

/* A number with its sign, and points, commas and colons within and before. */
static size_t match_number(pfm_ptb_view v)
{
    size_t i = pfm_ptb_byte(v, 0) == '-' || pfm_ptb_byte(v, 0) == '+', best = 0;
    while (pfm_ptb_is_digit(pfm_ptb_byte(v, i)))
        best = ++i;
    while (pfm_ptb_byte(v, i) != '\0' && strchr(".,:", pfm_ptb_byte(v, i)) != NULL &&
           pfm_ptb_is_digit(pfm_ptb_byte(v, i + 1))) {
        for (i++; pfm_ptb_is_digit(pfm_ptb_byte(v, i));)
            i++;
        best = i;
    }
    return best;
}

static size_t digits_at(pfm_ptb_view v, size_t i, size_t most)
{
    size_t count = 0;
    while (count < most && pfm_ptb_is_digit(pfm_ptb_byte(v, i + count)))
        count++;
    return count;
}

/* A day of numbers only, or a fraction. */
static size_t match_date(pfm_ptb_view v)
{
    size_t first = digits_at(v, 0, 2), fraction = digits_at(v, 0, 4), best = 0;
    size_t behind = fraction > 0 && pfm_ptb_byte(v, fraction) == '-' ? digits_at(v, fraction + 1, 4) : 0;
    if (behind > 0) /* 3-1/2 */
        fraction += 1 + behind;
    if (fraction > 0 && pfm_ptb_byte(v, fraction) == '/' && digits_at(v, fraction + 1, 4) > 0)
        best = fraction + 1 + digits_at(v, fraction + 1, 4);
    if (first == 0 || (pfm_ptb_byte(v, first) != '-' && pfm_ptb_byte(v, first) != '/'))
        return best;
    size_t second = digits_at(v, first + 1, 2), i = first + 1 + second;
    if (second == 0 || (pfm_ptb_byte(v, i) != '-' && pfm_ptb_byte(v, i) != '/'))
        return best;
    size_t third = digits_at(v, i + 1, 4);
    return third >= 2 ? longer(best, i + 1 + third) : best;
}

/* Capitals joined by & or +. */
static size_t match_joined(pfm_ptb_view v)
{
    size_t i = 0, best = 0;
    for (;;) {
        size_t begin = i;
        while (pfm_ptb_byte(v, i) >= 'A' && pfm_ptb_byte(v, i) <= 'Z')
            i++;
        if (i == begin)
            return best;
        best = begin > 0 ? i : 0;
        if (pfm_ptb_byte(v, i) != '&' && pfm_ptb_byte(v, i) != '+')
            return best;
        i++;
    }
}

/* <tag>, </tag>, with what it says about itself. */
static size_t match_tag(pfm_ptb_view v)
{
    size_t i = 1 + (pfm_ptb_byte(v, 1) == '/');
    if (pfm_ptb_byte(v, 0) != '<' || !pfm_ptb_is_letter(pfm_ptb_byte(v, i)))
        return 0;
    while (pfm_ptb_byte(v, i) != '\0' && (pfm_ptb_is_letter(pfm_ptb_byte(v, i)) || pfm_ptb_is_digit(pfm_ptb_byte(v, i)) ||
                                          strchr("_:.-", pfm_ptb_byte(v, i)) != NULL))
        i++;
    if (pfm_ptb_byte(v, i) == ' ') {
        while (pfm_ptb_byte(v, i) != '\0' && pfm_ptb_byte(v, i) != '<' && pfm_ptb_byte(v, i) != '>')
            i++;
    }
    i += pfm_ptb_byte(v, i) == '/';
    return pfm_ptb_byte(v, i) == '>' ? i + 1 : 0;
}

/* What a link, whole or likely, goes on with, and what it may end with. */
static size_t match_link_tail(pfm_ptb_view v, size_t i)
{
    size_t end = 0;
    for (; pfm_ptb_byte(v, i) != '\0' && (unsigned char)pfm_ptb_byte(v, i) > ' ' && strchr("\"<>|", pfm_ptb_byte(v, i)) == NULL;
         i++) {
        if (strchr("()", pfm_ptb_byte(v, i)) != NULL)
            break;
        if (strchr(".!?{},-", pfm_ptb_byte(v, i)) == NULL)
            end = i + 1;
    }
    return end;
}

/* http://..., and www.NAME.NAME or NAME.com, .net, .org, .edu with a path behind. */
static size_t match_link(pfm_ptb_view v)
{
    static const char *const schemes[] = {"http://", "https://"}, *const tops[] = {"com", "net", "org", "edu"};
    size_t i = 0, best = 0;
    bool www = strncasecmp(v.at, "www.", (size_t)(v.end - v.at) < 4 ? (size_t)(v.end - v.at) : 4) == 0 && v.end - v.at > 4;
    for (size_t s = 0; s < PFM_PTB_COUNT(schemes); s++) {
        size_t length = strlen(schemes[s]);
        if ((size_t)(v.end - v.at) > length && strncasecmp(v.at, schemes[s], length) == 0)
            return match_link_tail(v, length);
    }
    for (size_t begin = 0; pfm_ptb_is_letter(v.at[0]); begin = i + 1) {
        i = begin;
        while (pfm_ptb_is_letter(pfm_ptb_byte(v, i)) || pfm_ptb_is_digit(pfm_ptb_byte(v, i)) || pfm_ptb_byte(v, i) == '-' ||
               pfm_ptb_byte(v, i) == '_')
            i++;
        bool top = pfm_ptb_is_one_of(v.at + begin, i - begin, tops, PFM_PTB_COUNT(tops), false) ||
                   (www && i - begin >= 2 && i - begin <= 4);
        if (begin > (www ? 4u : 0u) && top)
            best = i;
        if (i == begin || pfm_ptb_byte(v, i) != '.')
            break;
    }
    size_t tail = best > 0 && pfm_ptb_byte(v, best) == '/' ? match_link_tail(v, best) : 0;
    return tail > best + 2 ? tail : best; /* a path has two characters at least */
}

/* NAME@NAME.NAME */
static size_t match_mail(pfm_ptb_view v)
{
    size_t i = 0, best = 0;
    while (pfm_ptb_is_letter(pfm_ptb_byte(v, i)) || pfm_ptb_is_digit(pfm_ptb_byte(v, i)) ||
           (i > 0 && pfm_ptb_byte(v, i) != '\0' && strchr("._-", pfm_ptb_byte(v, i)) != NULL))
        i++;
    if (i == 0 || pfm_ptb_byte(v, i) != '@')
        return 0;
    for (size_t begin = i + 1;; begin = i + 1) {
        i = begin;
        while (pfm_ptb_is_letter(pfm_ptb_byte(v, i)) || pfm_ptb_is_digit(pfm_ptb_byte(v, i)) || pfm_ptb_byte(v, i) == '_' ||
               pfm_ptb_byte(v, i) == '-')
            i++;
        if (i == begin)
            return best;
        best = i;
        if (pfm_ptb_byte(v, i) != '.')
            return best;
    }
}

/* &amp; and its like, by name or number. */
static size_t match_entity(pfm_ptb_view v)
{
    size_t i = 1;
    if (pfm_ptb_byte(v, 0) != '&')
        return 0;
    if (pfm_ptb_byte(v, i) == '#')
        i++;
    while (pfm_ptb_is_letter(pfm_ptb_byte(v, i)) || pfm_ptb_is_digit(pfm_ptb_byte(v, i)))
        i++;
    return i > 2 && i < 10 && pfm_ptb_byte(v, i) == ';' ? i + 1 : 0;
}

/* Eyes, perhaps a nose, and a mouth, at a word's end. */
static size_t match_smiley(pfm_ptb_view v)
{
    size_t i = pfm_ptb_byte(v, 0) == '<' || pfm_ptb_byte(v, 0) == '>';
    if (pfm_ptb_byte(v, i) == '\0' || strchr(":;=", pfm_ptb_byte(v, i)) == NULL)
        return 0;
    i++;
    size_t nose = pfm_ptb_byte(v, i) != '\0' && strchr("-o*'", pfm_ptb_byte(v, i)) != NULL;
    for (size_t with = nose + 1; with-- > 0;) {
        char mouth = pfm_ptb_byte(v, i + with);
        if (mouth != '\0' && strchr("()DPdpO{@|\\[]", mouth) != NULL && pfm_ptb_letter_or_digit(v, i + with + 1) == 0)
            return i + with + 1;
    }
    return 0;
}

/* Several curved or angled quotes are one token. */
static size_t match_quotes(pfm_ptb_view v)
{
    static const char *const quotes[] = {"\xE2\x80\x9C", "\xE2\x80\x9D", "\xC2\xAB", "\xC2\xBB"};
    size_t i = 0;
    for (size_t q = 0; q < PFM_PTB_COUNT(quotes);) {
        size_t length = strlen(quotes[q]);
        bool here = (size_t)(v.end - v.at) >= i + length && memcmp(v.at + i, quotes[q], length) == 0;
        i += here ? length : 0;
        q = here ? 0 : q + 1;
    }
    return i;
}

/* Several of a mark count as one. Three to five full stops are dots. */
static size_t match_marks(pfm_ptb_view v)
{
    char c = pfm_ptb_byte(v, 0);
    size_t i = 0;
    if (c == '!' || c == '?') {
        while (pfm_ptb_byte(v, i) == '!' || pfm_ptb_byte(v, i) == '?')
            i++;
        return i;
    }
    if (c == '\0' || strchr("*_#-`.<>", c) == NULL)
        return 0;
    while (pfm_ptb_byte(v, i) == c)
        i++;
    if (c == '<' || c == '>')
        return i < 2 ? i : 2;
    return c == '.' ? (i >= 3 ? (i < 5 ? i : 5) : 1) : c == '`' ? (i < 2 ? i : 2) : i;
}

/* @name and #name. */
static size_t match_handle(pfm_ptb_view v)
{
    if ((pfm_ptb_byte(v, 0) != '@' && pfm_ptb_byte(v, 0) != '#') || !pfm_ptb_is_letter(pfm_ptb_byte(v, 1)))
        return 0;
    size_t i = 1;
    while (pfm_ptb_is_letter(pfm_ptb_byte(v, i)) || pfm_ptb_is_digit(pfm_ptb_byte(v, i)) || pfm_ptb_byte(v, i) == '_')
        i++;
    return i;
}

/* Words, names and capitals with a currency's sign or an underscore within. */
static size_t match_underscores(pfm_ptb_view v)
{
    size_t i = pfm_ptb_run(v, 0, pfm_ptb_letter_or_digit), best = 0;
    while (i > 0 && pfm_ptb_byte(v, i) == '_' && pfm_ptb_letter_or_digit(v, i + 1) > 0) {
        i += 1 + pfm_ptb_run(v, i + 1, pfm_ptb_letter_or_digit);
        best = i;
    }
    return best;
}

size_t pfm_ptb_match_any(pfm_ptb_view v)
{
    static size_t (*const kinds[])(pfm_ptb_view) = {pfm_ptb_match_word, match_hyphens,     match_slashes, match_number,
                                                    match_date,         match_joined,      match_tag,     match_marks,
                                                    match_handle,       match_underscores, match_link,    match_mail,
                                                    match_entity,       match_smiley,      match_quotes};
    size_t best = 0;
    for (size_t k = 0; k < PFM_PTB_COUNT(kinds); k++)
        best = longer(best, kinds[k](v));
    return best;
}
