#include "eval/label_words.h"

#include "base/try.h"
#include "eval/label_table.h"

#include <stdlib.h>
#include <string.h>

enum { LETTERS = 37, STARTS = LETTERS * LETTERS };

typedef struct pfm_label_pattern {
    const char *text; /* within the table */
    size_t length;
    unsigned kinds, findings;
    size_t start; /* by which it is found */
} pattern;

typedef struct table_row {
    unsigned kinds, findings;
    const char *patterns;
} table_row;

#define BIT(finding) (1U << PFM_##finding)
#define ROW(kind, findings, patterns) {PFM_LABEL_##kind, findings, patterns},
static const table_row rows[] = {PFM_LABEL_TABLE(ROW)};

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

static size_t place_of(char c)
{
    return c >= 'a' && c <= 'z' ? (size_t)(c - 'a') : c >= '0' && c <= '9' ? 26 + (size_t)(c - '0') : LETTERS - 1;
}

/* Of a word, or of a pattern's alternative: what stands behind it is no letter. */
static size_t start_of(const char *word, size_t length)
{
    return place_of(word[0]) * LETTERS + (length > 1 ? place_of(word[1]) : LETTERS - 1);
}

/* Calls for each alternative of the first word of each pattern: all patterns that may begin with a word have its start. */
static size_t list_patterns(pattern *into)
{
    size_t count = 0;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        for (const char *text = rows[r].patterns; *text != '\0';) {
            size_t length = strcspn(text, ",");
            size_t first = strcspn(text, " ,");
            for (size_t at = 0; at < first;) {
                size_t word = strcspn(text + at, "/ ,");
                if (into != NULL)
                    into[count] = (pattern){text, length, rows[r].kinds, rows[r].findings,
                                            start_of(text + at, strcspn(text + at, "*/ ,"))};
                count++;
                at += word + 1;
            }
            text += length;
            text += strspn(text, ", ");
        }
    }
    return count;
}

static int by_start(const void *a, const void *b)
{
    const pattern *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->text < y->text ? -1 : x->text > y->text;
}

pfm_status pfm_label_words_create(pfm_label_words *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t count = list_patterns(NULL);
    PFM_TRY(pfm_allocate(count, sizeof *out->patterns, &out->patterns, err));
    PFM_TRY(pfm_allocate(STARTS + 1, sizeof *out->starts, &out->starts, err));
    list_patterns(out->patterns);
    qsort(out->patterns, count, sizeof *out->patterns, by_start);
    for (size_t s = 0, p = 0; s <= STARTS; s++) {
        while (p < count && out->patterns[p].start < s)
            p++;
        out->starts[s] = p;
    }
done:
    return status;
}

void pfm_label_words_free(pfm_label_words *words)
{
    free(words->patterns);
    free(words->starts);
    free(words->lowered);
    free(words->words);
    free(words->phrases);
    *words = (pfm_label_words){0};
}

pfm_status pfm_label_words_begin(pfm_label_words *words, const char *text, pfm_error *err)
{
    size_t length = strlen(text);
    pfm_status status = pfm_array_reserve(&words->lowered, &words->lowered_capacity, length + 1, 1, err);
    if (status != PFM_OK)
        return status;
    for (size_t i = 0; i <= length; i++)
        words->lowered[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]);
    words->rest = words->lowered;
    return PFM_OK;
}

/* A point between digits is none, and a line's end only where an empty line follows. */
static bool ends_sentence(const char *text, const char *at)
{
    switch (*at) {
    case '.': return !(at > text && at[-1] >= '0' && at[-1] <= '9' && at[1] >= '0' && at[1] <= '9');
    case '\n': return at[1 + strspn(at + 1, " \t\r")] == '\n';
    case ';':
    case '!': return true;
    case '?': return !is_letter(at[1]); /* "?pneumonia" is doubt */
    default: return false;
    }
}

static pfm_status add_word(pfm_label_words *words, const char *at, size_t length, pfm_error *err)
{
    pfm_status status =
        pfm_array_reserve(&words->words, &words->word_capacity, words->word_count + 1, sizeof *words->words, err);
    if (status == PFM_OK)
        words->words[words->word_count++] = (pfm_label_word){(size_t)(at - words->lowered), length};
    return status;
}

