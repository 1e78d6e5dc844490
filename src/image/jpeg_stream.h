/* The markers that streams of the JPEG family share (ITU-T T.81, annex B; T.87, annex C), as our own decoders read them: of
 * what is usual, with nothing behind it, and of which nothing is in doubt. */
#ifndef PFM_IMAGE_JPEG_STREAM_H
#define PFM_IMAGE_JPEG_STREAM_H

#include "image/dicom_codec.h"

enum { PFM_JPEG_SOS = 0xFFDA };

/* What has been read of a stream. */
typedef struct pfm_jpeg_stream {
    const unsigned char *bytes;
    size_t size, at;
    const pfm_dicom_layout *layout; /* what the file says */
    int bits, components;           /* 0: no frame header yet */
    unsigned char ids[3];
    int scanned; /* components that are decoded */
} pfm_jpeg_stream;

/* Segments of applications, and comments, which say nothing of the samples unless a decoder knows better. */
static inline bool pfm_jpeg_is_aside(int marker) { return marker == 0xFFFE || (marker >= 0xFFE0 && marker <= 0xFFEF); }

static inline int pfm_jpeg_read16(const unsigned char *at) { return at[0] << 8 | at[1]; }

/* A frame's header, the first: 2 to 16 bits, at most three components, none subsampled, and the file's sizes. */
bool pfm_jpeg_read_frame(pfm_jpeg_stream *stream, const unsigned char *value, size_t length);

/* Memory for all samples of the frame at the first scan: out->data, of 1 byte up to 8 bits and else of 2. */
bool pfm_jpeg_make_room(const pfm_jpeg_stream *stream, pfm_dicom_decoded *out);

/* Hands each segment up to the last component's scan to `segment`, with stream->at behind it, which moves that on where a scan
 * follows. False where one is refused, or the stream does not begin and end as it must; out->data is freed then. Otherwise
 * out->bytes and precision are set. */
bool pfm_jpeg_read_stream(pfm_jpeg_stream *stream,
                          bool (*segment)(void *user, int marker, const unsigned char *value, size_t length), void *user,
                          pfm_dicom_decoded *out);

#endif
