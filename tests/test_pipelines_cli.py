"""The command line over all programs: help, errors in a line, exit codes."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import asr
from asr.errors import AsrError, AudioError, OptionsError
from pipelines import cli
from pipelines.progress import num_columns
from pipelines.usage import UsageError

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("numpy", "librosa", "soundfile", "scipy", "numba", "jiwer", "tensorflow", "keras", "jax")


def run_python(program: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **more)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A program in the place of `asr models`; `does` is called when it runs."""
    fake = SimpleNamespace(does=lambda: 0)
    fake.run = lambda _: fake.does()
    fake.add_arguments = lambda parser: parser.add_argument("words", nargs="*")
    monkeypatch.setattr(cli, "_import", lambda _: fake)
    return fake


def failing(error: BaseException) -> Any:
    def fail() -> int:
        raise error

    return fail


# Help


def test_help_names_every_command_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    out = capsys.readouterr().out
    assert caught.value.code == 0
    for name, (_, summary) in cli.PROGRAMS.items():
        assert f"    {name}" in out
        assert summary in out
    for name in ("demo", "prepare", "train", "transcribe", "evaluate"):
        assert f"  asr {name} " in out


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: asr" in err
    assert "asr demo" in err


@pytest.mark.parametrize("words", [["frobnicate"], ["models", "--frobnicate"], ["transcribe"]])
def test_what_is_not_understood_shows_the_usage(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: asr")


@pytest.mark.parametrize("name", cli.PROGRAMS)
def test_every_command_shows_examples_of_itself(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    out = capsys.readouterr().out
    assert caught.value.code == 0
    _, _, examples = out.partition("examples:\n")
    assert f"  asr {name}" in examples, "the lines of examples are kept as they are"


@pytest.mark.parametrize("words", [[], *([name] for name in cli.PROGRAMS)], ids=str)
def test_help_fits_80_columns(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    assert max(map(num_columns, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize("kind", [AsrError, UsageError])
def test_an_error_cannot_command_the_terminal(
    program: SimpleNamespace, capsys: pytest.CaptureFixture[str], kind: type[AsrError]
) -> None:
    program.does = failing(kind("a\x1b[2Jb\x07\nc\td\x9b"))
    assert cli.main(["models"]) != 0
    assert capsys.readouterr().err == "asr: a?[2Jb?\nc\td?\n"


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"asr {asr.__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_help_imports_nothing_heavy_and_is_quick(words: list[str]) -> None:
    start_s = time.perf_counter()
    run = run_python(
        "import atexit, sys\n"
        "atexit.register(lambda: print('modules:', *sys.modules))\n"
        f"from pipelines.cli import main\nsys.exit(main({words!r}))"
    )
    elapsed_s = time.perf_counter() - start_s
    modules = run.stdout.rpartition("modules:")[2].split()
    assert "pipelines.cli" in modules
    assert not set(HEAVY) & set(modules)
    assert elapsed_s < 5  # half a second on a machine that does nothing else


# Errors


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (AsrError("what is wrong"), 1, "asr: what is wrong\n"),
        (AudioError("a.wav: empty"), 1, "asr: a.wav: empty\n"),
        (OptionsError("[model] units"), 1, "asr: [model] units\n"),
        (UsageError("-o and -p"), 2, "asr: -o and -p\n"),
        (KeyboardInterrupt(), 130, "asr: interrupted\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "asr: /x: Permission denied\n"),
        (OSError(28, "No space left on device"), 1, "asr: No space left on device\n"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    program: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    program.does = failing(error)
    assert cli.main(["models"]) == code
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError("of our own making")])
def test_a_bug_keeps_its_traceback(program: SimpleNamespace, error: Exception) -> None:
    program.does = failing(error)
    with pytest.raises(type(error)):
        cli.main(["models"])


@pytest.mark.parametrize("code", [0, 1])
def test_the_programs_code_is_the_commands(program: SimpleNamespace, code: int) -> None:
    program.does = lambda: code
    assert cli.main(["models", "a", "b"]) == code


FAKE = (
    "import sys, types\n"
    "from pipelines import cli\n"
    "def run(arguments):\n"
    "    {body}\n"
    "    return 0\n"
    "fake = types.SimpleNamespace(run=run, add_arguments=lambda parser: None)\n"
    "cli._import = lambda name: fake\n"
    "sys.exit(cli.main(['models']))"
)


@pytest.mark.skipif(os.name == "nt", reason="a shell's pipe")
@pytest.mark.parametrize("body", ["[print(n, flush=True) for n in range(99_999)]", "print('x')"])
def test_a_reader_that_goes_away_is_no_error(body: str) -> None:
    """Whether the program or only its last flush finds out."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        run = subprocess.run(
            [sys.executable, "-c", FAKE.format(body=body)],
            cwd=ROOT,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (run.returncode, run.stderr) == (1, "")


def test_any_name_can_be_printed() -> None:
    """In a terminal that knows ASCII alone, and for file names that are no text at all."""
    body = r"print('né', '\udcff')"
    run = run_python(FAKE.format(body=body), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (run.returncode, run.stdout) == (0, "n\\xe9 \\udcff\n")


def test_the_module_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "pipelines.cli", "models", "--nonsense"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "unrecognized arguments: --nonsense" in run.stderr


def test_who_waits_for_a_compilation_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a b a b\nb a\n")
    command = [sys.executable, "-m", "pipelines.cli", "lm", "text.txt", "--heldout", "text.txt"]
    places = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    shown = [
        subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | places,
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for _ in range(2)
    ]
    assert [text.count("compiling for this machine") for text in shown] == [1, 0]
