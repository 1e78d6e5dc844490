#!/usr/bin/env python3
"""Remakes tests/text/golden/tokens.json: small tokenizers of the kinds that are read, and what Hugging Face tokenizers make of texts.

Needs: pip install tokenizers  (0.23.3 made the committed files); with MODEL.gguf also gguf, jinja2 and transformers (5.24.0)
Usage: tokens.py OUT [MODEL.gguf]   (OUT is tests/text/golden)
The file is a list of {"name", "tokenizer": a tokenizer.json, "cases": [{"text", "ids", "ids_plain", "decoded", "skipped"}]}: ids with
special tokens found in the text and without, the text of the ids, and the same without special tokens. With MODEL.gguf, SmolLM2's,
smollm2_tokens.json holds {"cases", "chats": [{"messages", "text"}]} of the real vocabulary, digits apart, and its chat template.
"""
import json
import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CORPUS = [
    "The chest radiograph shows a small opacity in the left lower lobe; there is no pleural effusion.",
    "Which organ is abnormal? The liver is larger than normal and the spleen measures 13.5 cm.",
    "No acute cardiopulmonary abnormality. The heart size is normal. Lungs are clear bilaterally.",
    "¿Qué órgano se ve en la imagen? El pulmón izquierdo no está aumentado de tamaño.",
    "图像中哪个器官异常？肝脏比正常大，脾脏正常。左肺有结节。",
    "It's the patient's 2nd CT in 2024; they've seen 3 or 4 nodules, don't they?",
    "MRI of the brain: T1, T2 and FLAIR.  Contrast   was given.\n\tImpression: normal.\n\n",
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXTS = CORPUS + [
    "", " ", "  ", "\n", "\r\n\r\n  x", "a", "é", "e\u0301", "ﬁne ½ ①", "a  b", "a   12", "1234567890", "12.5mm", "x1y22z333", " 7", "  7 8",
    "I'LL we'll WE'RE it's 'tis ſ'ſ", "don't", "tabs\t\tand\u00a0spaces\u3000here\u2028line\u0085end\u180efvs", "\ufeffBOM", "...!!! --- (x)",
    "<|im_start|>user\nWhat is shown?<|im_end|>\n", "<|im_start|><|im_end|><|endoftext|>", "<|im_end", "<|im_end|>>", "a<|im_end|>b <|im_end|> c",
    "  <strip>  x", "a <strip>b", "word inword in word", "ein word.word", "🙂👩🏽‍⚕️ ok", "नमस्ते 123", "ＡＢＣ１２３", "٠١٢٣ ৪৫", "ß SS ŉ", "\x00\x01nul",
    "x" * 40, "=" * 33, " " * 70 + "y", "\t \n \r \x0b\x0c z", "ab12cd  34ef", "zebra", "\u4e00\u4e8c\u4e09\u56db", "naïve café", "cafe\u0301 x", "<strip>er <strip>", "end  \nnew   \n", "a\u180e\u180eb", "、、。图像中，像", "\u1e9b\u0323", "\ufffd \U0010ffff",
]


def train(normalizer, pre_tokenizer, decoder, alphabet, size, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    first = [t for t in ("<unk>",) if options.get("unk_token") == t]
    first += [f"<0x{b:02X}>" for b in range(256)] if options.get("byte_fallback") else SPECIAL
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, special_tokens=first, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return json.loads(tokenizer.to_str())


def with_added(definition, tokens):
    """The definition with its added tokens replaced; `tokens` are AddedToken, those not in the vocabulary get new ids."""
    definition["added_tokens"] = []
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    for token in tokens:
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
    return json.loads(tokenizer.to_str())


def tokenizers_to_write():
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [AddedToken(t, special=True, normalized=False) for t in SPECIAL]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    later = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    possessive = r"[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|\s++$|\s+(?!\S)|\u3000|\p{Han}+|[\S&]"

    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    definition = train(None, digits, decoders.ByteLevel(), alphabet, 420)
    stripping = [AddedToken("<strip>", lstrip=True, rstrip=True, normalized=False, special=True),
                 AddedToken("word", single_word=True, normalized=False, special=False)]
    stripping.append(AddedToken("<strip>er", normalized=False, special=True))
    yield "digits apart, byte level", with_added(definition, special + stripping)

    small = [c for c in alphabet if c not in (" ", "Ġ", "ñ")]  # some bytes have no token, as in SmolLM2
    definition = train(None, pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel(), small, 330)
    yield "gpt-2 with a prefix space, bytes missing", with_added(definition, special)

    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(later), "isolated"), byte_level])
    definition = train(normalizers.NFC(), split, decoders.ByteLevel(), alphabet, 400, ignore_merges=True)
    definition["model"]["vocab"]["zebra"] = len(definition["model"]["vocab"])  # a word that no merge makes
    yield "split pattern, NFC, merges ignored", with_added(definition, special + [AddedToken("café", normalized=True, special=False)])

    # Merges that were learned without cuts reach over them, so that a cut at a wrong place shows.
    uncut = train(None, byte_level, decoders.ByteLevel(), alphabet, 560)

    def cut(normalizer, *parts):
        tokenizer = Tokenizer.from_str(json.dumps(uncut))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*parts, byte_level])
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        return with_added(json.loads(tokenizer.to_str()), special)

    yield "possessive pattern, inverted, NFKD", cut(normalizers.NFKD(), pre_tokenizers.Split(Regex(possessive), "removed", invert=True))
    for behavior in ("merged_with_previous", "merged_with_next", "contiguous", "removed", "isolated"):
        yield f"split {behavior}", cut(None, pre_tokenizers.Split("l", behavior), pre_tokenizers.Split(Regex(r"[oa]|\d|(?=\s)"), behavior), pre_tokenizers.Digits())
    yield "split at lines and scripts", cut(None, pre_tokenizers.Split(Regex(r"\p{Han}+|\s$|^\S|[^\S\n]b|[\S]e"), "isolated"))

    chain = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    prefix = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    definition = train(prefix, None, chain, [], 600, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    definition["model"]["merges"] = [m if isinstance(m, str) else " ".join(m) for m in definition["model"]["merges"]]  # the older form
    yield "prefix and byte fallback", with_added(definition, [AddedToken("<unk>", special=True, normalized=False), AddedToken("<s>", special=True, normalized=False)])

    definition = train(None, None, chain, [], 250, unk_token="<unk>", fuse_unk=False)
    fused = json.loads(json.dumps(definition))
    fused["model"]["fuse_unk"] = True
    yield "unknown characters fused", with_added(fused, [AddedToken("<unk>", special=True, normalized=False)])
    yield "unknown characters", with_added(definition, [AddedToken("<unk>", special=True, normalized=False)])


def cases(tokenizer):
    for text in TEXTS + ["<s>x</s> <unk>"]:
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        yield {"text": text, "ids": ids, "ids_plain": plain, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
               "skipped": tokenizer.decode(ids, skip_special_tokens=True)}
    if tokenizer.token_to_id("<0xE4>") is not None:  # bytes that form a character, and such that form none
        for text in ("<0xE4><0xB8><0xAD>", "<0xE4><0x41>", "<0xFF>", "<0x41><0xC3><0xA9>"):
            ids = [tokenizer.token_to_id(part + ">") for part in text.split(">")[:-1]]
            yield {"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False), "skipped": tokenizer.decode(ids, skip_special_tokens=True)}
    for begin in range(0, tokenizer.get_vocab_size() - 5, 23):  # ids that no text gives
        ids = [begin + 3, begin, begin + 1, begin, begin + 4]
        yield {"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False), "skipped": tokenizer.decode(ids, skip_special_tokens=True)}


def write_smollm2(out, path):
    import gguf
    import transformers
    fields = gguf.GGUFReader(path).fields
    tokens, types, merges = (fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type", "merges"))
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in merges]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types) if kind == 3])
    folder, name = os.path.split(os.path.abspath(path))
    theirs = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)
    chats = []
    for roles in (["user"], ["system", "user"], ["user", "assistant", "user"]):
        messages = [{"role": role, "content": CORPUS[i]} for i, role in enumerate(roles)]
        chats.append({"messages": messages, "text": theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)})
    with open(os.path.join(out, "smollm2_tokens.json"), "w", encoding="utf-8") as file:
        json.dump({"cases": list(cases(tokenizer))[:len(TEXTS)], "chats": chats}, file, ensure_ascii=False, separators=(",", ":"))


def main(out):
    written = []
    for name, definition in tokenizers_to_write():
        tokenizer = Tokenizer.from_str(json.dumps(definition))
        written.append({"name": name, "tokenizer": definition, "cases": list(cases(tokenizer))})
    with open(os.path.join(out, "tokens.json"), "w", encoding="utf-8") as file:
        lines = (json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in written)
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


main(sys.argv[1])
if len(sys.argv) > 2:
    write_smollm2(*sys.argv[1:])
