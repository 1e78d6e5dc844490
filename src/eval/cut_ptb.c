#include "eval/cut_ptb.h"

#include "base/try.h"
#include "eval/lower.h"
#include "eval/ptb_kinds.h"
#include "eval/ptb_table.h"
#include "eval/vqa_text.h"

#include <string.h>
#include <strings.h>

enum { MOST_DASHES = 4 };

/* ---- what stands behind decides ---- */

#define ONE_OF(v, length, list, any_case) pfm_ptb_is_one_of((v).at, length, list, PFM_PTB_COUNT(list), any_case)

/* Single letters with full stops between them, as in e.g and Ph.D. */
static bool is_acronym(pfm_ptb_view v, size_t length)
{
    if (length < 3 || length % 2 == 0)
        return length == 4 && (ONE_OF(v, 4, ((const char *const[]){"ph.d", "ed.d"}), true));
    for (size_t i = 0; i < length; i++) {
        if (i % 2 == 0 ? !pfm_ptb_is_letter(v.at[i]) : v.at[i] != '.')
            return false;
    }
    return true;
}

static size_t space_bytes(pfm_ptb_view v, size_t i) { return v.at + i < v.end ? pfm_space_length(v.at + i) : 0; }

static bool begins_sentence(pfm_ptb_view v)
{
    size_t space = pfm_ptb_run(v, 0, space_bytes), length = 0;
    if (space == 0)
        return false;
    pfm_ptb_view next = {v.at + space, v.end};
    while (pfm_ptb_is_letter(pfm_ptb_byte(next, length)))
        length++;
    bool ends = next.at + length == next.end || pfm_space_length(next.at + length) > 0;
    return ends && ONE_OF(next, length, ptb_sentence_starters, false);
}

static bool number_follows(pfm_ptb_view v) { return pfm_ptb_is_digit(pfm_ptb_byte(v, space_bytes(v, 0))); }

static size_t plain_bytes(pfm_ptb_view v, size_t i)
{
    return pfm_ptb_byte(v, i) == '-' ? pfm_ptb_letter_or_digit(v, i + 1) > 0 : pfm_ptb_letter_or_digit(v, i);
}

/* Whether a token of this length keeps the full stop behind it. */
static bool keeps_stop(pfm_ptb_view v, size_t length)
{
    pfm_ptb_view behind = {v.at + length + 1, v.end};
    if (pfm_ptb_byte(v, length) != '.')
        return false;
    if (pfm_ptb_byte(behind, 0) != '\0' && strchr(",;:", pfm_ptb_byte(behind, 0)) != NULL &&
        pfm_ptb_run(v, 0, plain_bytes) == length)
        return true;
    if (pfm_ptb_letter(v, 0) == 0)
        return false;
    if (ONE_OF(v, length, ptb_abbreviations, true) || is_acronym(v, length) ||
        ONE_OF(v, length, ptb_exact_abbreviations, false))
        return true;
    if (v.at[0] >= 'A' && v.at[0] <= 'Z' && ONE_OF(v, length, ptb_capital_abbreviations, true))
        return true;
    if (ONE_OF(v, length, ptb_number_abbreviations, true))
        return number_follows(behind);
    return length == 1 && pfm_ptb_is_letter(v.at[0]) && !begins_sentence(behind);
}

/* The length of a word's part before n't, or before 's, 'll, 're, 've, 'd and 'm; 0 where there is none. */
static size_t match_contracted(pfm_ptb_view v)
{
    static const char *const endings[] = {"ll", "re", "ve", "s", "d", "m"};
    size_t word = pfm_ptb_run(v, 0, pfm_ptb_letter), apostrophe = pfm_ptb_apostrophe(v, word);
    if (word == 0 || apostrophe == 0)
        return 0;
    char last = v.at[word - 1], behind = pfm_ptb_byte(v, word + apostrophe);
    if (word > 1 && (last == 'n' || last == 'N') && (behind == 't' || behind == 'T'))
        return word - 1;
    pfm_ptb_view rest = {v.at + word + apostrophe, v.end};
    for (size_t e = 0; e < PFM_PTB_COUNT(endings); e++) {
        size_t length = strlen(endings[e]);
        if ((size_t)(rest.end - rest.at) >= length && strncasecmp(rest.at, endings[e], length) == 0 &&
            pfm_ptb_letter(rest, length) == 0)
            return word;
    }
    return 0;
}

/* can not, gon na, got ta, lem me, gim me, wan na. */
static size_t match_joined_words(pfm_ptb_view v)
{
    static const char *const words[] = {"cannot", "gonna", "gotta", "lemme", "gimme", "wanna"};
    size_t length = pfm_ptb_run(v, 0, pfm_ptb_letter_or_digit);
    return ONE_OF(v, length, words, true) && pfm_ptb_match_any(v) == length ? 3 : 0;
}

