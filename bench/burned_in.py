#!/usr/bin/env python3
"""How often `pefomed data` finds burned-in text: in pictures as they are, and with a line painted into a corner.

    bench/burned_in.py BUILD/pefomed DATA    # a Python with Pillow 10.1 or later

DATA holds slake, vqa_rad, medpix and pathvqa as docs/data.md names them. By a hash of its name each picture belongs to the half that the check
was adjusted to or to the other, which is what the figures in docs/privacy.md are of. A line is painted only into pictures in which nothing was
found before: of VQA-RAD and MedPix, where a caption is burned into nearly all, into the middle, rows 10 to 86 %.
"""
import csv
import glob
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile

from PIL import Image, ImageDraw, ImageFont

SETS = {"slake": "slake/imgs/*/source.jpg", "vqa_rad": "vqa_rad/VQA_RAD Image Folder/*", "medpix": "medpix/images/*", "pathvqa": "pathvqa/images/*"}
PAINTED = ("slake", "vqa_rad", "medpix")
MOST = 150  # of a set and a half
TEXTS = ("DOE^JANE 12.03.1961", "Mueller, Anna  F 054Y", "ID: 4711-0815", "St. Mary Hospital", "2019-11-27 14:32:07", "SMITH JOHN M", "L. Garcia 1975/06/30 M")
SIZES = (8, 10, 12, 14, 18, 24, 36)
STYLES = {"white": ("white", None), "yellow": ("yellow", None), "white on black": ("white", "black"), "black on white": ("black", "white")}
CORNERS = ("top left", "top right", "bottom left", "bottom right")


def half_of(path, root):
    return hashlib.sha256(os.path.relpath(path, root).encode()).digest()[0] & 1


def found_in(program, folder, paths):
    """The paths in which the program finds text, those that it cannot read among none."""
    table = os.path.join(folder, "table.csv")
    with open(table, "w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["image", "report"])
        rows.writerows([path, "none"] for path in paths)
    told = subprocess.run([program, "data", "table", table, "--json", "--quiet"], capture_output=True, check=True).stdout
    images = json.loads(told)["images"]
    assert images["files"] == len(paths) and not images["missing"] and not images["unreadable"], images
    return {entry["image"] for entry in images["text_like"]}


def paint(picture, draw, size, style, corner):
    """Whether the line had room."""
    picture = picture.copy()
    text, font = draw.choice(TEXTS), ImageFont.load_default(size)
    pen = ImageDraw.Draw(picture)
    x0, y0, x1, y1 = pen.textbbox((0, 0), text, font=font)
    width, height, margin = x1 - x0, y1 - y0, draw.randint(2, 12)
    if width + 2 * margin > picture.width or height + 2 * margin > picture.height:
        return None
    x = margin if "left" in corner else picture.width - width - margin
    y = margin if "top" in corner else picture.height - height - margin
    ink, box = STYLES[style]
    if box:
        pen.rectangle((x - 3, y - 3, x + width + 3, y + height + 3), fill=box)
    pen.text((x - x0, y - y0), text, font=font, fill=ink)
    return picture


def share(hits):
    return f"{100 * sum(hits) / len(hits):.0f} % of {len(hits)}" if hits else "-"


def measure_painted(program, folder, name, paths, draw):
    pictures = []
    for i, path in enumerate(draw.sample(paths, min(MOST, len(paths)))):
        picture = Image.open(path).convert("RGB")
        if name != "slake":
            picture = picture.crop((0, picture.height // 10, picture.width, picture.height * 86 // 100))
        pictures.append((os.path.join(folder, f"{i}.png"), picture))
        picture.save(pictures[-1][0], compress_level=1)
    before = found_in(program, folder, [path for path, _ in pictures])
    painted = {}
    for i, (path, picture) in enumerate(pictures):
        for size in SIZES if path not in before else ():
            style, corner = draw.choice(list(STYLES)), draw.choice(CORNERS)
            made = paint(picture, draw, size, style, corner)
            if made:
                target = os.path.join(folder, f"{i}-{size}.jpg")
                made.save(target, quality=90)
                painted[target] = (size, style, corner)
    after = found_in(program, folder, list(painted))
    return [(about, target in after) for target, about in painted.items()]


def main():
    program, root = sys.argv[1:]
    for half in (0, 1):
        print("the half that the check was adjusted to" if half == 0 else "the other half")
        hits, draw = [], random.Random(half)
        for name, pattern in SETS.items():
            paths = [path for path in sorted(glob.glob(os.path.join(root, pattern))) if half_of(path, root) == half]
            with tempfile.TemporaryDirectory() as folder:
                print(f"  {name}: {len(found_in(program, folder, paths))} of {len(paths)} as they are")
                if name in PAINTED:
                    hits += measure_painted(program, folder, name, paths, draw)
        for kind, values in enumerate((SIZES, STYLES, CORNERS)):
            for value in values:
                print(f"  {'font ' if kind == 0 else ''}{value}: {share([hit for about, hit in hits if about[kind] == value])}")
            if kind == 0:
                print(f"  fonts 10 to 36: {share([hit for about, hit in hits if about[0] >= 10])}")


if __name__ == "__main__":
    main()
