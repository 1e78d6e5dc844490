#include "train/recipe_table.h"

#include "pefomed/words.h"

#include <stdlib.h>
#include <string.h>

#define OWNER pfm_recipe
#define PLACE(field) offsetof(OWNER, field)
#define COUNTED(field) .offset = PLACE(field), .count_offset = PLACE(field##_count)
#define STRING(key, field, value, text)                                                                                        \
    {                                                                                                                          \
        .name = key, .type = RECIPE_STRING, .offset = PLACE(field), .initial = value, .help = text                             \
    }
#define OPTIONAL(key, field, text)                                                                                             \
    {                                                                                                                          \
        .name = key, .type = RECIPE_OPTIONAL, .offset = PLACE(field), .help = text                                             \
    }
#define CHOICE(key, field, value, words, text)                                                                                 \
    {                                                                                                                          \
        .name = key, .type = RECIPE_CHOICE, .offset = PLACE(field), .initial = value, .choices = words, .help = text           \
    }
#define INTEGER(key, field, value, least, most, text)                                                                          \
    {                                                                                                                          \
        .name = key, .type = RECIPE_INTEGER, .offset = PLACE(field), .initial = value, .low = least, .high = most,             \
        .help = text                                                                                                           \
    }
#define NUMBER(key, field, value, least, most, text)                                                                           \
    {                                                                                                                          \
        .name = key, .type = RECIPE_NUMBER, .offset = PLACE(field), .initial = value, .low = least, .high = most, .help = text \
    }
#define ABOVE(key, field, value, least, most, text)                                                                            \
    {                                                                                                                          \
        .name = key, .type = RECIPE_NUMBER, .offset = PLACE(field), .initial = value, .low = least, .high = most,              \
        .above = true, .help = text                                                                                            \
    }
#define BOOLEAN(key, field, value, text)                                                                                       \
    {                                                                                                                          \
        .name = key, .type = RECIPE_BOOLEAN, .offset = PLACE(field), .initial = value, .help = text                            \
    }

#define NAMES(key, items, count, text)                                                                                         \
    {                                                                                                                          \
        .name = key, .type = RECIPE_LIST, .offset = PLACE(items), .count_offset = PLACE(count), .lone = true, .help = text     \
    }