/* What follows an apostrophe where that begins a token: n't's rest, 's and the like, a decade's '90s; 1 for a quote. */
static size_t match_apostrophe(pfm_ptb_view v, bool behind_word)
{
    static const char *const endings[] = {"ll", "re", "ve", "s", "d", "m"};
    size_t apostrophe = pfm_ptb_apostrophe(v, 0);
    pfm_ptb_view rest = {v.at + apostrophe, v.end};
    for (size_t e = 0; e < PFM_PTB_COUNT(endings) && (behind_word || e >= 3); e++) {
        size_t length = strlen(endings[e]);
        if ((size_t)(rest.end - rest.at) >= length && strncasecmp(rest.at, endings[e], length) == 0 &&
            pfm_ptb_letter(rest, length) == 0 && (behind_word || endings[e][0] == 's'))
            return apostrophe + length;
    }
    if (pfm_ptb_is_digit(pfm_ptb_byte(rest, 0)) && pfm_ptb_byte(rest, 1) == '0' && pfm_ptb_byte(rest, 2) == 's')
        return apostrophe + 3;
    if (apostrophe == 1 && pfm_ptb_byte(rest, 0) == 't' &&
        (strncasecmp(rest.at, "tis", 3) == 0 || strncasecmp(rest.at, "twas", 4) == 0))
        return 2;
    return apostrophe;
}

/* The first token's length, at least one pfm_ptb_character; no white space stands here. */
static size_t find_token(pfm_ptb_view v, bool behind_word)
{
    size_t bytes = 0, contracted = match_contracted(v), joined = match_joined_words(v);
    size_t any = pfm_ptb_match_any(v);
    if (pfm_ptb_apostrophe(v, 0) > 0)
        return match_apostrophe(v, behind_word);
    if (contracted > 0 && any <= pfm_ptb_run(v, 0, pfm_ptb_letter))
        return contracted;
    if (joined > 0)
        return joined;
    size_t apostrophe = pfm_ptb_apostrophe(v, 1);
    if ((v.at[0] == 'n' || v.at[0] == 'N') && behind_word && apostrophe > 0 && (pfm_ptb_byte(v, 1 + apostrophe) | 0x20) == 't')
        return 2 + apostrophe + pfm_ptb_run(v, 2 + apostrophe, pfm_ptb_letter);
    if (any == 0) {
        (void)pfm_ptb_character(v.at, v.end, &bytes);
        return bytes;
    }
    size_t capitals = strspn(v.at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (capitals > 0 && capitals == any && pfm_ptb_byte(v, any) == '$') /* US$ */
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

/* What a part of a token is written as, and how many bytes it has: a contraction's curved apostrophe becomes straight, soft
 * hyphens go, quotes become two marks and a smiley's brackets their names. */
static const char *spell_part(const char *token, size_t length, size_t at, size_t *bytes)
{
    static const struct {
        const char *from, *to;
    } parts[] = {{"\xC2\xAD", ""},   {"\xE2\x80\x9C", "``"}, {"\xC2\xAB", "``"}, {"\xE2\x80\x9D", "''"},
                 {"\xC2\xBB", "''"}, {"(", "-lrb-"},         {")", "-rrb-"}};
    *bytes = 3;
    if (at < 2 && at + 3 <= length && memcmp(token + at, "\xE2\x80\x99", 3) == 0 && is_contraction(token, at))
        return "'";
    for (size_t p = 0; p < PFM_PTB_COUNT(parts); p++) {
        *bytes = strlen(parts[p].from);
        if (at + *bytes <= length && memcmp(token + at, parts[p].from, *bytes) == 0)
            return parts[p].to;
    }
    return NULL;
}

static pfm_status write_token(const char *token, size_t length, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *text = token;
    size_t first_bytes = 0;
    utf8proc_int32_t first = pfm_ptb_character(token, token + length, &first_bytes);
    utf8proc_category_t category = first < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(first);
    bool unknown = category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CN || category == UTF8PROC_CATEGORY_CC ||
                   category == UTF8PROC_CATEGORY_CF;
    if (first < ' ' || first > 0xFFFF || (unknown && first != 0xAD))
        return PFM_OK; /* the program cannot cut it and leaves it out */
    if (length > 2 && length <= MOST_DASHES && token[0] == '-' && strspn(token, "-") >= length)
        return PFM_OK;
    for (size_t i = 0; i < PFM_PTB_COUNT(spellings); i++) {
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
    for (size_t i = 0, bytes = 0; i < length; i += bytes) {
        const char *part = spell_part(text, length, i, &bytes);
        bytes = part == NULL ? 1 : bytes;
        PFM_TRY(part == NULL ? pfm_buffer_append(out, text + i, 1, err) : pfm_buffer_append_string(out, part, err));
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
        size_t length = find_token((pfm_ptb_view){text, end}, behind_word);
        PFM_TRY(write_token(text, length, &cut, err));
        text += length;
        behind_word = true;
    }
    PFM_TRY(pfm_text_lower(cut.size == 0 ? "" : cut.data, out, err));
done:
    pfm_buffer_free(&cut);
    return status;
}
