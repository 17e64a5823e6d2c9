"""`python -m benchmarks.cells`."""

from benchmarks.cells.program import run

if __name__ == "__main__":
    run()
