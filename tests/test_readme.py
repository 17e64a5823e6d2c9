"""What the README shows is true: its Python runs, and its commands are commands."""

import re
import shlex
from pathlib import Path

import pytest

from pipelines import cli

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for _, block in BLOCKS
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("asr ")
    }
)


def test_its_python_runs() -> None:
    sources = [block for language, block in BLOCKS if language == "python"]
    assert len(sources) == 1
    exec(compile(sources[0], "README.md", "exec"), {})


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_understood(command: str) -> None:
    _, *words = shlex.split(command)
    arguments = cli.parser_for(words).parse_args(words)
    assert arguments.command == words[0]


def test_it_shows_each_program_at_work() -> None:
    shown = {command.split()[1] for command in COMMANDS}
    assert {"prepare", "train", "transcribe", "evaluate"} <= shown
