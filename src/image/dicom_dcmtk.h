/* What is asked of DCMTK, in C. dicom_dcmtk.cpp alone includes its headers, and no exception leaves it. */
#ifndef PFM_IMAGE_DICOM_DCMTK_H
#define PFM_IMAGE_DICOM_DCMTK_H

#include "image/sr_identity.h"
#include "image/sr_sections.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pfm_dcmtk_result { PFM_DCMTK_OK, PFM_DCMTK_CUT, PFM_DCMTK_DAMAGED, PFM_DCMTK_NO_MEMORY } pfm_dcmtk_result;

/* DCMTK would print, and what it prints may be from the file: it prints nothing any more. */
void pfm_dcmtk_silence(void);

/* Decodes one JPEG (ISO 10918-1, all processes but arithmetic coding and hierarchies) of `precision` bits a sample: out [size
 * bytes] = its samples, interleaved, of one byte up to 8 bits and else of two in the machine's order, no colours converted.
 * `reason` [100] says what is damaged. May run in several threads at once. */
pfm_dcmtk_result pfm_dcmtk_decode_jpeg(const unsigned char *bytes, size_t count, int precision, void *out, size_t size,
                                       char *reason);

/* A structured report, all but for its form. */
typedef struct pfm_dcmtk_sr {
    bool enhanced, complete;
    const struct pfm_sr *source;          /* study and images */
    const pfm_sr_element *elements;       /* [source->element_count] patient and study, in the report's character set */
    const char *set;                      /* that */
    const char *date, *time;              /* "20261127", "143000" */
    const char *version;                  /* of the program */
    const char *series, *instance;        /* UIDs of the report */
    const char *device;                   /* the observer's UID */
    const char *language, *language_name; /* NULL: not told */
    const char *observer, *organization;  /* who verifies it, in its character set; NULL: nobody */
    const char *verified;                 /* when: "20261127143000" */
    const pfm_sr_section *sections;       /* [section_count] */
    size_t section_count;
} pfm_dcmtk_sr;

/* *bytes [*size] = the file, in explicit little endian; the caller calls free(). DAMAGED with a reason [100] for what cannot be
 * put into one; it holds nothing of the report. */
pfm_dcmtk_result pfm_dcmtk_make_sr(const pfm_dcmtk_sr *report, unsigned char **bytes, size_t *size, char *reason);

#ifdef __cplusplus
}
#endif
#endif
