"""What pydicom and its plug-ins make of a DICOM file: stored values, and the 8-bit picture by pydicom's own functions. Shared by
dicom.py, which writes the golden files, and script/check-dicom."""
import copy
import logging
import warnings

import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

JPEG = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55)}
LOSSY = JPEG | {f"1.2.840.10008.1.2.4.{n}" for n in (81, 91, 203)}

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)


def read(path):
    """The file, also without preamble and meta header."""
    ds = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in ds.file_meta:  # what pydicom found the data set to be
        implicit, little = ds.original_encoding
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return ds


def frames_of(ds):
    """[frame]: pydicom's pixels, colour as RGB. Lossy JPEG by GDCM where that can: its inverse cosine transform and interpolation of colours
    are libjpeg's, as of almost all programs, and pylibjpeg's are others. All else by pylibjpeg: GDCM ends the process over what it cannot."""
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        ds.pixel_array_options(decoding_plugin="gdcm" if syntax in JPEG else "pylibjpeg")
        try:
            ds.pixel_array
        except Exception:  # pydicom raises what it likes
            ds.pixel_array_options(decoding_plugin="")
    pixels = ds.pixel_array
    return pixels if int(ds.get("NumberOfFrames", 1) or 1) > 1 else pixels[None]


def of_frame(ds, number):
    """The file with what the functional groups say of a frame at its top, where pydicom's functions look for it."""
    for groups, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", number)):
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            if groups in ds and len(ds[groups].value) > index and macro in ds[groups].value[index]:
                ds.update({e.tag: e for e in ds[groups].value[index][macro].value[0]})
    return ds


def own_window(ds):
    """The name of the window that a file brings for itself, None where it brings none."""
    if not ds.get("PhotometricInterpretation", "").startswith("MONOCHROME"):
        return "colour"
    if ds.get("VOILUTSequence"):
        return "lut:0"
    if ds.get("WindowCenter") is not None and ds.get("WindowWidth") is not None:
        return "file:0"
    return None


def unit_range(ds):
    """What pydicom's windowing calls the lowest and highest output."""
    if ds.get("ModalityLUTSequence"):
        return 0, 2 ** ds.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    signed = ds.PixelRepresentation == 1
    low, high = (-(2 ** (ds.BitsStored - 1)), 2 ** (ds.BitsStored - 1) - 1) if signed else (0, 2**ds.BitsStored - 1)
    slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def by_table(function, values, ds, item, *more):
    """pydicom's apply_modality_lut or apply_voi_lut. Both keep entries in types of the descriptor's bits, of which only 8 and 16 go, and in
    8 of which places beyond 255 wrap: so it is told 16, which changes no entry. Values of 8 bits wrap too. Where nothing says the sign of the
    first place, it takes that of the pixels, though of a VOI LUT it is that of its input: none behind a Modality LUT, and one where rescaling
    may make values negative."""
    descriptor = item.LUTDescriptor
    count, first, bits = descriptor
    if function is apply_voi_lut:
        rescaled = float(ds.get("RescaleSlope") or 1) < 0 or float(ds.get("RescaleIntercept") or 0) < 0
        first %= 65536
        if first > 32767 and not ds.get("ModalityLUTSequence") and (rescaled or ds.PixelRepresentation == 1):
            first -= 65536
    try:
        item.LUTDescriptor = [count, first, 16]
        return function(values.astype(np.int64), ds, *more)
    finally:
        item.LUTDescriptor = descriptor


def units(pixels, ds):
    """What stored values mean, by the Modality LUT or rescaled."""
    tables = ds.get("ModalityLUTSequence")
    return by_table(apply_modality_lut, pixels, ds, tables[0]) if tables else apply_modality_lut(pixels, ds)


def by_palette(pixels, ds):
    """apply_color_lut, which reads big-endian palettes as little, and wraps places beyond the entries of one of 8 bits."""
    count, first, _ = ds.RedPaletteColorLookupTableDescriptor
    if ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        ds = copy.deepcopy(ds)
        for name in ("Red", "Green", "Blue"):
            if f"{name}PaletteColorLookupTableData" in ds:
                setattr(ds, f"{name}PaletteColorLookupTableData", np.frombuffer(ds[f"{name}PaletteColorLookupTableData"].value, "<u2").byteswap().tobytes())
    return apply_color_lut(np.clip(pixels.astype(np.int64), first, first + (count or 65536) - 1), ds)


def picture(ds, pixels, window, center=None, width=None):
    """The 8-bit picture [rows, columns, 3] of one frame as pydicom makes it: through "file:N" or "lut:N", or from
    center - width / 2 to center + width / 2 evenly."""
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        rgb = by_palette(pixels, ds)
        return (rgb >> 8 if ds.RedPaletteColorLookupTableDescriptor[2] > 8 else rgb).astype(np.uint8)  # 8 may stand in words
    if not ds.PhotometricInterpretation.startswith("MONOCHROME"):
        return np.floor(pixels * (255 / (2.0**ds.BitsStored - 1)) + 0.5).astype(np.uint8)
    values = units(pixels, ds)
    kind, _, index = window.partition(":")
    if kind == "lut":
        item = ds.VOILUTSequence[int(index)]
        share = by_table(apply_voi_lut, values, ds, item, int(index)) / (2.0 ** item.LUTDescriptor[2] - 1)
    elif kind == "file":
        low, high = unit_range(ds)
        share = (apply_voi_lut(values, ds, int(index), prefer_lut=False) - low) / (high - low)
    else:
        share = (values.astype(np.float64) - center) / width + 0.5
    share = np.clip(share, 0, 1)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        share = 1 - share
    return np.repeat(np.floor(share * 255 + 0.5).astype(np.uint8)[..., None], 3, axis=-1)
