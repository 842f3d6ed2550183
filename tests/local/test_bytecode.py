"""What is deployed carries bytecode that its runtime loads and that matches the source beside it."""

import filecmp
import importlib.util
import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest

from artefacts.build import interpreter_of, runtime_of
from artefacts.bytecode import compile_build, compiled_anew, faults

OWN = f"python{sys.version_info[0]}.{sys.version_info[1]}"
OTHER = "python3.99"
NOTES = """
[function_build_definitions.a]
runtime = "python3.13"
[layer_build_definitions.b]
build_method = "{layers}"
"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return _filled(tmp_path / "build")


def _filled(folder: Path) -> Path:
    for name, text in {
        "OneFunction/app.py": "from shared import answer\n\n\ndef handler():\n    return answer()\n",
        "SharedLayer/python/shared/__init__.py": "LETTERS = {'a', 'b', 'c'}\n\n\ndef answer():\n    return 42 / 0\n",
        "SharedLayer/python/shared/tests/test_it.py": "assert True\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def _cached(source: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(source)))


def test_every_source_gets_bytecode_but_those_that_nothing_imports(build: Path) -> None:
    assert [fault.split(" ")[0] for fault in faults(build)] == [
        "OneFunction/app.py",
        "SharedLayer/python/shared/__init__.py",
    ]
    compile_build(build)
    assert list(faults(build)) == []
    assert {path.name.split(".")[0] for path in build.rglob("*.pyc")} == {"app", "__init__"}


def test_the_same_sources_give_the_same_bytes_wherever_and_whenever(build: Path, tmp_path: Path) -> None:
    elsewhere = _filled(tmp_path / "tests" / "another place")
    for source in elsewhere.rglob("*.py"):
        os.utime(source, (1, 1))
    compile_build(build)
    compile_build(elsewhere)
    files = [str(path.relative_to(build)) for path in build.rglob("*.pyc")]
    assert len(files) == 2
    assert filecmp.cmpfiles(build, elsewhere, files, shallow=False) == (files, [], [])


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("OneFunction/app.py", "/var/task/app.py"),
        ("SharedLayer/python/shared/__init__.py", "/opt/python/shared/__init__.py"),
    ],
)
def test_bytecode_names_its_source_as_it_lies_in_lambda(build: Path, source: str, place: str) -> None:
    compile_build(build)
    assert marshal.loads(_cached(build / source).read_bytes()[16:]).co_filename == place


def test_a_start_from_a_folder_that_nobody_writes_compiles_nothing(build: Path) -> None:
    compile_build(build)
    # The source no longer matches the bytecode, so the answer shows which of the two was loaded.
    (build / "SharedLayer/python/shared/__init__.py").write_text("def answer():\n    return 'compiled anew'\n")
    program = "import app\ntry: app.handler()\nexcept ZeroDivisionError: print('of the bytecode')"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=build / "OneFunction",
        env={"PYTHONPATH": str(build / "SharedLayer/python")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "of the bytecode\n"


def test_what_the_runtime_would_not_load_is_named(build: Path) -> None:
    compile_build(build)
    app, shared = build / "OneFunction/app.py", build / "SharedLayer/python/shared/__init__.py"
    whole = _cached(app).read_bytes()

    app.write_text("def handler():\n    return 0\n")
    assert list(faults(build)) == ["OneFunction/app.py has bytecode of another text"]
    _cached(app).write_bytes(b"\0\0\r\n" + whole[4:])
    assert list(faults(build)) == ["OneFunction/app.py has bytecode of another Python"]
    _cached(app).write_bytes(whole[:4] + bytes(4) + whole[8:])
    assert list(faults(build)) == ["OneFunction/app.py has bytecode that depends on when it was made"]
    _cached(app).unlink()
    assert list(faults(build)) == [f"OneFunction/app.py has no bytecode of {sys.implementation.cache_tag}"]
    assert list(compiled_anew((build / "OneFunction", build / "SharedLayer/python"), ("app", "shared", "json"))) == [
        f"app has no bytecode of {sys.implementation.cache_tag}"
    ]
    compile_build(build)
    shared.unlink()
    [orphan] = faults(build)
    assert orphan.startswith("SharedLayer/python/shared/__pycache__/")
    assert orphan.endswith("has no source")


def test_the_runtime_is_what_the_build_was_for(build: Path) -> None:
    notes = build.parent / "build.toml"
    notes.write_text(NOTES.format(layers="python3.13"))
    assert runtime_of(build) == "python3.13"
    notes.write_text(NOTES.format(layers="python3.12"))
    with pytest.raises(LookupError, match=r"one runtime, and is for \['python3.12', 'python3.13'\]"):
        runtime_of(build)


def test_only_an_interpreter_of_the_runtime_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impostor = tmp_path / OTHER
    impostor.symlink_to(sys.executable)
    (tmp_path / OWN).symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert interpreter_of(OWN) == str(tmp_path / OWN)
    with pytest.raises(LookupError, match=f"no {OTHER} on the PATH"):
        interpreter_of(OTHER)
