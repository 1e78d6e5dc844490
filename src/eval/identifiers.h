/* What looks as if it said who a patient is: patterns in texts, and names of columns. Names of people are found where a title,
 * a label or DICOM's ^ gives them away, and not otherwise: this helps a person who looks, and replaces none. */
#ifndef PFM_EVAL_IDENTIFIERS_H
#define PFM_EVAL_IDENTIFIERS_H

#include "base/memory.h"
#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum pfm_identifier_kind {
    PFM_IDENTIFIER_NAME,   /* DOE^JOHN, Dr. Doe, Name: Doe */
    PFM_IDENTIFIER_DATE,   /* a day or month of a year; a year alone is none */
    PFM_IDENTIFIER_RECORD, /* MRN 123, Accession: A12345 */
    PFM_IDENTIFIER_NUMBER, /* seven digits or more in a row, or in groups as telephone numbers have them */
    PFM_IDENTIFIER_EMAIL,
    PFM_IDENTIFIER_UID,    /* 1.2.840.113619.2... */
    PFM_IDENTIFIER_AGE,    /* of 90 years or more */
    PFM_IDENTIFIER_COLUMN, /* what a column such as `patient` says */
    PFM_IDENTIFIER_KINDS
} pfm_identifier_kind;

/* The kinds' names: "name", "date", ... */
extern const char *const pfm_identifier_names[PFM_IDENTIFIER_KINDS];

/* Bit k = whether kind k is found in the text. */
unsigned pfm_identifiers_find(const char *text);
/* Whether the words of `value` stand in the text, by themselves, in any case. */
bool pfm_identifier_stands_in(const char *value, const char *text);
/* Whether a column of this name says who somebody is: patient_id, PatientName, mrn, name, ... */
bool pfm_identifier_column(const char *name);
/* *out = bits of the kinds that a list names, as --accept-identifiers does: "date,name" or "all"; NULL: none. USAGE. */
pfm_status pfm_identifier_kinds_read(const char *list, unsigned *out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the names of the kinds whose bits are set. */
pfm_status pfm_identifier_kinds_list(unsigned bits, const char *joint, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
