"""Golden files of DICOM (tests/image), by pydicom with its plug-ins.

dicom/*.dcm: small files of many kinds, and dicom/pictures.json: what each looks like, by pydicom's apply_modality_lut,
apply_voi_lut and apply_color_lut. dicom/data.json: of every file in the data folder ($PFM_DATA, or ../shared/data), which is not
committed itself, the stored values: their hash where the file is lossless, else some of them; or that pydicom cannot read it.

usage: dicom.py tests/image/golden        needs Debian's dcmtk and openjph-tools, to compress
"""
import hashlib
import io
import json
import os
import pathlib
import sys

import numpy as np
from pydicom.dataset import Dataset
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

sys.path.insert(0, os.path.dirname(__file__))
from dicom_files import by_dcmtk, compressed, high_throughput, new_file, palette, segmented, table
from dicom_reference import LOSSY, frames_of, of_frame, own_window, picture, read

EncapsulatedUncompressed = UID("1.2.840.10008.1.2.1.98")
ROWS, COLUMNS = 12, 10
GRID = 8


def jpegs(draw):
    """{name: file} of every JPEG and JPEG-LS process that DCMTK writes."""
    y, x = np.mgrid[0:24, 0:20]
    smooth = (2000 + 1200 * np.sin(x / 3) * np.cos(y / 4) + draw.integers(0, 60, x.shape)).astype(np.uint16)
    grey = new_file((smooth >> 4).astype(np.uint8))
    deep = new_file(smooth, stored=12, WindowCenter=2000, WindowWidth=4096)
    full = new_file((smooth * 16 - 32768).astype(np.int16), WindowCenter=0, WindowWidth=65536)
    rgb = new_file(np.stack([smooth >> 4, np.roll(smooth, 5, 0) >> 4, np.roll(smooth, 7, 1) >> 4], -1).astype(np.uint8))
    return {
        "jpeg": by_dcmtk(grey, "dcmcjpeg", "+eb"),
        "jpeg_rgb": by_dcmtk(rgb, "dcmcjpeg", "+eb"),
        "jpeg12": by_dcmtk(deep, "dcmcjpeg", "+ee"),
        "jpeg_progressive": by_dcmtk(grey, "dcmcjpeg", "+ep"),
        "jpeg_lossless": by_dcmtk(full, "dcmcjpeg", "+el"),
        "jpeg_lossless12": by_dcmtk(deep, "dcmcjpeg", "+e1"),
        "jpeg_lossless_rgb": by_dcmtk(rgb, "dcmcjpeg", "+e1"),
        "jpegls": by_dcmtk(full, "dcmcjpls", "+el"),
        "jpegls_rgb": by_dcmtk(rgb, "dcmcjpls", "+el"),
        "jpegls_near": by_dcmtk(deep, "dcmcjpls", "+en", "+md", "3"),
    }


