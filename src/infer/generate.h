/* Answers with a key-value store: the likeliest token, a drawn one, or beam search (decoding.h). Questions on the same images
 * share their prefix, several groups are read at once and all rows of a batch are decoded together, also those of different
 * adapters, which share nothing. The same graph, packing and prompt as in training. */
#ifndef PFM_INFER_GENERATE_H
#define PFM_INFER_GENERATE_H

#include "infer/decoding.h"
#include "train/session.h"

/* Answers among which one is chosen: the likeliest, of equal ones the first. Each is read as an answer is learned. */
typedef struct pfm_choices {
    const char *const *texts; /* [count], at least one */
    size_t count;
} pfm_choices;

/* What an answer is chosen by: its log-likelihood with its end of turn (total), or that divided by the number of its tokens
 * (mean) or of the prompt's and its own but one (sequence, what PeFoMed's multi_select ranks by). */
typedef enum pfm_choice_score { PFM_CHOICE_TOTAL, PFM_CHOICE_MEAN, PFM_CHOICE_SEQUENCE } pfm_choice_score;

typedef struct pfm_choice {
    double log_likelihood, score; /* where answers are drawn: NAN, and its mean likeness to them */
    double probability;           /* its share, exp(score) over the sum of all choices'; NAN where answers are drawn */
    int32_t tokens;               /* the end of turn included; 0 where answers are drawn */
} pfm_choice;

typedef struct pfm_request {
    pfm_question question;
    int32_t group;              /* requests on the same images stand together and share them */
    int32_t adapter;            /* which of the session's it goes through (pfm_session_add_adapter): 0 its own, -1 the base */
    int32_t context;            /* what a router may see of it, see pfm_sequence */
    const pfm_choices *choices; /* NULL: it is free; of all requests of a call, or of none */
    uint64_t draws; /* whose draws it makes: with the same seed equal numbers draw equally, whatever else is asked */
} pfm_request;

typedef struct pfm_answer {
    char *text;          /* without the end of turn, and without a text that ends it */
    int32_t tokens;      /* generated, the end of turn included; of a choice taken by what was drawn, all of that */
    double probability;  /* the model's own, of exactly these tokens: the product over them, the end of turn included; NAN of a
                            choice that was taken by what was drawn */
    double score;        /* of beam search: the sum of its scores over its length to the power of the length penalty; of the one
                            taken among several drawn, or of the choice: its mean likeness to them, 0..1 (consensus.h) */
    pfm_choice *choices; /* [request.choices->count] where one was chosen and the list is wanted: its probability and score are
                            the answer's */
    struct pfm_answer *others; /* [other_count] of beam search: the next best, as far as asked for */
    size_t other_count;
} pfm_answer;
void pfm_answer_free(pfm_answer *answer);

typedef struct pfm_generate_options {
    int32_t max_tokens;           /* of an answer, the end of turn included */
    const pfm_decoding *decoding; /* NULL: greedy */
    pfm_choice_score choice_score;
    bool list_choices; /* answers keep what was found of each choice */
    int returned;      /* of beam search: how many answers are wanted, 0 as 1 */
    int32_t images;    /* read and answered at once, a group without any as one; a group with more is alone */
    /* features f32 [positions, channels] of an image of a request (from 0), asked once a group, in order */
    pfm_status (*features)(void *user, size_t request, size_t image, float *features, pfm_error *err);
    /* NULL, or told once everything is loaded, before the first question */
    void (*ready)(void *user);
    /* NULL, or told each token as it is chosen */
    pfm_status (*on_token)(void *user, size_t request, int32_t id, pfm_error *err);
    /* NULL, or told when the answers from begin to before end are complete, batch after batch */
    pfm_status (*on_answers)(void *user, size_t begin, size_t end, pfm_error *err);
    void *user;
} pfm_generate_options;

pfm_choice_score pfm_choice_score_of(const pfm_recipe *recipe);
/* What a recipe says; its texts are borrowed. */
pfm_decoding pfm_decoding_of(const pfm_recipe *recipe, uint64_t seed);

/* answers [count] to requests [count], in their order, the caller frees each with pfm_answer_free. Loads the session's weights
 * at the first call. MISMATCH names a question that is too long; USAGE as pfm_model_encode. On error the answers made so far
 * are freed and NULL. */
pfm_status pfm_generate(pfm_session *session, const pfm_request *requests, size_t count, const pfm_generate_options *options,
                        pfm_answer *answers, pfm_error *err) PFM_MUST_CHECK;

#endif
