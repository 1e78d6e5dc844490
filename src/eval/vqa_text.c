#include "eval/vqa_text.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

typedef struct writer {
    pfm_buffer *out;
    bool blank_waits; /* white space was seen behind what is written */
} writer;

static bool is_space(utf8proc_int32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool is_kept(utf8proc_int32_t c)
{
    if (c == '_' || c == ',' || c == '/')
        return true;
    utf8proc_category_t category = utf8proc_category(c);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
           (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

static pfm_status put(writer *w, const char *bytes, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (w->blank_waits && w->out->size > 0)
        PFM_TRY(pfm_buffer_append(w->out, " ", 1, err));
    w->blank_waits = false;
    PFM_TRY(pfm_buffer_append(w->out, bytes, count, err));
done:
    return status;
}

static pfm_status put_character(writer *w, utf8proc_int32_t c, pfm_error *err)
{
    utf8proc_uint8_t bytes[4];
    c = utf8proc_tolower(c);
    if (is_space(c)) {
        w->blank_waits = true;
        return PFM_OK;
    }
    if (!is_kept(c))
        return PFM_OK;
    return put(w, (const char *)bytes, (size_t)utf8proc_encode_char(c, bytes), err);
}

/* ASCII is in NFC as it stands, and most answers are ASCII. */
static pfm_status normalise_ascii(writer *w, const char *text, pfm_error *err)
{
    for (; *text != '\0'; text++) {
        char c = *text;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == ',' || c == '/';
        if (kept) {
            pfm_status status = put(w, &c, 1, err);
            if (status != PFM_OK)
                return status;
        } else if (is_space(c)) {
            w->blank_waits = true;
        }
    }
    return PFM_OK;
}

/* *out = the text without the bytes that are no UTF-8. */
static pfm_status drop_invalid(const char *text, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t left = strlen(text);
    while (left > 0) {
        utf8proc_int32_t c = 0;
        utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)left, &c);
        if (length > 0)
            PFM_TRY(pfm_buffer_append(out, text, (size_t)length, err));
        size_t step = length > 0 ? (size_t)length : 1;
        text += step;
        left -= step;
    }
done:
    return status;
}

static pfm_status normalise_unicode(writer *w, const char *text, pfm_error *err)
{
    pfm_buffer clean = {0};
    utf8proc_uint8_t *composed = NULL;
    pfm_status status = PFM_OK;
    PFM_TRY(drop_invalid(text, &clean, err));
    if (clean.size == 0)
        goto done;
    utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)clean.data, (utf8proc_ssize_t)clean.size, &composed,
                                           UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (length < 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "cannot bring a text of %zu bytes into NFC: %s", clean.size, utf8proc_errmsg(length));
    for (utf8proc_ssize_t i = 0; i < length;) {
        utf8proc_int32_t c = 0;
        utf8proc_ssize_t step = utf8proc_iterate(composed + i, length - i, &c);
        if (step <= 0)
            break; /* utf8proc wrote it: cannot happen */
        PFM_TRY(put_character(w, c, err));
        i += step;
    }
done:
    free(composed);
    pfm_buffer_free(&clean);
    return status;
}

pfm_status pfm_vqa_normalise(const char *text, pfm_buffer *out, pfm_error *err)
{
    pfm_buffer_clear(out);
    writer w = {.out = out};
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80)
            return normalise_unicode(&w, text, err);
    }
    return normalise_ascii(&w, text, err);
}

pfm_status pfm_vqa_correct(const char *prediction, const char *answer, bool *out, pfm_error *err)
{
    pfm_buffer a = {0}, b = {0};
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_vqa_normalise(prediction, &a, err));
    PFM_TRY(pfm_vqa_normalise(answer, &b, err));
    *out = a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
done:
    pfm_buffer_free(&a);
    pfm_buffer_free(&b);
    return status;
}

size_t pfm_space_length_of_any(const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    utf8proc_int32_t c = 0;
    if (bytes[0] < 0x80)
        return is_space(bytes[0]) ? 1 : 0;
    size_t length = bytes[0] < 0xE0 ? 2 : 3; /* white space ends at U+3000 */
    if (strnlen(text, length) < length || utf8proc_iterate(bytes, (utf8proc_ssize_t)length, &c) <= 0)
        return 0;
    return is_space(c) ? length : 0;
}

pfm_status pfm_word_list_split(pfm_word_list *words, const char *text, pfm_error *err)
{
    words->count = 0;
    while (text != NULL && *text != '\0') {
        size_t space = pfm_space_length(text), length = 0;
        if (space > 0) {
            text += space;
            continue;
        }
        while (text[length] != '\0' && pfm_space_length(text + length) == 0)
            length++;
        pfm_status status = pfm_array_reserve(&words->items, &words->capacity, words->count + 1, sizeof *words->items, err);
        if (status != PFM_OK)
            return status;
        words->items[words->count++] = (pfm_word){text, length};
        text += length;
    }
    return PFM_OK;
}

int pfm_word_compare(const pfm_word *a, const pfm_word *b)
{
    int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static int compare_items(const void *a, const void *b) { return pfm_word_compare(a, b); }

void pfm_word_list_sort(pfm_word_list *words)
{
    if (words->count > 1)
        qsort(words->items, words->count, sizeof *words->items, compare_items);
}

void pfm_word_list_free(pfm_word_list *words)
{
    if (words == NULL)
        return;
    free(words->items);
    *words = (pfm_word_list){0};
}

double pfm_word_list_recall(const pfm_word_list *answer, const pfm_word_list *prediction)
{
    size_t distinct = 0, found = 0, j = 0;
    for (size_t i = 0; i < answer->count; i++) {
        const pfm_word *word = &answer->items[i];
        if (i > 0 && pfm_word_compare(&answer->items[i - 1], word) == 0)
            continue;
        distinct++;
        while (j < prediction->count && pfm_word_compare(&prediction->items[j], word) < 0)
            j++;
        found += j < prediction->count && pfm_word_compare(&prediction->items[j], word) == 0;
    }
    if (distinct == 0)
        return prediction->count == 0 ? 1 : 0;
    return (double)found / (double)distinct;
}

double pfm_word_list_f1(const pfm_word_list *a, const pfm_word_list *b)
{
    size_t i = 0, j = 0, common = 0;
    while (i < a->count && j < b->count) {
        int order = pfm_word_compare(&a->items[i], &b->items[j]);
        common += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return a->count + b->count == 0 ? 1 : 2.0 * (double)common / (double)(a->count + b->count);
}
