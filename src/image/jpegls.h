/* JPEG-LS (ITU-T T.87), the streams that hospitals have, faster than CharLS: see docs/decisions/2026-11-27-own-codecs.md. */
#ifndef PFM_IMAGE_JPEGLS_H
#define PFM_IMAGE_JPEGLS_H

#include "image/dicom_codec.h"

/* True if all of the stream is here, sound, and of one component a scan or of components by lines, without restarts, mapping
 * tables, point transforms or colour transforms, and its sizes are the file's; out->data is then the caller's. False says
 * nothing of the stream: CharLS is to be asked. */
bool pfm_jpegls_decode(const pfm_dicom_stream *in, pfm_dicom_decoded *out);

/* One scan's parameters (C.2): the largest value, the quantiser's steps, after how many samples counts are halved, the error.
 */
typedef struct pfm_jpegls_preset {
    int most, t1, t2, t3, reset, near;
} pfm_jpegls_preset;

/* Decodes `height` lines of `components` each (by lines), 1..3, from a scan's bytes up to the marker that ends it; out [height]
 * [width][components], of 1 byte or of 2. *used = bytes before that marker. */
bool pfm_jpegls_decode_scan(const unsigned char *bytes, size_t size, const pfm_jpegls_preset *preset, int width, int height,
                            int components, int out_bytes, void *out, size_t *used);

#endif
