/* Inside the reader of DICOM: the codecs of one compressed frame. Each is told what the file says of the frame and refuses a
 * stream that says otherwise before it takes memory for it. */
#ifndef PFM_IMAGE_DICOM_CODEC_H
#define PFM_IMAGE_DICOM_CODEC_H

#include "image/dicom_pixels.h"

/* One compressed frame. */
typedef struct pfm_dicom_stream {
    const unsigned char *bytes;
    size_t size;
    const char *name; /* of the file, for errors */
    const pfm_dicom_layout *layout;
    pfm_threads *threads; /* idle ones that may help; NULL: none */
} pfm_dicom_stream;

/* What a codec makes of it: samples in bytes of 1, 2 or 4. */
typedef struct pfm_dicom_decoded {
    int bytes, precision;
    bool is_signed, planar;
    bool is_rgb, is_ybr; /* where the stream says what its colours are */
    void *data;          /* [height][width][samples], or planar [samples][height][width]; freed by the caller */
} pfm_dicom_decoded;

typedef pfm_status pfm_dicom_codec(const pfm_dicom_stream *in, pfm_dicom_decoded *out, pfm_error *err);
pfm_dicom_codec pfm_dicom_decode_jpeg, pfm_dicom_decode_jpegls, pfm_dicom_decode_jpeg2000, pfm_dicom_decode_rle;

/* A sequential JPEG of 8 bits: out [height][width][samples], no colours converted. True if all of the stream is here and
 * libjpeg-turbo finds nothing wrong with it; false says nothing of it. */
bool pfm_dicom_decode_jpeg8(const pfm_dicom_stream *in, void *out);

/* FORMAT unless the stream's own sizes are those that the file says; `what` is the stream's kind. */
pfm_status pfm_dicom_check_stream(const pfm_dicom_stream *in, const char *what, uint64_t width, uint64_t height,
                                  uint64_t samples, pfm_error *err) PFM_MUST_CHECK;
/* Samples of the frame. */
size_t pfm_dicom_count_samples(const pfm_dicom_layout *layout);

#endif
