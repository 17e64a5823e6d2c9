r"""What a few minutes of a stranger's speech are worth: a model before and after it has heard them.

    python -m benchmarks.adaptation --manifest data/dev.jsonl --speakers ls-652

For each speaker the recordings are dealt into parts. Each part is heard by the model as it is, and
by one that the recipe `own-voice` has tuned on the other parts, so every recording is a test once
and never of a model that has heard it. Errors are summed over all parts; intervals are over
utterances, of the difference as a pair.
"""

import argparse
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asr.bundle import open_bundle
from asr.interchange import read_utterances
from asr.manifest import Utterance, write_manifest
from asr.scoring import score
from asr.significance import compare
from benchmarks.results import write_results
from pipelines.machine import this_machine
from pipelines.network import load_recognizer
from pipelines.recipe_file import load_recipe
from pipelines.speech import load_speech
from pipelines.training import train

DEV_SHARE = 0.1
"""Of what is learnt from, set apart to choose the best epoch by."""


def hear(model: str | Path, utterances: Sequence[Utterance]) -> dict[str, str]:
    """Returns what a model hears, by id."""
    found = load_recognizer(model).transcribe_batch([load_speech(item) for item in utterances])
    return {item.id: one.text for item, one in zip(utterances, found, strict=True)}


def tuned(
    model: str, utterances: Sequence[Utterance], folder: Path, settings: Sequence[str]
) -> Path:
    """Returns the folder of a model tuned on utterances, some of which choose its best epoch."""
    num_dev = max(1, round(DEV_SHARE * len(utterances)))
    write_manifest(folder / "dev.jsonl", utterances[:num_dev])
    write_manifest(folder / "train.jsonl", utterances[num_dev:])
    recipe = load_recipe("own-voice", root=folder, settings=settings)
    return train(recipe, folder / "run", base=model, quiet=True).model_folder


def adapt(
    model: str, utterances: Sequence[Utterance], *, num_parts: int, settings: Sequence[str]
) -> dict[str, str]:
    """Returns what models hear that were tuned on all parts but the one they hear."""
    texts: dict[str, str] = {}
    dealt = np.random.default_rng(0).permutation(len(utterances))
    parts = [[utterances[i] for i in dealt[part::num_parts]] for part in range(num_parts)]
    for number, test in enumerate(parts):
        rest = list(itertools.chain(*parts[:number], *parts[number + 1 :]))
        with tempfile.TemporaryDirectory() as name:
            texts |= hear(tuned(model, rest, Path(name), settings), test)
    return texts


def main(argv: Sequence[str] = ()) -> None:
    """Prints a line for each speaker, and writes benchmarks/results/adaptation.{json,md}."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptation")
    parser.add_argument("--model", default="en-read", help="a model's name, its folder, or a run's")
    parser.add_argument("--manifest", type=Path, help="recordings with texts and speakers")
    parser.add_argument("--speakers", nargs="+", help="only these")
    parser.add_argument("--parts", type=int, default=5, help="default: 5")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as of train")
    arguments = parser.parse_args(argv)
    if not arguments.manifest:
        print("  needs recordings with texts: python -m benchmarks.adaptation --help")
        return
    utterances = read_utterances(arguments.manifest)
    speakers = arguments.speakers or sorted({item.speaker for item in utterances if item.speaker})
    print(f"  {arguments.model} on {this_machine()}")
    rules = open_bundle(arguments.model).text
    rows = {}
    lines = ["| speaker | tuned on | WER before | after | |", "|---|---|---|---|---|"]
    for speaker in speakers:
        own = [item for item in utterances if item.speaker == speaker]
        minutes = sum(item.duration_s or 0.0 for item in own) / 60
        minutes *= (1 - 1 / arguments.parts) * (1 - DEV_SHARE)
        texts = adapt(arguments.model, own, num_parts=arguments.parts, settings=arguments.settings)
        references = {item.id: item.text or "" for item in own}
        before = score(references, hear(arguments.model, own), text=rules)
        after = score(references, texts, text=rules)
        verdict = compare(before, after, names=("before", "after")).verdict()
        rows[speaker] = {"minutes": minutes, "before": before.wer, "after": after.wer}
        lines.append(
            f"| {speaker} | {minutes:.1f} min | {100 * before.wer:.1f} % | "
            f"{100 * after.wer:.1f} % | {verdict} |"
        )
        print(f"  {lines[-1]}", flush=True)
    write_results("adaptation", rows, "\n".join(lines), quick=False)


if __name__ == "__main__":
    main(sys.argv[1:])
