#include "eval/cut_ptb.h"

#include "base/try.h"
#include "eval/lower.h"
#include "eval/ptb_table.h"
#include "eval/vqa_text.h"

#include <string.h>
#include <strings.h>
#include <utf8proc.h>

/* What a text holds from a place on, up to its end. */
typedef struct view {
    const char *at, *end;
} view;

enum { MOST_DASHES = 4 };
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static utf8proc_int32_t character(const char *at, const char *end, size_t *bytes)
{
    utf8proc_int32_t c = 0;
    utf8proc_ssize_t length = at < end ? utf8proc_iterate((const utf8proc_uint8_t *)at, (utf8proc_ssize_t)(end - at), &c) : 0;
    *bytes = length > 0 ? (size_t)length : at < end ? 1 : 0;
    return length > 0 ? c : -1;
}

static char byte_at(view v, size_t i) { return v.at + i < v.end ? v.at[i] : '\0'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* The bytes of a letter (with marks, as the program has it), else 0. */
static size_t letter_bytes(view v, size_t i)
{
    size_t bytes = 0;
    char c = byte_at(v, i);
    if ((unsigned char)c < 0x80)
        return is_ascii_letter(c);
    utf8proc_int32_t point = character(v.at + i, v.end, &bytes);
    if (point < 0)
        return 0;
    utf8proc_category_t category = utf8proc_category(point);
    bool letter = (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ME) || point == 0xAD;
    return letter ? bytes : 0;
}

static size_t letter_or_digit_bytes(view v, size_t i) { return is_digit(byte_at(v, i)) ? 1 : letter_bytes(v, i); }

/* The bytes of an apostrophe, straight or curved, else 0. */
static size_t apostrophe_bytes(view v, size_t i)
{
    if (byte_at(v, i) == '\'')
        return 1;
    return v.end - v.at >= (ptrdiff_t)(i + 3) && memcmp(v.at + i, "\xE2\x80\x99", 3) == 0 ? 3 : 0;
}

static size_t run_of(view v, size_t i, size_t (*bytes)(view v, size_t i))
{
    size_t begin = i;
    for (size_t step = 0; (step = bytes(v, i)) > 0;)
        i += step;
    return i - begin;
}

static size_t longer(size_t a, size_t b) { return a > b ? a : b; }

static bool is_one_of(const char *word, size_t length, const char *const *list, size_t count, bool any_case)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(list[i]) == length && (any_case ? strncasecmp(list[i], word, length) : strncmp(list[i], word, length)) == 0)
            return true;
    }
    return false;
}

/* ---- what a token may be: each gives the length of the longest of its kind here, or 0 ---- */

/* Letters and digits from a letter on, and after one of .!? again. */
static size_t match_word(view v)
{
    size_t i = 0;
    if (letter_bytes(v, 0) == 0)
        return 0;
    for (;;) {
        i += run_of(v, i, letter_or_digit_bytes);
        char c = byte_at(v, i);
        if ((c != '.' && c != '!' && c != '?') || letter_bytes(v, i + 1) == 0)
            return i;
        i++;
    }
}

/* Letters and digits joined by hyphens; the first part may have commas, full stops, and one of d', l' and o' before it. */
static size_t match_hyphens(view v)
{
    size_t i = 0, best = 0;
    char c = byte_at(v, 0);
    size_t apostrophe = c != '\0' && strchr("dDlLoO", c) != NULL ? apostrophe_bytes(v, 1) : 0;
    if (apostrophe > 0 && letter_or_digit_bytes(v, 1 + apostrophe) > 0) {
        i = 1 + apostrophe;
        i += run_of(v, i, letter_or_digit_bytes);
        best = i;
    } else {
        size_t plain = run_of(v, 0, letter_or_digit_bytes);
        best = plain;
        for (i = plain; i > 0 && (byte_at(v, i) == '.' || byte_at(v, i) == ',' || letter_or_digit_bytes(v, i) > 0);)
            i += byte_at(v, i) == '.' || byte_at(v, i) == ',' ? 1 : letter_or_digit_bytes(v, i);
    }
    while (i > 0 && byte_at(v, i) == '-' && letter_or_digit_bytes(v, i + 1) > 0) {
        i += 1 + run_of(v, i + 1, letter_or_digit_bytes);
        best = i;
    }
    return best;
}

