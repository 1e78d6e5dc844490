"""Makes DICOM files at random, thousands of them, for script/check-dicom: every depth and sign, photometric interpretation, plane
order, transfer syntax and way to write it that is combined at all. The number of a file decides everything in it."""
import os
import sys

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000,
                         JPEG2000Lossless, RLELossless)

sys.path.insert(0, os.path.dirname(__file__))
from dicom_files import by_dcmtk, compressed, high_throughput, new_file, palette, segmented, table

NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
JPEG_LOSSLESS = [("dcmcjpeg", "+e1"), ("dcmcjpeg", "+el"), ("dcmcjpls", "+el"), ("dcmcjpls", "+el", "+il"), ("dcmcjpls", "+el", "+in")]
JPEG_LOSSY = [("dcmcjpeg", "+eb"), ("dcmcjpls", "+en", "+md", "2")]


def integers(draw, low, high, shape, dtype):
    return draw.integers(low, high, shape, np.int64, endpoint=True).astype(dtype)


def stored_values(draw, bits, signed, shape, smooth):
    """Values that need `bits`, in the smallest type of whole bytes; smooth ones, as a codec likes them, or noise."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2 if bits <= 16 else 4}")
    if not smooth:
        return integers(draw, low, high, shape, kind)
    rows, columns = shape[1:3]
    y, x = np.mgrid[0:rows, 0:columns]
    wave = 0.5 + 0.4 * np.sin(x / draw.uniform(2, 9) + draw.uniform(0, 6)) * np.cos(y / draw.uniform(2, 9))
    values = low + wave[None, ..., None] * (high - low) + draw.uniform(-0.02, 0.02, (shape[0], rows, columns, shape[3])) * (high - low)
    return np.clip(np.round(values), low, high).astype(kind)


def write_bits(ds, pixels):
    """One bit a pixel, frame behind frame without a gap."""
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit, ds.PixelRepresentation = 0, 0
    data = np.packbits(pixels.ravel(), bitorder="little").tobytes()
    ds.PixelData = data + bytes(len(data) % 2)


def add_window(ds, draw, low, high):
    """Rescaling, tables and windows as a file may bring them, some of them odd."""
    if draw.random() < 0.5:
        ds.RescaleSlope = [1, 1, 2, 0.5, 1.52, -1][draw.integers(6)]
        ds.RescaleIntercept = [0, -1024, 10, -0.25, 100.5][draw.integers(5)]
        if draw.random() < 0.5:
            ds.RescaleType = ["HU", "US", "OD"][draw.integers(3)]
    elif draw.random() < 0.25 and high - low < 65536:
        entries = int(draw.integers(2, 400))
        bits = [8, 10, 12, 16][draw.integers(4)]
        ds.ModalityLUTSequence = table(entries, int(max(low, -32768)) if low < 0 else int(draw.integers(0, 100)), bits, np.sort(draw.integers(0, 1 << bits, entries)), signed=low < 0)
        low, high = 0, (1 << bits) - 1
    slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
    ends = sorted((low * slope + intercept, high * slope + intercept))
    if draw.random() < 0.25 and slope == int(slope) and intercept == int(intercept) and high - low < 65536:
        entries, bits = int(draw.integers(2, 300)), [8, 10, 12, 16][draw.integers(4)]
        signed = "ModalityLUTSequence" not in ds and (low < 0 or slope < 0 or intercept < 0)
        first = int(np.clip(draw.integers(int(ends[0]), int(ends[1]) + 1), -32768 if signed else 0, 32767 if signed else 65535))
        ds.VOILUTSequence = table(entries, first, bits, np.sort(draw.integers(0, 1 << bits, entries)), signed)
    if draw.random() < 0.6:
        count = int(draw.integers(1, 4))
        centres, widths = draw.uniform(*ends, count).round(2), (draw.uniform(0.01, 1, count) * (ends[1] - ends[0]) + 2).round(1)
        ds.WindowCenter, ds.WindowWidth = ([f"{v:.10g}"[:16] for v in values] for values in (centres, widths))
        if draw.random() < 0.5:
            ds.VOILUTFunction = ["LINEAR", "LINEAR_EXACT", "SIGMOID"][draw.integers(3)]
    if draw.random() < 0.15 and high < 65536:
        ds.add_new(0x00280120, "SS" if low < 0 else "US", int(np.clip(draw.integers(low, high + 1), -32768, 32767 if low < 0 else 65535)))


def add_clutter(ds, draw):
    """What must not disturb: sequences without a length, private elements, overlays, what stands behind the pixels."""
    if draw.random() < 0.4:
        inner, deeper = Dataset(), Dataset()
        inner.CodeValue, deeper.WindowCenter, deeper.Rows = "T-1", "7", 3
        inner.PurposeOfReferenceCodeSequence = [deeper, Dataset()]
        ds.ReferencedImageSequence = [inner, Dataset()]
        for element, items in ((ds["ReferencedImageSequence"], [inner]), (inner["PurposeOfReferenceCodeSequence"], [deeper])):
            element.is_undefined_length = bool(draw.integers(2))
            for item in items:
                item.is_undefined_length_sequence_item = bool(draw.integers(2))
    if draw.random() < 0.3:
        block = ds.private_block(0x0009 + 2 * int(draw.integers(5)), "SOMEONE'S OWN", create=True)
        block.add_new(1, "LO", "words")
        block.add_new(2, "OB", bytes(int(draw.integers(20)) * 2))
        block.add_new(3, "SQ", [Dataset()])
        block.add_new(4, "UN", b"\1\2\3\4")
    if draw.random() < 0.2:
        ds.add_new(0x60000010, "US", ds.Rows)
        ds.add_new(0x60000011, "US", ds.Columns)
        ds.add_new(0x60000040, "CS", "G")
        ds.add_new(0x60000050, "SS", [1, 1])
        ds.add_new(0x60000100, "US", 1)
        ds.add_new(0x60000102, "US", 0)
        size = (ds.Rows * ds.Columns + 7) // 8
        ds.add_new(0x60003000, "OW", b"\xff" * (size + size % 2))
    if draw.random() < 0.2:
        ds.add_new(0xFFFCFFFC, "OB", bytes(10))


def refragment(ds, draw):
    """The same streams, in several fragments, with each kind of table of offsets or an empty one."""
    count = int(ds.get("NumberOfFrames", 1) or 1)
    frames = list(generate_frames(ds.PixelData, number_of_frames=count))
    pieces = int(draw.integers(1, 4))
    pieces = min(pieces, min(len(f) for f in frames) // 4) or 1
    if draw.random() < 0.25:
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    else:
        ds.PixelData = encapsulate(frames, fragments_per_frame=pieces, has_bot=bool(draw.integers(2)) or pieces > 1 and count > 1)
    ds["PixelData"].is_undefined_length = True


def grey(draw):
    """(words, file) of one sample a pixel."""
    bits = int(draw.integers(1, 33))
    allocated = 8 if bits <= 8 else 16 if bits <= 16 else 32
    codec = draw.integers(8)
    if bits <= 16 and codec < 5 and draw.random() < 0.2:  # pydicom compresses these wrongly
        allocated *= 2
    signed, count = bool(draw.integers(2)) and bits > 1, int(draw.choice([1, 1, 1, 2, 3]))
    syntax, words = NATIVE[draw.integers(4)], ""
    rows, columns = (int(v) for v in draw.integers(32 if codec == 6 else 1, 50, 2))
    columns += columns == 3  # new_file would take three for colours
    smooth = bool(draw.integers(2))
    pixels = stored_values(draw, bits, signed, (count, rows, columns, 1), smooth)
    pixels = pixels.astype(f"{pixels.dtype.kind}{allocated // 8}")[..., 0]
    clean = pixels
    if codec > 4 and allocated <= 16:
        syntax = ExplicitVRLittleEndian
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    ds = new_file(clean if count > 1 else clean[0], syntax, stored=bits, photometric=["MONOCHROME2", "MONOCHROME1"][int(draw.random() < 0.3)])
    if rows * columns * count * (allocated // 8) % 2:
        ds.PixelData += b"\0"
    if signed and bits < allocated and draw.random() < 0.3 or not signed and bits < allocated and draw.random() < 0.3:
        top = np.uint64((1 << allocated) - (1 << bits))  # what stands above the bits in use may be anything
        raw = np.frombuffer(ds.PixelData[: pixels.nbytes], np.dtype(f"{'>' if syntax == ExplicitVRBigEndian else '<'}u{allocated // 8}")).astype(np.uint64)
        noise = draw.integers(0, 1 << 32, raw.shape).astype(np.uint64) & top
        if codec <= 4 or allocated > 16:
            ds.PixelData = ((raw & ~top) | noise).astype(f"{'>' if syntax == ExplicitVRBigEndian else '<'}u{allocated // 8}").tobytes() + bytes(pixels.nbytes % 2)
            words += " dirty"
    ds.Modality = ["CT", "MR", "OT"][draw.integers(3)]
    add_window(ds, draw, low, high)
    if codec == 5 and allocated <= 16:
        ds, words = compressed(ds, RLELossless, encoding_plugin="pydicom"), words + " rle"
    elif codec == 6 and 1 < bits and allocated <= 16:
        ds, words = compressed(ds, JPEG2000Lossless), words + " j2k"
    elif codec == 7 and 1 < bits and allocated <= 16:
        lossy = draw.random() < 0.3 and not signed
        how = (JPEG_LOSSY if lossy else JPEG_LOSSLESS)[draw.integers(2 if lossy else 5)]
        if how[0] == "dcmcjpeg" and lossy and bits != 8:
            how = ("dcmcjpeg", "+ee")
        if how[:2] == ("dcmcjpls", "+en") and bits < 8:
            how = ("dcmcjpls", "+el")  # of these DCMTK writes what DCMTK alone reads
        ds, words = by_dcmtk(ds, *how), words + " " + " ".join(how)
    return f"grey {bits}/{allocated} {'signed' if signed else ''} {rows}x{columns}x{count}{words}", ds


def one_bit(draw):
    count, (rows, columns) = int(draw.integers(1, 5)), (int(v) for v in draw.integers(1, 20, 2))
    columns += columns == 3
    pixels = draw.integers(0, 2, (count, rows, columns), np.uint8)
    ds = new_file(pixels if count > 1 else pixels[0], [NATIVE[0], NATIVE[1], NATIVE[3]][draw.integers(3)], photometric=["MONOCHROME2", "MONOCHROME1"][draw.integers(2)])
    write_bits(ds, pixels)
    return f"one bit {rows}x{columns}x{count}", ds


def colour(draw):
    """(words, file) of three samples a pixel."""
    count, (rows, columns) = int(draw.choice([1, 1, 2])), (int(v) for v in draw.integers(32, 50, 2))
    codec, words = draw.integers(8), ""
    if codec != 5:
        rows, columns = (int(v) for v in draw.integers(1, 40, 2))
    syntax = NATIVE[draw.integers(4)] if codec < 4 else ExplicitVRLittleEndian
    photometric = ["RGB", "RGB", "YBR_FULL", "YBR_FULL_422"][draw.integers(4)]
    bits = [8, 8, 8, 16, 12][draw.integers(5)] if photometric == "RGB" else 8
    if codec >= 4 and photometric == "YBR_FULL_422":
        photometric = "YBR_FULL"
    pixels = stored_values(draw, bits, False, (count, rows, columns, 3), bool(draw.integers(2)))
    ds = new_file(pixels if count > 1 else pixels[0], syntax, stored=bits, photometric=photometric)
    order = "<" if syntax != ExplicitVRBigEndian else ">"
    if photometric == "YBR_FULL_422":
        columns += columns % 2
        ds.Columns = columns
        data = draw.integers(0, 256, count * rows * columns * 2, np.uint8).tobytes()
    elif draw.random() < 0.4 and codec != 5:
        ds.PlanarConfiguration = 1
        data = pixels.transpose(0, 3, 1, 2).astype(f"{order}u{pixels.dtype.itemsize}").tobytes()
        words += " planar"
    else:
        data = ds.PixelData
    ds.PixelData = data + bytes(len(data) % 2)
    if codec == 4:
        ds, words = compressed(ds, RLELossless, encoding_plugin="pydicom"), words + " rle"
    elif codec == 5:
        if photometric == "RGB" and bits == 8 and draw.random() < 0.4:
            ds, words = compressed(ds, JPEG2000, j2k_cr=[5, 2]), words + " j2k lossy"
            ds.PhotometricInterpretation = "YBR_ICT"
        else:
            if photometric == "RGB" and draw.random() < 0.5:
                ds.PhotometricInterpretation = "YBR_RCT"
            ds, words = compressed(ds, JPEG2000Lossless), words + " j2k"
    elif codec >= 6 and bits == 8:
        lossy = draw.random() < 0.5
        how = (JPEG_LOSSY if lossy else JPEG_LOSSLESS)[draw.integers(2 if lossy else 5)]
        if how[:2] == ("dcmcjpeg", "+eb"):
            how += [("+cy",), ("+cr",), ("+cy", "+s2"), ("+cy", "+s4"), ("+cy", "+n1"), ("+cy", "+np")][draw.integers(6)]
        ds, words = by_dcmtk(ds, *how), words + " " + " ".join(how)
    return f"colour {photometric} {bits} {rows}x{columns}x{count}{words}", ds


def with_palette(draw):
    count, (rows, columns) = int(draw.choice([1, 1, 2])), (int(v) for v in draw.integers(1, 30, 2))
    columns += columns == 3
    deep = draw.random() < 0.3
    signed = not deep and draw.random() < 0.2
    pixels = draw.integers(0, 256, (count, rows, columns)).astype(np.uint8)
    if deep:
        pixels = draw.integers(0, 65536, (count, rows, columns)).astype(np.uint16)
    if signed:
        pixels = pixels.view(np.int8)
    syntax = NATIVE[draw.integers(4)]
    ds = new_file(pixels if count > 1 else pixels[0], syntax, photometric="PALETTE COLOR")
    data = ds.PixelData
    ds.PixelData = data + bytes(len(data) % 2)
    kind, words = draw.integers(5), ""
    first = int(draw.integers(0, 40)) if not signed else int(draw.integers(-128, 20))
    if kind == 0:
        ds, words = segmented(ds), " segmented"
    elif kind == 1:
        ds, words = palette(ds, draw, int(draw.integers(2, 257)) if not deep else 256, first % 65536, 8), " of 8 bits in words"
        for name in ("Red", "Green", "Blue"):
            values = draw.integers(0, 256, ds[f"{name}PaletteColorLookupTableDescriptor"].value[0]).astype("<u2")
            setattr(ds, f"{name}PaletteColorLookupTableData", values.tobytes())
    elif kind == 2:
        entries = 2 * int(draw.integers(1, 129))
        ds, words = palette(ds, draw, entries, first % 65536, 8), " of 8 bits in bytes"
        for name in ("Red", "Green", "Blue"):
            setattr(ds, f"{name}PaletteColorLookupTableData", draw.integers(0, 256, entries, np.uint8).tobytes())
    elif kind == 3:
        ds, words = palette(ds, draw, 0, 0, 16), " of 65536"
        for name in ("Red", "Green", "Blue"):
            setattr(ds, f"{name}PaletteColorLookupTableData", draw.integers(0, 65536, 65536).astype("<u2").tobytes())
    else:
        ds = palette(ds, draw, int(draw.integers(2, 300)), first % 65536, 16)
    if first < 0 and kind in (1, 2, 4):
        for name in ("Red", "Green", "Blue"):
            element = ds[f"{name}PaletteColorLookupTableDescriptor"]
            element.VR = "SS"
            element.value = [element.value[0], first, element.value[2]]
    if syntax == ExplicitVRBigEndian:
        for name in ("Red", "Green", "Blue"):
            for key in (f"{name}PaletteColorLookupTableData", f"Segmented{name}PaletteColorLookupTableData"):
                if key in ds:
                    setattr(ds, key, np.frombuffer(ds[key].value, "<u2").astype(">u2").tobytes())
    if syntax == ExplicitVRLittleEndian and draw.random() < 0.3:
        ds, words = compressed(ds, RLELossless, encoding_plugin="pydicom"), words + " rle"
    return f"palette {'deep' if deep else 'signed' if signed else ''} {rows}x{columns}x{count} {words}", ds


def floats(draw):
    rows, columns = (int(v) for v in draw.integers(1, 30, 2))
    double = bool(draw.integers(2))
    values = draw.normal(0, 1000, (rows, columns)).astype(np.float64 if double else np.float32)
    ds = new_file(np.zeros((rows, columns), np.uint16), [NATIVE[0], NATIVE[1], NATIVE[3]][draw.integers(3)])
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    ds.BitsAllocated = 64 if double else 32
    setattr(ds, "DoubleFloatPixelData" if double else "FloatPixelData", values.tobytes())
    return f"floats of {ds.BitsAllocated}", ds


def htj2k(draw):
    return "htj2k", high_throughput(draw.integers(0, 65536, draw.integers(32, 64, 2)).astype(np.uint16))


KINDS = [(grey, 60), (colour, 20), (with_palette, 10), (one_bit, 4), (floats, 3), (htj2k, 1)]


def make(number, path):
    """Writes file `number`; returns words for it."""
    draw = np.random.default_rng([20261127, number])
    shares = np.array([share for _, share in KINDS], float)
    words, ds = KINDS[draw.choice(len(KINDS), p=shares / shares.sum())][0](draw)
    add_clutter(ds, draw)
    if ds.file_meta.TransferSyntaxUID.is_encapsulated:
        refragment(ds, draw)
    ds.save_as(path, enforce_file_format=True)
    head = draw.random()
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax in NATIVE[:3] and head < 0.2:
        whole = path.read_bytes()
        begin = whole.index(b"\x00\x08\x00\x16" if syntax == ExplicitVRBigEndian else b"\x08\x00\x16\x00", 132 + 8)
        path.write_bytes(whole[begin:] if head < 0.1 else whole[132:])
        words += " without a meta header" if head < 0.1 else " without a preamble"
    return f"{syntax.name}: {words}"
