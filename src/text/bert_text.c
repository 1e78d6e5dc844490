/* What BERT does to a text before its words are looked up (Devlin et al. 2019, BasicTokenizer), as Hugging Face tokenizers does
 * it: BertNormalizer, and the characters at which BertPreTokenizer cuts. */
#include "text/bert_text.h"

#include "base/try.h"
#include "text/bert_characters_table.h"
#include "base/utf8.h"

#include <utf8proc.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static bool is_within(const bert_range *ranges, size_t count, uint32_t code)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ranges[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].first <= code;
}

bool pfm_bert_is_punctuation(uint32_t code) { return is_within(punctuation, COUNT(punctuation), code); }

static pfm_status append_code(pfm_buffer *out, uint32_t code, pfm_error *err)
{
    char bytes[4];
    return pfm_buffer_append(out, bytes, pfm_utf8_encode(code, bytes), err);
}

/* Each character by itself, as Rust's to_lowercase: no final sigma; one letter has a lower case of two. */
static pfm_status append_lower(pfm_buffer *out, uint32_t code, pfm_error *err)
{
    enum { CAPITAL_I_WITH_DOT = 0x130 };
    if (code == CAPITAL_I_WITH_DOT)
        return pfm_buffer_append_string(out, "i\xcc\x87", err);
    return append_code(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)code), err);
}

static pfm_status clean(const pfm_bert_normal *how, const char *text, size_t size, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0, length; i < size; i += length) {
        uint32_t code = pfm_utf8_decode(text + i, size - i, &length);
        if (how->clean && is_within(removed, COUNT(removed), code))
            continue;
        if (how->clean && pfm_utf8_is_space(code))
            code = ' ';
        const bool apart = how->chinese && is_within(ideographs, COUNT(ideographs), code);
        if (apart)
            PFM_TRY(pfm_buffer_append(out, " ", 1, err));
        PFM_TRY(append_code(out, code, err));
        if (apart)
            PFM_TRY(pfm_buffer_append(out, " ", 1, err));
    }
done:
    return status;
}

static pfm_status fold(const pfm_bert_normal *how, const char *text, size_t size, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0, length; i < size; i += length) {
        const uint32_t code = pfm_utf8_decode(text + i, size - i, &length);
        if (how->strip && is_within(accents, COUNT(accents), code))
            continue;
        if (how->lower)
            PFM_TRY(append_lower(out, code, err));
        else
            PFM_TRY(append_code(out, code, err));
    }
done:
    return status;
}

pfm_status pfm_bert_normalise(const pfm_bert_normal *how, const char *text, size_t size, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer cleaned = {0}, whole = {0};
    PFM_TRY(clean(how, text, size, &cleaned, err));
    if (how->strip)
        PFM_TRY(pfm_unicode_form(cleaned.data, cleaned.size, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &whole, err));
    const pfm_buffer *from = how->strip ? &whole : &cleaned;
    PFM_TRY(fold(how, from->data, from->size, out, err));
done:
    pfm_buffer_free(&cleaned);
    pfm_buffer_free(&whole);
    return status;
}