/* clang-format off */
const recipe_key pfm_recipe_keys[] = {
    {.name = "name", .type = RECIPE_STRING, .of_stage = true, .offset = PLACE(name), .help = "what the stage is called"},
    STRING("model.vision", model.vision, "efficientnet-lite0", "the vision encoder: a name that fetch knows, a path, or none: text alone"),
    STRING("model.aligner", model.aligner, "concat-linear", "what turns its features into visual tokens"),
    STRING("model.language", model.language, "smollm2-135m-instruct", "the language model: a name that fetch knows or a path"),
    INTEGER("model.image_size", model.image_size, "448", 32, 4096, "pixels a side; the encoder's grid (a position for 32 pixels, or for a patch) is a multiple of merge"),
    OPTIONAL("model.window", model.window, "how the values of DICOM files become grey: file (each its own), file:1, lut:0, CENTER,WIDTH, percentile, full, or of CT lung, bone, brain, ..."),
    STRING("model.fit", model.fit, "squash", "how a picture becomes a square: squash, or, as CLIP, torchvision and LLaVA do it, crop, crop_round, pad"),
    STRING("model.filter", model.filter, "bicubic", "the filter that resizes it: bicubic, bilinear, lanczos, box, hamming, as Pillow; bicubic_torch, bilinear_torch, as torchvision"),
    {.name = "model.layers", .type = RECIPE_LIST, .offset = PLACE(model.layers), .count_offset = PLACE(model.layer_count),
     .initial = "output", .help = "the encoder's hidden states that make the features, side by side: output, normed, or numbers, negative from the end"},
    CHOICE("model.weights", model.weights, "bf16", "bf16|q8_0|q4_0|q4_1|q4_k|nf4",
           "what the language model's frozen linear layers are kept in; bf16 is the precision"),
    CHOICE("model.class_token", model.class_token, "drop", "drop|keep", "whether the class token is among the features"),
    STRING("model.merge", model.merge, "2", "neighbours that the aligner joins: 2 (2x2), 1x4; 2 for concat-linear, else 1"),
    INTEGER("model.aligner_inner", model.aligner_inner, "4096", 1, 65536, "the width between the layers of double-linear"),
    OPTIONAL("model.aligner_weights", model.aligner_weights, "the file that the aligner starts from, where it is not drawn"),
    BOOLEAN("model.normalise", model.normalise, "true", "take the training features' mean and deviation out of features"),

    INTEGER("qformer.layers", qformer.layers, "12", 1, 1000, "of the aligners with a Q-Former: its layers"),
    INTEGER("qformer.heads", qformer.heads, "12", 1, 4096, "its attention heads"),
    INTEGER("qformer.queries", qformer.queries, "32", 1, 4096, "its learned queries, each a visual token"),
    INTEGER("qformer.hidden", qformer.hidden, "768", 1, 65536, "its width"),
    INTEGER("qformer.intermediate", qformer.intermediate, "3072", 1, 1048576, "the width inside of its layers"),
    INTEGER("qformer.cross_every", qformer.cross_every, "2", 1, 1000, "of so many layers the first looks at the image"),
    BOOLEAN("qformer.frozen", qformer.frozen, "false", "train only what stands behind it"),

    INTEGER("gated.every", gated.every, "4", 1, 1000, "gated-cross-attention acts before each n-th block of the language model"),
    INTEGER("gated.heads", gated.heads, "8", 1, 4096, "its attention heads"),
    INTEGER("gated.head_dim", gated.head_dim, "64", 1, 4096, "the width of each"),

    STRING("peft.method", peft.method, "lora", "what is trained beside the aligner; none: nothing"),
    INTEGER("peft.rank", peft.rank, "64", 1, PFM_PEFT_MOST_RANK, "the rank of each update"),
    ABOVE("peft.alpha", peft.alpha, "128", 0, 1e6, "the update is scaled by alpha / rank"),
    NUMBER("peft.dropout", peft.dropout, "0.05", 0, 0.95, "share of an update's inputs left out while training"),
    NAMES("peft.targets", peft.targets, peft.target_count,
          "the linear layers that it changes: ends of their Hugging Face names, re:EXPRESSION, all-linear; by default the method's"),
    {.name = "peft.parts", .type = RECIPE_LIST, .offset = PLACE(parts), .count_offset = PLACE(part_count),
     .initial = "language", .choices = "language|vision", .help = "the parts of the model that it changes"},
    BOOLEAN("peft.rslora", peft.rslora, "false", "scale by alpha / sqrt(rank) instead"),
    ABOVE("peft.rate_ratio", peft.rate_ratio, "1", 0, 1e4, "LoRA+: the second factor learns so many times as fast as the first"),
    NAMES("peft.feedforward", peft.feedforward, peft.feedforward_count,
          "of ia3: those of the targets whose inputs are scaled, not their outputs; by default the model's feedforward layers"),
    NAMES("peft.exclude", peft.exclude, peft.exclude_count, "of those not these, named in the same way"),
    NAMES("peft.layers", peft.layers, peft.layer_count, "in these blocks alone, by their numbers from 0"),
    NAMES("peft.layers_pattern", peft.layers_pattern, peft.layers_pattern_count, "what stands before a block's number in names"),
    NAMES("peft.rank_pattern", peft.rank_pattern, peft.rank_pattern_count, "NAME=RANK for layers whose names end so"),
    NAMES("peft.alpha_pattern", peft.alpha_pattern, peft.alpha_pattern_count, "NAME=ALPHA for layers whose names end so"),
    NAMES("peft.modules_to_save", peft.modules_to_save, peft.module_to_save_count,
          "modules that train whole, such as lm_head, by the ends of their names"),
    CHOICE("peft.bias", peft.bias, "none", "none|all|lora_only", "which of the base's biases train; lora_only: those of the targets"),
    BOOLEAN("peft.lora_bias", peft.lora_bias, "false", "the second factor has a bias"),
    OPTIONAL("peft.start", peft.start, "what training goes on with: an adapter's folder in PEFT's format, which says what peft is, or a checkpoint's file, which does not"),
    INTEGER("peft.virtual_tokens", peft.virtual_tokens, "20", 1, 4096, "of prompt_tuning, p_tuning and prefix_tuning: how many tokens they put before every input"),
    INTEGER("peft.encoder_hidden", peft.encoder_hidden, "-1", -1, 65536, "the width of the MLP that makes them; 0: none; -1: p_tuning's is as wide as the model, prefix_tuning has none"),
    OPTIONAL("peft.prompt_text", peft.prompt_text, "of prompt_tuning: the text that they start as, repeated; drawn at random without"),
    INTEGER("peft.bottleneck", peft.bottleneck, "64", 1, 65536, "of adapters: the width between their two layers"),
    CHOICE("peft.activation", peft.activation, "relu", "relu|gelu|gelu_new|quick_gelu|silu", "of adapters: what stands between them"),
    ABOVE("peft.adapter_scale", peft.adapter_scale, "1", 0, 1e6, "of adapters: what they add is scaled by this"),
    CHOICE("peft.sublayers", peft.sublayers, "both", "both|attention|mlp", "of adapters: where they act"),
    INTEGER("peft.experts", peft.experts, "4", 2, 64, "of the methods with experts: how many there are, each of the rank or bottleneck"),
    CHOICE("peft.router", peft.router, "token", "token|context",
           "what chooses the experts: each token by a learned router, or what the data say of the row"),
    INTEGER("peft.top_k", peft.top_k, "2", 1, 64, "how many of them a token takes"),
    BOOLEAN("peft.shared_expert", peft.shared_expert, "false", "one more that every token takes"),
    NUMBER("peft.balance", peft.balance, "0.01", 0, 100, "how strongly a router is pushed to use its experts evenly"),
    NUMBER("peft.capacity", peft.capacity, "0", 0, 64,
           "what an expert takes at most while training, beside its even share of a row's tokens; 0: all that come"),
    OPTIONAL("peft.context", peft.context, "with peft.router: context the column of the data that chooses, such as modality"),
    NAMES("peft.contexts", peft.contexts, peft.context_count,
          "its values in the order of their experts; by default those of the training rows, sorted"),
    NUMBER("peft.d_initial", peft.d_initial, "0.1", -1e6, 1e6, "of vera: what its inner vector starts at"),
    INTEGER("peft.projection_seed", peft.projection_seed, "0", 0, 2147483647, "of vera: what its projections are drawn from"),
    BOOLEAN("peft.save_projection", peft.save_projection, "true", "of vera: its projections stand in the adapter's file"),

    STRING("data.dataset", data.dataset, NULL, "the data set's kind"),
    {.name = "data.path", .type = RECIPE_OPTIONAL, .offset = PLACE(data.path), .aside = true,
     .help = "where it lies, unless --data says"},
    OPTIONAL("data.language", data.language, "the language to take, where the data set holds several"),
    CHOICE("data.grounding", data.grounding, "none", "none|full|wrong|hidden|retrieved",
           "what medexpqa's questions are shown: nothing, the explanation, that of the wrong options alone, that with the answer hidden, "
           "or what an index has that fits"),
    {.name = "data.index", .type = RECIPE_OPTIONAL, .offset = PLACE(data.index), .aside = true,
     .help = "of grounding: retrieved: the index, a file that pefomed index makes"},
    INTEGER("data.snippets", data.snippets, "4", 1, 100, "of it: how many snippets a question is shown"),
    INTEGER("data.snippet_words", data.snippet_words, "0", 0, 1000000, "how many words these have together at most; 0: no limit"),
    OPTIONAL("data.index_sha256", data.index_sha256, "what the index must hold; training notes it, and no other will do then"),
    STRING("data.train", data.train, "train", "the split to learn from"),
    STRING("data.validate", data.validate, "validate", "the split to watch"),
    INTEGER("data.group", data.group, "4", 1, 1024, "rows of the same images that go together in a step"),
    ABOVE("data.validate_share", data.validate_share, "0.1", 0, 0.9, "share held back where there is no validation split"),
    CHOICE("data.validate_by", data.validate_by, "auto", "auto|image|patient",
           "what is held back whole; auto: of a table whose rows know their patients the patient, else the image"),
    INTEGER("data.split_seed", data.split_seed, "42", 0, 2147483647, "the seed of what is held back"),
    CHOICE("data.mirror", data.mirror, "none", "none|horizontal",
           "horizontal: learn from half of the images mirrored; refused where rows speak of left or right"),
    OPTIONAL("data.slices", data.slices, "of a series: 8 (so many, evenly spaced), 3,10,20, 40-60/5 or all"),
    BOOLEAN("data.lowercase_answers", data.lowercase_answers, "true", "learn the answers in lower case"),
    {.name = "data.mixture", .type = RECIPE_MEMBERS, COUNTED(data.mixture),
     .help = "data sets to learn from by ratio, in place of data.train"},

    {.name = "prompt.instruction", .type = RECIPE_TEXTS, COUNTED(prompt.instruction),
     .initial = "[vqa] Based on the image, respond to this question with a short answer: {question}",
     .help = "the user's turn: {question} and <image> have their places there; of several, learning draws one"},
    STRING("prompt.image", prompt.image, "<image>\n",
           "how each image stands before the instruction, where <image> has no place there: a text with one <image>"),
    OPTIONAL("prompt.system", prompt.system, "the system message"),

    ABOVE("train.epochs", train.epochs, "3", 0, 1e5, "how often each row is seen; fractions are allowed"),
    INTEGER("train.steps", train.steps, "0", 0, 100000000, "steps in place of epochs; 0 counts by epochs"),
    INTEGER("train.batch", train.batch, "16", 1, 65536, "samples a step"),
    CHOICE("train.mean_over", train.mean_over, "tokens", "tokens|answers",
           "what the loss is the mean of: answer tokens, or answers, each the mean of its own"),
    INTEGER("train.micro_batch", train.micro_batch, "0", 0, 65536, "samples computed at once; 0 chooses"),
    ABOVE("train.learning_rate", train.learning_rate, "3e-4", 0, 10, "the highest rate"),
    NUMBER("train.minimum_learning_rate", train.minimum_learning_rate, "-1", 0, 10, "the last rate; 0.05 times the highest by default"),
    INTEGER("train.warmup_steps", train.warmup_steps, "100", 0, 100000000, "steps of linear warm-up"),
    NUMBER("train.warmup_share", train.warmup_share, "0", 0, 1, "the share of the steps that warm up; 0 counts by warmup_steps"),
    NUMBER("train.warmup_learning_rate", train.warmup_learning_rate, "0", 0, 10, "the rate that the warm-up rises from"),
    NUMBER("train.weight_decay", train.weight_decay, "0.05", 0, 10, "decoupled; none on biases and norms"),
    NUMBER("train.beta1", train.beta1, "0.9", 0, 0.99999, "AdamW's memory of the gradient"),
    NUMBER("train.beta2", train.beta2, "0.999", 0, 0.9999999, "AdamW's memory of its square"),
    ABOVE("train.epsilon", train.epsilon, "1e-8", 0, 1, "AdamW's guard against division by zero"),
    NUMBER("train.clip_norm", train.clip_norm, "1", 0, 1e6, "the largest norm of a step's gradient; 0 does not clip"),
    BOOLEAN("train.pack", train.pack, "true", "compute what rows share once"),
    CHOICE("train.recompute", train.recompute, "auto", "auto|true|false",
           "compute blocks again in the backward, to save memory; auto does where --memory demands it"),
    INTEGER("train.checkpoint_every", train.checkpoint_every, "100", 1, 100000000, "steps between checkpoints"),
    INTEGER("train.validate_every", train.validate_every, "0", 0, 100000000, "steps between validations; 0 is each epoch"),
    INTEGER("train.validate_limit", train.validate_limit, "0", 0, 100000000, "rows to validate on; 0 is all"),
    INTEGER("train.max_tokens", train.max_tokens, "1024", 16, 1048576, "the most tokens of a row, the image's and virtual ones included"),

    INTEGER("eval.max_tokens", eval.max_tokens, "24", 1, 65536, "the most tokens of an answer"),
    INTEGER("eval.min_tokens", eval.min_tokens, "0", 0, 65536, "the fewest tokens of an answer before it may end"),
    INTEGER("eval.batch", eval.batch, "8", 1, 4096, "images answered at once"),
    NUMBER("eval.temperature", eval.temperature, "0", 0, 100, "0 takes the likeliest token; above, one is drawn, scores divided by it"),
    INTEGER("eval.draws", eval.draws, "1", 1, PFM_MOST_DRAWS, "so many answers are drawn, and the one most like the others is taken; 1: the one drawn"),
    INTEGER("eval.top_k", eval.top_k, "0", 0, 1000000000, "of the likeliest so many one is drawn; 0: of all"),
    ABOVE("eval.top_p", eval.top_p, "1", 0, 1, "of the fewest likeliest that have this probability together"),
    NUMBER("eval.min_p", eval.min_p, "0", 0, 1, "of those with at least this share of the likeliest one's probability"),
    ABOVE("eval.repetition_penalty", eval.repetition_penalty, "1", 0, 100, "scores of tokens that were there are divided by it, negative ones multiplied"),
    INTEGER("eval.no_repeat_ngram", eval.no_repeat_ngram, "0", 0, 65536, "no run of so many tokens comes twice; 0: any may"),
    INTEGER("eval.beams", eval.beams, "1", 1, PFM_MOST_BEAMS, "beam search keeps so many answers; 1: there is no search"),
    NUMBER("eval.length_penalty", eval.length_penalty, "1", -10, 10, "of beam search: an answer's score is divided by its length to this power"),
    CHOICE("eval.early_stopping", eval.early_stopping, "false", "false|true|never", "of beam search: whether it ends with as many answers as beams, or what they are weighed against"),
    CHOICE("eval.choices", eval.choices, "none", "none|column|train", "answers are chosen, by likelihood, among those of the row's column choices, or the training answers"),
    CHOICE("eval.choice_score", eval.choice_score, "total", "total|mean|sequence", "by the log-likelihood of all tokens, or that divided by their number, or by the prompt's and theirs"),
    {.name = "eval.stop", .type = RECIPE_TEXTS, COUNTED(eval.stop), .help = "texts that end an answer, before them"},

    {.name = "compare.learning_rates", .type = RECIPE_LIST, .offset = PLACE(compare.learning_rates),
     .count_offset = PLACE(compare.learning_rate_count), .low = 0, .high = 10, .above = true, .aside = true,
     .help = "the rates among which compare chooses; none: train.learning_rate"},

    {.name = "trainable", .type = RECIPE_LIST, COUNTED(trainable), .initial = "aligner,peft", .choices = "aligner|peft|norms",
     .help = "the parts that train; norms: the weights of the language model's norms"},
    {.name = "stages", .type = RECIPE_STAGES, .offset = PLACE(stages), .count_offset = PLACE(stage_count),
     .help = "trainings one after the other"},
    {0},
};

