r"""Words rightly heard: a model of ours beside pocketsphinx with its own English model, and speeds.

    python -m benchmarks.recognition --model en-read --manifest data/dev.jsonl

Both hear the same recordings, and both texts are normalised and scored by the same rules. A process
of its own runs the peer, on one core, as it is made to; ours has the cores that `--threads` says.
Intervals are drawn over speakers where the manifest names them.

The peer is pocketsphinx, whose wheel brings its models: pip install pocketsphinx.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from asr.interchange import read_utterances
from asr.intervals import bootstrap
from asr.manifest import Utterance
from asr.scoring import score
from asr.text import TextOptions
from benchmarks.results import write_results
from pipelines.machine import this_machine
from pipelines.network import load_recognizer
from pipelines.speech import load_speech

_PEER = "--peer"
_GROUP = 32


def peer() -> None:
    """Answers every manifest line of the standard input with what pocketsphinx hears."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=16_000, loglevel="FATAL")
    for line in sys.stdin:
        asked = json.loads(line)
        item = Utterance(
            id="", audio=Path(asked["audio"]), offset_s=asked["offset"], duration_s=asked["length"]
        )
        samples = (load_speech(item) * 32767).astype("<i2")
        start = time.perf_counter()
        decoder.start_utt()
        decoder.process_raw(samples.tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        answer = {
            "text": found.hypstr if found else "",
            "seconds": time.perf_counter() - start,
        }
        print(json.dumps(answer), flush=True)


def theirs(utterances: Sequence[Utterance]) -> tuple[dict[str, str], float]:
    """Returns pocketsphinx's texts by id, and the seconds of decoding."""
    command = [sys.executable, "-m", "benchmarks.recognition", _PEER]
    asked = "".join(
        json.dumps({"audio": str(item.audio), "offset": item.offset_s, "length": item.duration_s})
        + "\n"
        for item in utterances
    )
    done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, check=True, text=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    texts = {item.id: one["text"] for item, one in zip(utterances, answers, strict=True)}
    return texts, sum(one["seconds"] for one in answers)


def ours(
    model: str, utterances: Sequence[Utterance], threads: int | None
) -> tuple[dict[str, str], float, TextOptions]:
    """Returns our texts by id, the seconds of features, network and decoding, and the rules."""
    recognizer = load_recognizer(model, threads=threads)
    recognizer.transcribe(load_speech(utterances[0]))  # what is compiled or mapped at first use
    texts: dict[str, str] = {}
    seconds = 0.0
    for group in _groups(utterances):
        samples = [load_speech(item) for item in group]
        start = time.perf_counter()
        found = recognizer.transcribe_batch(samples)
        seconds += time.perf_counter() - start
        texts |= {item.id: one.text for item, one in zip(group, found, strict=True)}
    return texts, seconds, recognizer.text


def _groups(utterances: Sequence[Utterance]) -> Iterator[Sequence[Utterance]]:
    for start in range(0, len(utterances), _GROUP):
        yield utterances[start : start + _GROUP]


def main(argv: Sequence[str] = ()) -> None:
    """Prints a line for each recognizer, and writes benchmarks/results/recognition.{json,md}."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition")
    parser.add_argument("--model", default="en-read", help="a model's name, its folder, or a run's")
    parser.add_argument("--manifest", type=Path, help="recordings with texts")
    parser.add_argument("--threads", type=int, help="cores for our network (default: all)")
    arguments = parser.parse_args(argv)
    if not arguments.manifest:
        print("  needs recordings with texts: python -m benchmarks.recognition --help")
        return
    utterances = read_utterances(arguments.manifest)
    audio_s = sum(item.duration_s or 0.0 for item in utterances)
    print(f"  {len(utterances)} recordings, {audio_s / 60:.1f} minutes, on {this_machine()}")
    mine, mine_s, text = ours(arguments.model, utterances, arguments.threads)
    other, other_s = theirs(utterances)
    rows, lines = {}, ["| recognizer | WER | 95 % | × real time |", "|---|---|---|---|"]
    for name, texts, seconds in (
        (arguments.model, mine, mine_s),
        ("pocketsphinx", other, other_s),
    ):
        found = score({item.id: item.text or "" for item in utterances}, texts, text=text)
        speakers = {item.id: item.speaker for item in utterances}
        interval = bootstrap(
            [(row.words.errors, row.words.num_reference) for row in found.rows],
            speakers=[speakers[row.id] for row in found.rows],
        )
        between = f"{100 * interval.low:.1f}–{100 * interval.high:.1f}" if interval else ""
        rows[name] = {"wer": found.wer, "between": between, "real_time": audio_s / seconds}
        lines.append(f"| {name} | {100 * found.wer:.2f} % | {between} | {audio_s / seconds:.0f} |")
        print(f"  {name:14} WER {100 * found.wer:.2f} % ({between}), {audio_s / seconds:.0f} x")
    write_results("recognition", rows, "\n".join(lines), quick=False)


if __name__ == "__main__":
    peer() if sys.argv[1:] == [_PEER] else main(sys.argv[1:])