/* Letters and digits, and up to two parts of letters behind hyphens. */
static size_t match_part(view v, size_t i)
{
    size_t begin = i;
    i += run_of(v, i, letter_or_digit_bytes);
    for (int n = 0; i > begin && n < 2 && byte_at(v, i) == '-' && letter_bytes(v, i + 1) > 0; n++)
        i += 1 + run_of(v, i + 1, letter_bytes);
    return i - begin;
}

/* Two or three such parts with slashes between them, escaped or not. */
static size_t match_slashes(view v)
{
    size_t i = match_part(v, 0), best = 0;
    for (int n = 0; i > 0 && n < 2; n++) {
        size_t slash = byte_at(v, i) == '/' ? 1 : byte_at(v, i) == '\\' && byte_at(v, i + 1) == '/' ? 2 : 0;
        size_t part = slash > 0 ? match_part(v, i + slash) : 0;
        if (part == 0)
            break;
        i += slash + part;
        best = i;
    }
    return best;
}

/* A number with its sign, and points, commas and colons within and before. */
static size_t match_number(view v)
{
    size_t i = byte_at(v, 0) == '-' || byte_at(v, 0) == '+', best = 0;
    while (is_digit(byte_at(v, i)))
        best = ++i;
    while (byte_at(v, i) != '\0' && strchr(".,:", byte_at(v, i)) != NULL && is_digit(byte_at(v, i + 1))) {
        for (i++; is_digit(byte_at(v, i));)
            i++;
        best = i;
    }
    return best;
}

static size_t digits_at(view v, size_t i, size_t most)
{
    size_t count = 0;
    while (count < most && is_digit(byte_at(v, i + count)))
        count++;
    return count;
}

/* A day of numbers only, or a fraction. */
static size_t match_date(view v)
{
    size_t first = digits_at(v, 0, 2), fraction = digits_at(v, 0, 4);
    size_t best = 0;
    if (fraction > 0 && byte_at(v, fraction) == '/' && digits_at(v, fraction + 1, 4) > 0)
        best = fraction + 1 + digits_at(v, fraction + 1, 4);
    if (first == 0 || (byte_at(v, first) != '-' && byte_at(v, first) != '/'))
        return best;
    size_t second = digits_at(v, first + 1, 2), i = first + 1 + second;
    if (second == 0 || (byte_at(v, i) != '-' && byte_at(v, i) != '/'))
        return best;
    size_t third = digits_at(v, i + 1, 4);
    return third >= 2 ? longer(best, i + 1 + third) : best;
}

/* Capitals joined by & or +. */
static size_t match_joined(view v)
{
    size_t i = 0, best = 0;
    for (;;) {
        size_t begin = i;
        while (byte_at(v, i) >= 'A' && byte_at(v, i) <= 'Z')
            i++;
        if (i == begin)
            return best;
        best = begin > 0 ? i : 0;
        if (byte_at(v, i) != '&' && byte_at(v, i) != '+')
            return best;
        i++;
    }
}

/* <tag>, </tag>, with what it says about itself. */
static size_t match_tag(view v)
{
    size_t i = 1 + (byte_at(v, 1) == '/');
    if (byte_at(v, 0) != '<' || !is_ascii_letter(byte_at(v, i)))
        return 0;
    while (byte_at(v, i) != '\0' &&
           (is_ascii_letter(byte_at(v, i)) || is_digit(byte_at(v, i)) || strchr("_:.-", byte_at(v, i)) != NULL))
        i++;
    if (byte_at(v, i) == ' ') {
        while (byte_at(v, i) != '\0' && byte_at(v, i) != '<' && byte_at(v, i) != '>')
            i++;
    }
    i += byte_at(v, i) == '/';
    return byte_at(v, i) == '>' ? i + 1 : 0;
}

