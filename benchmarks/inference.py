"""The network alone: ours on ONNX Runtime, float32 and int8, against PyTorch's own LSTM in float32.

All have the same shape (layers of bidirectional LSTMs, one output a token) and the same number of
threads; weights are random, which costs what trained ones cost. Rows of a batch are of one length:
ours would be exact for others too, PyTorch's only when packed.

The peer is torch, in the extra group `peers`: pip install torch.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr.cores import available_cores
from asr.onnx_network import ONNX_FILES, OnnxNetwork
from benchmarks.timing import compare
from pipelines.machine import this_machine

UNITS, NUM_LAYERS, VOCAB_SIZE = 320, 4, 29
SHAPES = ((333, 78, 0.030), (1000, 39, 0.010))
"""Steps, features a step, and seconds a step: 10 s of speech, stacked by three and not."""
BATCH_SIZES = (1, 8)
ROUNDS, QUICK_ROUNDS = 15, 3


def make(folder: Path, num_features: int) -> None:
    """Writes both ONNX files of a network with random weights."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import onnx

    from models.bilstm import BiLSTMOptions, build_bilstm
    from models.onnx_graph import build_onnx, quantise

    options = BiLSTMOptions(units=UNITS, num_layers=NUM_LAYERS)
    model = build_onnx(build_bilstm(options, num_features=num_features, vocab_size=VOCAB_SIZE))
    onnx.save(model, folder / ONNX_FILES["float32"])
    quantise(model, folder / ONNX_FILES["int8"])


def peer(torch: Any, num_features: int) -> Callable[[Any], object]:
    """Returns PyTorch's network of the same shape, as a function of features [B, T, F]."""
    lstm = torch.nn.LSTM(
        num_features, UNITS, NUM_LAYERS, batch_first=True, bidirectional=True
    ).eval()
    logits = torch.nn.Linear(2 * UNITS, VOCAB_SIZE).eval()

    def run(features: Any) -> object:
        with torch.inference_mode():
            return logits(lstm(features)[0])

    return run


def main(argv: Sequence[str] = ()) -> None:
    """Prints a line for each shape, batch size and precision."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    rounds = QUICK_ROUNDS if parser.parse_args(argv).quick else ROUNDS
    try:
        import torch
    except ImportError:
        raise SystemExit("inference: the peer is not installed: pip install torch") from None
    threads = available_cores()
    torch.set_num_threads(threads)
    print(f"  {NUM_LAYERS} x {UNITS} bidirectional, {threads} threads, on {this_machine()}")
    print("  steps  features  batch  precision      ours     torch  torch ÷ ours  x real time")
    for num_steps, num_features, step_s in SHAPES:
        with tempfile.TemporaryDirectory() as name:
            make(Path(name), num_features)
            networks = {
                precision: OnnxNetwork(
                    Path(name) / file, num_features=num_features, vocab_size=VOCAB_SIZE
                )
                for precision, file in ONNX_FILES.items()
            }
        theirs = peer(torch, num_features)
        for batch_size in BATCH_SIZES:
            shape = (batch_size, num_steps, num_features)
            features = np.random.default_rng(0).standard_normal(shape, np.float32)
            lengths = np.full(batch_size, num_steps, np.int32)
            tensor = torch.from_numpy(features)
            for precision, network in networks.items():
                found = compare(
                    lambda: network(features, lengths),  # noqa: B023
                    lambda: theirs(tensor),  # noqa: B023
                    rounds=rounds,
                )
                speed = batch_size * num_steps * step_s / found.ours_s
                print(
                    f"  {num_steps:5d}  {num_features:8d}  {batch_size:5d}  {precision:9}"
                    f"  {found.ours_s * 1e3:5.0f} ms  {found.theirs_s * 1e3:5.0f} ms"
                    f"  {1 / found.ratio:12.2f}  {speed:11,.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
