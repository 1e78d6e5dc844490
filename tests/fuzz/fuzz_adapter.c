/* Any bytes as an adapter's configuration: what it says is read or refused with a reason; what was read is the same after
 * writing and reading, and its names can be looked for. */
#include "base/json.h"
#include "peft/peft.h"
#include "peft/targets.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The settings that options are written as; NULL where they cannot be. */
static json_t *write(const pfm_peft_options *options)
{
    pfm_peft *peft = NULL;
    pfm_adapter_config config = {0};
    json_t *out = NULL;
    if (pfm_peft_create(options, &peft, NULL) == PFM_OK && pfm_peft_write_config(peft, NULL, &config, NULL) == PFM_OK)
        out = json_incref(config.document);
    pfm_adapter_config_free(&config);
    pfm_peft_free(peft);
    return out;
}

static void look(const pfm_peft_options *options)
{
    static const char *const names[] = {"", "model.layers.0.self_attn.q_proj", "transformer.h.11.mlp.c_fc", "lm_head"};
    pfm_targets *targets = NULL;
    if (pfm_targets_create(options, &targets, NULL) != PFM_OK)
        abort();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        pfm_targets_see(targets, names[i]);
        (void)pfm_targets_keep_whole(targets, names[i]);
        if (pfm_targets_rank(targets, names[i]) > PFM_PEFT_MOST_RANK)
            abort();
    }
    (void)pfm_targets_check(targets, NULL);
    pfm_targets_free(targets);
}

static void write_and_read(const pfm_adapter_config *config, const pfm_peft_options *options)
{
    pfm_adapter_config copy = *config;
    pfm_peft_options again = {0};
    json_t *written = write(options), *twice = NULL;
    if (written == NULL)
        abort();
    copy.document = written;
    if (pfm_peft_read_config(&copy, &again, NULL) != PFM_OK)
        abort();
    twice = write(&again);
    if (twice == NULL || !json_equal(written, twice))
        abort();
    json_decref(written);
    json_decref(twice);
    pfm_peft_options_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_peft_options options = {0};
    json_t *document = json_loadb((const char *)data, size, 0, NULL);
    const char *type = json_string_value(json_object_get(document, "peft_type"));
    pfm_adapter_config config = {.peft_type = (char *)(uintptr_t)type, .document = document};
    if (type != NULL && pfm_peft_read_config(&config, &options, &err) == PFM_OK) {
        look(&options);
        write_and_read(&config, &options);
    } else if (type != NULL && err.message[0] == '\0') {
        abort();
    }
    pfm_peft_options_free(&options);
    json_decref(document);
    return 0;
}
