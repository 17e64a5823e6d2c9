"""The benchmarks, listed and run: `python -m benchmarks [NAME …]`; without a name, all of them.

A benchmark that takes more options than `--quick` is also a program: `python -m benchmarks.NAME`.
"""

import argparse
import importlib
import inspect

PROGRAMS = {
    "adaptation": "what a few minutes of a stranger's speech are worth to a model",
    "batch": "10,000 recordings: what journal and files cost, memory, going on when done",
    "cells": "recurrent cells and attention side by side: lags, gradients, cost (docs/cells.md)",
    "decoding": "beam search with and without a language model, against TensorFlow's and others",
    "end_to_end": "recordings to text with a model of one's own: speed and memory",
    "features": "MFCCs with deltas and normalisation, against librosa's own functions",
    "hotwords": "what a list of 1,000 hotwords finds, and what it spoils where nobody says them",
    "inference": "the network alone on ONNX Runtime, against PyTorch's LSTM",
    "language_model": "n-gram models: scores, perplexity and time against KenLM; sizes of files",
    "long_recordings": "long recordings and streams against the utterances they are made of",
    "recognition": "word error rate and speed of a model, against pocketsphinx and its own",
    "scoring": "100,000 utterances scored and reported; counts against NIST's sclite",
    "train_step": "a training step inside fit, against PyTorch's LSTM and stock Keras",
}
QUICK = {"batch", "features", "inference", "scoring", "train_step"}
"""Those that have a short form."""


def main() -> None:
    """Runs the benchmarks named on the command line, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures this project against its peers, side by side in one run.",
        epilog="\n".join(f"  {name:14} {what}" for name, what in PROGRAMS.items()),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="one of those listed below")
    parser.add_argument(
        "--quick", action="store_true", help="the short form, of those that have one"
    )
    arguments = parser.parse_args()
    names = arguments.names or [name for name in PROGRAMS if name in QUICK or not arguments.quick]
    if unknown := sorted(set(names) - PROGRAMS.keys()):
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(PROGRAMS)}")
    for name in names:
        print(f"{name}: {PROGRAMS[name]}")
        program = importlib.import_module(f"benchmarks.{name}").main
        options = ["--quick"] if arguments.quick and name in QUICK else []
        program(*[options] if inspect.signature(program).parameters else [])


if __name__ == "__main__":
    main()
