"""Makes small DICOM files: data sets around pixels, tables, palettes, and what compresses them. Shared by dicom.py, which writes the
golden files, and dicom_made.py."""
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, HTJ2KLossless, ImplicitVRLittleEndian, SecondaryCaptureImageStorage

sys.path.insert(0, os.path.dirname(__file__))
from dicom_reference import read


def new_file(pixels, syntax=ExplicitVRLittleEndian, stored=None, photometric=None, **more):
    """A data set around pixels [rows, columns], or with frames before and samples behind."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    big = syntax == ExplicitVRBigEndian
    ds = FileDataset(None, Dataset(), file_meta=meta, preamble=bytes(128), is_implicit_VR=syntax == ImplicitVRLittleEndian,
                     is_little_endian=not big)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = SecondaryCaptureImageStorage, "1.2.3.4", "OT"
    ds.PatientName, ds.PatientID, ds.StudyDate, ds.InstitutionName = "MARKED^NAME", "MARKED-ID", "19010203", "MARKED HOSPITAL"
    samples = 3 if pixels.ndim > 2 and pixels.shape[-1] == 3 else 1
    frames = pixels.shape[0] if pixels.ndim - (samples > 1) == 3 else 1
    ds.Rows, ds.Columns = pixels.shape[pixels.ndim - 2 - (samples > 1):][:2]
    ds.SamplesPerPixel = samples
    ds.PhotometricInterpretation = photometric or ("RGB" if samples > 1 else "MONOCHROME2")
    if samples > 1:
        ds.PlanarConfiguration = 0
    if frames > 1:
        ds.NumberOfFrames = frames
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored = stored or ds.BitsAllocated
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"
    for key, value in more.items():
        setattr(ds, key, value)
    return ds


def table(count, first, bits, values, signed=False):
    item = Dataset()
    item.add_new(0x00283002, "SS" if signed else "US", [count % 65536, first, bits])
    item.add_new(0x00283006, "US", [int(v) for v in values])
    return [item]


def palette(ds, draw, entries=40, first=3, bits=16):
    for name, n in (("Red", 0), ("Green", 1), ("Blue", 2)):
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [entries, first, bits])
        ds[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        values = draw.integers(0, 65536, entries).astype("<u2")
        setattr(ds, f"{name}PaletteColorLookupTableData", values.tobytes())
    return ds


def segmented(ds):
    """Discrete, linear, and indirect segments: 4 + 10 + 4 entries and those of the first two again."""
    for name, n in (("Red", 0), ("Green", 1), ("Blue", 2)):
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [18, 0, 16])
        ds[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        words = [0, 4, 100, 9000 + n, 200, 65000, 1, 10, 1000 * n, 2, 1, 0, 0]
        setattr(ds, f"Segmented{name}PaletteColorLookupTableData", np.array(words, "<u2").tobytes())
    return ds


def compressed(ds, syntax, **more):
    ds.compress(syntax, generate_instance_uid=False, **more)
    return ds


def high_throughput(pixels):
    with tempfile.TemporaryDirectory() as folder:
        source, out = os.path.join(folder, "in.pgm"), os.path.join(folder, "out.j2c")
        with open(source, "wb") as file:
            file.write(b"P5 %d %d 65535\n" % pixels.shape[::-1] + pixels.astype(">u2").tobytes())
        subprocess.run(["ojph_compress", "-i", source, "-o", out, "-reversible", "true"], check=True, capture_output=True)
        ds = new_file(pixels, HTJ2KLossless)
        ds.PixelData = encapsulate([pathlib.Path(out).read_bytes()])
        ds["PixelData"].is_undefined_length = True
        return ds


def by_dcmtk(ds, program, *options):
    """The file compressed by one of DCMTK's programs."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = os.path.join(folder, "in.dcm"), os.path.join(folder, "out.dcm")
        ds.save_as(source, enforce_file_format=True)
        subprocess.run([program, *options, source, out], check=True, capture_output=True)
        again = read(out)
        again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
        return again
