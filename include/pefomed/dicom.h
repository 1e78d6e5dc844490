/* What a DICOM file says of itself, without its pixels. The picture is pefomed/image.h's. */
#ifndef PEFOMED_DICOM_H
#define PEFOMED_DICOM_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether a file of `total` bytes that begins with these `size` is DICOM, with or without preamble and meta header. */
bool pfm_dicom_is(const void *begin, size_t size, size_t total);

/* *json (the caller calls free()) = what decides how the file is shown:
 * {"transfer_syntax","modality","rows","columns","frames",
 * "samples","photometric","bits_allocated","bits_stored","signed","windows":[{"center","width"}],"rescale","orientation",...},
 * each where the file has it, and "identifiers": what names or dates patient, study and place, as "(hidden)" unless
 * `identifiers`. What a file without pixels, or cut short, has is told too. FORMAT for no DICOM file. */
pfm_status pfm_dicom_describe(const void *bytes, size_t size, const char *name, bool identifiers, char **json,
                              pfm_error *err) PFM_MUST_CHECK;

/* What stands for the file's patient: out [33] = a salted hash of its Patient ID in hexadecimal digits, equal for equal
 * patients under one `home` (a context's, where the salt is kept) and for no other; *known = false, and "", where it has none.
 */
pfm_status pfm_dicom_patient(const void *bytes, size_t size, const char *name, const char *home, char *out, bool *known,
                             pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
