#include "cli.h"

#include <stdlib.h>

static double number(const json_t *document, const char *key) { return json_number_value(json_object_get(document, key)); }

static void render(const json_t *document, FILE *out)
{
    fprintf(out, "wrote        %s\n", json_string_value(json_object_get(document, "output")));
    if (number(document, "quantised") == 0) {
        fprintf(out, "tensors      all %.0f as they were: the linear layers are in 8 or 4 bits already\n",
                number(document, "kept"));
        return;
    }
    fprintf(out, "tensors      %.0f in %s, %.0f as they were\n", number(document, "quantised"),
            json_string_value(json_object_get(document, "to")), number(document, "kept"));
    fprintf(out, "lost         %.2f%% of the size of what was quantised\n", 100 * number(document, "relative_error"));
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    char *json = NULL;
    pfm_quantize_options options = {.model = cli_operand(call, 0), .out = cli_operand(call, 1), .to = cli_get(call, "to")};
    if (options.to == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE, "quantize to what? say --to q8_0, q4_0, q4_1, q4_k or nf4");
    pfm_status status = pfm_quantize(cli_context(call), &options, &json, err);
    if (status == PFM_OK)
        status = cli_print_text(call, json, render, err);
    free(json);
    return status;
}

static const cli_option options[] = {
    {"to", "FORMAT", "the type of blocks: q8_0, q4_0, q4_1, q4_k (a GGUF), nf4 (a folder as bitsandbytes writes it)",
     "q8_0|q4_0|q4_1|q4_k|nf4"},
    {0},
};

const cli_command cmd_quantize = {
    .name = "quantize",
    .arguments = "MODEL OUT --to FORMAT",
    .summary = "writes a language model with its linear layers in 8 or 4 bits",
    .details =
        "Embeddings, head and norms stay as they are, and so do layers that are in blocks already. Of a GGUF the result is a\n"
        "GGUF, of a Hugging Face folder (to nf4) a folder; tensor by tensor, so that the model need not fit into memory.\n"
        "model.weights in a recipe does the same when a model is loaded.\n\n"
        "  pefomed quantize model.gguf model-q4_0.gguf --to q4_0\n"
        "  pefomed quantize llama-2-7b-chat-hf llama-2-7b-nf4 --to nf4",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .needs_context = true,
    .run = run,
};
