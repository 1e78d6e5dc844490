#include "cli.h"

static void render(const json_t *document, FILE *out)
{
    fprintf(out, "wrote %s\n", json_string_value(json_object_get(document, "output")));
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    pfm_export_options options = {.run = cli_operand(call, 0),
                                  .out = cli_operand(call, 1),
                                  .merge = cli_has(call, "merge"),
                                  .base = cli_has(call, "base"),
                                  .to = cli_get(call, "to")};
    pfm_status status = pfm_export(cli_context(call), &options, err);
    if (status != PFM_OK)
        return status;
    json_t *document = json_pack("{s:s}", "output", options.out);
    status = cli_print(call, document, render, err);
    json_decref(document);
    return status;
}

static const cli_option options[] = {
    {"merge", NULL, "the language model with the adapter merged in; a LLaVA whole", NULL},
    {"base", NULL, "the language model as it is computed with, without the adapter", NULL},
    {"to", "FORMAT", "peft (default: the adapter alone), safetensors (default with --merge or --base), gguf (F32)",
     "peft|safetensors|gguf"},
    {0},
};

const cli_command cmd_export = {
    .name = "export",
    .arguments = "RUN OUT [--merge | --base] [--to peft|safetensors|gguf]",
    .summary = "leaves a run for other programs: Hugging Face PEFT, transformers, llama.cpp",
    .details =
        "OUT is a folder that from_pretrained reads, with tokenizer and configuration, or with --to gguf a file for "
        "llama.cpp.\n"
        "With --merge a CLIP, mlp2x_gelu and a LLaMA leave together as a LLaVA: the folder is one for\n"
        "LlavaForConditionalGeneration, and beside m.gguf comes m-mmproj.gguf. Other parts leave the language model alone.\n\n"
        "  pefomed export runs/slake adapter            the adapter (and the aligner) for PEFT\n"
        "  pefomed export runs/slake base --base        what the adapter belongs on, in f32\n"
        "  pefomed export runs/slake merged --merge     one model, for transformers\n"
        "  pefomed export runs/slake m.gguf --merge --to gguf",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .needs_context = true,
    .run = run,
};
