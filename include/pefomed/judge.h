/* A language model as judge of a predictions file, by a rubric. */
#ifndef PEFOMED_JUDGE_H
#define PEFOMED_JUDGE_H

#include "pefomed/client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pfm_judge_options {
    const char *file;          /* the predictions */
    const char *rubric;        /* the name of one that is part of the program, or a file's path (docs/judge.md) */
    pfm_client_options client; /* who judges, and how it is asked */
    const char *out;           /* the file of verdicts; NULL: FILE with .verdicts.jsonl in place of its ending */
    int repeats;               /* how often each item is judged, 1..1000 */
    double temperature;        /* NaN: the server's own */
    int max_tokens;            /* of a reply; 0: the server's own limit */
    const char *constrain; /* NULL, or json_schema or json_object: the server is to hold replies to a JSON schema, so sent */
    bool strict;           /* a verdict that is missing or cannot be read is an error, behind all others */
    bool replay;           /* from the log alone, without a connection */
    const char *dataset;   /* what the items are of; NULL: as rows, or the recipe beside FILE, say */
    /* For a server that is not this machine: */
    const char *accept_identifiers; /* NULL, or kinds of identifiers that a person has looked at, separated by commas, or all */
    const char *declaration;        /* NULL, or a file that says why data under terms may be sent */
} pfm_judge_options;

/* Asks for every verdict that OUT has not yet, ok or unparsable, and appends it as it arrives; every call goes into
 * OUT.calls.jsonl. *json = {"rubric","model","dataset","n","items","ok","unparsable","failed","mean","sd","mean_all",
 * "distribution","repeats",...,"verdicts","log","signature"} (docs/judge.md), the same for a replay; the caller calls free().
 * INTERRUPTED, NETWORK (no server is there): what has arrived is kept, the same call goes on. USAGE, UNSUPPORTED: the texts
 * may not be sent there; nothing was. */
pfm_status pfm_judge(pfm_context *context, const pfm_judge_options *options, char **json, pfm_error *err) PFM_MUST_CHECK;

/* *json = {"rubrics":[{"name","definition","scale":[low,high],"better","levels":{score:text},"shows":[title]}]} of those that
 * are part of the program. */
pfm_status pfm_judge_list(char **json, pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
