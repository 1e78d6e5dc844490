/* JPEG 2000 (ITU-T T.800), the streams that hospitals have, faster than OpenJPEG: see docs/decisions/2026-11-27-own-codecs.md.
 */
#ifndef PFM_IMAGE_J2K_H
#define PFM_IMAGE_J2K_H

#include "image/dicom_codec.h"

/* True if the codestream is whole and sound, of the file's sizes and of 1 or 3 components of one depth and size, coded in one
 * way all over, with one precinct a resolution and code blocks without options; out->data is then the caller's. False says
 * nothing of it: OpenJPEG is to be asked. */
bool pfm_j2k_decode(const pfm_dicom_stream *in, const unsigned char *bytes, size_t size, pfm_dicom_decoded *out);

#endif