def greys(draw):
    """{name: file} of one sample a pixel."""
    u8 = draw.integers(0, 256, (ROWS, COLUMNS), np.uint8)
    u16 = draw.integers(0, 4096, (ROWS, COLUMNS)).astype(np.uint16)
    s16 = draw.integers(-2000, 3000, (ROWS, COLUMNS)).astype(np.int16)
    hu = {"RescaleSlope": 1, "RescaleIntercept": -1024, "Modality": "CT"}
    files = {
        "linear": new_file(u16, stored=12, WindowCenter=[40, 400], WindowWidth=[400, 1], **hu),
        "linear_exact": new_file(s16, WindowCenter=300.5, WindowWidth=999.25, VOILUTFunction="LINEAR_EXACT"),
        "sigmoid": new_file(s16, WindowCenter=100, WindowWidth=700, VOILUTFunction="SIGMOID", RescaleSlope=1.5, RescaleIntercept=-20.25),
        "inverted": new_file(u16, stored=12, photometric="MONOCHROME1", WindowCenter=2000, WindowWidth=3000),
        "narrow": new_file(u8, WindowCenter=100, WindowWidth=50),
        "plain8": new_file(u8),
        "plain8_inverted": new_file(u8, photometric="MONOCHROME1"),
        "modality_lut": new_file(u16, stored=12, ModalityLUTSequence=table(1000, 500, 16, draw.integers(0, 65536, 1000)), WindowCenter=32000, WindowWidth=50000),
        "voi_lut": new_file(s16, VOILUTSequence=table(600, -300, 12, np.sort(draw.integers(0, 4096, 600)), signed=True), WindowCenter=0, WindowWidth=100),
        "voi_lut8": new_file(u8, VOILUTSequence=table(256, 0, 8, np.arange(256)[::-1])),
        "dirty_bits": new_file((u16 | draw.integers(0, 16, u16.shape).astype(np.uint16) << 12).astype(np.uint16), stored=12, WindowCenter=2048, WindowWidth=4096),
        "signed12": new_file((u16 & 0xFFF).astype(np.uint16), stored=12, PixelRepresentation=1, WindowCenter=0, WindowWidth=4000),
        "signed8": new_file(u8.view(np.int8), WindowCenter=0, WindowWidth=200),
        "unsigned32": new_file(draw.integers(0, 2**32, (ROWS, COLUMNS)).astype(np.uint32), WindowCenter=2**31, WindowWidth=2**32),
        "signed32": new_file(draw.integers(-2**31, 2**31, (ROWS, COLUMNS)).astype(np.int32), WindowCenter=0, WindowWidth=2**31),
        "implicit": new_file(s16, ImplicitVRLittleEndian, WindowCenter=500, WindowWidth=3000),
        "big_endian": new_file(s16, ExplicitVRBigEndian, WindowCenter=500, WindowWidth=3000),
        "deflated": new_file(s16, DeflatedExplicitVRLittleEndian, WindowCenter=500, WindowWidth=3000),
        "rle": compressed(new_file(s16, WindowCenter=500, WindowWidth=3000), RLELossless),
        "jpeg2000": compressed(new_file(np.kron(u16, np.ones((4, 4), np.uint16)), stored=12, WindowCenter=2000, WindowWidth=3000), JPEG2000Lossless),
        "jpeg2000_signed": compressed(new_file(np.kron(s16, np.ones((4, 4), np.int16)), WindowCenter=500, WindowWidth=3000), JPEG2000Lossless),
        "htj2k": high_throughput(draw.integers(0, 65536, (32, 40)).astype(np.uint16)),
    }
    files["htj2k"].WindowCenter, files["htj2k"].WindowWidth = 32768, 65536
    return files


def colours(draw):
    """{name: file} of colours, palettes and several frames."""
    rgb = draw.integers(0, 256, (ROWS, COLUMNS, 3), np.uint8)
    index = draw.integers(0, 60, (ROWS, COLUMNS), np.uint8)
    planar = new_file(rgb)
    planar.PlanarConfiguration, planar.PixelData = 1, rgb.transpose(2, 0, 1).tobytes()
    bits = draw.integers(0, 2, (3, 5, 5), np.uint8)
    one = new_file(bits)
    one.BitsAllocated = one.BitsStored = 1
    one.HighBit, one.PixelData = 0, np.packbits(bits.ravel(), bitorder="little").tobytes() + b"\0" * 0
    one.PixelData += b"\0" * (len(one.PixelData) % 2)
    frames = draw.integers(0, 4096, (3, ROWS, COLUMNS)).astype(np.uint16)
    enhanced = new_file(frames, stored=12)
    enhanced.SharedFunctionalGroupsSequence = [Dataset()]
    enhanced.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [Dataset()]
    enhanced.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].update({"RescaleSlope": 2, "RescaleIntercept": -1000, "RescaleType": "HU"})
    enhanced.PerFrameFunctionalGroupsSequence = [Dataset() for _ in frames]
    for n, item in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        item.FrameVOILUTSequence = [Dataset()]
        item.FrameVOILUTSequence[0].update({"WindowCenter": 1000 * n, "WindowWidth": 2000 + n})
    wrapped = new_file(frames, EncapsulatedUncompressed, stored=12, WindowCenter=2048, WindowWidth=4096)
    wrapped.PixelData = encapsulate([f.tobytes() for f in frames], has_bot=False)
    wrapped["PixelData"].is_undefined_length = True
    return {
        "rgb": new_file(rgb),
        "rgb_planar": planar,
        "rgb16": new_file(draw.integers(0, 65536, (ROWS, COLUMNS, 3)).astype(np.uint16)),
        "ybr_full": new_file(rgb, photometric="YBR_FULL"),
        "ybr_rle": compressed(new_file(rgb, photometric="YBR_FULL"), RLELossless),
        "rgb_big_endian": new_file(rgb, ExplicitVRBigEndian),
        "rgb_jpeg2000": compressed(new_file(np.kron(rgb, np.ones((4, 4, 1), np.uint8))), JPEG2000Lossless),
        "palette": palette(new_file(index, photometric="PALETTE COLOR"), draw),
        "palette_segmented": segmented(new_file((index % 20).astype(np.uint8), photometric="PALETTE COLOR")),
        "one_bit": one,
        "enhanced": enhanced,
        "wrapped": wrapped,
    }


