/* Inside of pfm_generate: batches of prompts (generate.c), rows that go on token by token (generate_rows.c), beam search
 * (generate_beams.c), one among several drawn (generate_draws.c), answers to choose among (generate_choices.c). */
#ifndef PFM_INFER_GENERATE_INTERNAL_H
#define PFM_INFER_GENERATE_INTERNAL_H

#include "infer/beam_search.h"
#include "infer/generate.h"

/* A row while it is being answered. A beam's keys and values are its prompt's, which it shares, and those of a slot of its own
 * behind them. */
typedef struct pfm_decoding_row {
    size_t request;
    pfm_pack_row at;
    int32_t prompt_begin, prompt_end; /* of a beam: the key rows of the prompt's own part */
    int32_t slot;                     /* of a beam, or -1: it is the prompt itself */
    int32_t last;                     /* its newest token, not yet read */
    pfm_ids ids;                      /* prompt and answer */
    size_t prompt;                    /* the prompt's share of them */
    double log_probability;           /* of the answer, by the model alone */
    float score;                      /* of a beam */
} pfm_decoding_row;

/* The beams of one request, side by side in the batch's rows. */
typedef struct pfm_beam_group {
    size_t first, rows;
    pfm_beam_search search;
} pfm_beam_group;

/* The ids of a request's choices; `owned` of the first request that has them. */
typedef struct pfm_choice_set {
    const pfm_choices *choices;
    pfm_ids *ids; /* [choices->count] */
    bool owned;
} pfm_choice_set;

typedef struct pfm_generator {
    pfm_session *session;
    pfm_model *model;
    const pfm_request *requests;
    size_t count;
    const pfm_generate_options *options;
    const pfm_decoding *how;
    pfm_answer *answers;
    pfm_ids *prompts;              /* [count], image tokens from visual row 0 */
    size_t images, tokens_at_once; /* the most of a batch */
    pfm_model_graph graph;
    pfm_executor *executor;
    pfm_kv_store kv, image_kv;
    pfm_block kv_memory, image_kv_memory;
    int32_t *visual_adapters; /* [visual rows of the largest batch] whose aligner makes them */
    int32_t *image_contexts;  /* [images of the largest batch] what a router may see of them */
    void *visual;             /* what the graph reads of the images of a batch */
    pfm_pack pack;
    pfm_sequence *sequences;
    int32_t *ids;
    size_t id_capacity, sequence_capacity;
    pfm_decoding_row *rows; /* of the batch at hand */
    size_t row_count, row_capacity;
    float *best; /* [rows] log-probability of the chosen token */
    size_t *chosen;
    float *scores;          /* [threads, vocabulary] where scores are changed or weighed, else NULL */
    int32_t *scratch;       /* as scores */
    pfm_beam_group *groups; /* of beam search, those not yet over */
    size_t group_count, group_capacity;
    pfm_choice_set *choice_sets;    /* [count] of requests that choose: their choices as ids, those of equal lists shared */
    size_t longest_choice;          /* of all, in tokens */
    pfm_beam_candidate *candidates; /* [rows, pfm_beam_candidates] of each row the best */
    size_t *candidate_count;        /* [rows] */
    pfm_decoding_row *next_rows;
    size_t next_capacity;
} pfm_generator;

/* The layers of a store of keys and values, and what each keeps of a row; no layers: there is none. */
typedef struct pfm_store_shape {
    int32_t layers;
    size_t columns;
} pfm_store_shape;
pfm_store_shape pfm_generator_store(const pfm_generator *g);

/* ---- generate_rows.c ---- */

/* Room for so many rows. */
pfm_status pfm_decoding_prepare(pfm_generator *g, size_t rows, pfm_error *err) PFM_MUST_CHECK;
/* A row for each prompt of the pack, the requests from `begin` on. */
pfm_status pfm_decoding_start(pfm_generator *g, size_t begin, size_t end, pfm_error *err) PFM_MUST_CHECK;
/* From the logits of all rows to a token of each, or to the candidates of each beam. */
void pfm_decoding_choose(pfm_generator *g);
/* Takes the chosen tokens of all rows; finished rows leave. */
pfm_status pfm_decoding_take(pfm_generator *g, pfm_error *err) PFM_MUST_CHECK;
/* Makes the pack that of one decoding step: each row's newest token, which sees its prompt and its own tokens. */
void pfm_decoding_pack(pfm_generator *g);
void pfm_decoding_clear(pfm_generator *g);

/* Whether one of the texts that end an answer stands in this one. */
pfm_status pfm_find_stop(const pfm_generator *g, const int32_t *ids, size_t count, bool *found, pfm_error *err) PFM_MUST_CHECK;
/* *out = text, tokens and probability of an answer of `count` ids; a text that ends it is cut off with all behind. */
pfm_status pfm_answer_make(const pfm_generator *g, const int32_t *ids, size_t count, double log_probability, pfm_answer *out,
                           pfm_error *err) PFM_MUST_CHECK;

/* ---- generate_beams.c ---- */

/* Makes each row that stands for a prompt a search of its own. */
pfm_status pfm_beams_start(pfm_generator *g, pfm_error *err) PFM_MUST_CHECK;
/* The candidates of a row from its scores, log-probabilities that processors changed. */
void pfm_beams_collect(pfm_generator *g, size_t row, const float *scores, const float *logits, float total);
/* One step of every search; those that are over give their answers and leave. */
pfm_status pfm_beams_take(pfm_generator *g, pfm_error *err) PFM_MUST_CHECK;
void pfm_beams_clear(pfm_generator *g);

/* ---- generate.c ---- */

/* As pfm_generate, with an answer to each request: where decoding->draws is above 1, so many of a question stand one behind the
 * other. */
pfm_status pfm_generate_each(pfm_session *session, const pfm_request *requests, size_t count,
                             const pfm_generate_options *options, pfm_answer *answers, pfm_error *err) PFM_MUST_CHECK;

/* ---- generate_draws.c ---- */

/* As pfm_generate, where decoding->draws is above 1: chooses among those of pfm_generate_each. */
pfm_status pfm_generate_draws(pfm_session *session, const pfm_request *requests, size_t count,
                              const pfm_generate_options *options, pfm_answer *answers, pfm_error *err) PFM_MUST_CHECK;

/* ---- generate_choices.c ---- */

/* Whether requests choose. */
static inline bool pfm_generator_chooses(const pfm_generator *g) { return g->count > 0 && g->requests[0].choices != NULL; }
/* Reads the choices of all requests, before anything is measured. */
pfm_status pfm_choices_encode(pfm_generator *g, pfm_error *err) PFM_MUST_CHECK;
void pfm_choices_free(pfm_generator *g);
/* How many tokens of choices are read at once. */
size_t pfm_choices_at_once(const pfm_generator *g);
/* After the prompts of the pack have been read: how likely each choice is behind its prompt, and which is the answer. */
pfm_status pfm_choices_take(pfm_generator *g, size_t begin, size_t end, pfm_error *err) PFM_MUST_CHECK;

/* ---- generate.c ---- */

/* Runs the graph on the pack. */
pfm_status pfm_generator_run(pfm_generator *g, int64_t visual_rows, pfm_error *err) PFM_MUST_CHECK;

#endif