#undef OWNER
#define OWNER pfm_member
const recipe_key pfm_member_keys[] = {
    STRING("data.mixture.dataset", dataset, NULL, "the data set's kind"),
    {.name = "data.mixture.path", .type = RECIPE_OPTIONAL, .offset = PLACE(path), .aside = true, .help = "where it lies"},
    OPTIONAL("data.mixture.language", language, "the language to take, where the data set holds several"),
    STRING("data.mixture.train", train, "train", "the split to learn from"),
    ABOVE("data.mixture.ratio", ratio, "1", 0, 1e9, "its share of the rows seen, beside those of the others"),
    {.name = "data.mixture.instruction", .type = RECIPE_TEXTS, COUNTED(instruction),
     .help = "what stands behind its images; prompt.instruction by default"},
    {0},
};
/* clang-format on */
#undef OWNER
#define OWNER pfm_recipe
_Static_assert(sizeof pfm_recipe_keys / sizeof *pfm_recipe_keys <= RECIPE_MAX_KEYS + 1, "raise RECIPE_MAX_KEYS");

const recipe_key *pfm_recipe_find_key(const recipe_key *keys, const char *name, size_t length)
{
    for (const recipe_key *key = keys; key->name != NULL; key++) {
        if (strlen(key->name) == length && memcmp(key->name, name, length) == 0)
            return key;
    }
    return NULL;
}

