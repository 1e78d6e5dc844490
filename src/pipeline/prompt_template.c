#include "pipeline/prompt_template.h"

#include "base/try.h"
#include "pefomed/words.h"

#include <stdio.h>
#include <string.h>

/* What begins at a place of a text: one sign, or "{name}". */
typedef struct piece {
    size_t length;
    char sign;        /* of a sign */
    const char *name; /* of a place, [name_length]; NULL: a sign */
    size_t name_length;
    bool alone; /* an opening brace without its other */
} piece;

static piece cut_piece(const char *at)
{
    if ((at[0] == '{' && at[1] == '{') || (at[0] == '}' && at[1] == '}'))
        return (piece){.length = 2, .sign = at[0]};
    if (at[0] != '{')
        return (piece){.length = 1, .sign = at[0]};
    const size_t length = strcspn(at + 1, "{}\r\n");
    if (at[1 + length] != '}')
        return (piece){.length = 1, .alone = true};
    return (piece){.length = length + 2, .name = at + 1, .name_length = length};
}

static bool is_name(const piece *p, const char *name)
{
    return p->name != NULL && strlen(name) == p->name_length && strncmp(p->name, name, p->name_length) == 0;
}

static size_t find_name(const piece *p, const char *const *names, size_t count)
{
    size_t k = 0;
    while (k < count && !is_name(p, names[k]))
        k++;
    return k;
}

static pfm_status refuse_place(const piece *p, const char *const *names, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer list = {0};
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s", (int)(p->name_length < sizeof name ? p->name_length : sizeof name - 1), p->name);
    const char *nearest = pfm_words_nearest(name, names, count);
    for (size_t k = 0; k < count; k++)
        PFM_TRY(pfm_buffer_append_format(&list, err, "%s{%s}", k > 0 ? ", " : "", names[k]));
    PFM_FAIL(PFM_ERROR_USAGE, "the prompt has a place {%s}, and there are %s here%s%s%s; a brace itself is written {{", name,
             list.data, nearest != NULL ? "; did you mean {" : "", nearest != NULL ? nearest : "", nearest != NULL ? "}?" : "");
done:
    pfm_buffer_free(&list);
    return status;
}

pfm_status pfm_template_check(const char *text, const char *const *names, size_t count, pfm_error *err)
{
    for (const char *at = text; *at != '\0';) {
        const piece p = cut_piece(at);
        if (p.alone)
            return pfm_error_set(err, PFM_ERROR_USAGE,
                                 "the prompt has a { without a } on its line, at \"%.20s\"; a brace itself is written {{", at);
        if (p.name != NULL && find_name(&p, names, count) == count)
            return refuse_place(&p, names, count, err);
        at += p.length;
    }
    return PFM_OK;
}

bool pfm_template_has(const char *text, const char *name)
{
    for (const char *at = text; *at != '\0';) {
        const piece p = cut_piece(at);
        if (is_name(&p, name))
            return true;
        at += p.length;
    }
    return false;
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (strchr(" \t\r\n\v\f", text[i]) == NULL)
            return false;
    return true;
}

/* One line of the template, its end included. */
static pfm_status fill_line(const char *line, size_t length, const char *const *names, const char *const *values, size_t count,
                            pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const size_t before = out->size;
    bool has_place = false, has_more = false;
    for (size_t at = 0; at < length;) {
        const piece p = cut_piece(line + at);
        if (p.name == NULL) {
            has_more |= !is_blank(&p.sign, 1);
            PFM_TRY(pfm_buffer_append(out, &p.sign, 1, err));
        } else {
            has_place = true;
            PFM_TRY(pfm_buffer_append_string(out, values[find_name(&p, names, count)], err));
        }
        at += p.length;
    }
    if (has_place && !has_more && is_blank(out->data + before, out->size - before)) {
        out->size = before;
        out->data[before] = '\0';
    }
done:
    return status;
}

pfm_status pfm_template_fill(const char *text, const char *const *names, const char *const *values, size_t count, char **out,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer filled = {0};
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        length += line[length] == '\n';
        PFM_TRY(fill_line(line, length, names, values, count, &filled, err));
        line += length;
    }
    size_t begin = 0, end = filled.size;
    while (begin < end && is_blank(filled.data + begin, 1))
        begin++;
    while (end > begin && is_blank(filled.data + end - 1, 1))
        end--;
    PFM_TRY(pfm_string_copy_n(begin < end ? filled.data + begin : "", end - begin, out, err));
done:
    pfm_buffer_free(&filled);
    return status;
}
