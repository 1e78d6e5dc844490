#include "text/tokenizer_internal.h"

#include "base/try.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

pfm_status pfm_added_tokens_add(pfm_added_tokens *tokens, const pfm_added_token *token, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *text = NULL;
    PFM_TRY(pfm_array_reserve(&tokens->items, &tokens->capacity, tokens->count + 1, sizeof *tokens->items, err));
    PFM_TRY(pfm_string_copy_n(token->text, token->length, &text, err));
    tokens->items[tokens->count] = *token;
    tokens->items[tokens->count++].text = text;
    tokens->has_special = tokens->has_special || token->special;
done:
    return status;
}

static int compare(const void *a, const void *b)
{
    const pfm_added_token *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

void pfm_added_tokens_sort(pfm_added_tokens *tokens)
{
    if (tokens->count > 0)
        qsort(tokens->items, tokens->count, sizeof *tokens->items, compare);
    size_t item = 0;
    for (size_t byte = 0; byte < 256; byte++) {
        tokens->first[byte] = item;
        while (item < tokens->count && (unsigned char)tokens->items[item].text[0] == byte)
            item++;
    }
    tokens->first[256] = item;
}

/* The longest token that stands at the beginning of the text: the sorted list narrows byte by byte. */
static const pfm_added_token *longest_at(const pfm_added_tokens *tokens, const char *text, size_t size)
{
    unsigned char lead = (unsigned char)text[0];
    size_t low = tokens->first[lead], high = tokens->first[lead + 1];
    const pfm_added_token *longest = NULL;
    for (size_t depth = 1; low < high; depth++) {
        if (tokens->items[low].length == depth)
            longest = &tokens->items[low];
        while (low < high && tokens->items[low].length <= depth)
            low++; /* the same text given twice */
        if (depth == size)
            break;
        while (low < high && (unsigned char)tokens->items[low].text[depth] < (unsigned char)text[depth])
            low++;
        size_t end = low;
        while (end < high && tokens->items[end].text[depth] == text[depth])
            end++;
        high = end;
    }
    return longest;
}

/* The code point that ends at `end`, in valid UTF-8; end > 0. */
static uint32_t code_before(const char *text, size_t end, size_t *begin)
{
    size_t length;
    *begin = end - 1;
    while (*begin > 0 && ((unsigned char)text[*begin] & 0xc0) == 0x80)
        (*begin)--;
    return pfm_utf8_decode(text + *begin, end - *begin, &length);
}

static bool stands_alone(const char *text, size_t size, size_t begin, size_t end)
{
    size_t unused;
    if (begin > 0 && pfm_utf8_is_word(code_before(text, begin, &unused)))
        return false;
    return end == size || !pfm_utf8_is_word(pfm_utf8_decode(text + end, size - end, &unused));
}

static void strip_around(const pfm_added_token *token, const char *text, size_t size, size_t from, size_t *begin, size_t *end)
{
    for (size_t before; token->left_strip && *begin > from; *begin = before) {
        if (!pfm_utf8_is_space(code_before(text, *begin, &before)))
            break;
    }
    for (size_t length; token->right_strip && *end < size; *end += length) {
        if (!pfm_utf8_is_space(pfm_utf8_decode(text + *end, size - *end, &length)))
            break;
    }
}

static bool is_looked_for(const pfm_added_token *token, const pfm_searched *in, size_t begin, size_t end)
{
    bool plain = !in->special;
    for (size_t i = 0; !plain && token->special && i < in->plain_count; i++)
        plain = begin < in->plain[i].end && end > in->plain[i].begin;
    return !(token->special && plain) && (!token->single_word || stands_alone(in->text, in->size, begin, end));
}

const pfm_added_token *pfm_added_tokens_find(const pfm_added_tokens *tokens, const pfm_searched *in, size_t from, size_t *begin,
                                             size_t *end)
{
    const char *text = in->text;
    size_t size = in->size;
    for (size_t i = from; tokens->count > 0 && i < size; i++) {
        const pfm_added_token *token = longest_at(tokens, text + i, size - i);
        if (token == NULL)
            continue;
        *begin = i;
        *end = i + token->length;
        i = *end - 1;
        if (!is_looked_for(token, in, *begin, *end))
            continue;
        strip_around(token, text, size, from, begin, end);
        return token;
    }
    return NULL;
}

void pfm_added_tokens_free(pfm_added_tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++)
        free((void *)(uintptr_t)tokens->items[i].text);
    free(tokens->items);
    *tokens = (pfm_added_tokens){0};
}
