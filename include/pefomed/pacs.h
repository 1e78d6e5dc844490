/* The archive's side (docs/pacs.md): a DICOM storage service that answers what it receives, and a client of DICOMweb. */
#ifndef PEFOMED_PACS_H
#define PEFOMED_PACS_H

#include "pefomed/context.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The storage service, a part of `serve`. */
typedef struct pfm_pacs_options {
    const char *host;           /* the address to listen on, of IPv4 or IPv6 ("::" is both); NULL: 127.0.0.1 */
    int port;                   /* 0: one that is free */
    const char *title;          /* its application entity title; NULL: PEFOMED */
    const char *rules;          /* the file that says what becomes of a study */
    const char *const *callers; /* [caller_count] "AET@HOST" or "AET@HOST:PORT", who alone may send; none: who reaches it, on
                                   loopback only */
    size_t caller_count;
    const char *back;              /* "AET@HOST:PORT", where results go that have no other place; NULL: there is none */
    bool allow_remote;             /* results may go to other machines that no caller names */
    const char *certificate, *key; /* PEM files for TLS; NULL: without */
    const char *trust;             /* with TLS: who signs the certificates that callers must show; NULL: they need none */
    int associations;              /* at once; 0: 8 */
    int object_mib;                /* the largest object; 0: 2048 */
    int inbox_mib;                 /* of objects that wait, beyond which none is taken; 0: 8192 */
    int studies;                   /* that wait, beyond which none is begun; 0: 1000 */
    int seconds;                   /* a connection may be without a message; 0: 30 */
} pfm_pacs_options;

/* ---- a client of DICOMweb ---- */

typedef struct pfm_pacs_pull_options {
    const char *url;          /* "http://localhost:8042/dicom-web" */
    const char *const *query; /* [query_count] "Modality=CT"; none: every series */
    size_t query_count;
    const char *out;         /* a folder; series that it holds already are an error */
    int limit;               /* the most series; 0: 100 */
    int object_mib;          /* the largest object; 0: 2048 */
    bool allow_remote;       /* else only this machine is asked */
    const char *credentials; /* a file; NULL: the environment's PEFOMED_DICOMWEB_CREDENTIALS, or none */
} pfm_pacs_pull_options;

/* Finds series (QIDO-RS) and fetches them (WADO-RS), each into a folder of its own, series-001, series-002, ...
 * *json = {"out","series":[{"folder","modality","objects","bytes"}],"objects","bytes"}; the caller calls free(). USAGE: options
 * that cannot be; NETWORK, FORMAT: the server. */
pfm_status pfm_pacs_pull(pfm_context *context, const pfm_pacs_pull_options *options, char **json,
                         pfm_error *err) PFM_MUST_CHECK;

typedef struct pfm_pacs_push_options {
    const char *url;
    const char *const *files; /* [file_count] DICOM files, or folders of some */
    size_t file_count;
    bool allow_remote;
    const char *credentials;
} pfm_pacs_push_options;

/* Stores files (STOW-RS), one after the other, and ends at the first that is refused. *json = {"url","objects"}. */
pfm_status pfm_pacs_push(pfm_context *context, const pfm_pacs_push_options *options, char **json,
                         pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