/* What a link, whole or likely, goes on with, and what it may end with. */
static size_t match_link_tail(view v, size_t i)
{
    size_t end = 0;
    for (; byte_at(v, i) != '\0' && (unsigned char)byte_at(v, i) > ' ' && strchr("\"<>|", byte_at(v, i)) == NULL; i++) {
        if (strchr("()", byte_at(v, i)) != NULL)
            break;
        if (strchr(".!?{},-", byte_at(v, i)) == NULL)
            end = i + 1;
    }
    return end;
}

/* http://..., and www.NAME.NAME or NAME.com, .net, .org, .edu with a path behind. */
static size_t match_link(view v)
{
    static const char *const schemes[] = {"http://", "https://"}, *const tops[] = {"com", "net", "org", "edu"};
    size_t i = 0, best = 0;
    bool www = strncasecmp(v.at, "www.", (size_t)(v.end - v.at) < 4 ? (size_t)(v.end - v.at) : 4) == 0 && v.end - v.at > 4;
    for (size_t s = 0; s < COUNT(schemes); s++) {
        size_t length = strlen(schemes[s]);
        if ((size_t)(v.end - v.at) > length && memcmp(v.at, schemes[s], length) == 0)
            return match_link_tail(v, length);
    }
    for (size_t begin = 0; is_ascii_letter(v.at[0]); begin = i + 1) {
        i = begin;
        while (is_ascii_letter(byte_at(v, i)) || is_digit(byte_at(v, i)) || byte_at(v, i) == '-' || byte_at(v, i) == '_')
            i++;
        bool top = is_one_of(v.at + begin, i - begin, tops, COUNT(tops), false) || (www && i - begin >= 2 && i - begin <= 4);
        if (begin > (www ? 4u : 0u) && top)
            best = i;
        if (i == begin || byte_at(v, i) != '.')
            break;
    }
    size_t tail = best > 0 && byte_at(v, best) == '/' ? match_link_tail(v, best) : 0;
    return tail > best + 2 ? tail : best; /* a path has two characters at least */
}

/* NAME@NAME.NAME */
static size_t match_mail(view v)
{
    size_t i = 0, best = 0;
    while (is_ascii_letter(byte_at(v, i)) || is_digit(byte_at(v, i)) ||
           (i > 0 && byte_at(v, i) != '\0' && strchr("._-", byte_at(v, i)) != NULL))
        i++;
    if (i == 0 || byte_at(v, i) != '@')
        return 0;
    for (size_t begin = i + 1;; begin = i + 1) {
        i = begin;
        while (is_ascii_letter(byte_at(v, i)) || is_digit(byte_at(v, i)) || byte_at(v, i) == '_' || byte_at(v, i) == '-')
            i++;
        if (i == begin)
            return best;
        best = i;
        if (byte_at(v, i) != '.')
            return best;
    }
}

/* &amp; and its like, by name or number. */
static size_t match_entity(view v)
{
    size_t i = 1;
    if (byte_at(v, 0) != '&')
        return 0;
    if (byte_at(v, i) == '#')
        i++;
    while (is_ascii_letter(byte_at(v, i)) || is_digit(byte_at(v, i)))
        i++;
    return i > 2 && i < 10 && byte_at(v, i) == ';' ? i + 1 : 0;
}

/* Several of a mark count as one. Three to five full stops are dots. */
static size_t match_marks(view v)
{
    char c = byte_at(v, 0);
    size_t i = 0;
    if (c == '!' || c == '?') {
        while (byte_at(v, i) == '!' || byte_at(v, i) == '?')
            i++;
        return i;
    }
    if (c == '\0' || strchr("*_#-`.<>", c) == NULL)
        return 0;
    while (byte_at(v, i) == c)
        i++;
    if (c == '<' || c == '>')
        return i < 2 ? i : 2;
    return c == '.' ? (i >= 3 ? (i < 5 ? i : 5) : 1) : c == '`' ? (i < 2 ? i : 2) : i;
}

