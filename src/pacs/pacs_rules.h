/* What becomes of a study that arrived: a file of rules (docs/pacs.md). */
#ifndef PFM_PACS_PACS_RULES_H
#define PFM_PACS_PACS_RULES_H

#include "pefomed/status.h"

#include <stdbool.h>
#include <stddef.h>

/* Where a result goes. All NULL and 0: to the sender. */
typedef struct pfm_pacs_target {
    char *title, *host; /* C-STORE: an application entity */
    int port;
    char *url, *credentials; /* STOW-RS: a DICOMweb server, and the file of what it wants to be shown, or NULL */
} pfm_pacs_target;
/* Whether a text can be an application entity's title: 1 to 16 characters of ASCII (PS3.5, 6.2). */
bool pfm_pacs_title_is(const char *text);
void pfm_pacs_target_free(pfm_pacs_target *target);
/* "AET@HOST:PORT"; without a port where need_port is false (0 then), and then also "AET@[2001:db8::5]". USAGE; `what` names it
 * in errors. */
pfm_status pfm_pacs_target_read(const char *what, const char *text, bool need_port, pfm_pacs_target *out,
                                pfm_error *err) PFM_MUST_CHECK;

typedef struct pfm_pacs_list {
    char **texts; /* [count] */
    size_t count, capacity;
} pfm_pacs_list;

typedef struct pfm_pacs_rule {
    char *name;
    pfm_pacs_list modality, body_part, description; /* each: any of these; empty: whatever it is */
    pfm_pacs_list questions;                        /* or */
    bool report;
    char *indication;      /* of a report, or NULL */
    bool every;            /* all series that match are shown together, not the one of the most slices */
    char *slices, *window; /* NULL: as the recipe says */
    int max_tokens;        /* 0: as the recipe says */
    char *kind, *language; /* of the structured report; NULL: basic; told by its text */
    bool returns;          /* `target` says where to */
    pfm_pacs_target target;
    size_t line;
} pfm_pacs_rule;

typedef struct pfm_pacs_rules {
    double wait;    /* seconds without a new object until a study is complete */
    double give_up; /* hours until a result that cannot be delivered is given up */
    pfm_pacs_rule *rules;
    size_t count, capacity;
} pfm_pacs_rules;

/* `file` names it in errors. USAGE: what a key cannot be, with its line; FORMAT: no YAML. The caller calls pfm_pacs_rules_free,
 * also after an error. */
pfm_status pfm_pacs_rules_parse(const char *file, const char *text, size_t size, pfm_pacs_rules *out,
                                pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_pacs_rules_load(const char *path, pfm_pacs_rules *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_pacs_rules_free(pfm_pacs_rules *rules);

/* A series as its files describe it. */
typedef struct pfm_pacs_series {
    const char *modality, *body_part; /* "CT", "CHEST"; "" where it is not told */
    const char *description;          /* of series, study and protocol, all together */
} pfm_pacs_series;

/* Modality and body part are compared without case; of a description all words of one of the rule's texts must stand in it,
 * each as a whole word, without case. */
bool pfm_pacs_rule_matches(const pfm_pacs_rule *rule, const pfm_pacs_series *series);

#endif
