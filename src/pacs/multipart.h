/* multipart/related as DICOMweb sends it (RFC 2046, 5.1; PS3.18, 8.6.1.2): cut into its parts as it comes, in pieces of any
 * size. Nothing is kept but a boundary's length and the head of a part. */
#ifndef PFM_PACS_MULTIPART_H
#define PFM_PACS_MULTIPART_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct pfm_multipart pfm_multipart;

typedef struct pfm_multipart_sink {
    pfm_status (*begin)(void *user, const char *type, pfm_error *err); /* a part, its Content-Type in lower case, "" */
    pfm_status (*data)(void *user, const void *bytes, size_t count, pfm_error *err);
    pfm_status (*end)(void *user, pfm_error *err); /* the part is whole */
    void *user;
} pfm_multipart_sink;

/* content_type: "multipart/related; type=\"application/dicom\"; boundary=..."; FORMAT where it is none, or has no boundary. */
pfm_status pfm_multipart_create(const char *content_type, const pfm_multipart_sink *sink, pfm_multipart **out,
                                pfm_error *err) PFM_MUST_CHECK;
void pfm_multipart_free(pfm_multipart *multipart); /* NULL is allowed */
pfm_status pfm_multipart_feed(pfm_multipart *multipart, const void *bytes, size_t count, pfm_error *err) PFM_MUST_CHECK;
/* FORMAT where the last boundary has not come. */
pfm_status pfm_multipart_finish(const pfm_multipart *multipart, pfm_error *err) PFM_MUST_CHECK;

#endif
