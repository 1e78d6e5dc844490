#include "cli.h"

static pfm_status run(cli_call *call, pfm_error *err)
{
    int64_t layer = 0;
    pfm_status status = cli_get_integer(call, "layer", -1000, 1000, &layer, err);
    pfm_forward_options options = {.model = cli_operand(call, 0),
                                   .input = cli_operand(call, 1),
                                   .output = cli_operand(call, 2),
                                   .adapter = cli_get(call, "adapter"),
                                   .has_layer = cli_has(call, "layer"),
                                   .layer = (int)layer,
                                   .patches = cli_has(call, "patches"),
                                   .grad = cli_has(call, "grad")};
    if (status == PFM_OK)
        status = pfm_forward(cli_context(call), &options, err);
    if (status == PFM_OK && cli_wants_json(call)) {
        json_t *document = json_pack("{s:s}", "output", options.output);
        status = cli_print(call, document, NULL, err);
        json_decref(document);
    }
    return status;
}

static const cli_option options[] = {
    {"adapter", "DIR", "a PEFT adapter on the language model or the vision encoder", NULL},
    {"layer", "L", "a vision encoder's hidden state L; negative counts from the end", NULL},
    {"patches", NULL, "a vision encoder's patches alone, without the class token before them", NULL},
    {"grad", NULL, "also the gradients, from grad_out in IN", NULL},
    {0},
};

const cli_command cmd_forward = {
    .name = "forward",
    .arguments = "MODEL IN.safetensors OUT.safetensors [--adapter DIR] [--layer L] [--patches] [--grad]",
    .summary = "runs one part of a model on tensors, to check it against another implementation",
    .details = "IN holds input_ids [T] or inputs_embeds [T,D]: OUT holds logits [T,V], of them alone where virtual tokens come "
               "before;\n"
               "pixel_values [3,H,W] or image_features [N,C]: OUT holds features. With --grad IN also holds grad_out of the "
               "output's shape, and OUT gains grad_in and NAME.grad of\n"
               "every trainable tensor. --precision f32 is what comparisons want.",
    .options = options,
    .min_operands = 3,
    .max_operands = 3,
    .needs_context = true,
    .run = run,
};
