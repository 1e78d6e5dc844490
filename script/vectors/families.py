#!/usr/bin/env python3
"""Makes tokenizers of the language model families, each in every kind of file that it is published in, with vocabularies trained on
texts that are given; and remakes tests/text/golden/families.json and families/ with small ones.

Needs: pip install transformers tokenizers sentencepiece protobuf gguf
Usage: families.py OUT   (OUT is tests/text/golden)
families.json holds {"texts", "families": [{"name", "paths", "ids", "decoded", "skipped"}]}: what transformers makes of each text, the
same for every file of `paths` below families/; and "prompts", a question about an image in each family's chat template (written
here in its manner): [{"path", "template", "question", "text", "before", "behind"}], ids before and behind the image, which stands in
the text as a special token. script/check-tokens uses make_all() with large vocabularies.

The configuration of each family is that of its published files: LLaMA 2 (Vicuna, TinyLlama) and Mistral are SentencePiece BPE with
bytes as the last resort, digits apart and the text left as it is; LLaMA 3, Qwen 2, GPT-2, Phi-2 (CodeGen), GPT-NeoX (StableLM 3B) and
SmolLM are BPE over bytes with a pre-tokenizer each.
"""
import json
import os
import shutil
import sys

import gguf
import sentencepiece
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

LATER = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA = dict(model_type="bpe", byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True, add_dummy_prefix=True,
             normalization_rule_name="identity", remove_extra_whitespaces=False, max_sentence_length=1 << 20, num_threads=1,
             minloglevel=2)


class Reading:
    """One file of a family and the tokenizer whose ids it must give; `fast`: a tokenizers.Tokenizer; `own` makes the one that
    transformers itself makes of a GGUF file, where that may be another."""

    def __init__(self, family, path, fast, special, own=None):
        self.family, self.path, self.fast, self.special, self.own = family, path, fast, special, own

    def encode(self, texts):
        return [e.ids for e in self.fast.encode_batch(texts, add_special_tokens=False)]

    def decode(self, lists, skip=False):
        return [self.fast.decode(ids, skip_special_tokens=skip) for ids in lists]


def write_json(value, *path):
    os.makedirs(os.path.join(*path[:-1]), exist_ok=True)
    with open(os.path.join(*path), "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"))


def write_gguf(path, kind, tokens, types, pre=None, merges=None, scores=None, roles=(), space=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(kind)
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    if scores is not None:
        writer.add_token_scores(scores)
    writer.add_token_types(types)
    if merges is not None:
        writer.add_token_merges(merges)
    for role, token in roles:
        writer.add_uint32(f"tokenizer.ggml.{role}_token_id", tokens.index(token))
    if space is not None:
        writer.add_add_space_prefix(space)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def backend(folder):
    """transformers' own reading of a folder."""
    return transformers.AutoTokenizer.from_pretrained(folder).backend_tokenizer


def from_file(folder):
    return Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))


