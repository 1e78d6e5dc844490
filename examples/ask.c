/* Asks one question about a picture, or several, and shows the answer as it is made.
 *     cc ask.c $(pkg-config --cflags --libs pefomed) -o ask
 *     ./ask runs/mine picture.jpg "Which organ is abnormal?" */
#include <pefomed/pefomed.h>

#include <stdio.h>
#include <stdlib.h>

static void show(void *user, const char *text, size_t length)
{
    (void)user;
    (void)fwrite(text, 1, length, stdout);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: ask RUN IMAGE... QUESTION   (libpefomed %s)\n", pfm_version());
        return 2;
    }
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    char *result = NULL;
    pfm_context_options options = {.seed = 42}; /* every core, bf16, the best kernels there are */
    pfm_ask_options question = {.run = argv[1],
                                .images = (const char *const *)argv + 2,
                                .image_count = (size_t)argc - 3,
                                .question = argv[argc - 1],
                                .write = show};
    pfm_status status = pfm_context_create(&options, &context, &err);
    if (status == PFM_OK)
        status = pfm_ask(context, &question, &result, &err);
    if (status == PFM_OK)
        printf("\n%s\n", result); /* the same with the exact prompt, as JSON */
    else
        fprintf(stderr, "ask: %s\n", err.message);
    free(result);
    pfm_context_free(context);
    return status == PFM_OK ? 0 : 1;
}
