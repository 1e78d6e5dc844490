/* What a GGUF file's tokenizer.ggml.pre stands for, as the model's own tokenizer.json says it. The names are llama.cpp's
 * (src/llama-vocab.cpp); a further one is a line. And what a SentencePiece model stands for, which has no name. */
#include "text/tokenizer_internal.h"

#include <string.h>

#define BYTES(use_regex) "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":" use_regex "}"
#define DECODER "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}"
#define SPLIT(pattern) "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define SEQUENCE(parts) "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" parts "]}"

#define GPT2 "{\"pre_tokenizer\":" BYTES("true") "," DECODER "}"
#define DIGITS_APART "{" SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":true}," BYTES("true")) "," DECODER "}"

/* LLaMA 3 and Qwen 2 differ in how many digits stay together. */
#define LATER(digits)                                                                                                          \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" digits                                             \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define LLAMA3 "{" SEQUENCE(SPLIT(LATER("\\\\p{N}{1,3}")) "," BYTES("false")) "," DECODER "}"
#define NEOX "{\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":" BYTES("true") "," DECODER "}"
#define QWEN2 "{\"normalizer\":{\"type\":\"NFC\"}," SEQUENCE(SPLIT(LATER("\\\\p{N}")) "," BYTES("false")) "," DECODER "}"

/* What llama.cpp does where the file names nothing: punctuation apart, then GPT-2's pattern, then numbers in threes. */
#define DEFAULT                                                                                                                           \
    "{" SEQUENCE(SPLIT("[\\\\p{P}\\\\$\\\\+<=>\\\\^~\\\\|]+") "," SPLIT(                                                                  \
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| "                                                                               \
        "?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)") "," SPLIT("\\\\p{N}+") "," SPLIT("[0-9][0-9][0-9]") "," BYTES("false")) "," DECODER \
                                                                                                                              "}"

static const pfm_gguf_pre known[] = {
    {"default", DEFAULT, false}, {"gpt-2", GPT2, false},          {"phi-2", GPT2, false},
    {"olmo", NEOX, false}, /* GPT-NeoX's, which StableLM 3B and Pythia have too */
    {"mpt", NEOX, false},        {"smollm", DIGITS_APART, false}, {"starcoder", DIGITS_APART, false},
    {"llama-bpe", LLAMA3, true}, {"llama3", LLAMA3, true},        {"llama-v3", LLAMA3, true},
    {"qwen2", QWEN2, false},     {"stablelm2", QWEN2, false},     {"deepseek-r1-qwen", QWEN2, false},
};

const pfm_gguf_pre *pfm_gguf_pre_find(const char *name)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    }
    return NULL;
}

#define MARK "\xe2\x96\x81" /* U+2581, SentencePiece's space */
#define REPLACE(from, to) "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" from "\"},\"content\":\"" to "\"}"
#define CHAIN(rest)                                                                                                            \
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[" REPLACE(                                                               \
        MARK, " ") ",{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}" rest "]}"
#define STRIP ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}"

const pfm_gguf_pre *pfm_sentencepiece_pre(pfm_space_prefix prefix)
{
    static const pfm_gguf_pre pipelines[] = {
        [PFM_SPACE_EACH] = {"a space before each part",
                            "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"" MARK
                            "\"}," REPLACE(" ", MARK) "]}," CHAIN(STRIP) "}",
                            false},
        [PFM_SPACE_FIRST] = {"a space before the text",
                             "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" MARK
                             "\",\"prepend_scheme\":\"first\",\"split\":false}," CHAIN(STRIP) "}",
                             false},
        [PFM_SPACE_NONE] = {"no space put in", "{\"normalizer\":" REPLACE(" ", MARK) "," CHAIN("") "}", false},
    };
    return &pipelines[prefix];
}
