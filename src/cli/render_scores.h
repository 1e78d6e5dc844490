/* How scores look to a person. */
#ifndef PFM_CLI_RENDER_SCORES_H
#define PFM_CLI_RENDER_SCORES_H

#include "cli.h"

/* A result of score or eval, of a profile or of metrics. */
void cli_render_scores(const json_t *document, FILE *out);

#endif
