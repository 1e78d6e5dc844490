/* How language models behind a server are asked: what `pipeline` and other commands that ask one have in common. */
#ifndef PEFOMED_CLIENT_H
#define PEFOMED_CLIENT_H

#include "pefomed/context.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a server wants an API key it is in the environment's PEFOMED_API_KEY, and nowhere else. */
typedef struct pfm_client_options {
    const char *url;   /* of an OpenAI-compatible server, "http://localhost:8080/v1" */
    const char *model; /* by the server's name */
    bool allow_remote; /* else a host other than this machine is refused */
    int concurrency;   /* questions at once, 1..256 */
    int retries;       /* attempts after the first, 0..100 */
    double timeout;    /* seconds an attempt may take, 0.01 to a day */
    double pause; /* seconds before the second attempt; it doubles with each further one, up to 60, and varies by the seed */
    double per_minute; /* the most attempts begun in a minute; 0: no limit */
} pfm_client_options;

/* Four at once, four further attempts, 300 seconds, one second, no limit. */
pfm_client_options pfm_client_defaults(void);

#ifdef __cplusplus
}
#endif
#endif