bool pfm_recipe_is_shared(const recipe_key *key)
{
    return (strncmp(key->name, "model.", 6) == 0 && key->offset != PLACE(model.image_size)) ||
           strncmp(key->name, "peft.", 5) == 0 || strncmp(key->name, "compare.", 8) == 0 || key->type == RECIPE_STAGES;
}

bool pfm_recipe_is_optional(const recipe_key *key)
{
    bool list = key->type == RECIPE_LIST || key->type == RECIPE_TEXTS;
    return key->type == RECIPE_OPTIONAL || (list && key->initial == NULL);
}

bool pfm_recipe_is_of_images(const recipe_key *key)
{
    const bool model = strncmp(key->name, "model.", 6) == 0 && key->offset != PLACE(model.vision) &&
                       key->offset != PLACE(model.language) && key->offset != PLACE(model.weights);
    return model || strncmp(key->name, "qformer.", 8) == 0 || strncmp(key->name, "gated.", 6) == 0 ||
           key->offset == PLACE(prompt.image) || key->offset == PLACE(data.slices) || key->offset == PLACE(data.mirror);
}

bool pfm_recipe_is_of_retrieval(const recipe_key *key)
{
    return key->offset == PLACE(data.index) || key->offset == PLACE(data.snippets) ||
           key->offset == PLACE(data.snippet_words) || key->offset == PLACE(data.index_sha256);
}

