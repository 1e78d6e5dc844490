/* Any bytes that READER (pfm_reader_gguf, ...) takes for its own: opening must succeed or say why not, and what was opened can
 * be read. */
#include "formats/weights_internal.h"

#include <stdlib.h>

extern const pfm_weights_reader READER;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const pfm_weights *weights)
{
    for (size_t i = 0; i < pfm_weights_count(weights); i++) {
        const pfm_weight *weight = pfm_weights_at(weights, i);
        if (pfm_weights_find(weights, weight->name) != weight)
            abort();
        float *values = malloc(pfm_weight_values(weight) * sizeof *values + 1);
        if (values == NULL || pfm_weight_expand(weight, values, NULL) != PFM_OK)
            abort();
        free(values);
    }
    for (size_t i = 0; pfm_weights_meta_key(weights, i) != NULL; i++) {
        const char *key = pfm_weights_meta_key(weights, i), *text = NULL;
        size_t length = 0;
        int64_t integer = 0;
        double number = 0;
        (void)pfm_weights_meta_integer(weights, key, &integer);
        (void)pfm_weights_meta_number(weights, key, &number);
        for (size_t j = 0; j < pfm_weights_meta_array_count(weights, key); j++) {
            (void)pfm_weights_meta_array_integer(weights, key, j, &integer);
            (void)pfm_weights_meta_array_number(weights, key, j, &number);
            (void)pfm_weights_meta_array_string(weights, key, j, &text, &length);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_weights *weights = NULL;
    if (!READER.probe(data, size))
        return -1;
    if (pfm_weights_open_bytes(data, size, "FILE", &weights, &err) == PFM_OK)
        read_all(weights);
    else if (err.code == PFM_OK || err.message[0] == '\0')
        abort(); /* an error without a sentence */
    pfm_weights_close(weights);
    return 0;
}
