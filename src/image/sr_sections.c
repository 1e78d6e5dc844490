#include "image/sr_sections.h"

#include "base/try.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct kind {
    const char *names; /* as reports write them, each with a | behind */
    pfm_sr_code heading, item;
    bool seen;
} kind;

/* The first three are in the order of pfm_sr_part. */
static const kind kinds[] = {
    {"findings|finding|", {"59776-5", "LN", "Findings"}, {"121071", "DCM", "Finding"}, true},
    {"request|", {"55115-0", "LN", "Request"}, {"55115-0", "LN", "Request"}, false},
    {"indications|indication|",
     {"18785-6", "LN", "Indications for Procedure"},
     {"18785-6", "LN", "Indications for Procedure"},
     false},
    {"impressions|impression|", {"19005-8", "LN", "Impressions"}, {"121073", "DCM", "Impression"}, true},
    {"conclusions|conclusion|", {"55110-1", "LN", "Conclusions"}, {"121077", "DCM", "Conclusion"}, true},
    {"recommendations|recommendation|", {"18783-1", "LN", "Recommendations"}, {"121075", "DCM", "Recommendation"}, false},
    {"history|", {"11329-0", "LN", "History"}, {"11329-0", "LN", "History"}, false},
    {"technique|procedure|",
     {"55111-9", "LN", "Current Procedure Descriptions"},
     {"121065", "DCM", "Procedure Description"},
     false},
};

/* The part whose name and colon stand here; *length = of both. */
static const kind *find_heading(const char *at, size_t *length)
{
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (const char *name = kinds[k].names; *name != '\0'; name = strchr(name, '|') + 1) {
            const size_t letters = (size_t)(strchr(name, '|') - name);
            if (strncasecmp(at, name, letters) == 0 && at[letters] == ':') {
                *length = letters + 1;
                return &kinds[k];
            }
        }
    }
    return NULL;
}

/* A text as a UT may have it: control characters are spaces, lines end with CR and LF, what is no UTF-8 (an answer may be cut
 * within a character) is U+FFFD. */
static pfm_status clean(const char *begin, size_t length, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer repaired = {0};
    PFM_TRY(pfm_utf8_append_repaired(&repaired, begin, length, err));
    const char *text = repaired.data;
    size_t size = repaired.size;
    for (; size > 0 && isspace((unsigned char)text[size - 1]);)
        size--;
    for (; size > 0 && isspace((unsigned char)*text); text++)
        size--;
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)text[i], next = (unsigned char)(i + 1 < size ? text[i + 1] : 0);
        if (c == '\n' || c == '\r') {
            PFM_TRY(pfm_buffer_append_string(out, "\r\n", err));
            i += c == '\r' && next == '\n';
        } else if (c == 0xC2 && next >= 0x80 && next < 0xA0) { /* the controls of Latin-1 */
            PFM_TRY(pfm_buffer_append_string(out, " ", err));
            i++;
        } else {
            PFM_TRY(pfm_buffer_append(out, c < 32 || c == 127 ? " " : &text[i], 1, err));
        }
    }
done:
    pfm_buffer_free(&repaired);
    return status;
}

static pfm_status add(pfm_sr_sections *sections, const kind *k, const char *text, size_t size, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer cleaned = {0};
    PFM_TRY(clean(text, size, &cleaned, err));
    if (cleaned.size == 0 || strspn(cleaned.data, " ") == cleaned.size)
        goto done;
    PFM_TRY(pfm_array_reserve(&sections->items, &sections->capacity, sections->count + 1, sizeof *sections->items, err));
    sections->items[sections->count++] =
        (pfm_sr_section){.heading = k->heading, .item = k->item, .seen = k->seen, .text = cleaned.data};
    cleaned = (pfm_buffer){0};
done:
    pfm_buffer_free(&cleaned);
    return status;
}

pfm_status pfm_sr_add_section(pfm_sr_sections *sections, pfm_sr_part part, const char *text, pfm_error *err)
{
    return add(sections, &kinds[part], text, strlen(text), err);
}

pfm_status pfm_sr_add_report(pfm_sr_sections *sections, const char *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const kind *current = &kinds[PFM_SR_FINDINGS];
    const char *begin = text;
    bool may_begin = true; /* a part: at the begin of the text, of a line or of a sentence */
    const size_t before = sections->count;
    for (const char *at = text; *at != '\0'; at++) {
        size_t length = 0;
        const kind *found = may_begin ? find_heading(at, &length) : NULL;
        if (found != NULL) {
            PFM_TRY(add(sections, current, begin, (size_t)(at - begin), err));
            current = found;
            begin = at + length;
            at = begin - 1;
            may_begin = true;
            continue;
        }
        if (*at == '\n' || *at == '\r')
            may_begin = true;
        else if (*at == ' ' || *at == '\t')
            may_begin = may_begin || (at > text && strchr(".!?;", at[-1]) != NULL);
        else
            may_begin = false;
    }
    PFM_TRY(add(sections, current, begin, strlen(begin), err));
    if (sections->count == before) /* a section is there for what was seen, though nothing was said */
        status = pfm_sr_add_section(sections, PFM_SR_FINDINGS, "(nothing was written)", err);
done:
    return status;
}

void pfm_sr_sections_free(pfm_sr_sections *sections)
{
    for (size_t i = 0; i < sections->count; i++)
        free(sections->items[i].text);
    free(sections->items);
    *sections = (pfm_sr_sections){0};
}
