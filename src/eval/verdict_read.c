/* A reply comes from outside: any text at all. */
#include "eval/verdict.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { MOST_DIGITS = 7 }; /* of a number that is read; longer ones are outside of every scale */

typedef struct line {
    const char *at, *end;
} line;

static bool at_end(const line *l) { return l->at >= l->end; }

/* Blanks, and what Markdown puts around a word. */
static void skip_marks(line *l, const char *marks)
{
    while (!at_end(l) && strchr(marks, *l->at) != NULL)
        l->at++;
}

static bool skip_word(line *l, const char *word)
{
    const size_t length = strlen(word);
    if ((size_t)(l->end - l->at) < length || strncasecmp(l->at, word, length) != 0)
        return false;
    l->at += length;
    return true;
}

/* A whole number; "3.0" is one. false where there is none, or another kind of number; *fits = whether it is one that can be
 * on a scale. */
static bool read_number(line *l, int *out, bool *fits)
{
    int value = 0, digits = 0;
    const bool negative = !at_end(l) && *l->at == '-';
    if (!at_end(l) && (*l->at == '-' || *l->at == '+'))
        l->at++;
    for (; !at_end(l) && isdigit((unsigned char)*l->at); l->at++, digits++)
        if (digits < MOST_DIGITS)
            value = 10 * value + (*l->at - '0');
    *fits = digits <= MOST_DIGITS;
    if (digits > 0 && l->end - l->at >= 2 && (*l->at == '.' || *l->at == ',') && isdigit((unsigned char)l->at[1])) {
        for (l->at++; !at_end(l) && isdigit((unsigned char)*l->at); l->at++)
            *fits = *fits && *l->at == '0';
    }
    *out = negative ? -value : value;
    return digits > 0;
}

/* Behind the number: nothing, or a remark. A second number would leave open which one is meant. */
static bool is_remark(const line *l)
{
    if (!at_end(l) && (isalnum((unsigned char)*l->at) || (unsigned char)*l->at >= 0x80))
        return (unsigned char)*l->at >= 0x80; /* a dash, or signs of other scripts */
    for (const char *c = l->at; c < l->end; c++)
        if (isdigit((unsigned char)*c))
            return false;
    return true;
}

/* Whether the line has the form "Score: N"; *fits = whether N is on the scale. */
static bool read_score(const pfm_rubric *rubric, line l, int *score, bool *fits)
{
    static const char marks[] = " \t\r*_#>`~-|\"'";
    static const char around[] = " \t\r*_`~\"'[(<{$\\";
    int of = 0;
    bool of_fits = true;
    skip_marks(&l, marks);
    if (skip_word(&l, "final") || skip_word(&l, "overall"))
        skip_marks(&l, " \t");
    if (!skip_word(&l, "score"))
        return false;
    skip_marks(&l, " \t*_`\"'");
    if (!skip_word(&l, ":") && !skip_word(&l, "\xEF\xBC\x9A") && !skip_word(&l, "=")) /* also the wide colon */
        return false;
    skip_marks(&l, around);
    if (!read_number(&l, score, fits))
        return false;
    skip_marks(&l, " \t*_`~\"'");
    if (skip_word(&l, "/") || skip_word(&l, "out of")) { /* "3/4"; out of another number it is on another scale */
        skip_marks(&l, " \t*_`");
        if (!read_number(&l, &of, &of_fits))
            return false;
        *fits = *fits && of_fits && of == rubric->high;
    }
    *fits = *fits && *score >= rubric->low && *score <= rubric->high;
    return is_remark(&l);
}

/* ---- counts of errors ---- */

static bool read_pair(line *l, int counts[PFM_ERROR_TYPES], bool given[PFM_ERROR_TYPES])
{
    int count = 0;
    bool fits = false;
    skip_marks(l, " \t('\"*`");
    if (at_end(l) || toupper((unsigned char)*l->at) < 'A' || toupper((unsigned char)*l->at) > 'F')
        return false;
    const int type = toupper((unsigned char)*l->at++) - 'A';
    skip_marks(l, " \t'\"*`");
    if (!skip_word(l, ",") && !skip_word(l, ":") && !skip_word(l, "="))
        return false;
    skip_marks(l, " \t'\"*`");
    if (!read_number(l, &count, &fits) || !fits || count < 0 || given[type])
        return false;
    skip_marks(l, " \t)'\"*`");
    counts[type] = count;
    given[type] = true;
    return true;
}

/* "[(A, 1), (B, 0), ...]"; a type that is not named has none. */
static bool read_counts(line *l, int counts[PFM_ERROR_TYPES])
{
    bool given[PFM_ERROR_TYPES] = {false};
    memset(counts, 0, PFM_ERROR_TYPES * sizeof *counts);
    skip_marks(l, " \t*_`:");
    if (!skip_word(l, "["))
        return false;
    skip_marks(l, " \t");
    for (bool first = true; !skip_word(l, "]"); first = false) {
        if (!first && !skip_word(l, ","))
            return false;
        if (!read_pair(l, counts, given))
            return false;
    }
    return true;
}

/* Moves behind the word, wherever it stands in the line. */
static bool find_word(line *l, const char *word)
{
    for (line from = *l; !at_end(&from); from.at++) {
        line behind = from;
        if (skip_word(&behind, word)) {
            *l = behind;
            return true;
        }
    }
    return false;
}

static void read_errors(line l, pfm_verdict *out)
{
    int counts[PFM_ERROR_TYPES];
    line significant = l, insignificant = l;
    if (find_word(&insignificant, "clinically insignificant errors by type")) {
        if (read_counts(&insignificant, counts)) {
            memcpy(out->insignificant, counts, sizeof counts);
            out->has_insignificant = true;
        }
    } else if (find_word(&significant, "clinically significant errors by type") && read_counts(&significant, counts)) {
        memcpy(out->significant, counts, sizeof counts);
        out->has_significant = true;
    }
}

/* What a model thinks before it replies, where its server passes that on. */
const char *pfm_verdict_said(const char *reply)
{
    static const char end[] = "</think>";
    const char *last = NULL;
    for (const char *at = reply; (at = strstr(at, end)) != NULL; at += sizeof end - 1)
        last = at + sizeof end - 1;
    if (last != NULL)
        return last;
    const char *first = reply + strspn(reply, " \t\r\n");
    return strncmp(first, "<think>", 7) == 0 ? first + strlen(first) : reply; /* it never came to an end */
}

void pfm_verdict_read(const pfm_rubric *rubric, const char *reply, pfm_verdict *out)
{
    bool found = false, fits = false;
    *out = (pfm_verdict){.state = PFM_VERDICT_UNPARSABLE};
    for (const char *at = pfm_verdict_said(reply); *at != '\0';) {
        const size_t length = strcspn(at, "\n");
        const line l = {at, at + length};
        int score = 0;
        bool on_scale = false;
        if (read_score(rubric, l, &score, &on_scale)) {
            found = true;
            fits = on_scale;
            out->score = score;
        }
        if (rubric->verdict == PFM_RUBRIC_ERRORS)
            read_errors(l, out);
        at += length + (at[length] == '\n');
    }
    if (out->has_significant) {
        int64_t sum = 0;
        for (int i = 0; i < PFM_ERROR_TYPES; i++)
            sum += out->significant[i];
        found = true;
        fits = sum <= rubric->high;
        out->score = fits ? (int)sum : 0;
    }
    if (found && fits)
        out->state = PFM_VERDICT_OK;
    else
        *out = (pfm_verdict){.state = PFM_VERDICT_UNPARSABLE};
}
