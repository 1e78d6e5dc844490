#!/usr/bin/env python3
"""Makes the files in tests/formats/golden from the implementations that users trust. The contents are the same each time; the
bytes of small.safetensors and legacy.pt are not (their writers order keys and number storages as they like).

usage: script/vectors/formats.py OUT       (needs numpy, gguf, safetensors, torch, transformers, peft from PyPI)
"""
import collections
import pathlib
import sys

import gguf
import numpy as np
import safetensors.torch
import torch

QUANTISED = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]
SCALES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def random_blocks(rng, name, rows, columns):
    """Random bytes in every field; the half-precision scales finite, of both signs, some subnormal."""
    kind = gguf.GGMLQuantizationType[name]
    values, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows * columns // values, size), dtype=np.uint8)
    for offset in SCALES[name]:
        scale = (rng.standard_normal(len(blocks)) * 10.0 ** rng.integers(-7, 2, len(blocks))).astype(np.float16)
        blocks[:, offset : offset + 2] = scale.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1), kind


def write_gguf(out):
    """Every quantised type and F16 beside what gguf.dequantize makes of it; a key of every type."""
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(out / "types.gguf", "llama")
    writer.add_uint8("t.u8", 200)
    writer.add_int8("t.i8", -100)
    writer.add_uint16("t.u16", 60000)
    writer.add_int16("t.i16", -30000)
    writer.add_uint32("t.u32", 4000000000)
    writer.add_int32("t.i32", -2000000000)
    writer.add_uint64("t.u64", 2**64 - 2**11)
    writer.add_int64("t.i64", -(2**62))
    writer.add_float32("t.f32", 0.1)
    writer.add_float64("t.f64", 0.1)
    writer.add_bool("t.bool", True)
    writer.add_string("t.string", "gr\u00fc\u00df")
    writer.add_array("t.strings", ["a", "", "\u4e2d\u6587"])
    writer.add_array("t.integers", [1, -2, 3])
    writer.add_array("t.numbers", [0.5, -1.5])
    for name in QUANTISED:
        columns = 512 if name.endswith("K") else 64
        blocks, kind = random_blocks(rng, name, 2, columns)
        writer.add_tensor(name, blocks, raw_dtype=kind)
        writer.add_tensor(name + ".expected", gguf.dequantize(blocks, kind).astype(np.float32))
    # Every exponent and sign of half precision, and a step through the fractions.
    halves = np.arange(0, 65536, 97, dtype=np.uint16)
    halves = halves[np.isfinite(halves.view(np.float16))][:640]
    writer.add_tensor("F16", halves.view(np.float16).reshape(5, 128))
    writer.add_tensor("F16.expected", halves.view(np.float16).astype(np.float32).reshape(5, 128))
    brains = rng.integers(0, 65536, (4, 3), dtype=np.uint16) & 0xBFFF
    writer.add_tensor("BF16", brains.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.add_tensor("BF16.expected", (brains.astype(np.uint32) << 16).view(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def small_tensors():
    """A few tensors whose values say where they are: value = position in row-major order, plus a base."""
    return collections.OrderedDict(
        f32=torch.arange(6, dtype=torch.float32).reshape(2, 3),
        f16=torch.arange(4, dtype=torch.float16) + 100,
        bf16=torch.arange(4, dtype=torch.bfloat16) + 200,
        f64=torch.arange(3, dtype=torch.float64) + 300,
        i64=torch.arange(3, dtype=torch.int64) - 1,
        i32=torch.arange(3, dtype=torch.int32) + 500,
        i16=torch.arange(3, dtype=torch.int16) + 600,
        i8=torch.arange(3, dtype=torch.int8) - 2,
        u8=torch.arange(3, dtype=torch.uint8) + 253,
        bool=torch.tensor([True, False, True]),
        scalar=torch.tensor(7.5),
        empty=torch.zeros(0, 4),
    )


def write_torch(out):
    tensors = small_tensors()
    whole = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    tensors["transposed"] = whole.permute(2, 0, 1)
    tensors["column"] = whole[:, 1, :]
    tensors["tied"] = tensors["f32"]
    tensors["parameter"] = torch.nn.Parameter(torch.ones(2))
    torch.save(tensors, out / "small.pt")
    torch.save(tensors, out / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": {"a": {"b": [torch.ones(1), torch.zeros(1)]}}, "epoch": 3, "lr": 0.5, "name": "n", "ok": True,
                "betas": (0.9, 0.99)}, out / "nested.pt")


def write_adapter(out):
    """What PEFT saves of a fresh LoRA on a tiny model."""
    import peft
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                                         num_key_value_heads=1, vocab_size=20))
    config = peft.LoraConfig(r=4, lora_alpha=8, lora_dropout=0.05, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM",
                             use_rslora=True)
    peft.get_peft_model(model, config).save_pretrained(out / "adapter")
    (out / "adapter" / "README.md").unlink()


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    write_gguf(out)
    safetensors.torch.save_file(small_tensors(), out / "small.safetensors", metadata={"format": "pt", "note": "two\nlines"})
    write_torch(out)
    write_adapter(out)


main()
