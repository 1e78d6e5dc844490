#!/usr/bin/env python3
"""One slice as pefomed and as pydicom with its plug-ins make a grey picture of it: the file is opened and read (from the system's
cache), its frame decoded, rescaled, windowed by its own window (where it has none, from lowest to highest) and rounded to 8 bits. Both
in processes that are up already, which read the same file again and again; rounds of the two alternate, and the median of all is what
counts: on one thread of the processor's time, which others on the machine change less than the clock's, on several of the clock's, on a
machine that does nothing else. Both may use as many threads (OPJ_NUM_THREADS and OMP_NUM_THREADS tell the plug-ins).
Of pydicom's plug-ins the fastest that reads the file counts. Ours makes a picture of three bytes a pixel, pydicom one of one. Prints a
line a file and the least ratio; exits 1 where it is below --least.

usage: bench/slice.py FILE... [--threads 1] [--rounds 7] [--times 9] [--least 3]    (after script/build; needs pydicom, see script/vectors/requirements.txt)
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np  # noqa: E402
import pydicom  # noqa: E402
from pydicom.pixels import apply_modality_lut, apply_voi_lut  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "script" / "vectors"))
from dicom_reference import unit_range  # noqa: E402


def theirs(path, plugin):
    ds = pydicom.dcmread(path)
    if plugin:
        ds.pixel_array_options(decoding_plugin=plugin)
    values = apply_modality_lut(ds.pixel_array, ds)
    if "WindowCenter" in ds or "VOILUTSequence" in ds:
        values = apply_voi_lut(values, ds)
        low, high = unit_range(ds)
    else:
        low, high = values.min(), values.max()
    return np.rint((values - low) * (255 / max(high - low, 1))).astype(np.uint8)


def seconds_of(call, times, clock):
    taken = []
    for _ in range(times):
        begun = clock()
        call()
        taken.append(clock() - begun)
    return taken


def plugins_of(path):
    """Those that read the file, and "" where nothing is compressed; [] for none."""
    compressed = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.is_encapsulated
    able = []
    for plugin in ("gdcm", "pylibjpeg", "pillow", "pydicom") if compressed else ("",):
        try:
            theirs(path, plugin)
            able.append(plugin)
        except Exception:  # pydicom raises what it likes
            pass
    return able


def measure(o, path, loop):
    """(our milliseconds, theirs, the plug-in), or None where pydicom has nothing that reads it"""
    able = plugins_of(path)
    if not able:
        return None
    ours, others = [], {plugin: [] for plugin in able}
    for _ in range(o.rounds):
        loop.stdin.write(f"{o.times} {path}\n")
        loop.stdin.flush()
        line = loop.stdout.readline()
        if not line:
            sys.exit(f"slice.py: pefomed does not read {path}")
        ours.append(float(line.split()[0 if o.threads == 1 else 1]))
        for plugin in able:
            others[plugin] += seconds_of(lambda p=plugin: theirs(path, p), o.times, time.process_time if o.threads == 1 else time.perf_counter)
    best = min(able, key=lambda plugin: statistics.median(others[plugin]))
    return 1e3 * statistics.median(ours), 1e3 * statistics.median(others[best]), best or "none"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--times", type=int, default=9, help="of each in a round")
    parser.add_argument("--least", type=float, default=3)
    o = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS=str(o.threads), OPJ_NUM_THREADS=str(o.threads))
    root = pathlib.Path(__file__).parent.parent / "build" / "release"
    subprocess.run(["cmake", "--build", root, "--target", "bench_decode"], check=True, stdout=subprocess.DEVNULL)
    least = None
    with subprocess.Popen([root / "bench_decode", str(o.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as loop:
        print(f"{'transfer syntax':52} {'pefomed':>9} {'pydicom':>9} {'ratio':>6}  plug-in")
        for path in o.files:
            name = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.name
            figures = measure(o, path, loop)
            if figures is None:
                print(f"{name[:52]:52} {'pydicom reads it with no plug-in':>30}  {path.name}")
                continue
            ours, others, plugin = figures
            print(f"{name[:52]:52} {ours:6.2f} ms {others:6.2f} ms {others / ours:6.1f}  {plugin}", flush=True)
            least = min(least or others / ours, others / ours)
        loop.stdin.close()
    print(f"least ratio: {least:.2f}")
    sys.exit(0 if least >= o.least else 1)


main()
