#include "pacs/multipart.h"

#include "base/memory.h"
#include "base/try.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LONGEST_BOUNDARY = 70, LONGEST_HEAD = 16384 };

typedef enum state {
    PREAMBLE, /* before the first boundary */
    TAIL,     /* behind a boundary: "--", or blanks and the line's end */
    HEAD,     /* of a part */
    DATA,
    OVER
} state;

struct pfm_multipart {
    pfm_multipart_sink sink;
    char mark[LONGEST_BOUNDARY + 5]; /* "\r\n--boundary" */
    size_t length;
    state state;
    size_t matched;  /* of mark, by the last bytes */
    pfm_buffer head; /* of a part, or what stands behind a boundary */
};

/* ---- the type ---- */

static bool is_boundary_character(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("'()+_,-./:=? ", c) != NULL);
}

/* The value behind "boundary=", bare or in quotes. */
static bool read_boundary(const char *at, char *out, size_t *length)
{
    const bool quoted = *at == '"';
    size_t count = 0;
    at += quoted;
    while (is_boundary_character(*at) && (quoted || (*at != ' ' && *at != ',')) && count < LONGEST_BOUNDARY)
        out[count++] = *at++;
    *length = count;
    return count > 0 && out[count - 1] != ' ' && (quoted ? *at == '"' : *at == '\0' || strchr(" \t;", *at) != NULL);
}

/* Parameter by parameter, so that what stands in quotes is no parameter. */
static bool find_boundary(const char *type, char *out, size_t *length)
{
    const char *at = strchr(type, ';');
    while (at != NULL && *at == ';') {
        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, "boundary=", 9) == 0)
            return read_boundary(at + 9, out, length);
        for (bool quoted = false; *at != '\0' && (quoted || *at != ';'); at++) {
            if (quoted && *at == '\\' && at[1] != '\0')
                at++;
            else if (*at == '"')
                quoted = !quoted;
        }
    }
    return false;
}

pfm_status pfm_multipart_create(const char *content_type, const pfm_multipart_sink *sink, pfm_multipart **out, pfm_error *err)
{
    pfm_multipart *m = NULL;
    size_t length = 0;
    const pfm_status status = pfm_allocate(1, sizeof *m, &m, err);
    if (status != PFM_OK)
        return status;
    *m = (pfm_multipart){.sink = *sink, .mark = "\r\n--", .matched = 2}; /* the first may stand at the very begin */
    if (strncasecmp(content_type, "multipart/related", 17) != 0 || !find_boundary(content_type, m->mark + 4, &length)) {
        free(m);
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "the server's reply is no multipart/related with a boundary, so that it "
                             "cannot be cut into objects; is its URL that of DICOMweb?");
    }
    m->length = length + 4;
    *out = m;
    return PFM_OK;
}

void pfm_multipart_free(pfm_multipart *multipart)
{
    if (multipart == NULL)
        return;
    pfm_buffer_free(&multipart->head);
    free(multipart);
}

/* ---- one state after the other ---- */

static pfm_status tell(pfm_multipart *m, const void *bytes, size_t count, pfm_error *err)
{
    return m->state == DATA && count > 0 ? m->sink.data(m->sink.user, bytes, count, err) : PFM_OK;
}

/* Up to the next boundary. What may still become one is not told; where it does not it is told from the mark itself. */
static pfm_status take_data(pfm_multipart *m, const char *bytes, size_t count, size_t *used, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t told = 0, i = 0; /* told: bytes that were told or are held back in `matched` */
    while (i < count && m->matched < m->length) {
        if (bytes[i] == m->mark[m->matched]) {
            if (m->matched == 0)
                PFM_TRY(tell(m, bytes + told, i - told, err));
            m->matched++;
            told = ++i;
        } else if (m->matched == 0) {
            i++;
        } else { /* what was held back are data; the mark's CR stands nowhere else in it, so that it cannot begin in there */
            PFM_TRY(tell(m, m->mark, m->matched, err));
            m->matched = 0;
        }
    }
    PFM_TRY(tell(m, bytes + told, i - told, err));
    *used = i;
    if (m->matched < m->length)
        goto done;
    if (m->state == DATA)
        PFM_TRY(m->sink.end(m->sink.user, err));
    m->state = TAIL;
    pfm_buffer_clear(&m->head);
done:
    return status;
}

static pfm_status add(pfm_multipart *m, char c, pfm_error *err)
{
    if (m->head.size == LONGEST_HEAD)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "a part of the server's reply begins with more than %d bytes of headers",
                             LONGEST_HEAD);
    return pfm_buffer_append(&m->head, &c, 1, err);
}

static bool ends_with(const pfm_buffer *head, const char *end)
{
    const size_t length = strlen(end);
    return head->size >= length && memcmp(head->data + head->size - length, end, length) == 0;
}

static pfm_status take_tail(pfm_multipart *m, char c, pfm_error *err)
{
    const pfm_status status = add(m, c, err);
    if (status != PFM_OK)
        return status;
    if (m->head.size == 2 && memcmp(m->head.data, "--", 2) == 0) {
        m->state = OVER;
    } else if (ends_with(&m->head, "\r\n")) {
        m->state = HEAD; /* which begins with this line's end, so that an empty one is found too */
        m->head.size = 0;
        return pfm_buffer_append(&m->head, "\r\n", 2, err);
    } else if (strchr(" \t\r-", c) == NULL || (c == '-' && m->head.size != 1) || c == '\0') {
        return pfm_error_set(err, PFM_ERROR_FORMAT,
                             "a boundary in the server's reply is followed by what does not belong there");
    }
    return PFM_OK;
}

static pfm_status begin_part(pfm_multipart *m, pfm_error *err)
{
    static const char name[] = "\r\ncontent-type:";
    char type[128] = "";
    for (size_t i = 0; i < m->head.size; i++)
        m->head.data[i] = m->head.data[i] == '\0' ? ' ' : (char)tolower((unsigned char)m->head.data[i]);
    const char *at = strstr(m->head.data, name);
    if (at != NULL) {
        at += sizeof name - 1;
        at += strspn(at, " \t");
        const size_t length = strcspn(at, "\r\n");
        memcpy(type, at, length < sizeof type ? length : sizeof type - 1);
    }
    m->state = DATA;
    m->matched = 0;
    return m->sink.begin(m->sink.user, type, err);
}

pfm_status pfm_multipart_feed(pfm_multipart *m, const void *bytes, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *at = bytes;
    for (size_t left = count; status == PFM_OK && left > 0 && m->state != OVER;) {
        size_t used = 1;
        switch (m->state) {
        case PREAMBLE:
        case DATA: status = take_data(m, at, left, &used, err); break;
        case TAIL: status = take_tail(m, *at, err); break;
        default:
            status = add(m, *at, err);
            if (status == PFM_OK && ends_with(&m->head, "\r\n\r\n"))
                status = begin_part(m, err);
            break;
        }
        at += used;
        left -= used;
    }
    return status;
}

pfm_status pfm_multipart_finish(const pfm_multipart *m, pfm_error *err)
{
    return m->state == OVER
               ? PFM_OK
               : pfm_error_set(err, PFM_ERROR_FORMAT, "the server's reply ends before its last boundary; ask again");
}
