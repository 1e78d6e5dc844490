#!/usr/bin/env python3
"""Makes tests/formats/golden/blocks.safetensors: a small matrix and what gguf and bitsandbytes make of it in blocks.

usage: script/vectors/blocks.py OUT       (needs numpy, gguf, safetensors, torch, bitsandbytes from PyPI)
"""
import pathlib
import sys

import bitsandbytes.functional as bnb
import gguf
import numpy as np
import safetensors.torch
import torch


def matrix():
    """Normal numbers; a row with zeros, tiny and large ones; a row whose magnitudes are often equal."""
    rng = np.random.default_rng(5)
    w = rng.standard_normal((3, 256)).astype(np.float32)
    w[1, :64] = 0
    w[1, 64:128] *= 1e-30
    w[1, 128:192] *= 1e4
    w[2] = np.round(w[2] * 4) / 4
    return w


def main():
    out = pathlib.Path(sys.argv[1])
    w = matrix()
    tensors = {"w": torch.from_numpy(w)}
    for name in ["Q8_0", "Q4_0", "Q4_1"]:
        blocks = gguf.quantize(w, gguf.GGMLQuantizationType[name])
        tensors[name.lower()] = torch.from_numpy(blocks)
    for name, double in [("plain", False), ("double", True)]:
        packed, state = bnb.quantize_4bit(torch.from_numpy(w), quant_type="nf4", blocksize=64, compress_statistics=double)
        tensors[name] = packed
        for key, value in state.as_dict(packed=True).items():
            tensors[f"{name}.{key}"] = value
        tensors[name + ".expected"] = bnb.dequantize_4bit(packed, state)
    safetensors.torch.save_file({k: v.contiguous() for k, v in tensors.items()}, out / "blocks.safetensors")


main()
