/* The engine where memory runs out, on the threads that ask and on its own: each request ends once, with its answer or with a
 * reason, and nobody waits for ever. */
#include "failing.h"
#include "infer/engine.h"
#include "models/tiny.h"

#include <stdatomic.h>
#include <unistd.h>

enum { REQUESTS = 3, MOST_TOKENS = 5 };

static pfm_session *session;
static char wanted[REQUESTS][64];

typedef struct ending {
    atomic_int ends;
    pfm_status status;
    char message[1000], text[64];
} ending;

static pfm_status show(void *user, const pfm_image *image, float *features, pfm_error *err)
{
    (void)user;
    (void)err;
    tiny_features(image->rgb[0], features);
    return PFM_OK;
}

static void take_end(void *user, pfm_status status, const pfm_answer *answer, const pfm_error *err)
{
    ending *e = user;
    e->status = status;
    if (answer != NULL)
        (void)snprintf(e->text, sizeof e->text, "%.60s", answer->text);
    else
        memcpy(e->message, err->message, sizeof e->message);
    (void)atomic_fetch_add(&e->ends, 1);
}

static pfm_status serve(pfm_error *err)
{
    static const char *const texts[REQUESTS] = {"Is the lung normal?", "Where is the lesion?", "Is the lung normal, or not?"};
    static char stop[] = "@@@";
    static char *const stops[] = {stop};
    uint8_t pixels[REQUESTS][3] = {{0}, {1}, {0}};
    pfm_image images[REQUESTS];
    ending endings[REQUESTS];
    pfm_decoding how = pfm_decoding_greedy;
    pfm_engine *engine = NULL;
    const pfm_engine_options options = {.memory = 1 << 20, .rows = 4, .features = show};
    int asked = 0;
    how.no_repeat_ngram = 2;
    how.stop = stops;
    how.stop_count = 1;
    memset(endings, 0, sizeof endings);
    pfm_status status = pfm_engine_create(session, &options, &engine, err);
    for (; status == PFM_OK && asked < REQUESTS; asked += status == PFM_OK) {
        images[asked] = (pfm_image){1, 1, pixels[asked]};
        const pfm_engine_request request = {.question = {texts[asked], 1},
                                            .images = &images[asked],
                                            .image_count = 1,
                                            .decoding = &how,
                                            .max_tokens = MOST_TOKENS,
                                            .on_end = take_end,
                                            .user = &endings[asked]};
        status = pfm_engine_submit(engine, &request, NULL, err);
    }
    if (engine != NULL)
        pfm_engine_stop(engine, true);
    for (int i = 0; i < asked; i++) {
        assert_int_equal(atomic_load(&endings[i].ends), 1);
        if (endings[i].status == PFM_OK && wanted[i][0] == '\0')
            memcpy(wanted[i], endings[i].text, sizeof wanted[i]);
        else if (endings[i].status == PFM_OK)
            assert_string_equal(endings[i].text, wanted[i]);
        else if (status == PFM_OK)
            status = pfm_error_set(err, endings[i].status, "%s", endings[i].message);
    }
    pfm_engine_free(engine);
    return status;
}

static void engine_without_memory(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = tiny_context(NULL, 1, PFM_PRECISION_F32);
    session = tiny_session(context, false, NULL, 0);
    assert_ok(serve(&err)); /* loads the weights */
    tiny_set_weights(session, true);
    memset(wanted, 0, sizeof wanted);
    failing_try_all("engine", serve);
    pfm_session_free(session);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(engine_without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
