/* The DICOM port: connections, from the first byte to the last, a thread each. Who may not call is not answered; what is no
 * association ends without DCMTK having seen it. */
#ifndef PFM_PACS_DICOM_PORT_H
#define PFM_PACS_DICOM_PORT_H

#include "pacs/dimse.h"
#include "pefomed/context.h"

typedef struct pfm_dicom_port pfm_dicom_port;

typedef struct pfm_dicom_port_options {
    const char *host; /* NULL: 127.0.0.1 */
    int port;         /* 0: one that is free */
    int associations; /* at once; more are turned away as the standard has it */
    int seconds;      /* until a connection has asked for an association, and of an association without a message */
    bool (*knows)(void *user, const char *address);             /* whether such a caller may connect */
    void (*serve)(void *user, int socket, const char *address); /* one association; closes the socket */
    void *user;
} pfm_dicom_port_options;

/* Binds the port; *loopback = whether only this machine reaches it. USAGE where it cannot be had. */
pfm_status pfm_dicom_port_open(const pfm_dicom_port_options *options, pfm_dicom_port **out, bool *loopback,
                               pfm_error *err) PFM_MUST_CHECK;
int pfm_dicom_port_number(const pfm_dicom_port *port);
const char *pfm_dicom_port_address(const pfm_dicom_port *port); /* "127.0.0.1"; borrowed */
pfm_status pfm_dicom_port_start(pfm_dicom_port *port, pfm_error *err) PFM_MUST_CHECK;
/* Takes no more connections, ends those that are open, waits until they have ended. NULL is allowed. */
void pfm_dicom_port_close(pfm_dicom_port *port);

/* The IPv4 address of a host as text; USAGE where it has none. */
pfm_status pfm_dicom_resolve(const char *host, char out[64], pfm_error *err) PFM_MUST_CHECK;

#endif
