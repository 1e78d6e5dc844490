/* A DICOMweb server (PS3.18): its series are found (QIDO-RS), fetched (WADO-RS), and files are stored there (STOW-RS). */
#ifndef PFM_PACS_DICOMWEB_H
#define PFM_PACS_DICOMWEB_H

#include "client/web.h"

#include <stddef.h>

typedef struct pfm_dicomweb_series {
    char study[65], series[65]; /* UIDs */
    char modality[17];          /* "" where it is not told */
} pfm_dicomweb_series;

enum { PFM_DICOMWEB_SECONDS = 60 }; /* without a byte, after which people who wait are told */

/* Opens a server's address; credentials: a file, or NULL, then PEFOMED_DICOMWEB_CREDENTIALS in the environment, if that is set;
 * timeout: seconds without a byte. As pfm_web_create; the caller calls pfm_web_free. */
pfm_status pfm_dicomweb_open(const char *url, const char *credentials, bool allow_remote, double timeout, pfm_web **out,
                             pfm_error *err) PFM_MUST_CHECK;

/* *out [*count] = at most `most` series that match all of query [query_count], each "Keyword=value" or "00100020=value"; the
 * caller calls free(). USAGE: a query that is none; NETWORK, FORMAT: what the server says. */
pfm_status pfm_dicomweb_find(pfm_web *web, const char *const *query, size_t query_count, size_t most, pfm_dicomweb_series **out,
                             size_t *count, pfm_error *err) PFM_MUST_CHECK;

/* Writes the objects of a series into a folder that is there, as 0001.dcm, 0002.dcm, ..., each whole or not at all. *objects,
 * *bytes: how many. FORMAT: what comes is no DICOM, or more than most_bytes in an object. */
pfm_status pfm_dicomweb_fetch(pfm_web *web, const pfm_dicomweb_series *series, size_t most_bytes, const char *folder,
                              size_t *objects, size_t *bytes, pfm_error *err) PFM_MUST_CHECK;

/* Stores a DICOM file. NETWORK: it did not arrive, or the server refuses it. */
pfm_status pfm_dicomweb_store(pfm_web *web, const char *path, pfm_error *err) PFM_MUST_CHECK;

#endif
