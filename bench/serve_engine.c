/* How much the engine gains: COUNT questions on a few images of a run or a recipe (untrained answers serve as well), asked one
 * after the other, and CLIENTS at a time, each with its next question as soon as it has an answer. Every answer has the same
 * number of tokens. Usage: bench_serve_engine RUN COUNT CLIENTS TOKENS WEIGHTS IMAGE..., WEIGHTS being full, q8_0 or q4_0. Prints
 * a line of JSON. */
#include "base/process.h"
#include "infer/engine.h"
#include "pefomed/image.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_IMAGES = 64, MOST = 1024 };

typedef struct answer {
    double asked, first, last; /* when */
    int tokens;
    atomic_int ended;
} answer;

static void take_token(void *user, const char *text, size_t bytes, int32_t id, double log_probability)
{
    answer *a = user;
    (void)text, (void)bytes, (void)id, (void)log_probability;
    a->first = a->tokens++ == 0 ? pfm_process_clock() : a->first;
}

static void take_end(void *user, pfm_status status, const pfm_answer *got, const pfm_error *err)
{
    answer *a = user;
    (void)got;
    if (status != PFM_OK)
        (void)fprintf(stderr, "%s\n", err->message);
    a->last = pfm_process_clock();
    atomic_store(&a->ended, 1);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct bench {
    pfm_engine *engine;
    pfm_image images[MOST_IMAGES];
    int count, clients, image_count, tokens;
    answer answers[MOST];
    double first[MOST];
} bench;

static int ask(bench *b, int i)
{
    static const char *const questions[] = {"What modality is used to take this image?", "Which organ is abnormal?",
                                            "Does the picture contain the lung?",        "Where is the abnormality?",
                                            "Is this a study of the chest?",             "What is the main organ in the image?",
                                            "Which part of the body does this show?",    "Are there any fractures?"};
    static pfm_decoding how;
    pfm_error err = PFM_ERROR_INIT;
    how = pfm_decoding_greedy;
    how.min_tokens = b->tokens;
    b->answers[i] = (answer){.asked = pfm_process_clock()};
    const pfm_engine_request request = {.question = {questions[i / b->image_count % 8], 1},
                                        .images = &b->images[i % b->image_count],
                                        .image_count = 1,
                                        .decoding = &how,
                                        .max_tokens = b->tokens,
                                        .on_token = take_token,
                                        .on_end = take_end,
                                        .user = &b->answers[i]};
    if (pfm_engine_submit(b->engine, &request, NULL, &err) == PFM_OK)
        return 1;
    (void)fprintf(stderr, "%s\n", err.message);
    return 0;
}

static void wait_for(bench *b, int i)
{
    while (!atomic_load(&b->answers[i].ended))
        (void)usleep(200);
}

static int count_under_way(bench *b, int asked)
{
    int count = 0;
    for (int i = 0; i < asked; i++)
        count += !atomic_load(&b->answers[i].ended);
    return count;
}

/* Seconds for all by a fresh engine. */
static double measure(bench *b, pfm_session *session, int clients, const char *name)
{
    pfm_error err = PFM_ERROR_INIT;
    const pfm_engine_options options = {0};
    pfm_engine_stats stats;
    if (pfm_engine_create(session, &options, &b->engine, &err) != PFM_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 0;
    }
    const double begun = pfm_process_clock();
    int asked = 1;
    for (int i = 0; i < b->count && asked; i++) {
        while (count_under_way(b, i) >= clients)
            (void)usleep(200);
        asked = ask(b, i);
    }
    for (int i = 0; i < b->count && asked; i++)
        wait_for(b, i);
    const double seconds = pfm_process_clock() - begun;
    for (int i = 0; i < b->count; i++)
        b->first[i] = b->answers[i].first - b->answers[i].asked;
    qsort(b->first, (size_t)b->count, sizeof *b->first, compare);
    pfm_engine_stop(b->engine, true);
    pfm_engine_stats_get(b->engine, &stats);
    printf("\"%s\": {\"seconds\": %.3f, \"answers_per_second\": %.3f, \"first_token_median\": %.3f, \"first_token_last\": %.3f, "
           "\"steps\": %llu, \"read\": %llu, \"shared\": %llu, \"generated\": %llu, \"features\": %llu}, ",
           name, seconds, b->count / seconds, b->first[b->count / 2], b->first[b->count - 1], (unsigned long long)stats.steps,
           (unsigned long long)stats.read, (unsigned long long)stats.shared, (unsigned long long)stats.generated,
           (unsigned long long)stats.features);
    pfm_engine_free(b->engine);
    return asked ? seconds : 0;
}

int main(int argc, char **argv)
{
    static bench b;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    pfm_session *session = NULL;
    int done = 1;
    if (argc < 7 || argc - 6 > MOST_IMAGES)
        return 2;
    b.count = atoi(argv[2]);
    b.clients = atoi(argv[3]);
    b.tokens = atoi(argv[4]);
    if (b.count < 1 || b.count > MOST || b.clients < 1 || b.tokens < 1)
        return 2;
    const pfm_context_options options = {.seed = 42,
                                         .weights = strcmp(argv[5], "q4_0") == 0   ? PFM_WEIGHTS_Q4_0
                                                    : strcmp(argv[5], "q8_0") == 0 ? PFM_WEIGHTS_Q8_0
                                                                                   : PFM_WEIGHTS_FULL};
    if (pfm_context_create(&options, &context, &err) != PFM_OK ||
        pfm_session_open(context, argv[1], false, &session, &err) != PFM_OK)
        goto done;
    for (; b.image_count < argc - 6; b.image_count++) {
        if (pfm_image_load(argv[6 + b.image_count], &b.images[b.image_count], &err) != PFM_OK)
            goto done;
    }
    printf("{");
    const double apart = measure(&b, session, 1, "one_at_a_time"), together = measure(&b, session, b.clients, "at_once");
    printf("\"ratio\": %.2f}\n", together > 0 ? apart / together : 0);
    done = apart > 0 && together > 0 ? 0 : 1;
done:
    if (err.message[0] != '\0')
        (void)fprintf(stderr, "%s\n", err.message);
    for (int i = 0; i < b.image_count; i++)
        pfm_image_free(&b.images[i]);
    pfm_session_free(session);
    pfm_context_free(context);
    return done;
}