bool pfm_recipe_retrieves(const pfm_recipe *recipe) { return strcmp(recipe->data.grounding, "retrieved") == 0; }

bool pfm_recipe_adds(const pfm_recipe *recipe)
{
    return strcmp(recipe->peft.method, "none") != 0 || recipe->peft.module_to_save_count > 0 || recipe->peft.start != NULL;
}

bool pfm_recipe_says(const pfm_recipe *recipe, const recipe_key *key)
{
    if (key->type == RECIPE_STAGES || (key->of_stage && recipe->name == NULL) ||
        (pfm_recipe_is_of_images(key) && !pfm_recipe_sees(recipe)) ||
        (pfm_recipe_is_of_retrieval(key) && !pfm_recipe_retrieves(recipe)) || !pfm_recipe_is_of_method(recipe, key))
        return false;
    bool by_steps = recipe->train.steps > 0, lacks = key->type == RECIPE_STRING && key->initial == NULL &&
                                                     *(char *const *)(const void *)((const char *)recipe + key->offset) == NULL;
    bool by_share = recipe->train.warmup_share > 0;
    const bool empty =
        key->type == RECIPE_LIST && *(const size_t *)(const void *)((const char *)recipe + key->count_offset) == 0;
    return !lacks && !empty && !(by_steps && key->offset == PLACE(train.epochs)) &&
           !(by_share && key->offset == PLACE(train.warmup_steps));
}

