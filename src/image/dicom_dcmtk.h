/* What is asked of DCMTK, in C. dicom_dcmtk.cpp alone includes its headers, and no exception leaves it. */
#ifndef PFM_IMAGE_DICOM_DCMTK_H
#define PFM_IMAGE_DICOM_DCMTK_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pfm_dcmtk_result { PFM_DCMTK_OK, PFM_DCMTK_CUT, PFM_DCMTK_DAMAGED, PFM_DCMTK_NO_MEMORY } pfm_dcmtk_result;

/* Decodes one JPEG (ISO 10918-1, all processes but arithmetic coding and hierarchies) of `precision` bits a sample: out [size
 * bytes] = its samples, interleaved, of one byte up to 8 bits and else of two in the machine's order, no colours converted.
 * `reason` [100] says what is damaged. May run in several threads at once. */
pfm_dcmtk_result pfm_dcmtk_decode_jpeg(const unsigned char *bytes, size_t count, int precision, void *out, size_t size,
                                       char *reason);

#ifdef __cplusplus
}
#endif
#endif
