/* Where the server listens. */
#ifndef PFM_SERVE_SOCKET_H
#define PFM_SERVE_SOCKET_H

#include "pefomed/status.h"

#include <stdbool.h>

/* *out = a socket that listens to `host` (NULL: 127.0.0.1) and `port` (0: one that is free), which the caller closes;
 * *loopback = whether only this machine reaches it; *address = "127.0.0.1:8080", to be released with free(). USAGE where it
 * cannot be had. */
pfm_status pfm_socket_listen(const char *host, int port, int *out, bool *loopback, char **address,
                             pfm_error *err) PFM_MUST_CHECK;

#endif
