#include "train/sides.h"

#include "base/try.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Words of sides in small letters; with '*' at the end what begins so. */
static const char *const words[] = {"left*", "right*", "dextro*", "levo*",     "laevo*",  "sinist*", "situs",  "rul",
                                    "rml",   "rll",    "lul",     "lll",       "ruq",     "rlq",     "luq",    "llq",
                                    "lad",   "link*",  "recht*",  "izquierd*", "derech*", "gauche*", "droit*", "destr*"};
static const char *const signs[] = {"\xe5\xb7\xa6", "\xe5\x8f\xb3"}; /* left and right in Chinese, within any word */

static bool is_word(const char *word, const char *text, size_t length)
{
    const size_t size = strlen(word);
    if (word[size - 1] == '*')
        return length >= size - 1 && strncasecmp(word, text, size - 1) == 0;
    return length == size && strncasecmp(word, text, size) == 0;
}

static const char *find_sign(const char *text, size_t *length)
{
    const char *found = NULL;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        const char *at = strstr(text, signs[i]);
        if (at != NULL && (found == NULL || at < found))
            found = at;
    }
    *length = found != NULL ? strlen(signs[0]) : 0;
    return found;
}

const char *pfm_sides_find(const char *text, size_t *length)
{
    for (const char *at = text; *at != '\0';) {
        size_t size = 0;
        while (isalpha((unsigned char)at[size]) || (unsigned char)at[size] >= 0x80)
            size++;
        for (size_t i = 0; size > 0 && i < sizeof words / sizeof *words; i++) {
            if (is_word(words[i], at, size)) {
                *length = size;
                return at;
            }
        }
        at += size > 0 ? size : 1;
    }
    return find_sign(text, length);
}

pfm_status pfm_sides_check(const pfm_dataset *rows, pfm_error *err)
{
    const pfm_row *first = NULL;
    const char *word = NULL, *where = NULL;
    size_t length = 0, count = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const pfm_row *row = &rows->rows[i];
        size_t own;
        if (row->image_count == 0)
            continue;
        const char *in_question = pfm_sides_find(row->question, &own);
        const char *found = in_question != NULL ? in_question : pfm_sides_find(row->answer, &own);
        if (found == NULL || count++ > 0)
            continue;
        first = row;
        word = found;
        length = own;
        where = in_question != NULL ? "question" : "answer";
    }
    if (count == 0)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_USAGE,
                         "data.mirror: horizontal would exchange left and right in the images and not in what is said of them: "
                         "the %s of row %s of %s says '%.*s', and %zu of %zu rows speak of a side; set data.mirror: none",
                         where, first->id, rows->split, (int)length, word, count, rows->count);
}