def gguf_backend(path):
    """transformers' own reading of a GGUF file."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer, get_gguf_tokenizer
    architecture, tokenizer, _ = get_gguf_tokenizer(path)
    return convert_gguf_tokenizer(architecture, tokenizer)[0]


def make_llama(out, lines, size):
    """LLaMA 2 with the padding that Vicuna adds, and Mistral."""
    special = ["<s>", "</s>", "<unk>", "<pad>"]
    folder = os.path.join(out, "llama2", "model")
    os.makedirs(folder, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_prefix=os.path.join(folder, "tokenizer"), vocab_size=size, **LLAMA)
    os.remove(os.path.join(folder, "tokenizer.vocab"))
    config = {"tokenizer_class": "LlamaTokenizer", "legacy": False, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
              "pad_token": "<pad>", "add_bos_token": True, "add_eos_token": False}
    write_json(config, folder, "tokenizer_config.json")
    write_json({"model_type": "llama"}, folder, "config.json")
    write_json({"<pad>": size}, folder, "added_tokens.json")
    fast = backend(folder)
    yield Reading("llama2", folder, fast, special)

    metaspace = os.path.join(out, "llama2", "metaspace")
    os.makedirs(metaspace)
    fast.save(os.path.join(metaspace, "tokenizer.json"), pretty=False)
    yield Reading("llama2", metaspace, from_file(metaspace), special)

    published = json.loads(fast.to_str())  # what transformers 4 wrote
    published["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
                                                                   {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    published["pre_tokenizer"] = None
    published["model"]["unk_token"] = "<unk>"
    published["model"]["merges"] = [" ".join(m) for m in published["model"]["merges"]]
    write_json(published, out, "llama2", "prepend", "tokenizer.json")
    write_json({k: config[k] for k in ("bos_token", "eos_token", "unk_token")}, out, "llama2", "prepend", "tokenizer_config.json")
    prepend = from_file(os.path.join(out, "llama2", "prepend"))
    yield Reading("llama2", os.path.join(out, "llama2", "prepend"), prepend, special)

    model = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "tokenizer.model"))
    tokens = [model.id_to_piece(i) for i in range(size)] + ["<pad>"]
    types = [2 if model.is_unknown(i) else 3 if model.is_control(i) else 6 if model.is_byte(i) else 1 for i in range(size)] + [3]
    path = os.path.join(out, "llama2", "llama2.gguf")
    write_gguf(path, "llama", tokens, types, "default", scores=[model.get_score(i) for i in range(size)] + [-1000.0],
               roles=(("bos", "<s>"), ("eos", "</s>"), ("unknown", "<unk>"), ("padding", "<pad>")))
    yield Reading("llama2", path, prepend, special, lambda: gguf_backend(path))

    folder = os.path.join(out, "mistral", "model")
    os.makedirs(folder)
    shutil.copy(os.path.join(out, "llama2", "model", "tokenizer.model"), folder)
    del config["pad_token"]
    write_json({**config, "legacy": True}, folder, "tokenizer_config.json")
    write_json({"model_type": "mistral"}, folder, "config.json")
    fast = backend(folder)
    yield Reading("mistral", folder, fast, special[:3])
    saved = os.path.join(out, "mistral", "json")
    os.makedirs(saved)
    fast.save(os.path.join(saved, "tokenizer.json"), pretty=False)
    yield Reading("mistral", saved, from_file(saved), special[:3])


class Bytes:
    """A family over bytes: `added` are tokens that come behind the vocabulary."""

    def __init__(self, name, pre, cut, special, added=(), normalizer=None, ignore_merges=False, class_name=None, model_type=None, config=None):
        self.name, self.pre, self.cut, self.special, self.added, self.normalizer = name, pre, cut, special, added, normalizer
        self.ignore_merges, self.class_name, self.model_type, self.config = ignore_merges, class_name, model_type, config or {}

    def make(self, out, lines, size):
        tokenizer = Tokenizer(models.BPE(ignore_merges=self.ignore_merges))
        if self.normalizer is not None:
            tokenizer.normalizer = self.normalizer
        tokenizer.pre_tokenizer, tokenizer.decoder = self.cut, decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
        tokenizer.train_from_iterator(lines, trainer)
        tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in self.special])
        for token in self.added:
            tokenizer.add_tokens([AddedToken(token, special=False, normalized=True)])
        folder = os.path.join(out, self.name, "json")
        os.makedirs(folder, exist_ok=True)
        tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
        if self.config and self.class_name is None:
            write_json(self.config, folder, "tokenizer_config.json")
        yield Reading(self.name, folder, from_file(folder), self.special)
        definition = json.loads(tokenizer.to_str())
        merges = [m if isinstance(m, str) else " ".join(m) for m in definition["model"]["merges"]]
        if self.pre is not None:
            vocab = tokenizer.get_vocab(with_added_tokens=True)
            tokens = sorted(vocab, key=vocab.get)
            types = [3 if t in self.special else 4 if t in self.added else 1 for t in tokens]
            path = os.path.join(out, self.name, f"{self.name}.gguf")
            write_gguf(path, "gpt2", tokens, types, self.pre, merges, roles=(("eos", self.special[0]),))
            yield Reading(self.name, path, tokenizer, self.special, lambda: gguf_backend(path))
        if self.class_name is not None:
            folder = os.path.join(out, self.name, "pair")
            write_json(definition["model"]["vocab"], folder, "vocab.json")
            with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as file:
                file.write("#version: 0.2\n" + "".join(m + "\n" for m in merges))
            write_json({"model_type": self.model_type}, folder, "config.json")
            self.write_beside(folder, definition)
            yield Reading(self.name, folder, backend(folder), self.special)

    def write_beside(self, folder, definition):
        """What the family's own repository has beside the two files."""
        if self.name == "gpt2":  # its vocabulary holds its one special token
            vocab = {**definition["model"]["vocab"], self.special[0]: len(definition["model"]["vocab"])}
            return write_json(vocab, folder, "vocab.json")
        config = {"tokenizer_class": self.class_name, **self.config}
        if self.name == "phi2":
            write_json({t["content"]: t["id"] for t in definition["added_tokens"]}, folder, "added_tokens.json")
            write_json({role: self.special[0] for role in ("bos_token", "eos_token", "unk_token")}, folder, "special_tokens_map.json")
        else:
            config["added_tokens_decoder"] = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in definition["added_tokens"]}
        return write_json(config, folder, "tokenizer_config.json")


