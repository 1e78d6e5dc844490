#include "image/dicom_open.h"

#include "base/try.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNDEFINED UINT32_C(0xFFFFFFFF)
#define ITEM DICOM_TAG(0xFFFE, 0xE000)
#define ITEM_END DICOM_TAG(0xFFFE, 0xE00D)
#define SEQUENCE_END DICOM_TAG(0xFFFE, 0xE0DD)

enum {
    DEEPEST = 128,           /* sequences and items of undefined length within each other; real files have some ten */
    MOST_VISITED = 10000000, /* elements and items of a file; a volume of 10,000 frames has a million */
    HEADER = 8               /* the least that an element or item takes */
};

uint16_t pfm_dicom_u16(const unsigned char *bytes, bool big)
{
    return (uint16_t)(big ? bytes[0] << 8 | bytes[1] : bytes[1] << 8 | bytes[0]);
}

uint32_t pfm_dicom_u32(const unsigned char *bytes, bool big)
{
    const uint32_t first = pfm_dicom_u16(bytes, big), second = pfm_dicom_u16(bytes + 2, big);
    return big ? first << 16 | second : second << 16 | first;
}

static uint32_t read_tag(const unsigned char *bytes, bool big)
{
    return DICOM_TAG(pfm_dicom_u16(bytes, big), pfm_dicom_u16(bytes + 2, big));
}

/* Whether two letters stand in a list of them. */
static bool is_among(const unsigned char *vr, const char *list)
{
    for (; *list != '\0'; list += 2) {
        if (memcmp(vr, list, 2) == 0)
            return true;
    }
    return false;
}

static bool is_short(const unsigned char *vr) { return is_among(vr, "AEASATCSDADSDTFDFLISLOLTPNSHSLSSSTTMUIULUS"); }
static bool is_long(const unsigned char *vr) { return is_among(vr, "OBODOFOLOVOWSQSVUCUNURUTUV"); }

static pfm_status count_visit(pfm_dicom *file, pfm_error *err)
{
    if (++file->visited <= MOST_VISITED)
        return PFM_OK;
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s is a DICOM file of more than %d elements, which no honest file has",
                         file->name, MOST_VISITED);
}

/* The header of the element at *at, behind which *at then stands; false where the bytes end within it. */
static bool read_header(const pfm_dicom_set *set, size_t *at, pfm_dicom_element *out)
{
    const size_t left = set->size - *at;
    const unsigned char *bytes = set->data + *at;
    size_t header = HEADER;
    if (left < HEADER)
        return false;
    *out = (pfm_dicom_element){.tag = read_tag(bytes, set->big), .big = set->big, .implicit = set->implicit};
    const bool says = !set->implicit && out->tag >> 16 != 0xFFFE && isupper(bytes[4]) && isupper(bytes[5]);
    uint32_t length = pfm_dicom_u32(bytes + 4, set->big);
    if (says)
        memcpy(out->vr, bytes + 4, 2);
    /* A representation that this standard does not know yet has the long header. */
    if (says && (is_long(bytes + 4) || (!is_short(bytes + 4) && bytes[6] == 0 && bytes[7] == 0))) {
        header = 12;
        if (left < header)
            return false;
        length = pfm_dicom_u32(bytes + 8, set->big);
    } else if (says) {
        length = pfm_dicom_u16(bytes + 6, set->big);
    }
    out->undefined = length == UNDEFINED;
    out->implicit |= strcmp(out->vr, "UN") == 0; /* PS3.5, 6.2.2: what it holds is written so */
    out->length = out->undefined ? 0 : length;
    *at += header;
    out->value = set->data + *at;
    return true;
}

static pfm_status refuse_item(const pfm_dicom *file, uint32_t tag, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT,
                         "%s: (%04X,%04X) stands where an item of a sequence should; the file is damaged", file->name,
                         tag >> 16, tag & 0xFFFF);
}

/* One of those within each other that `skip` is in. */
typedef struct level {
    bool is_item, implicit;
} level;

/* One thing within the innermost level. *cut: the bytes end. */
static pfm_status skip_one(pfm_dicom *file, const pfm_dicom_set *set, level *levels, int *depth, size_t *at, bool *cut,
                           pfm_error *err)
{
    const level here = levels[*depth - 1];
    const pfm_dicom_set inside = {set->data, set->size, here.implicit, set->big};
    pfm_dicom_element element;
    pfm_status status = count_visit(file, err);
    if (status != PFM_OK)
        return status;
    *cut = !read_header(&inside, at, &element);
    if (*cut)
        return PFM_OK;
    if (element.tag == (here.is_item ? ITEM_END : SEQUENCE_END)) {
        --*depth;
        return PFM_OK;
    }
    if (!here.is_item && element.tag != ITEM)
        return refuse_item(file, element.tag, err);
    if (!element.undefined) {
        *cut = element.length > set->size - *at;
        *at += *cut ? 0 : element.length;
        return PFM_OK;
    }
    if (*depth == DEEPEST)
        return pfm_error_set(err, PFM_ERROR_FORMAT, "%s has sequences more than %d deep, which no honest file has", file->name,
                             DEEPEST / 2);
    levels[(*depth)++] = (level){.is_item = !here.is_item, .implicit = element.implicit};
    return PFM_OK;
}

