/* TLS for the DICOM port (PS3.15, B.9 to B.12: TLS 1.2 and 1.3 without what is weak), by OpenSSL. The handshake and the request
 * for an association are read here, within a time, before DCMTK, which serves one newcomer at a time, sees the connection. */
#ifndef PFM_PACS_DICOM_TLS_H
#define PFM_PACS_DICOM_TLS_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_dicom_tls pfm_dicom_tls;

/* Reads this side's certificate, its key and, where trust is not NULL, the certificates of those who sign for callers, who must
 * then show one of their own (all PEM). USAGE: what cannot be read, or does not belong together; with the option's name. */
pfm_status pfm_dicom_tls_create(const char *certificate, const char *key, const char *trust, pfm_dicom_tls **out,
                                pfm_error *err) PFM_MUST_CHECK;
void pfm_dicom_tls_free(pfm_dicom_tls *tls); /* NULL is allowed */

/* A connection; one thread at a time. */
typedef struct pfm_dicom_secure pfm_dicom_secure;

typedef struct pfm_dicom_patience {
    double until; /* on pfm_process_clock */
    bool (*stopping)(void *user);
    void *user;
} pfm_dicom_patience;

/* The handshake; NULL where there was none in time, or memory ran out. The socket stays the caller's. */
pfm_dicom_secure *pfm_dicom_secure_open(pfm_dicom_tls *tls, int socket, const pfm_dicom_patience *patience);
void pfm_dicom_secure_free(pfm_dicom_secure *stream); /* NULL is allowed */
/* Reads `count` bytes, which the next reads give again; false where they do not come in time. `bytes` is borrowed until then.
 */
bool pfm_dicom_secure_look(pfm_dicom_secure *stream, size_t count, const pfm_dicom_patience *patience,
                           const unsigned char **bytes);
/* As read(2) and write(2) of a blocking socket, at most so many seconds without a byte: then -1, with errno. */
ssize_t pfm_dicom_secure_read(pfm_dicom_secure *stream, void *bytes, size_t count, int seconds);
ssize_t pfm_dicom_secure_write(pfm_dicom_secure *stream, const void *bytes, size_t count, int seconds);
/* Whether a read would give something, waiting at most so many seconds. */
bool pfm_dicom_secure_wait(pfm_dicom_secure *stream, int seconds);
/* Tells the other side that this is the end. */
void pfm_dicom_secure_end(pfm_dicom_secure *stream);

#ifdef __cplusplus
}
#endif

#endif
