#include "eval/cut_13a.h"

#include "base/try.h"
#include "eval/text_edit.h"
#include "eval/vqa_text.h"

#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

static void swap(pfm_buffer *a, pfm_buffer *b)
{
    pfm_buffer kept = *a;
    *a = *b;
    *b = kept;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_point(char c) { return c == '.' || c == ','; }
/* ASCII punctuation that always stands alone: all but apostrophe, comma, hyphen and full stop. */
static bool is_symbol(char c)
{
    return (c >= '!' && c <= '~') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !is_digit(c) && c != '\'' &&
           c != ',' && c != '-' && c != '.';
}

typedef enum rule { SYMBOLS, POINTS_NOT_BEHIND_DIGITS, POINTS_NOT_BEFORE_DIGITS, DASHES_BEHIND_DIGITS, RULES } rule;

/* What a rule does with the character here, and perhaps the next one: where blanks go. */
typedef struct cut {
    int taken; /* characters, 1 or 2 */
    bool before, between, behind;
} cut;

static cut find_cut(rule applied, char c, char next)
{
    cut none = {.taken = 1};
    switch (applied) {
    case SYMBOLS: return is_symbol(c) ? (cut){1, true, false, true} : none;
    case POINTS_NOT_BEHIND_DIGITS: return !is_digit(c) && is_point(next) ? (cut){2, false, true, true} : none;
    case POINTS_NOT_BEFORE_DIGITS: return is_point(c) && next != '\0' && !is_digit(next) ? (cut){2, true, true, false} : none;
    case DASHES_BEHIND_DIGITS: return is_digit(c) && next == '-' ? (cut){2, false, true, true} : none;
    case RULES: break;
    }
    return none;
}

/* A rule sees what the one before it wrote, and does not look again at what it has taken. Bytes will do for characters: rules
 * name ASCII only, and where one takes "any other character" the cut falls before its first or behind its last byte. */
static pfm_status apply(rule applied, const pfm_buffer *in, pfm_buffer *out, pfm_error *err)
{
    enum { PIECE = 256, MOST = 5 };
    char piece[PIECE];
    size_t length = 0;
    pfm_status status = PFM_OK;
    pfm_buffer_clear(out);
    for (size_t i = 0; i < in->size;) {
        char c = in->data[i], next = i + 1 < in->size ? in->data[i + 1] : '\0';
        cut here = find_cut(applied, c, next);
        if (here.before)
            piece[length++] = ' ';
        piece[length++] = c;
        if (here.between)
            piece[length++] = ' ';
        if (here.taken == 2)
            piece[length++] = next;
        if (here.behind)
            piece[length++] = ' ';
        i += (size_t)here.taken;
        if (length > PIECE - MOST || i >= in->size) {
            PFM_TRY(pfm_buffer_append(out, piece, length, err));
            length = 0;
        }
    }
done:
    return status;
}

/* The four rules, on what `out` holds. */
static pfm_status apply_all(pfm_buffer *out, pfm_buffer *scratch, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int r = SYMBOLS; r < RULES && status == PFM_OK; r++) {
        status = apply((rule)r, out, scratch, err);
        swap(out, scratch);
    }
    return status;
}

pfm_status pfm_cut_13a(const char *text, pfm_buffer *out, pfm_error *err)
{
    static const char *const replacements[][2] = {{"<skipped>", ""}, {"-\n", ""},   {"\n", " "},  {"&quot;", "\""},
                                                  {"&amp;", "&"},    {"&lt;", "<"}, {"&gt;", ">"}};
    pfm_status status = PFM_OK;
    pfm_buffer scratch = {0};
    pfm_buffer_clear(out);
    PFM_TRY(pfm_buffer_append(out, text, pfm_text_trimmed(text, strlen(text)), err));
    for (size_t i = 0; i < sizeof replacements / sizeof replacements[0]; i++)
        PFM_TRY(pfm_text_replace(out, &scratch, replacements[i][0], replacements[i][1], err));
    pfm_buffer_clear(&scratch);
    PFM_TRY(pfm_buffer_append_format(&scratch, err, " %s ", out->size == 0 ? "" : out->data));
    swap(out, &scratch);
    PFM_TRY(apply_all(out, &scratch, err));
done:
    pfm_buffer_free(&scratch);
    return status;
}

static bool is_chinese(utf8proc_int32_t c)
{
    static const utf8proc_int32_t ranges[][2] = {{0x2001, 0x2A6D}, {0x2E80, 0x2FDF}, {0x2FF0, 0x303F}, {0x3100, 0x312F},
                                                 {0x31A0, 0x31EF}, {0x3200, 0x4DB5}, {0x4E00, 0x9FBB}, {0xF900, 0xFA2D},
                                                 {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F},
                                                 {0xFF00, 0xFFEF}};
    for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
        if (c >= ranges[r][0] && c <= ranges[r][1])
            return true;
    }
    return false;
}

pfm_status pfm_cut_zh(const char *text, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer scratch = {0};
    const char *end = text + pfm_text_trimmed(text, strlen(text));
    pfm_buffer_clear(out);
    for (size_t space = 0; text < end && (space = pfm_space_length(text)) > 0;)
        text += space;
    for (size_t bytes = 0; text < end; text += bytes) {
        utf8proc_int32_t c = 0;
        utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)(end - text), &c);
        bytes = length > 0 ? (size_t)length : 1;
        bool alone = length > 0 && is_chinese(c);
        PFM_TRY(pfm_buffer_append(out, " ", alone, err));
        PFM_TRY(pfm_buffer_append(out, text, bytes, err));
        PFM_TRY(pfm_buffer_append(out, " ", alone, err));
    }
    PFM_TRY(apply_all(out, &scratch, err));
done:
    pfm_buffer_free(&scratch);
    return status;
}
