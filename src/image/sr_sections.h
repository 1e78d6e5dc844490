/* Inside structured reports: a text as sections. */
#ifndef PFM_IMAGE_SR_SECTIONS_H
#define PFM_IMAGE_SR_SECTIONS_H

#include "base/memory.h"
#include "pefomed/status.h"

#include <stdbool.h>

typedef struct pfm_sr_code {
    const char *value, *scheme, *meaning;
} pfm_sr_code;

typedef enum pfm_sr_part { PFM_SR_FINDINGS, PFM_SR_REQUEST, PFM_SR_INDICATION } pfm_sr_part;

typedef struct pfm_sr_section {
    pfm_sr_code heading, item; /* of CID 7001 and 7002 */
    bool seen;                 /* in the images: they are referred to */
    char *text;
} pfm_sr_section;

typedef struct pfm_sr_sections {
    pfm_sr_section *items;
    size_t count, capacity;
} pfm_sr_sections;

/* Adds a text (UTF-8, else repaired) as one section. Lines end as DICOM's do, control characters are spaces; nothing of an
 * empty one. */
pfm_status pfm_sr_add_section(pfm_sr_sections *sections, pfm_sr_part part, const char *text, pfm_error *err) PFM_MUST_CHECK;
/* Adds a report, a section for each of its parts that begins with its name and a colon, at the begin of a line or sentence. */
pfm_status pfm_sr_add_report(pfm_sr_sections *sections, const char *text, pfm_error *err) PFM_MUST_CHECK;
void pfm_sr_sections_free(pfm_sr_sections *sections);

#endif