/* @name and #name. */
static size_t match_handle(view v)
{
    if ((byte_at(v, 0) != '@' && byte_at(v, 0) != '#') || !is_ascii_letter(byte_at(v, 1)))
        return 0;
    size_t i = 1;
    while (is_ascii_letter(byte_at(v, i)) || is_digit(byte_at(v, i)) || byte_at(v, i) == '_')
        i++;
    return i;
}

/* Words, names and capitals with a currency's sign or an underscore within. */
static size_t match_underscores(view v)
{
    size_t i = run_of(v, 0, letter_or_digit_bytes), best = 0;
    while (i > 0 && byte_at(v, i) == '_' && letter_or_digit_bytes(v, i + 1) > 0) {
        i += 1 + run_of(v, i + 1, letter_or_digit_bytes);
        best = i;
    }
    return best;
}

static size_t match_any(view v)
{
    static size_t (*const kinds[])(view) = {match_word,   match_hyphens, match_slashes, match_number, match_date,
                                            match_joined, match_tag,     match_marks,   match_handle, match_underscores,
                                            match_link,   match_mail,    match_entity};
    size_t best = 0;
    for (size_t k = 0; k < COUNT(kinds); k++)
        best = longer(best, kinds[k](v));
    return best;
}

/* ---- what stands behind decides ---- */

#define ONE_OF(v, length, list, any_case) is_one_of((v).at, length, list, COUNT(list), any_case)

/* Single letters with full stops between them, as in e.g and Ph.D. */
static bool is_acronym(view v, size_t length)
{
    if (length < 3 || length % 2 == 0)
        return length == 4 && (ONE_OF(v, 4, ((const char *const[]){"ph.d", "ed.d"}), true));
    for (size_t i = 0; i < length; i++) {
        if (i % 2 == 0 ? !is_ascii_letter(v.at[i]) : v.at[i] != '.')
            return false;
    }
    return true;
}

static bool begins_sentence(view v)
{
    size_t space = v.at < v.end ? pfm_space_length(v.at) : 0, length = 0;
    if (space == 0)
        return false;
    view next = {v.at + space, v.end};
    while (is_ascii_letter(byte_at(next, length)))
        length++;
    bool ends = next.at + length == next.end || pfm_space_length(next.at + length) > 0;
    return ends && ONE_OF(next, length, ptb_sentence_starters, false);
}

static bool number_follows(view v)
{
    size_t space = v.at < v.end ? pfm_space_length(v.at) : 0;
    return is_digit(byte_at(v, space));
}

/* Whether a token of this length keeps the full stop behind it. */
static bool keeps_stop(view v, size_t length)
{
    view behind = {v.at + length + 1, v.end};
    if (byte_at(v, length) != '.' || letter_bytes(v, 0) == 0)
        return false;
    if (byte_at(behind, 0) != '\0' && strchr(",;:", byte_at(behind, 0)) != NULL && match_word(v) == length)
        return true;
    if (ONE_OF(v, length, ptb_abbreviations, true) || is_acronym(v, length) ||
        ONE_OF(v, length, ptb_exact_abbreviations, false))
        return true;
    if (v.at[0] >= 'A' && v.at[0] <= 'Z' && ONE_OF(v, length, ptb_capital_abbreviations, true))
        return true;
    if (ONE_OF(v, length, ptb_number_abbreviations, true))
        return number_follows(behind);
    return length == 1 && is_ascii_letter(v.at[0]) && !begins_sentence(behind);
}

