/* Any bytes as what LOADER reads, a tokenizer.json or a tokenizer.model: loading must succeed or say why not, and what was
 * loaded encodes and decodes. */
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const pfm_tokenizer *tokenizer)
{
    static const char text[] = "The left  lung, 12.5 cm: no <|im_end|>\n\xe8\x82\xba";
    pfm_error err = PFM_ERROR_INIT;
    pfm_ids ids = {0};
    pfm_buffer back = {0};
    if (pfm_tokenizer_encode(tokenizer, text, sizeof text - 1, true, &ids, &err) == PFM_OK &&
        pfm_tokenizer_decode(tokenizer, ids.data, ids.count, false, &back, &err) != PFM_OK)
        abort(); /* its own ids */
    pfm_ids_free(&ids);
    pfm_buffer_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_tokenizer *tokenizer = NULL;
    int descriptor = memfd_create("tokenizer", 0);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (descriptor < 0 || write(descriptor, data, size) != (ssize_t)size)
        abort();
    if (LOADER(path, &tokenizer, &err) == PFM_OK)
        use(tokenizer);
    else if (err.message[0] == '\0')
        abort();
    pfm_tokenizer_free(tokenizer);
    close(descriptor);
    return 0;
}