/* Finds the end of what has no length: `element`, whose value begins at *at. *at is then behind its delimiter. Items of defined
 * length are leapt over, so that the work is one pass. */
static pfm_status skip(pfm_dicom *file, const pfm_dicom_set *set, pfm_dicom_element *element, bool is_item, size_t *at,
                       bool *cut, pfm_error *err)
{
    level levels[DEEPEST] = {{.is_item = is_item, .implicit = element->implicit}};
    int depth = 1;
    size_t last = *at;
    *cut = false;
    while (depth > 0 && !*cut) {
        last = *at;
        pfm_status status = skip_one(file, set, levels, &depth, at, cut, err);
        if (status != PFM_OK)
            return status;
    }
    element->length = (size_t)(set->data + (*cut ? set->size : last) - element->value);
    return PFM_OK;
}

/* The element at *at with its length, behind which *at then stands. */
static pfm_status read_element(pfm_dicom *file, const pfm_dicom_set *set, size_t *at, pfm_dicom_element *out, bool *cut,
                               pfm_error *err)
{
    pfm_status status = count_visit(file, err);
    if (status != PFM_OK)
        return status;
    *cut = !read_header(set, at, out);
    if (*cut)
        return PFM_OK;
    if (out->undefined)
        return skip(file, set, out, false, at, cut, err);
    *cut = out->length > set->size - *at;
    out->length = *cut ? set->size - *at : out->length;
    *at += out->length;
    return PFM_OK;
}

const pfm_dicom_element *pfm_dicom_find(const pfm_dicom *file, uint32_t tag)
{
    for (size_t i = file->count; i-- > 0;) {
        if (file->elements[i].tag == tag)
            return file->elements[i].length > 0 ? &file->elements[i] : NULL;
    }
    return NULL;
}

pfm_status pfm_dicom_list(pfm_dicom *file, pfm_error *err)
{
    pfm_status status = PFM_OK;
    enum { MOST = 100000 }; /* elements of the file itself: a thousand are many */
    for (size_t at = 0; at < file->set.size;) {
        pfm_dicom_element element = {0};
        bool cut = false;
        PFM_TRY(read_element(file, &file->set, &at, &element, &cut, err));
        if (element.value == NULL) /* not even a header: padding behind the last element */
            break;
        if (cut) {
            file->cut = true;
            file->cut_at = element.tag;
        }
        if (file->count == MOST)
            PFM_FAIL(PFM_ERROR_FORMAT, "%s is a DICOM file of more than %d elements, which no honest file has", file->name,
                     MOST);
        PFM_TRY(pfm_array_reserve(&file->elements, &file->capacity, file->count + 1, sizeof *file->elements, err));
        file->elements[file->count++] = element;
        if (element.tag >= DICOM_TAG(0x7FE0, 0x0008)) /* of what stands behind the pixels nothing is needed */
            break;
    }
done:
    return status;
}

pfm_status pfm_dicom_get_item(pfm_dicom *file, const pfm_dicom_element *sequence, size_t index, pfm_dicom_set *out, bool *found,
                              pfm_error *err)
{
    const pfm_dicom_set set = {sequence->value, sequence->length, sequence->implicit, sequence->big};
    pfm_status status = PFM_OK;
    *found = false;
    for (size_t at = 0; at < set.size;) {
        pfm_dicom_element item;
        bool cut = false;
        PFM_TRY(count_visit(file, err));
        if (!read_header(&set, &at, &item) || item.tag == SEQUENCE_END)
            break;
        if (item.tag != ITEM)
            PFM_TRY(refuse_item(file, item.tag, err));
        if (item.undefined) {
            PFM_TRY(skip(file, &set, &item, true, &at, &cut, err));
        } else {
            if (item.length > set.size - at)
                break;
            at += item.length;
        }
        if (index-- > 0)
            continue;
        *out = (pfm_dicom_set){item.value, item.length, sequence->implicit, sequence->big};
        *found = true;
        break;
    }
done:
    return status;
}

