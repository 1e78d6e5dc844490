#!/usr/bin/env python3
"""Remakes tests/image/golden: small JPEG and PNG files of every kind that is read, and what Pillow makes of each.

Needs: pip install pillow numpy  (Pillow 13 or later: from 13 on the order of the two passes of a resize depends on the shape)
Usage: images.py OUT   (OUT is tests/image/golden)
image_results.txt has a line a result: FILE WIDTH HEIGHT SHA256 of the RGB bytes; a file's first line is the picture as it is, the
others the picture resized with BICUBIC.
"""
import hashlib
import io
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def picture(width, height, channels, seed):
    """Smooth shapes, hard edges and some noise: [height, width, channels] in 0..65535."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for c in range(channels):
        base = 30000 + 25000 * np.sin(x / (3.0 + c) + c) * np.cos(y / (5.0 - c / 2))
        base += np.where((x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2, 20000, -8000)
        planes.append(base + rng.normal(0, 1500, (height, width)))
    return np.clip(np.stack(planes, -1), 0, 65535).astype(np.uint16)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_rows(samples, depth):
    """Filter type 0 rows of samples [h, w, c]."""
    rows = b""
    for row in samples:
        values = row.reshape(-1)
        if depth == 16:
            data = values.astype(">u2").tobytes()
        elif depth == 8:
            data = values.astype(np.uint8).tobytes()
        else:
            bits = "".join(format(int(v), f"0{depth}b") for v in values)
            bits += "0" * (-len(bits) % 8)
            data = int(bits, 2).to_bytes(len(bits) // 8, "big")
        rows += b"\0" + data
    return rows


def png(samples, depth, colour, extra=b"", interlaced=False):
    height, width = samples.shape[:2]
    if interlaced:
        passes = (samples[y::dy, x::dx] for x, y, dx, dy in ADAM7)
        raw = b"".join(pack_rows(p, depth) for p in passes if p.size)
    else:
        raw = pack_rows(samples, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def png_files():
    files = {}
    for colour, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (4, (8, 16)), (6, (8, 16))):
        for depth in depths:
            name = {0: "grey", 2: "rgb", 4: "la", 6: "rgba"}[colour] + str(depth)
            samples = picture(29, 23, CHANNELS[colour], depth + colour) >> (16 - depth)
            files[f"{name}.png"] = png(samples, depth, colour)
            if depth in (1, 8, 16):
                files[f"{name}_interlaced.png"] = png(samples, depth, colour, interlaced=True)
    files["grey16_dark.png"] = png(picture(29, 23, 1, 5) >> 7, 16, 0)
    files["grey8_trns.png"] = png(picture(19, 9, 1, 6) >> 8, 8, 0, chunk(b"tRNS", struct.pack(">H", 100)))
    files["rgb8_trns.png"] = png(picture(19, 9, 3, 7) >> 8, 8, 2, chunk(b"tRNS", struct.pack(">HHH", 100, 90, 80)))
    rng = np.random.default_rng(8)
    for depth in (1, 2, 4, 8):
        colours = rng.integers(0, 256, 3 << depth).astype(np.uint8)
        samples = picture(29, 23, 1, 20 + depth) >> (16 - depth)
        palette = chunk(b"PLTE", colours.tobytes())
        files[f"palette{depth}.png"] = png(samples, depth, 3, palette)
        files[f"palette{depth}_trns.png"] = png(samples, depth, 3, palette + chunk(b"tRNS", bytes([0, 128])), depth == 4)
    short = chunk(b"PLTE", bytes([200, 10, 20, 30, 140, 250]))
    files["palette_short.png"] = png(np.arange(12).reshape(3, 4, 1) % 5, 8, 3, short)
    extra = chunk(b"gAMA", struct.pack(">I", 10000)) + chunk(b"tEXt", b"Comment\0nothing") + chunk(b"pHYs", struct.pack(">IIB", 3, 9, 1))
    files["rgb8_gamma.png"] = png(picture(19, 9, 3, 9) >> 8, 8, 2, extra)
    files["one.png"] = png(np.array([[[7, 80, 200]]]), 8, 2)
    return files


def jpeg(array, mode, **options):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, "JPEG", **options)
    return out.getvalue()


def jpeg_files():
    rgb = (picture(37, 29, 3, 1) >> 8).astype(np.uint8)
    grey = (picture(37, 29, 1, 2) >> 8).astype(np.uint8)[:, :, 0]
    ink = (picture(37, 29, 4, 3) >> 8).astype(np.uint8)
    files = {}
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        files[f"rgb_{name}.jpg"] = jpeg(rgb, "RGB", quality=85, subsampling=subsampling)
    files["rgb_progressive.jpg"] = jpeg(rgb, "RGB", quality=60, progressive=True)
    files["rgb_restart.jpg"] = jpeg(rgb, "RGB", quality=70, restart_marker_blocks=2)
    files["rgb_kept.jpg"] = jpeg(rgb, "RGB", quality=80, keep_rgb=True)
    files["grey.jpg"] = jpeg(grey, "L", quality=90)
    files["grey_progressive.jpg"] = jpeg(grey, "L", quality=40, progressive=True)
    files["cmyk.jpg"] = jpeg(ink, "CMYK", quality=90)
    marker = files["cmyk.jpg"].index(b"Adobe")
    ycck = bytearray(files["cmyk.jpg"])
    ycck[marker + 11] = 2  # the transform byte: the same data read as YCCK
    files["ycck.jpg"] = bytes(ycck)
    exif = Image.Exif()
    exif[0x0112] = 6
    files["rgb_rotated.jpg"] = jpeg(rgb, "RGB", quality=75, exif=exif)
    files["tall.jpg"] = jpeg((picture(15, 90, 3, 4) >> 8).astype(np.uint8), "RGB", quality=85)
    files["wide.jpg"] = jpeg((picture(120, 11, 3, 5) >> 8).astype(np.uint8), "RGB", quality=85)
    files["one.jpg"] = jpeg(rgb[:1, :1], "RGB")
    return files


def sizes(width, height):
    yield width, height
    yield 64, 64
    yield 16, 16
    yield max(1, width // 3), height
    yield width, 7
    yield 1, 1
    yield width + 5, max(1, height // 2)


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    lines = []
    for name, data in sorted({**png_files(), **jpeg_files()}.items()):
        with open(os.path.join(out, name), "wb") as file:
            file.write(data)
        image = Image.open(io.BytesIO(data)).convert("RGB")
        for size in sizes(*image.size):
            resized = image.resize(size, Image.Resampling.BICUBIC)
            lines.append(f"{name} {size[0]} {size[1]} {hashlib.sha256(resized.tobytes()).hexdigest()}\n")
    with open(os.path.join(out, "image_results.txt"), "w") as file:
        file.writelines(lines)


main()
