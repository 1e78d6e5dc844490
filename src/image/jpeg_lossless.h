/* JPEG of process 14 (ITU-T T.81, annex H), the streams that hospitals have, faster than DCMTK: see
 * docs/decisions/2026-11-27-own-codecs.md. */
#ifndef PFM_IMAGE_JPEG_LOSSLESS_H
#define PFM_IMAGE_JPEG_LOSSLESS_H

#include "image/dicom_codec.h"

/* True if all of the stream is here, sound, of 2 to 16 bits and 1 to 3 components without subsampling, and its sizes are the
 * file's; out->data [height][width][components], of 1 byte up to 8 bits and else of 2, is then the caller's. False says nothing
 * of the stream: DCMTK is to be asked. */
bool pfm_jpeg_lossless_decode(const pfm_dicom_stream *in, pfm_dicom_decoded *out);

/* A Huffman table of categories of differences, 0..16 (H.1.2.2). */
enum { PFM_JPEG_LOSSLESS_LOOK = 10 /* bits of a code that are looked up at once; few codes are longer */ };
typedef struct pfm_jpeg_lossless_table {
    bool defined;
    uint32_t fast[1 << PFM_JPEG_LOSSLESS_LOOK]; /* jpeg_lossless_scan.c says what they hold; 0: none is so short */
    int32_t first[17], last[17];                /* codes of each length; last -1: none */
    int place[17];                              /* of the first of them in values */
    unsigned char values[256];
} pfm_jpeg_lossless_table;

/* Fills a table from BITS and HUFFVAL of a DHT marker (B.2.4.2): counts [16], values [their sum]. False where they are no
 * prefix code of categories. */
bool pfm_jpeg_lossless_fill(pfm_jpeg_lossless_table *table, const unsigned char *counts, const unsigned char *values);

/* A scan of interleaved components, 1..3. */
typedef struct pfm_jpeg_lossless_scan {
    int width, height, components;
    int bits, predictor, shift; /* precision 2..16; 1..7; the point transform, below bits */
    int interval;               /* rows between restarts; 0: none */
    const pfm_jpeg_lossless_table *tables[3];
} pfm_jpeg_lossless_scan;

/* Decodes it from its bytes up to the marker that ends it; component c of pixel i becomes sample i * step + c of `out`, of 1
 * byte or 2. *used = bytes before that marker. False where anything is in doubt. */
bool pfm_jpeg_lossless_decode_scan(const unsigned char *bytes, size_t size, const pfm_jpeg_lossless_scan *scan, int step,
                                   int out_bytes, void *out, size_t *used);

#endif