def byte_families():
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    split = lambda digits: pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LATER % digits), "isolated"), byte_level])
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])
    spaces = [" " * n for n in range(31, 1, -1)]
    yield Bytes("llama3", "llama-bpe", split(r"\p{N}{1,3}"), ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
                ignore_merges=True, config={"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"})
    yield Bytes("qwen2", "qwen2", split(r"\p{N}"), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizer=normalizers.NFC(), class_name="Qwen2Tokenizer",
                model_type="qwen2", config={"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": None, "unk_token": None})
    yield Bytes("gpt2", "gpt-2", gpt2, ["<|endoftext|>"], class_name="GPT2Tokenizer", model_type="gpt2")
    yield Bytes("phi2", None, gpt2, ["<|endoftext|>"], spaces + ["\t" * n for n in range(9, 1, -1)], class_name="CodeGenTokenizer", model_type="phi")
    yield Bytes("neox", "olmo", gpt2, ["<|endoftext|>", "<|padding|>"], spaces[7:], normalizers.NFC(), class_name="GPTNeoXTokenizer", model_type="gpt_neox")
    yield Bytes("smollm", "smollm", digits, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])


def make_all(out, lines, size, names=()):
    """Writes all families below `out`, or those named, and yields their Readings. llama2 makes mistral too."""
    lines = [line for line in lines if line]
    if not names or "llama2" in names:
        yield from make_llama(out, lines, size)
    for family in byte_families():
        if not names or family.name in names:
            yield from family.make(out, lines, size)


CORPUS = [
    "The chest radiograph shows a small opacity in the left lower lobe; there is no pleural effusion.",
    "Which organ is abnormal? The liver is larger than normal and the spleen measures 13.5 cm.",
    "[INST] Is the heart size normal? [/INST] Yes, the heart size is normal.  USER: What is shown? ASSISTANT: A CT of the chest.",
    "¿Qué órgano se ve en la imagen? El pulmón izquierdo no está aumentado de tamaño.",
    "图像中哪个器官异常？肝脏比正常大，脾脏正常。",
    "It's the patient's 2nd CT in 2024; they've seen 3 or 4 nodules, don't they?",
    "MRI of the brain: T1, T2 and FLAIR.  Contrast   was given.\tImpression: normal.",
]
TEXTS = CORPUS + [
    "", " ", "   ", "a", " a", "  a  b   c ", "▁a ▁", "é e\u0301 ﬁ ½", "12.5mm 2024 x1y22z333  7", "I'LL we'll WE'RE ſ'ſ",
    "tabs\t\tand\u00a0spaces\u3000here\u2028line\u0085end\n\n  new \r\n", "a    =     b\n        c" + " " * 35 + "d", "\ufeffBOM \ufffd", "🙂👩🏽‍⚕️ ok",
    "नमस्ते ١٢", "\x01ctl\x7f", "aaaaaaa XXXX ____ ....", "<s>[INST] hi [/INST] ok</s><s>again", " <s> x </s>\n</s>", "a<unk>b<pad>",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>", "<|im_start|>user\nhi<|im_end|>\n<|endoftext|> x", "<0x41><s", "the<|padding|> <|endoftext|>the",
]


