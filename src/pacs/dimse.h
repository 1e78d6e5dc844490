/* What is asked of DCMTK's network, in C (PS3.7, PS3.8). dimse.cpp alone includes its headers, and no exception leaves it. */
#ifndef PFM_PACS_DIMSE_H
#define PFM_PACS_DIMSE_H

#include "pacs/dicom_tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef char pfm_dimse_title[17]; /* an application entity's */

typedef enum pfm_dimse_status { /* of C-STORE (PS3.4, B.2.3) */
                                PFM_DIMSE_SUCCESS = 0x0000,
                                PFM_DIMSE_NO_RESOURCES = 0xA700,
                                PFM_DIMSE_MISMATCH = 0xA900,
                                PFM_DIMSE_NOT_UNDERSTOOD = 0xC000
} pfm_dimse_status;

typedef struct pfm_dimse_object {
    const char *sop_class, *sop_instance, *syntax; /* UIDs, as the caller says */
} pfm_dimse_object;

/* What is done with what comes, on the thread that serves the association. */
typedef struct pfm_dimse_handler {
    bool (*accepts)(void *user, const char *calling); /* whether such a caller is answered */
    void (*refuses)(void *user, const char *name);    /* a class that the caller proposes and that is not taken, once */
    void (*begin)(void *user, const pfm_dimse_object *object); /* an object comes */
    bool (*data)(void *user, const void *bytes, size_t count); /* the next of it; false ends the association */
    uint16_t (*end)(void *user);                               /* all of it has come: a status */
    void *user;
} pfm_dimse_handler;

typedef struct pfm_dimse_service {
    const char *title;
    const char *const *syntaxes; /* [syntax_count] transfer syntaxes that are taken, the first that is proposed wins */
    int syntax_count;
    int pdu;     /* bytes of the largest that is taken, 4096..131072 */
    int seconds; /* without a message, or within one without a byte, before the association is ended */
} pfm_dimse_service;

typedef enum pfm_dimse_end {
    PFM_DIMSE_RELEASED,
    PFM_DIMSE_ABORTED,  /* by the caller, by what it sent, or by the handler */
    PFM_DIMSE_REJECTED, /* title or caller are not right */
    PFM_DIMSE_GARBAGE,  /* no association was asked for */
    PFM_DIMSE_FAILED    /* memory ran out */
} pfm_dimse_end;

/* Once, before anything else; false where DCMTK has no data dictionary. */
bool pfm_dimse_start(void);

/* Serves one association on a connected socket, which is closed in the end, through `stream` where that is not NULL: C-ECHO,
 * and C-STORE of images. calling: who it was,
 * "" where that was not told. */
pfm_dimse_end pfm_dimse_serve(int socket, pfm_dicom_secure *stream, const pfm_dimse_service *service,
                              const pfm_dimse_handler *handler, pfm_dimse_title calling);

typedef struct pfm_dimse_peer {
    const char *title, *host;
    int port;
} pfm_dimse_peer;

/* Sends a DICOM file by C-STORE. false: it did not arrive, and `reason` [200] says why in a few words, without anything of the
 * file. */
bool pfm_dimse_send(const pfm_dimse_peer *peer, const char *own_title, int seconds, const char *path, char *reason);

#ifdef __cplusplus
}
#endif
#endif
