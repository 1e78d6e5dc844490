/* A text as snippets, and as words to compare. */
#include "data/corpus.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { LONGEST_WORD = 1000 }; /* bytes: what is longer, as text without blanks, counts as several */

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool is_first(char c) { return ((unsigned char)c & 0xC0) != 0x80; }

/* A word's bytes, and whether a sentence ends behind it. */
typedef struct word {
    size_t begin, end;
    bool last;
} word;

/* true where it ends with one of these. */
static bool cut_tail(const char *text, size_t *length, const char *const *tails, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(tails[i]);
        if (*length >= size && memcmp(text + *length - size, tails[i], size) == 0) {
            *length -= size;
            return true;
        }
    }
    return false;
}

static bool is_lower(const char *text, size_t length)
{
    utf8proc_int32_t point = 0;
    const utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &point);
    return used > 0 && utf8proc_category(point) == UTF8PROC_CATEGORY_LL;
}

/* "J." is an initial, "e.g. the" goes on. */
static bool ends_sentence(const char *text, const word *w, size_t next, size_t length)
{
    static const char *const closers[] = {"\"", "'", ")", "]", "}", "\xc2\xbb", "\xe2\x80\x9d", "\xe2\x80\x99"};
    static const char *const stops[] = {".", "!", "?", "\xe2\x80\xa6", "\xe3\x80\x82", "\xef\xbc\x81", "\xef\xbc\x9f"};
    const char *begin = text + w->begin;
    size_t size = w->end - w->begin;
    while (cut_tail(begin, &size, closers, sizeof closers / sizeof *closers)) {
    }
    const bool initial = size == 2 && begin[0] >= 'A' && begin[0] <= 'Z' && begin[1] == '.';
    return cut_tail(begin, &size, stops, sizeof stops / sizeof *stops) && !initial &&
           !(next < length && is_lower(text + next, length - next));
}

/* The next word from *at on, which moves behind the blanks that follow it; false at the end. */
static bool next_word(const char *text, size_t length, size_t *at, word *out)
{
    size_t lines = 0;
    while (*at < length && is_blank(text[*at]))
        (*at)++;
    if (*at == length)
        return false;
    *out = (word){.begin = *at};
    while (*at < length && !is_blank(text[*at]) && !(*at - out->begin >= LONGEST_WORD && is_first(text[*at])))
        (*at)++;
    out->end = *at;
    while (*at < length && is_blank(text[*at]))
        lines += text[(*at)++] == '\n';
    out->last = lines > 1 || (*at > out->end && ends_sentence(text, out, *at, length));
    return true;
}

static pfm_status give(const char *text, const word *words, size_t count, pfm_buffer *scratch, pfm_snippet_function take,
                       void *user, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer_clear(scratch);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            PFM_TRY(pfm_buffer_append(scratch, " ", 1, err));
        PFM_TRY(pfm_buffer_append(scratch, text + words[i].begin, words[i].end - words[i].begin, err));
    }
    PFM_TRY(take(user, scratch->data, count, words[0].begin, err));
done:
    return status;
}

/* How many of a window's words go into its snippet: up to the last end of a sentence. */
static size_t choose_end(const word *words, size_t count)
{
    for (size_t end = count; end > 0; end--) {
        if (words[end - 1].last)
            return end;
    }
    return count;
}

/* The word with which the next snippet begins: the first behind an end of a sentence that is near enough to the end. */
static size_t choose_next(const word *words, size_t end, size_t overlap)
{
    for (size_t i = end > overlap ? end - overlap : 1; i < end; i++) {
        if (words[i - 1].last)
            return i;
    }
    return end;
}

pfm_status pfm_text_cut(const char *text, size_t length, int most_words, int overlap, pfm_snippet_function take, void *user,
                        pfm_error *err)
{
    pfm_status status = PFM_OK;
    word *words = NULL, next;
    size_t at = 0, count = 0;
    const size_t most = (size_t)most_words;
    pfm_buffer scratch = {0};
    PFM_TRY(pfm_allocate(most, sizeof *words, &words, err));
    for (bool more = next_word(text, length, &at, &next); more || count > 0;) {
        while (more && count < most) {
            words[count++] = next;
            more = next_word(text, length, &at, &next);
        }
        if (!more) {
            PFM_TRY(give(text, words, count, &scratch, take, user, err));
            break;
        }
        const size_t end = choose_end(words, count), begin = choose_next(words, end, (size_t)overlap);
        PFM_TRY(give(text, words, end, &scratch, take, user, err));
        memmove(words, words + begin, (count - begin) * sizeof *words);
        count -= begin;
    }
done:
    pfm_buffer_free(&scratch);
    free(words);
    return status;
}

size_t pfm_text_cut_at(const char *text, size_t length, size_t most_words, bool midst, size_t *words)
{
    word next;
    size_t at = 0, end = 0, kept = 0, cut = 0;
    for (*words = 0; *words < most_words; (*words)++) {
        if (!next_word(text, length, &at, &next))
            return length;
        end = next.end;
        if (next.last) {
            cut = next.end;
            kept = *words + 1;
        }
    }
    if (!next_word(text, length, &at, &next))
        return length;
    if (cut == 0 && midst)
        return end;
    *words = kept;
    return cut;
}

bool pfm_text_is_clean(const char *text, size_t length, size_t *at)
{
    for (*at = 0; *at < length;) {
        utf8proc_int32_t point = 0;
        const utf8proc_ssize_t used =
            utf8proc_iterate((const utf8proc_uint8_t *)text + *at, (utf8proc_ssize_t)(length - *at), &point);
        if (used <= 0 || point == 0)
            return false;
        *at += (size_t)used;
    }
    return true;
}

/* Of these SQLite's unicode61 makes words. */
static bool is_of_word(utf8proc_int32_t point)
{
    const utf8proc_category_t category = utf8proc_category(point);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO) || category == UTF8PROC_CATEGORY_CO;
}

pfm_status pfm_text_append_words(const char *text, size_t length, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool inside = false;
    for (size_t i = 0; i < length;) {
        utf8proc_int32_t point = -1;
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(length - i), &point);
        i += used > 0 ? (size_t)used : 1;
        if (used <= 0 || !is_of_word(point)) {
            inside = false;
            continue;
        }
        if (!inside && out->size > 0)
            PFM_TRY(pfm_buffer_append(out, " ", 1, err));
        inside = true;
        used = utf8proc_encode_char(utf8proc_tolower(point), bytes);
        PFM_TRY(pfm_buffer_append(out, bytes, (size_t)used, err));
    }
done:
    return status;
}
