#include "eval/cut_13a.h"

#include "base/try.h"
#include "eval/text_edit.h"

#include <stdbool.h>
#include <string.h>

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
    for (int r = SYMBOLS; r < RULES; r++) {
        PFM_TRY(apply((rule)r, out, &scratch, err));
        swap(out, &scratch);
    }
done:
    pfm_buffer_free(&scratch);
    return status;
}
