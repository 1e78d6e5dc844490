#!/usr/bin/env python3
"""How long training steps wait for images: `read_seconds` of log.jsonl, summed, beside `seconds`. A table about every file below a
folder that the program reads, some questions a file, is trained on twice: with the features computed in the run, and kept. Prints a
line each; exits 1 where one waits --most or more. Weights are found as usual, in PEFOMED_HOME; features in a home of their own.

usage: bench/waiting.py FOLDER... [--files 120] [--questions 10] [--steps 15] [--batch 16] [--most 0.02] [--pefomed build/release/pefomed]
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

RECIPE = """model: {{vision: efficientnet-lite0, image_size: 448, aligner: concat-linear, language: smollm2-135m-instruct}}
peft: {{method: lora, rank: 64, alpha: 128, dropout: 0.05, targets: [q_proj, v_proj]}}
data: {{dataset: table, train: train, validate: validate, group: 4}}
train: {{steps: {steps}, batch: {batch}, learning_rate: 3e-4, warmup_steps: 5, weight_decay: 0.05}}
"""


def readable(program, folder, most):
    """Files that the program makes a picture of, spread over the folder; folders of a series are left to the files in them."""
    paths = [p.resolve() for p in sorted(pathlib.Path(folder).rglob("*")) if p.is_file() and p.suffix not in (".json", ".md", ".txt", ".csv")]
    paths = paths[::max(1, len(paths) // (2 * most))]
    with tempfile.TemporaryDirectory() as out:
        for path in paths:
            if most == 0:
                return
            if subprocess.run([program, "image", path, os.path.join(out, "out.png"), "--size", "16", "--quiet"], capture_output=True).returncode == 0:
                most -= 1
                yield str(path)


def waited(log, steps):
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines = [line for line in lines if "read_seconds" in line]
    if len(lines) != steps:
        sys.exit(f"waiting.py: {log} has {len(lines)} steps, not {steps}")
    return sum(line["read_seconds"] for line in lines), lines[-1]["seconds"]


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument("folders", nargs="+")
    for name, kind, default in (("files", int, 120), ("questions", int, 10), ("steps", int, 15), ("batch", int, 16), ("most", float, 0.02), ("pefomed", str, "build/release/pefomed")):
        a.add_argument("--" + name, type=kind, default=default)
    o = a.parse_args()
    worst = 0
    for folder in o.folders:
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            files = list(readable(o.pefomed, folder, o.files))
            rows = [{"image": f, "question": f"What does picture {k} show?", "answer": "something", "split": "train" if i % 8 else "validate"}
                    for i, f in enumerate(files) for k in range(o.questions)]
            (work / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            (work / "recipe.yaml").write_text(RECIPE.format(batch=o.batch, steps=o.steps))
            (work / "home").mkdir() # with the weights that there are, and no features yet
            (work / "home/weights").symlink_to(pathlib.Path(os.environ.get("PEFOMED_HOME", pathlib.Path.home() / ".cache/pefomed")).resolve() / "weights")
            for features in ("computed", "kept"):
                run = work / features
                subprocess.run([o.pefomed, "train", work / "recipe.yaml", "--data", work / "table.jsonl", "--out", run, "--quiet"], check=True, stdout=subprocess.DEVNULL,
                               env={**os.environ, "PEFOMED_HOME": str(work / "home")})
                reading, seconds = waited(run / "log.jsonl", o.steps)
                worst = max(worst, reading / seconds)
                print(f"{len(rows)} rows about {len(files)} files of {folder}, features {features}: {reading:.3f} of {seconds:.2f} s, {100 * reading / seconds:.1f} %", flush=True)
    sys.exit(worst >= o.most)


main()