/* The length of a word's part before n't, or before 's, 'll, 're, 've, 'd and 'm; 0 where there is none. */
static size_t match_contracted(view v)
{
    static const char *const endings[] = {"ll", "re", "ve", "s", "d", "m"};
    size_t word = run_of(v, 0, letter_bytes), apostrophe = apostrophe_bytes(v, word);
    if (word == 0 || apostrophe == 0)
        return 0;
    char last = v.at[word - 1], behind = byte_at(v, word + apostrophe);
    if (word > 1 && (last == 'n' || last == 'N') && (behind == 't' || behind == 'T'))
        return word - 1;
    view rest = {v.at + word + apostrophe, v.end};
    for (size_t e = 0; e < COUNT(endings); e++) {
        size_t length = strlen(endings[e]);
        if ((size_t)(rest.end - rest.at) >= length && strncasecmp(rest.at, endings[e], length) == 0 &&
            letter_bytes(rest, length) == 0)
            return word;
    }
    return 0;
}

/* can not, gon na, got ta, lem me, gim me, wan na. */
static size_t match_joined_words(view v)
{
    static const char *const words[] = {"cannot", "gonna", "gotta", "lemme", "gimme", "wanna"};
    size_t length = run_of(v, 0, letter_or_digit_bytes);
    return ONE_OF(v, length, words, true) && match_any(v) == length ? 3 : 0;
}

/* What follows an apostrophe where that begins a token: n't's rest, 's and the like, a decade's '90s; 1 for a quote. */
static size_t match_apostrophe(view v, bool behind_word)
{
    static const char *const endings[] = {"ll", "re", "ve", "s", "d", "m"};
    size_t apostrophe = apostrophe_bytes(v, 0);
    view rest = {v.at + apostrophe, v.end};
    for (size_t e = 0; e < COUNT(endings) && (behind_word || e >= 3); e++) {
        size_t length = strlen(endings[e]);
        if ((size_t)(rest.end - rest.at) >= length && strncasecmp(rest.at, endings[e], length) == 0 &&
            letter_bytes(rest, length) == 0 && (behind_word || endings[e][0] == 's'))
            return apostrophe + length;
    }
    if (is_digit(byte_at(rest, 0)) && byte_at(rest, 1) == '0' && byte_at(rest, 2) == 's')
        return apostrophe + 3;
    if (apostrophe == 1 && byte_at(rest, 0) == 't' &&
        (strncasecmp(rest.at, "tis", 3) == 0 || strncasecmp(rest.at, "twas", 4) == 0))
        return 2;
    return apostrophe;
}

/* The first token's length, at least one character; no white space stands here. */
static size_t find_token(view v, bool behind_word)
{
    size_t bytes = 0, contracted = match_contracted(v), joined = match_joined_words(v);
    size_t any = match_any(v);
    if (apostrophe_bytes(v, 0) > 0)
        return match_apostrophe(v, behind_word);
    if (contracted > 0 && any <= run_of(v, 0, letter_bytes))
        return contracted;
    if (joined > 0)
        return joined;
    size_t apostrophe = apostrophe_bytes(v, 1);
    if ((v.at[0] == 'n' || v.at[0] == 'N') && behind_word && apostrophe > 0 && (byte_at(v, 1 + apostrophe) | 0x20) == 't')
        return 2 + apostrophe + run_of(v, 2 + apostrophe, letter_bytes);
    if (any == 0) {
        (void)character(v.at, v.end, &bytes);
        return bytes;
    }
    size_t word = match_word(v);
    if (any == word && is_ascii_letter(v.at[0]) && byte_at(v, any) == '$') /* US$ */
        return any + 1;
    return keeps_stop(v, any) ? any + 1 : any;
}

/* ---- how a token is written ---- */

typedef struct spelling {
    const char *from, *to; /* to NULL: punctuation, left out */
} spelling;

