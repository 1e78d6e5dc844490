/* Opens a context and says what it would compute with. Build: cc ask.c $(pkg-config --cflags --libs pefomed) */
#include "pefomed/pefomed.h"

#include <stdio.h>

int main(void)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    pfm_context_options options = {.seed = 42};
    if (pfm_context_create(&options, &context, &err) != PFM_OK) {
        fprintf(stderr, "ask: %s\n", err.message);
        return 1;
    }
    printf("pefomed %s, %d threads, kernels for %s\n", pfm_version(), pfm_context_threads(context),
           pfm_context_cpu_level(context));
    pfm_context_free(context);
    return 0;
}
