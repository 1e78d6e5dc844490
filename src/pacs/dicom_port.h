/* The DICOM port: connections by IPv4 and IPv6, from the first byte to the last, a thread each. Who may not call is not
 * answered; what is no association ends without DCMTK having seen it. */
#ifndef PFM_PACS_DICOM_PORT_H
#define PFM_PACS_DICOM_PORT_H

#include "pacs/dicom_tls.h"
#include "pacs/dimse.h"
#include "pefomed/context.h"

typedef struct pfm_dicom_port pfm_dicom_port;

typedef struct pfm_dicom_port_options {
    const char *host;   /* NULL: 127.0.0.1; "::" is reached by IPv4 too */
    int port;           /* 0: one that is free */
    int associations;   /* at once; more are turned away as the standard has it */
    int seconds;        /* until a connection has asked for an association, and of an association without a message */
    pfm_dicom_tls *tls; /* NULL: without; borrowed */
    bool (*knows)(void *user, const char *address); /* whether such a caller may connect */
    /* One association; closes the socket. stream: NULL without TLS; borrowed. */
    void (*serve)(void *user, int socket, pfm_dicom_secure *stream, const char *address);
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

typedef char pfm_dicom_address[64]; /* of IPv4 or IPv6, as text */
enum { PFM_DICOM_ADDRESSES = 8 };

/* out [*count] = the addresses of a host, at most PFM_DICOM_ADDRESSES; USAGE where it has none. */
pfm_status pfm_dicom_resolve(const char *host, pfm_dicom_address *out, size_t *count, pfm_error *err) PFM_MUST_CHECK;
/* Whether only this machine has it: 127.0.0.0/8, ::1. */
bool pfm_dicom_is_loopback(const char *address);

#endif
