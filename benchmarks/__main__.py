"""The benchmarks, listed and run: `python -m benchmarks [NAME …]`; without a name, all of them."""

import argparse
import importlib

PROGRAMS = {
    "end_to_end": "recordings to text with a model of one's own: speed and memory",
    "features": "MFCCs with deltas and normalisation, against librosa's own functions",
    "inference": "the network alone on ONNX Runtime, against PyTorch's LSTM",
    "scoring": "100,000 utterances scored and reported; counts against NIST's sclite",
}


def main() -> None:
    """Runs the benchmarks named on the command line, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures this project against its peers, side by side in one run.",
        epilog="\n".join(f"  {name:10} {what}" for name, what in PROGRAMS.items()),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="one of those listed below")
    names = parser.parse_args().names or list(PROGRAMS)
    if unknown := sorted(set(names) - PROGRAMS.keys()):
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(PROGRAMS)}")
    for name in names:
        print(f"{name}: {PROGRAMS[name]}")
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
