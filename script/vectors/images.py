#!/usr/bin/env python3
"""Remakes tests/image/golden: small JPEG, PNG, TIFF, WebP and NIfTI files of every kind that is read, and what Pillow makes of each, or
of NIfTI nibabel.

Needs: pip install pillow numpy tifffile nibabel torch  (Pillow 13 or later: from 13 on the order of the two passes of a resize depends on
the shape)
Usage: images.py OUT   (OUT is tests/image/golden)
image_results.txt has a line a result: FILE WIDTH HEIGHT SHA256 of the RGB bytes; a file's first line is the picture as it is, the
others the picture resized with BICUBIC. image_fits.txt: FILE FIT FILTER SIZE SHA256, as the published processors resize.
Grey of 16 bits is here what docs/images.md says: from the value that 0.5% are below to the one that 0.5% are above.
"""
import hashlib
import io
import os
import struct
import sys
import textwrap
import zlib

import gzip

import nibabel
import numpy as np
import tifffile
import torch
from PIL import Image, ImageOps, PngImagePlugin

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


def saved(image, kind, options):
    out = io.BytesIO()
    image.save(out, {"tif": "TIFF", "jpg": "JPEG"}.get(kind, kind.upper()), **options)
    return out.getvalue()


def turned_files():
    """Every orientation in every kind of file."""
    small = Image.fromarray((picture(11, 7, 3, 40) >> 8).astype(np.uint8))
    files = {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for kind, options in (("png", {"exif": exif}), ("webp", {"exif": exif, "lossless": True}),
                              ("tif", {"tiffinfo": {0x0112: orientation}}), ("jpg", {"exif": exif, "quality": 90})):
            if kind in ("png", "tif") or orientation in (3, 8):
                files[f"turned{orientation}.{kind}"] = saved(small, kind, options)
    return {**files, **told_otherwise_files(small)}


def told_otherwise_files(image):
    """An orientation that EXIF does not tell: by XMP, as an attribute and as an element, and in PNG by ImageMagick's profile."""
    as_attribute, as_element = b"<rdf:Description tiff:Orientation=\"6\"/>", b"<tiff:Orientation>7</tiff:Orientation>"
    exif = Image.Exif()
    exif[0x0112] = 8
    body = exif.tobytes()
    profile, packet, packed = PngImagePlugin.PngInfo(), PngImagePlugin.PngInfo(), PngImagePlugin.PngInfo()
    profile.add_text("Raw profile type exif", "\nexif\n%8d\n%s\n" % (len(body), textwrap.fill(body.hex(), 72)), zip=True)
    packet.add_itxt("XML:com.adobe.xmp", as_element.decode())
    packed.add_itxt("XML:com.adobe.xmp", as_attribute.decode(), zip=True)
    told = (("profile", "png", {"pnginfo": profile}), ("xmp", "png", {"pnginfo": packet}), ("packed_xmp", "png", {"pnginfo": packed}),
            ("xmp", "webp", {"xmp": as_attribute, "lossless": True}), ("xmp", "tif", {"tiffinfo": {700: as_element}}),
            ("xmp", "jpg", {"xmp": as_attribute, "quality": 90}))
    return {f"turned_{name}.{kind}": saved(image, kind, options) for name, kind, options in told}


def tiff(samples, **options):
    out = io.BytesIO()
    tifffile.imwrite(out, samples, metadata=None, software=False, **options)
    return out.getvalue()


def tiff_files():
    rgb, grey = (picture(29, 23, 3, 50) >> 8).astype(np.uint8), (picture(29, 23, 1, 51) >> 8).astype(np.uint8)[:, :, 0]
    four = (picture(29, 23, 4, 52) >> 8).astype(np.uint8)
    colours = np.random.default_rng(53).integers(0, 65536, (3, 256)).astype(np.uint16)
    image, zipped = Image.fromarray(rgb), {"compression": "zlib", "compressionargs": {"level": 9}}
    files = {
        "tiff_white.tif": tiff(grey, photometric="miniswhite", rowsperstrip=5, **zipped),
        "tiff_tiles.tif": tiff(rgb, photometric="rgb", tile=(16, 16), **zipped),
        "tiff_planes.tif": tiff(np.moveaxis(rgb, -1, 0).copy(), photometric="rgb", planarconfig="separate", **zipped),
        "tiff_inks.tif": tiff(four, photometric="separated", **zipped),
        "tiff_ink_planes.tif": tiff(np.moveaxis(four, -1, 0).copy(), photometric="separated", planarconfig="separate", tile=(16, 16), **zipped),
        "tiff_alpha.tif": tiff(four, photometric="rgb", extrasamples=["unassalpha"], **zipped),
        "tiff_multiplied.tif": tiff(four, photometric="rgb", extrasamples=["assocalpha"], **zipped),
        "tiff_palette.tif": tiff(grey, photometric="palette", colormap=colours, **zipped),
        "tiff_rgb16.tif": tiff(picture(29, 23, 3, 54), photometric="rgb", byteorder=">", **zipped),
        "tiff_grey16.tif": tiff(picture(29, 23, 1, 55)[:, :, 0] >> 4, photometric="minisblack", byteorder=">", **zipped),
        "tiff_big.tif": tiff(rgb, photometric="rgb", bigtiff=True, **zipped),
        "tiff_pages.tif": tiff(np.stack([grey, 255 - grey, grey // 2]), photometric="minisblack", **zipped),
    }
    for name, mode, compression in (("lzw", "RGB", "tiff_lzw"), ("packbits", "RGB", "packbits"), ("jpeg", "RGB", "jpeg"), ("raw", "L", None),
                                    ("fax", "1", "group4"), ("bits", "1", None)):
        out = io.BytesIO()
        image.convert(mode).save(out, "TIFF", **({"compression": compression} if compression else {}))
        files[f"tiff_{name}.tif"] = out.getvalue()
    return files


def webp_files():
    files = {}
    image, clear = Image.fromarray((picture(37, 29, 3, 60) >> 8).astype(np.uint8)), Image.fromarray((picture(19, 14, 4, 61) >> 8).astype(np.uint8))
    for name, source, options in (("lossy", image, {"quality": 70}), ("lossless", image, {"lossless": True}), ("alpha", clear, {"quality": 60}),
                                  ("alpha_lossless", clear, {"lossless": True, "exact": True}),
                                  ("moving", clear, {"save_all": True, "append_images": [clear.rotate(90), clear.rotate(180)], "quality": 50})):
        out = io.BytesIO()
        source.save(out, "WEBP", **options)
        files[f"webp_{name}.webp"] = out.getvalue()
    return files


# name -> type, axes of the file, form, byte order, version of the header, whether the header has a window
NIFTI = {
    "axial.nii": (np.uint8, "LPS", "s", "<", 1, False), "ras.nii.gz": (np.int16, "RAS", "q", "<", 1, True),
    "coronal.nii": (np.int16, "LIP", "s", ">", 1, False), "sagittal.nii.gz": (np.float32, "SAR", "s", "<", 2, True),
    "second.nii": (np.uint16, "PLS", "q", ">", 2, False), "nowhere.nii": (np.int32, None, None, "<", 1, True),
}


def nifti_files():
    """The files, and the first slice of each as a radiologist looks at it."""
    files, pictures = {}, {}
    for i, (name, (kind, axes, form, order, version, windowed)) in enumerate(NIFTI.items()):
        values = np.moveaxis((picture(11, 9, 4, 70 + i) >> 8), 0, 1).astype(kind)
        affine = np.eye(4)
        if axes:
            affine = nibabel.orientations.inv_ornt_aff(nibabel.orientations.axcodes2ornt(axes), values.shape)
        header = (nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header)(endianness=order)
        header.set_data_dtype(kind)
        image = (nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image)(values, affine, header)
        image.set_sform(affine if form == "s" else None, int(form == "s"))
        image.set_qform(affine if form == "q" else None, int(form == "q"))
        if windowed:
            image.header["cal_min"], image.header["cal_max"] = 30, 190
        data = image.to_bytes()
        files[f"nifti_{name}"] = gzip.compress(data, 9, mtime=0) if name.endswith("gz") else data
        slice_, shown = values[:, :, 0].astype(np.float64), []
        if axes:
            placed = nibabel.orientations.io_orientation(affine)
            slice_ = slice_[::-1] if placed[0, 1] > 0 else slice_
            slice_ = slice_[:, ::-1] if placed[1, 1] > 0 else slice_
            slice_ = slice_ if placed[0, 0] > placed[1, 0] else slice_.T
        else:
            slice_ = slice_.T
        low, high = (30, 190) if windowed else (0, 255) if kind == np.uint8 else tails(slice_)
        pictures[f"nifti_{name}"] = to_grey(slice_, low, high)
    return files, pictures


def tails(values):
    """The values that 0.5% are below and above."""
    found, counts = np.unique(values, return_counts=True)
    left_out = 0.005 * counts.sum()
    return found[np.argmax(np.cumsum(counts) > left_out)], found[::-1][np.argmax(np.cumsum(counts[::-1]) > left_out)]


def to_grey(values, low, high):
    share = np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)
    return Image.fromarray(np.floor(share * 255 + 0.5).astype(np.uint8)).convert("RGB")


def read(data):
    """As Pillow gives it; of 16-bit grey as the documentation says."""
    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)
        return to_grey(values, *tails(values))
    return ImageOps.exif_transpose(image).convert("RGB")


def resized_to(image, size, filter_name):
    """By Pillow; or by torch, whose kernel for bytes torchvision calls."""
    if not filter_name.endswith("_torch"):
        return image.resize(size, getattr(Image.Resampling, filter_name.upper()))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].contiguous()
    if size == image.size:
        return image
    done = torch.nn.functional.interpolate(pixels, size[::-1], mode=filter_name[:-6], antialias=True)
    return Image.fromarray(done[0].permute(1, 2, 0).contiguous().numpy())


def fitted(image, fit, filter_name, size):
    """As the processors do it."""
    width, height = image.size
    if fit == "squash":
        return resized_to(image, (size, size), filter_name)
    if fit == "pad":  # LLaVA's expand2square
        side = max(width, height)
        square = Image.new("RGB", (side, side), (10, 100, 200))
        square.paste(image, ((side - width) // 2, (side - height) // 2))
        return resized_to(square, (size, size), filter_name)
    short = min(width, height)
    whole = (size, int(size * height / short)) if width <= height else (int(size * width / short), size)
    resized = resized_to(image, whole, filter_name)
    left, top = ((n - size) // 2 if fit == "crop" else int(round((n - size) / 2.0)) for n in whole)
    return resized.crop((left, top, left + size, top + size))


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
    fits = []
    volumes, slices = nifti_files()
    for name, data in sorted({**png_files(), **jpeg_files(), **turned_files(), **tiff_files(), **webp_files(), **volumes}.items()):
        with open(os.path.join(out, name), "wb") as file:
            file.write(data)
        image = slices[name] if name in slices else read(data)
        if name in ("tall.jpg", "wide.jpg", "grey.jpg", "rgb8.png", "one.png"):
            for fit in ("squash", "crop", "crop_round", "pad"):
                for filter_name in ("bicubic", "bilinear", "lanczos", "box", "hamming", "bicubic_torch", "bilinear_torch"):
                    for size in (16, 33, 57):
                        digest = hashlib.sha256(fitted(image, fit, filter_name, size).tobytes()).hexdigest()
                        fits.append(f"{name} {fit} {filter_name} {size} {digest}\n")
        plain = name.endswith((".png", ".jpg")) and not name.startswith("turned")
        for size in sizes(*image.size) if plain else [image.size]:
            resized = image.resize(size, Image.Resampling.BICUBIC)
            lines.append(f"{name} {size[0]} {size[1]} {hashlib.sha256(resized.tobytes()).hexdigest()}\n")
    with open(os.path.join(out, "image_results.txt"), "w") as file:
        file.writelines(lines)
    with open(os.path.join(out, "image_fits.txt"), "w") as file:
        file.writelines(fits)


main()
