/* Pipelines: files of steps, each a prompt made from a case and from what earlier steps gave. Those of src/pipeline/pipelines
 * are part of the program; a user's own is named by its path (docs/pipelines.md). */
#ifndef PFM_PIPELINE_FILE_H
#define PFM_PIPELINE_FILE_H

#include "eval/yaml_file.h"
#include "pipeline/take.h"

typedef struct pfm_pipeline_step {
    char *name, *prompt;
    bool images;
    double temperature, top_p; /* top_p NaN: not said */
    int max_tokens;            /* 0: not said */
    int64_t seed;              /* negative: not said */
    char **stop;               /* [stop_count] */
    size_t stop_count;
    pfm_take take;
    char *url, *model; /* NULL: as the command says, */
    char *run;         /* in place of both */
} pfm_pipeline_step;

typedef struct pfm_pipeline {
    char *name; /* the file's, without .yaml */
    char *definition;
    pfm_pipeline_step *steps; /* [count], at least one; the last one's result is the prediction */
    size_t count, capacity;
} pfm_pipeline;

enum { PFM_PIPELINE_MOST_STEPS = 16 };

extern const pfm_builtin_file pfm_pipeline_files[]; /* that are part of the program */

/* *out = the pipeline of this name, or of a file. USAGE names the line that is wrong; FORMAT: it is no YAML. */
pfm_status pfm_pipeline_load(const char *name, pfm_pipeline **out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_pipeline_parse(const char *file, const char *text, size_t size, pfm_pipeline **out,
                              pfm_error *err) PFM_MUST_CHECK;
void pfm_pipeline_free(pfm_pipeline *pipeline);

/* Appends the whole pipeline as YAML that loads to the same. */
pfm_status pfm_pipeline_write(const pfm_pipeline *pipeline, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
