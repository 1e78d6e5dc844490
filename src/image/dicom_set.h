/* Inside the reader of DICOM: data sets as bytes (PS3.5, 7). Nothing is copied, nothing recurses, and every length is checked
 * against what holds it before it is followed. */
#ifndef PFM_IMAGE_DICOM_SET_H
#define PFM_IMAGE_DICOM_SET_H

#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DICOM_TAG(group, element) ((uint32_t)(group) << 16 | (uint32_t)(element))

/* The bytes of a data set, or of an item of a sequence. */
typedef struct pfm_dicom_set {
    const unsigned char *data;
    size_t size;
    bool implicit, big; /* how it is written: without value representations; with the high byte first */
} pfm_dicom_set;

typedef struct pfm_dicom_element {
    uint32_t tag;
    char vr[3]; /* "" where the file does not say */
    bool big;
    bool implicit;  /* of what a sequence holds */
    bool undefined; /* its length: it ends with a delimiter, which `length` does not count */
    const unsigned char *value;
    size_t length;
} pfm_dicom_element;

/* A file, as far as its pixels. */
typedef struct pfm_dicom {
    const char *name; /* as errors call it; borrowed */
    pfm_dicom_set set;
    char syntax[65]; /* the transfer syntax's UID; "" where the file does not say */
    pfm_dicom_element *elements;
    size_t count, capacity;
    pfm_buffer inflated;
    bool cut; /* the file ends too early: within the element `cut_at` */
    uint32_t cut_at;
    pfm_threads *threads; /* idle ones that may help to decode; NULL: none */
    size_t visited;       /* elements and items looked at, which are not without end */
} pfm_dicom;

/* Whether a file of `total` bytes that begins with these is DICOM, with or without preamble and meta header. */
bool pfm_dicom_begins(const unsigned char *bytes, size_t size, size_t total);

/* Lists the elements of the file up to its pixels. FORMAT where it is none; a file that is cut short is no error here. The
 * caller calls pfm_dicom_close, whatever happens; `bytes` and `name` are borrowed until then. */
pfm_status pfm_dicom_open(const unsigned char *bytes, size_t size, const char *name, pfm_dicom *out,
                          pfm_error *err) PFM_MUST_CHECK;
void pfm_dicom_close(pfm_dicom *file);

/* The element of the file itself, of several the last; NULL where there is none or it is empty. */
const pfm_dicom_element *pfm_dicom_find(const pfm_dicom *file, uint32_t tag);
/* *found = whether item `index` (from 0) of a sequence is there; *out = that item. */
pfm_status pfm_dicom_get_item(pfm_dicom *file, const pfm_dicom_element *sequence, size_t index, pfm_dicom_set *out, bool *found,
                              pfm_error *err) PFM_MUST_CHECK;
/* The same of an element of an item. */
pfm_status pfm_dicom_find_in(pfm_dicom *file, const pfm_dicom_set *set, uint32_t tag, pfm_dicom_element *out, bool *found,
                             pfm_error *err) PFM_MUST_CHECK;

/* A fragment of encapsulated pixels: the items of an element of undefined length, one after the other from *at = 0. */
pfm_status pfm_dicom_next_fragment(pfm_dicom *file, const pfm_dicom_element *pixels, size_t *at, const unsigned char **bytes,
                                   size_t *size, bool *found, pfm_error *err) PFM_MUST_CHECK;

/* out [most] = the element's numbers, as its value representation has them, `vr` where the file does not say it. Returns how
 * many there are; of what is no number (text where a number should be) `false` comes back in *good. */
size_t pfm_dicom_numbers(const pfm_dicom_element *element, const char *vr, double *out, size_t most, bool *good);
/* out = the element's text without padding, cut to fit; control characters become spaces. "" for NULL. */
void pfm_dicom_text(const pfm_dicom_element *element, char *out, size_t size);

/* The same of a code: "" where it holds anything but capitals, digits, spaces and underscores, so that no name gets into what
 * is printed. */
void pfm_dicom_code(const pfm_dicom_element *element, char *out, size_t size);

uint16_t pfm_dicom_u16(const unsigned char *bytes, bool big);
uint32_t pfm_dicom_u32(const unsigned char *bytes, bool big);

#endif