# Where there is no system message: a space or none before the turn, the begin token once, or not at all (TinyLlama).
LLAMA2 = ("{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}{% else %}{% set rest = messages %}"
          "{% set system = false %}{% endif %}{% for m in rest %}{% if loop.index0 == 0 and system != false %}"
          "{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + m['content'] %}{% else %}{% set content = m['content'] %}{% endif %}"
          "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")
MISTRAL = ("{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
           "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}")
LLAMA3 = ("{% for m in messages %}{% set content = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' %}"
          "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")
TINYLLAMA = ("{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|user|>\n' + m['content'] + eos_token + '\n' }}{% elif m['role'] == 'system' %}"
             "{{ '<|system|>\n' + m['content'] + eos_token + '\n' }}{% endif %}{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}")
VICUNA = ("{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] + ' ' }}{% elif m['role'] == 'user' %}{{ 'USER: ' + m['content'] + ' ' }}"
          "{% else %}{{ 'ASSISTANT: ' + m['content'] + eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}")
PROMPTS = [("llama2/model", LLAMA2), ("llama2/prepend", LLAMA2), ("mistral/model", MISTRAL), ("llama3/json", LLAMA3),
           ("llama2/model", TINYLLAMA), ("llama2/prepend", VICUNA)]


def prompts(readings):
    from transformers.utils.chat_template_utils import render_jinja_template
    question = "Which organ is larger?"
    for path, template in PROMPTS:
        fast = Tokenizer.from_str(readings[path].fast.to_str())
        roles = dict(bos_token="<|begin_of_text|>", eos_token="<|eot_id|>") if "llama3" in path else dict(bos_token="<s>", eos_token="</s>")
        chat = [{"role": "user", "content": "<image>\n" + question}]
        text = render_jinja_template(conversations=[chat], chat_template=template, add_generation_prompt=True, **roles)[0][0]
        fast.add_special_tokens([AddedToken("<image>", special=True, normalized=False)])
        ids = fast.encode(text, add_special_tokens=False).ids
        place = ids.index(fast.token_to_id("<image>"))
        yield {"path": path, "template": template, "question": question, "text": text, "before": ids[:place], "behind": ids[place + 1:]}


def main(out):
    root = os.path.join(out, "families")
    shutil.rmtree(root, ignore_errors=True)
    texts, found, readings = TEXTS, {}, {}
    for reading in make_all(root, CORPUS, 420):
        path = os.path.relpath(reading.path, root)
        readings[path] = reading
        if os.path.isfile(os.path.join(reading.path, "tokenizer.json")) and reading.family in ("qwen2", "gpt2", "phi2", "smollm"):
            shutil.rmtree(reading.path)  # test_tokenizer has such
            continue
        ids = reading.encode(texts)
        key = (reading.family, json.dumps(ids))
        if key not in found:
            decoded, skipped = reading.decode(ids), reading.decode(ids, True)
            found[key] = {"name": reading.family, "paths": [], "ids": ids, "decoded": decoded, "skipped": skipped}
        elif found[key]["decoded"] != reading.decode(ids) or found[key]["skipped"] != reading.decode(ids, True):
            sys.exit(f"families: {path} decodes otherwise than {found[key]['paths']}")
        found[key]["paths"].append(path)
    lines, asked = (",\n".join(json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in values) for values in (found.values(), prompts(readings)))
    with open(os.path.join(out, "families.json"), "w", encoding="utf-8") as file:
        file.write('{"texts":' + json.dumps(texts, ensure_ascii=False, separators=(",", ":")) + ',\n"families":[\n' + lines + '\n],\n"prompts":[\n' + asked + "\n]}\n")


if __name__ == "__main__":
    main(sys.argv[1])
