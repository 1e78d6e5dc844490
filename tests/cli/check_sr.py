#!/usr/bin/env python3
"""Structured reports on the small DICOM files, basic and enhanced, looked at by dsrdump and dciodvfy; and which images they refer to.

usage: check_sr.py PEFOMED     works in the folder in which it is started, after make_tiny_training
"""
import pathlib
import re
import subprocess
import sys

import sr_complaints
from check_privacy import element
from standing_in import check

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "image/golden/dicom"
NAMES = {  # Specific Character Set, the patient's name in it and as text
    "utf8": ("ISO_IR 192", "Wang^XiaoDong=王^小东=".encode(), "Wang^XiaoDong=王^小东="),
    "latin1": ("ISO_IR 100", "Äneas^Rüdiger".encode("latin-1"), "Äneas^Rüdiger"),
    "japanese": ("\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "kana": ("ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"),
    "korean": ("\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf", "Hong^Gildong=洪^吉洞=홍^길동"),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东=".encode("gb18030"), "Wang^XiaoDong=王^小东="),
}


def edited(source, path, changes):
    """A copy of a golden (explicit little endian) with elements {tag: (VR, value)} in place of its own or added."""
    whole = (GOLDEN / source).read_bytes()
    at, head, parts = 132, None, {}
    while at < len(whole):
        tag = (int.from_bytes(whole[at:at + 2], "little"), int.from_bytes(whole[at + 2:at + 4], "little"))
        wide = whole[at + 4:at + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT")
        size = 12 + int.from_bytes(whole[at + 8:at + 12], "little") if wide else 8 + int.from_bytes(whole[at + 6:at + 8], "little")
        head = at if head is None and tag[0] > 2 else head
        if head is not None:
            parts[tag] = whole[at:at + size]
        at += size
    parts.update({tag: element(*tag, vr, value) for tag, (vr, value) in changes.items()})
    pathlib.Path(path).parent.mkdir(exist_ok=True)
    pathlib.Path(path).write_bytes(whole[:head] + b"".join(parts[tag] for tag in sorted(parts)))


def identity(number, **more):
    changes = {(0x0008, 0x0018): ("UI", b"1.2.3.4.%d" % number), (0x0020, 0x000D): ("UI", b"1.2.3.7"), (0x0020, 0x000E): ("UI", b"1.2.3.8"),
               (0x0020, 0x0013): ("IS", b"%d" % number)}
    changes.update(more)
    return changes


def text_of(path, tag):
    """An element's first value in a report (explicit little endian), as bytes."""
    whole = pathlib.Path(path).read_bytes()
    at = whole.find(tag[0].to_bytes(2, "little") + tag[1].to_bytes(2, "little"))
    return whole[at + 8:at + 8 + int.from_bytes(whole[at + 6:at + 8], "little")].rstrip(b" ")


def check_names(program):
    """What does not fit beside the answer is converted to UTF-8, what does is kept; what cannot be is refused, with the reason."""
    for name, (term, stored, text) in NAMES.items():
        for answer, wanted in (("Normal.", (term.encode(), stored)), ("Schädel 正常.", (b"ISO_IR 192", text.encode()))):
            path = report(program, [f"{name}.dcm"], "basic", answer=answer)
            got = text_of(path, (0x0008, 0x0005)), text_of(path, (0x0010, 0x0010))
            if got != wanted:
                sys.exit(f"FAILED: {name}, {answer}: {got}")
    check("names are kept, or converted to UTF-8", True)
    edited("linear.dcm", "cut.dcm", {**identity(30), (0x0008, 0x0005): ("CS", b"\\ISO 2022 IR 87"), (0x0010, 0x0010): ("PN", b"YAMADA=\x1b$B;")})
    done = subprocess.run([program, "ask", "tiny.yaml", "cut.dcm", "Where?", "--choices", "正常", "--sr", "cut.sr", "--quiet"], capture_output=True, text=True)
    check("a cut name is refused", done.returncode == 1 and done.stderr.count("\n") == 1 and "YAMADA" not in done.stderr and not pathlib.Path("cut.sr").exists()
          and "(0010,0010) cannot be converted to UTF-8, which the report's text needs: its byte 11 begins a character that is cut" in done.stderr)


def references(path):
    """[(instance, frames)] in the report's order, each once."""
    text = subprocess.run(["dcmdump", "-q", "+L", path], capture_output=True, text=True, errors="replace").stdout
    found = []
    for m in re.finditer(r"\(0008,1155\) UI \[([^\]]*)\].*(?:\n +\(0008,1160\) IS \[([^\]]*)\])?", text):
        found.append((m[1], m[2] or ""))
    return list(dict.fromkeys(found))


def report(program, images, kind, *more, answer="FINDINGS: The lungs are clear. IMPRESSION: Normal."):
    out = f"{kind}.sr"
    done = subprocess.run([program, "ask", "tiny.yaml", *images, "What is seen?", "--choices", answer, "--sr", out, "--sr-kind", kind, "--quiet", *more],
                          capture_output=True, text=True)
    if done.returncode != 0 or done.stderr:
        sys.exit(f"FAILED: {images}: {done.stderr}")
    return out


def main():
    program = sys.argv[1]
    absent = sr_complaints.missing()
    if absent:
        print(f"ok: skipped, {' and '.join(absent)} not installed (script/setup test)")
        return
    files = []
    for number, name in enumerate(("linear", "rgb", "modality_lut", "voi_lut", "plain8", "palette")):
        edited(f"{name}.dcm", f"{name}.dcm", identity(number))
        files.append(([f"{name}.dcm"], ()))
    for number, (name, (term, stored, _)) in enumerate(NAMES.items(), 20):
        edited("linear.dcm", f"{name}.dcm", {**identity(number), (0x0008, 0x0005): ("CS", term.encode()), (0x0010, 0x0010): ("PN", stored)})
        files.append(([f"{name}.dcm"], ()))
    for number in range(4):
        edited("linear.dcm", f"series/{number}.dcm", {**identity(40 + number), (0x0020, 0x0032): ("DS", b"0\\0\\%d" % (3 * number)), (0x0020, 0x0037): ("DS", b"1\\0\\0\\0\\1\\0")})
    edited("enhanced.dcm", "frames.dcm", {**identity(60), (0x0008, 0x0016): ("UI", b"1.2.840.10008.5.1.4.1.1.2.1")})
    files += [(["linear.dcm", "rgb.dcm"], ()), (["series"], ("--slices", "2-4/2")), (["frames.dcm"], ("--slices", "1,3"))]
    reports = 0
    for images, more in files:
        first = "series/0.dcm" if images == ["series"] else images[0]
        for kind in ("basic", "enhanced"):
            for answer in ("FINDINGS: The lungs are clear. IMPRESSION: Normal.", "Schädel 正常. " + "A long line. " * 38):
                found = sr_complaints.ours(report(program, images, kind, *more, answer=answer), first)
                if found:
                    sys.exit(f"FAILED: {images} {kind}: {found[0]}")
                reports += 1
    check(f"{reports} reports without a complaint", reports == 4 * len(files))
    check_names(program)
    both = [references(report(program, ["linear.dcm", "rgb.dcm"], kind)) for kind in ("basic", "enhanced")]
    check("images of a study are all referred to", all({("1.2.3.4.0", ""), ("1.2.3.4.1", "")} <= set(r) for r in both))
    check("so are the slices that are shown, and no others", {i for i, f in references(report(program, ["series"], "basic", "--slices", "2-4/2")) if i.startswith("1.2.3.4.")} ==
          {"1.2.3.4.41", "1.2.3.4.43"})
    check("and the frames of a file", ("1.2.3.4.60", "1\\3") in references(report(program, ["frames.dcm"], "enhanced", "--slices", "1,3")))
    before = pathlib.Path("series/1.dcm").read_bytes()
    done = subprocess.run([program, "ask", "tiny.yaml", "series", "Where?", "--sr", "series/1.dcm", "--quiet"], capture_output=True, text=True)
    check("a slice is not overwritten", done.returncode == 2 and "would overwrite an image" in done.stderr and pathlib.Path("series/1.dcm").read_bytes() == before)


main()
