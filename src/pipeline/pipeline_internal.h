/* Between the files that run a pipeline. */
#ifndef PFM_PIPELINE_INTERNAL_H
#define PFM_PIPELINE_INTERNAL_H

#include "client/client.h"
#include "data/dataset.h"
#include "pefomed/pipeline.h"
#include "pipeline/pipeline_file.h"
#include "train/recipe.h"

/* Where one row of the data has come. */
typedef struct pfm_case {
    const pfm_row *row;
    const char *text;  /* {text}; borrowed from the row */
    char **results;    /* [steps] NULL: not yet, or none */
    const char *state; /* "ok", "unparsable" or "failed": static */
    char *error;       /* why, where it is not ok */
} pfm_case;

typedef struct pfm_pipeline_work {
    pfm_context *context;
    const pfm_pipeline_options *options;
    pfm_pipeline *pipeline; /* resolved: each step says what answers it */
    pfm_recipe *recipe;     /* of the data alone */
    const char *split;
    pfm_dataset *dataset;
    pfm_case *cases;            /* [dataset->count] */
    pfm_hash_hex *image_hashes; /* [dataset->image_count] of the files */
    pfm_client **clients;       /* [steps] of those that a server answers, one a URL */
    pfm_call_log *log;
    int64_t asked, attempts, replayed, cut_short;
} pfm_pipeline_work;

/* A case's turn in a step. */
typedef struct pfm_turn {
    size_t number; /* of the case */
    char *prompt;  /* without marks of images, or with one for each */
    char *label;
    pfm_client_answer answer;
} pfm_turn;

/* ---- the rows (pipeline_rows.c) ---- */

/* Whether a name is that of a run's folder or of a recipe's file; else it is a language model's. */
bool pfm_pipeline_is_run(const char *name);
/* Fills recipe, split, dataset, cases and image_hashes. */
pfm_status pfm_pipeline_load_rows(pfm_pipeline_work *work, pfm_error *err) PFM_MUST_CHECK;
/* *out = the turns [*count] of all cases that have come so far as to this step. */
pfm_status pfm_pipeline_make_turns(const pfm_pipeline_work *work, size_t step, pfm_turn **out, size_t *count,
                                   pfm_error *err) PFM_MUST_CHECK;
void pfm_pipeline_free_turns(pfm_turn *turns, size_t count);
/* Takes from the answers what the step wants, or says why the case has come to its end. */
pfm_status pfm_pipeline_take_turns(pfm_pipeline_work *work, size_t step, const pfm_turn *turns, size_t count,
                                   pfm_error *err) PFM_MUST_CHECK;
/* OUT/predictions.jsonl. */
pfm_status pfm_pipeline_save_rows(const pfm_pipeline_work *work, const char *path, pfm_error *err) PFM_MUST_CHECK;

/* ---- who answers ---- */

/* Before anything is asked: clients[s] for the step's server, or whether its run is there and can be asked. */
pfm_status pfm_pipeline_open_remote(pfm_pipeline_work *work, size_t s, pfm_error *err) PFM_MUST_CHECK;
void pfm_pipeline_close_remote(pfm_pipeline_work *work);
pfm_status pfm_pipeline_check_local(pfm_pipeline_work *work, const pfm_pipeline_step *step, pfm_error *err) PFM_MUST_CHECK;

/* USAGE for an option that says what no step does. */
pfm_status pfm_pipeline_check_options(const pfm_pipeline_work *work, pfm_error *err) PFM_MUST_CHECK;
/* USAGE where a step would send what looks like identifiers of patients to another machine, and nobody has looked. */
pfm_status pfm_pipeline_check_sent(const pfm_pipeline_work *work, size_t step, const pfm_turn *turns, size_t count,
                                   pfm_error *err) PFM_MUST_CHECK;

/* A picture that is made of a file as it is sent. */
typedef struct pfm_sent_picture {
    pfm_image_file file;
    const char *window;
    pfm_hash_hex hash;
} pfm_sent_picture;
/* *part = an image of a row: the pixels of a finished JPEG or PNG that stands upright, else *picture, which must live as long,
 * made into a PNG: of values through their window, the frame alone, and nothing else of the file. */
pfm_status pfm_pipeline_show(const pfm_pipeline_work *work, const pfm_row_image *image, pfm_sent_picture *picture,
                             pfm_client_part *part, pfm_error *err) PFM_MUST_CHECK;

/* answers of turns [count] by the step's server (pipeline_remote.c) or run (pipeline_local.c). */
pfm_status pfm_pipeline_ask_remote(pfm_pipeline_work *work, size_t s, pfm_turn *turns, size_t count,
                                   pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_pipeline_ask_local(pfm_pipeline_work *work, const pfm_pipeline_step *step, pfm_turn *turns, size_t count,
                                  pfm_error *err) PFM_MUST_CHECK;

/* The mark of an image in a text. */
#define PFM_IMAGE_MARK "<image>"

#endif