pfm_status pfm_dicom_find_in(pfm_dicom *file, const pfm_dicom_set *set, uint32_t tag, pfm_dicom_element *out, bool *found,
                             pfm_error *err)
{
    pfm_status status = PFM_OK;
    *found = false;
    for (size_t at = 0; at < set->size && !*found;) {
        bool cut = false;
        PFM_TRY(read_element(file, set, &at, out, &cut, err));
        if (cut)
            break;
        *found = out->tag == tag && out->length > 0;
    }
done:
    return status;
}

pfm_status pfm_dicom_next_fragment(pfm_dicom *file, const pfm_dicom_element *pixels, size_t *at, const unsigned char **bytes,
                                   size_t *size, bool *found, pfm_error *err)
{
    const pfm_dicom_set set = {pixels->value, pixels->length, true, pixels->big};
    pfm_dicom_element item;
    pfm_status status = count_visit(file, err);
    *found = false;
    if (status != PFM_OK || *at >= set.size || !read_header(&set, at, &item) || item.tag == SEQUENCE_END)
        return status;
    if (item.tag != ITEM || item.undefined)
        return refuse_item(file, item.tag, err);
    *bytes = item.value;
    *size = item.length < set.size - *at ? item.length : set.size - *at; /* the last of a file that is cut short */
    *at += *size;
    *found = true;
    return PFM_OK;
}

/* ---- values ---- */

static size_t element_numbers(const pfm_dicom_element *element, const char *vr, double *out, size_t most)
{
    const bool big = element->big, is_float = vr[0] == 'F', is_signed = vr[0] == 'S';
    const size_t bytes = strcmp(vr, "FD") == 0 ? 8 : strcmp(vr, "FL") == 0 || vr[1] == 'L' ? 4 : 2;
    size_t count = 0;
    for (; count < most && (count + 1) * bytes <= element->length; count++) {
        const unsigned char *at = element->value + count * bytes;
        uint64_t bits = bytes == 2 ? pfm_dicom_u16(at, big) : pfm_dicom_u32(at, big);
        if (bytes == 8)
            bits = big ? bits << 32 | pfm_dicom_u32(at + 4, big) : (uint64_t)pfm_dicom_u32(at + 4, big) << 32 | bits;
        float single;
        const uint32_t half = (uint32_t)bits;
        memcpy(&single, &half, sizeof single);
        if (is_float && bytes == 8)
            memcpy(&out[count], &bits, sizeof bits);
        else if (is_float)
            out[count] = (double)single;
        else if (is_signed)
            out[count] = bytes == 2 ? (double)(int16_t)bits : (double)(int32_t)bits;
        else
            out[count] = (double)bits;
    }
    return count;
}

static size_t text_numbers(const pfm_dicom_element *element, double *out, size_t most, bool *good)
{
    char text[64];
    size_t count = 0, at = 0;
    while (count < most && at < element->length) {
        size_t end = at, used = 0;
        for (; end < element->length && element->value[end] != '\\'; end++) {
            const char c = (char)element->value[end];
            if (c != ' ' && c != '\0' && used + 1 < sizeof text)
                text[used++] = c;
        }
        text[used] = '\0';
        char *stop = text;
        out[count] = strtod(text, &stop);
        if (used == 0) /* left empty */
            return count;
        *good = *stop == '\0' && strspn(text, "+-.0123456789eE") == used && isfinite(out[count]);
        if (!*good)
            return count;
        count++;
        at = end + 1;
    }
    return count;
}

size_t pfm_dicom_numbers(const pfm_dicom_element *element, const char *vr, double *out, size_t most, bool *good)
{
    *good = true;
    if (element == NULL || element->undefined)
        return 0;
    if (element->vr[0] != '\0' && strcmp(element->vr, "UN") != 0)
        vr = element->vr;
    if (strcmp(vr, "DS") == 0 || strcmp(vr, "IS") == 0)
        return text_numbers(element, out, most, good);
    *good = is_among((const unsigned char *)vr, "USSSULSLFLFDOW");
    return *good ? element_numbers(element, strcmp(vr, "OW") == 0 ? "US" : vr, out, most) : 0;
}

void pfm_dicom_text(const pfm_dicom_element *element, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    if (element == NULL || element->undefined)
        return;
    for (size_t i = 0; i < element->length && used + 1 < size; i++) {
        const unsigned char c = element->value[i];
        if (c == ' ' && used == 0)
            continue;
        out[used++] = (char)(c < 32 || c == 127 ? ' ' : c);
    }
    while (used > 0 && out[used - 1] == ' ')
        used--;
    out[used] = '\0';
}

void pfm_dicom_code(const pfm_dicom_element *element, char *out, size_t size)
{
    pfm_dicom_text(element, out, size);
    if (strspn(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ") < strlen(out))
        out[0] = '\0';
}

void pfm_dicom_close(pfm_dicom *file)
{
    free(file->elements);
    pfm_buffer_free(&file->inflated);
    *file = (pfm_dicom){0};
}