bool pfm_recipe_is_section(const char *name, size_t length)
{
    for (const recipe_key *key = pfm_recipe_keys; key->name != NULL; key++) {
        if (strncmp(key->name, name, length) == 0 && strlen(key->name) > length && key->name[length] == '.')
            return true;
    }
    return false;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* The part behind the last dot. */
static const char *last_part(const char *name, size_t length, size_t *part_length)
{
    size_t begin = length;
    while (begin > 0 && name[begin - 1] != '.')
        begin--;
    *part_length = length - begin;
    return name + begin;
}

static size_t key_distance(const char *name, size_t length, const char *key, size_t key_length)
{
    size_t name_part = 0, key_part = 0;
    const char *a = last_part(name, length, &name_part), *b = last_part(key, key_length, &key_part);
    size_t whole = pfm_words_distance(name, length, key, key_length), last = pfm_words_distance(a, name_part, b, key_part);
    return smaller(2 * whole, 2 * last + 1); /* the right word in the wrong section is nearer than one wrong letter */
}

pfm_status pfm_recipe_find_nearest(const recipe_key *keys, const char *name, size_t length, char **out, pfm_error *err)
{
    size_t best = SIZE_MAX, best_length = 0;
    const char *nearest = NULL;
    for (const recipe_key *key = keys; key->name != NULL; key++) {
        size_t section = strcspn(key->name, "."), whole = strlen(key->name);
        for (int pass = 0; pass < 2; pass++) {
            size_t candidate = pass == 0 ? whole : section;
            size_t distance = key_distance(name, length, key->name, candidate);
            if (distance < best) {
                best = distance;
                nearest = key->name;
                best_length = candidate;
            }
        }
    }
    return pfm_string_copy_n(nearest, best_length, out, err);
}
