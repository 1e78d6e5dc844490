#!/usr/bin/env python3
"""Makes of VQA-RAD a folder whose test questions are about images that are trained on as well, as those of the official test split
are, from its training questions alone: the questions of 15% of the linked pairs become test ones, chosen by a fixed seed.
docs/search.md, "same images", was measured on it.
usage: bench/same_images.py DATA OUT      OUT/ gets the rows and a link to the images
"""
import json
import pathlib
import random
import sys

ROWS, IMAGES = 'VQA_RAD Dataset Public.json', 'VQA_RAD Image Folder'
SHARE, SEED = 0.15, 5


def main(data, out):
    rows = [row for row in json.loads((data / ROWS).read_text()) if not row['phrase_type'].startswith('test')]
    pairs = sorted({str(row['qid_linked_id']) for row in rows})
    random.Random(SEED).shuffle(pairs)
    held = set(pairs[:int(SHARE * len(pairs))])
    for row in rows:
        if str(row['qid_linked_id']) in held:
            row['phrase_type'] = 'test_' + row['phrase_type']
    out.mkdir(parents=True)
    (out / IMAGES).symlink_to((data / IMAGES).resolve(), target_is_directory=True)
    (out / ROWS).write_text(json.dumps(rows))
    print(f'{sum(row["phrase_type"].startswith("test") for row in rows)} of {len(rows)} questions are test ones: {out}')


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