def others():
    """{name: file} of what needs no random values: pixels four times as high as wide, of a CT that leaves its unit unspecified; frames in RLE,
    each in two fragments, of which no table says where they begin."""
    ramp = ramps()[0]
    rle = compressed(new_file(np.stack(ramps()), WindowCenter=60, WindowWidth=120), RLELossless, encoding_plugin="pydicom")
    rle.PixelData = encapsulate(list(generate_frames(rle.PixelData, number_of_frames=2)), fragments_per_frame=2, has_bot=False)
    rle["PixelData"].is_undefined_length = True
    return {
        "tall_pixels": new_file(ramp.astype(np.int16), Modality="CT", RescaleSlope=1, RescaleIntercept=-1000, RescaleType="US", PixelSpacing=[2, 0.5],
                                WindowCenter=-940, WindowWidth=100),
        "rle_no_table": rle,
    }


def pictures(folder):
    draw = np.random.default_rng(20261126)
    result = []
    for name, ds in (greys(draw) | colours(draw) | jpegs(draw) | others()).items():
        path = folder / f"{name}.dcm"
        ds.save_as(path, enforce_file_format=True)
        again = read(path)
        if name == "jpeg_progressive":  # which pydicom does not read: another reader of JPEG does
            listed = [np.asarray(Image.open(io.BytesIO(next(generate_frames(again.PixelData, number_of_frames=1)))))]
        else:
            listed = wrapped_frames(again) if name == "wrapped" else frames_of(again) if name != "rle_no_table" else ramps()
        for number, pixels in enumerate(listed):
            of = of_frame(again, number)
            for window in own_windows(of):
                plain = 2**of.BitsStored - 1
                shown = picture(of, pixels, window or "stored", plain / 2, plain)
                result.append({"file": path.name, "frame": number, "window": window, "rows": int(of.Rows), "columns": int(of.Columns),
                               "grey": window != "colour", "near": again.file_meta.TransferSyntaxUID in LOSSY, "picture": (shown[..., 0] if window != "colour" else shown).tobytes().hex()})
    headless = (folder / "implicit.dcm").read_bytes()
    begin = headless.index(b"\x08\x00\x16\x00")  # behind preamble and meta header
    (folder / "headless.dcm").write_bytes(headless[begin:])
    (folder / "pictures.json").write_text(json.dumps(result, indent=0).replace("\n}", "}") + "\n")


def ramps():
    """What pydicom does not read either: it looks for frames by the table alone."""
    ramp = np.arange(ROWS * COLUMNS, dtype=np.uint8).reshape(ROWS, COLUMNS)
    return [ramp, ramp[::-1]]


def wrapped_frames(ds):
    """pydicom does not read these; they are the bytes."""
    return [np.frombuffer(f, "<u2").reshape(ds.Rows, ds.Columns) for f in generate_frames(ds.PixelData, number_of_frames=int(ds.NumberOfFrames))]


def own_windows(ds):
    """Every window of a file; [None] for the values as they are."""
    first = own_window(ds)
    if first is None or first == "colour":
        return [first]
    count = ds["WindowCenter"].VM if "WindowCenter" in ds else 0
    return (["lut:0"] if first == "lut:0" else []) + [f"file:{n}" for n in range(count)]


def describe(path, base):
    entry = {"file": str(path.relative_to(base))}
    try:
        ds = read(path)
        frames = frames_of(ds)
    except Exception:  # pydicom raises what it likes
        return entry | {"reads": False}
    last = frames[-1]
    entry |= {"reads": True, "frames": len(frames), "shape": list(last.shape), "dtype": last.dtype.newbyteorder("<").str}
    if ds.file_meta.TransferSyntaxUID not in LOSSY:
        return entry | {"sha256": hashlib.sha256(np.ascontiguousarray(last.astype(last.dtype.newbyteorder("<")))).hexdigest()}
    rows, columns = (np.arange(GRID) * (n - 1) // (GRID - 1) for n in last.shape[:2])
    return entry | {"grid": last[np.ix_(rows, columns)].astype(int).ravel().tolist()}


def main():
    folder = pathlib.Path(sys.argv[1]) / "dicom"
    folder.mkdir(exist_ok=True)
    pictures(folder)
    base = pathlib.Path(os.environ.get("PFM_DATA", "../shared/data")) / "dicom"
    if not base.is_dir():
        print(f"dicom: no {base}; data.json is left as it is")
        return
    entries = [describe(p, base) for p in sorted(base.rglob("*")) if p.is_file()]
    (folder / "data.json").write_text("[\n" + ",\n".join(json.dumps(e) for e in entries) + "\n]\n")


main()