/* The words of the next sentence; a comma, colon or bracket is a word without letters. *any = whether it has letters. */
static pfm_status cut_sentence(pfm_label_words *words, bool *any, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *at = words->rest;
    *any = false;
    words->word_count = 0;
    for (; *at != '\0' && !ends_sentence(words->lowered, at); at++) {
        size_t length = 0;
        while (is_letter(at[length]))
            length++;
        if (length == 0 && strchr(",:()[]?", *at) == NULL)
            continue;
        *any |= length > 0;
        PFM_TRY(add_word(words, at, length, err));
        at += length > 0 ? length - 1 : 0;
    }
    words->rest = *at == '\0' ? at : at + 1;
done:
    return status;
}

/* Whether an alternative of a pattern's word, which ends before `end`, is the word. */
static bool fits_word(const char *alternatives, const char *end, const char *word, size_t length)
{
    while (alternatives < end) {
        size_t size = 0;
        while (alternatives + size < end && alternatives[size] != '/')
            size++;
        bool open = alternatives[size - 1] == '*';
        if (open ? length >= size - 1 && memcmp(alternatives, word, size - 1) == 0
                 : length == size && memcmp(alternatives, word, size) == 0)
            return true;
        alternatives += size + 1;
    }
    return false;
}

/* How many words the pattern takes at word w, or 0. */
static size_t fit(const pfm_label_words *words, const pattern *p, size_t w)
{
    size_t taken = 0;
    for (const char *at = p->text, *end = p->text + p->length; at < end; taken++) {
        const char *stop = memchr(at, ' ', (size_t)(end - at));
        if (stop == NULL)
            stop = end;
        if (w + taken == words->word_count)
            return 0;
        const pfm_label_word *word = &words->words[w + taken];
        if (!fits_word(at, stop, words->lowered + word->at, word->length))
            return 0;
        at = stop + 1;
    }
    return taken;
}

static pfm_status add_phrase(pfm_label_words *words, size_t w, unsigned kinds, unsigned findings, size_t taken, pfm_error *err)
{
    pfm_status status =
        pfm_array_reserve(&words->phrases, &words->phrase_capacity, words->phrase_count + 1, sizeof *words->phrases, err);
    if (status == PFM_OK)
        words->phrases[words->phrase_count++] =
            (pfm_label_phrase){.kinds = kinds, .findings = findings, .first = w, .last = w + taken};
    return status;
}

/* Adds the phrase at word w, if there is one; *taken = how many words to go on by. */
static pfm_status find_phrase(pfm_label_words *words, size_t w, size_t *taken, pfm_error *err)
{
    const pfm_label_word *word = &words->words[w];
    const char *text = words->lowered + word->at;
    unsigned kinds = 0, findings = 0;
    *taken = 1;
    if (word->length == 0 && *text == '?')
        return add_phrase(words, w, PFM_LABEL_DOUBTED, 0, 1, err);
    if (word->length == 0)
        return add_phrase(words, w, *text == ',' ? PFM_LABEL_COMMA : PFM_LABEL_BARRIER, 0, 1, err);
    size_t start = start_of(text, word->length), most = 0;
    for (size_t p = words->starts[start]; p < words->starts[start + 1]; p++) {
        size_t count = fit(words, &words->patterns[p], w);
        if (count == 0 || count < most)
            continue;
        if (count > most)
            kinds = findings = 0;
        most = count;
        kinds |= words->patterns[p].kinds;
        findings |= words->patterns[p].findings;
    }
    if (most == 0 || (kinds & PFM_LABEL_IGNORED) != 0) {
        *taken = most == 0 ? 1 : most;
        return PFM_OK;
    }
    *taken = most;
    return add_phrase(words, w, kinds, findings, most, err);
}

pfm_status pfm_label_words_next(pfm_label_words *words, bool *more, pfm_error *err)
{
    pfm_status status = PFM_OK;
    *more = false;
    while (!*more && *words->rest != '\0')
        PFM_TRY(cut_sentence(words, more, err));
    words->phrase_count = 0;
    for (size_t w = 0, taken = 0; *more && w < words->word_count; w += taken)
        PFM_TRY(find_phrase(words, w, &taken, err));
done:
    return status;
}