static const spelling spellings[] = {
    {"(", "-lrb-"},
    {")", "-rrb-"},
    {"[", "-lsb-"},
    {"]", "-rsb-"},
    {"{", "-lcb-"},
    {"}", "-rcb-"},
    {"'", NULL},
    {"`", NULL},
    {"``", NULL},
    {"\"", NULL},
    {".", NULL},
    {"?", NULL},
    {"!", NULL},
    {",", NULL},
    {":", NULL},
    {";", NULL},
    {"-", NULL},
    {"--", NULL},
    {"...", NULL},
    {"....", NULL},
    {".....", NULL},
    {"\xE2\x80\x93", NULL},
    {"\xE2\x80\x94", NULL},
    {"\xE2\x80\x95", NULL},
    {"\xE2\x80\xA6", NULL},
    {"\xE2\x80\x98", NULL},
    {"\xE2\x80\x99", NULL},
    {"\xE2\x80\x9C", NULL},
    {"\xE2\x80\x9D", NULL},
    {"\xC2\xAB", NULL},
    {"\xC2\xBB", NULL},
    {"\xC2\xA3", "#"},
    {"\xE2\x82\xAC", "$"},
    {"\xC2\xBD", "1/2"},
    {"\xC2\xBC", "1/4"},
    {"&amp;", "&"},
    {"&lt;", "<"},
    {"&gt;", ">"},
    {"&quot;", NULL},
    {"&apos;", NULL},
    {"&nbsp;", NULL},
    {"\xE2\x80\x90", NULL},
    {"\xE2\x80\x91", NULL},
    {"\xC2\xBE", "3/4"},
    {"\xE2\x85\x93", "1/3"},
    {"\xE2\x85\x94", "2/3"},
};

/* 's and n't: an apostrophe at a token's beginning, or behind n. */
static bool is_contraction(const char *token, size_t apostrophe)
{
    return apostrophe == 0 || token[0] == 'n' || token[0] == 'N';
}

static pfm_status write_token(const char *token, size_t length, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *text = token;
    size_t bytes = 0;
    utf8proc_int32_t first = character(token, token + length, &bytes);
    utf8proc_category_t category = first < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(first);
    if (first < ' ' || category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CN || category == UTF8PROC_CATEGORY_CC)
        return PFM_OK; /* the program cannot cut it and leaves it out */
    if (length > 2 && length <= MOST_DASHES && token[0] == '-' && strspn(token, "-") >= length)
        return PFM_OK;
    for (size_t i = 0; i < COUNT(spellings); i++) {
        if (strlen(spellings[i].from) == length && memcmp(spellings[i].from, token, length) == 0) {
            if (spellings[i].to == NULL)
                return PFM_OK;
            text = spellings[i].to;
            length = strlen(text);
            break;
        }
    }
    if (out->size > 0)
        PFM_TRY(pfm_buffer_append(out, " ", 1, err));
    for (size_t i = 0; i < length; i++) { /* a contraction's curved apostrophe becomes straight, soft hyphens go */
        bool curved = i < 2 && i + 3 <= length && memcmp(text + i, "\xE2\x80\x99", 3) == 0 && is_contraction(text, i);
        bool soft = i + 2 <= length && memcmp(text + i, "\xC2\xAD", 2) == 0;
        if (!soft)
            PFM_TRY(pfm_buffer_append(out, curved ? "'" : text + i, 1, err));
        i += curved ? 2 : soft ? 1 : 0;
    }
done:
    return status;
}

pfm_status pfm_cut_ptb(const char *text, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer cut = {0};
    const char *end = text + strlen(text);
    bool behind_word = false;
    while (text < end) {
        size_t space = pfm_space_length(text);
        if (space > 0) {
            text += space;
            behind_word = false;
            continue;
        }
        size_t length = find_token((view){text, end}, behind_word);
        PFM_TRY(write_token(text, length, &cut, err));
        text += length;
        behind_word = true;
    }
    PFM_TRY(pfm_text_lower(cut.size == 0 ? "" : cut.data, out, err));
done:
    pfm_buffer_free(&cut);
    return status;
}
