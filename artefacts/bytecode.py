"""`PYTHON artefacts/bytecode.py [--check] BUILD`: bytecode beside the sources of a folder that `sam build` filled.

Lambda's `/var/task` and `/opt` are read-only: what comes without bytecode is compiled anew at every cold start. The
interpreter that runs this file must be one of the functions' runtime, since bytecode of another version is passed
over without a word; the processor does not matter. Nothing beyond the standard library is needed.

The bytecode says by itself of which source it is (PEP 552, unchecked), and not when it was made or where: the same
sources give the same bytes on any machine, and a traceback names the file as it lies in Lambda.
"""

from __future__ import annotations

import argparse
import importlib.util
import py_compile
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

UNCHECKED_HASH: Final = (0b01).to_bytes(4, "little")
LEFT_OUT: Final = re.compile(r"(^|/)(tests|testing|sqlalchemy/(orm|dialects/(mssql|mysql|oracle|sqlite)))/")
"""Sources that no function imports; they would be a quarter of all bytecode. Without it they work, only slower."""


def compile_build(build: Path) -> None:
    """Gives every source its bytecode. Raises py_compile.PyCompileError for a source that does not compile."""
    for folder in _artefacts(build):
        home = Path("/opt" if (folder / "python").is_dir() else "/var/task")
        # In a fixed order and in one process: what an interpreter did before shows in the bytes that it writes.
        for source in _sources(folder):
            py_compile.compile(
                str(source),
                dfile=str(home / source.relative_to(folder)),
                doraise=True,
                optimize=0,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )


def faults(build: Path) -> Iterator[str]:
    """Yield what this interpreter would not load as it is, one sentence each."""
    for folder in _artefacts(build):
        for source in _sources(folder):
            if fault := fault_of(source):
                yield f"{source.relative_to(build)} {fault}"
        for bytecode in sorted(folder.rglob("*.pyc")):
            if not Path(importlib.util.source_from_cache(str(bytecode))).exists():
                yield f"{bytecode.relative_to(build)} has no source"


def fault_of(source: Path) -> str:
    """Return why this interpreter would not load a source's bytecode, or would load that of another text.

    Return "" if it is right.
    """
    cached = Path(importlib.util.cache_from_source(str(source), optimization=""))
    if not cached.exists():
        return f"has no bytecode of {sys.implementation.cache_tag}"
    head = cached.read_bytes()[:16]
    if head[:4] != importlib.util.MAGIC_NUMBER:
        return "has bytecode of another Python"
    if head[4:8] != UNCHECKED_HASH:
        return "has bytecode that depends on when it was made"
    if head[8:] != importlib.util.source_hash(source.read_bytes()):
        return "has bytecode of another text"
    return ""


def compiled_anew(folders: Iterable[Path], modules: Iterable[str]) -> Iterator[str]:
    """Yield which of these modules, searched for in these folders in order, were loaded without bytecode."""
    for module in modules:
        path = module.replace(".", "/")
        candidates = (folder / name for folder in folders for name in (f"{path}/__init__.py", f"{path}.py"))
        source = next((candidate for candidate in candidates if candidate.exists()), None)
        if source and (fault := fault_of(source)):
            yield f"{module} {fault}"


def _artefacts(build: Path) -> list[Path]:
    return sorted(path for path in build.iterdir() if path.is_dir())


def _sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if not LEFT_OUT.search(path.relative_to(folder).as_posix()))


def main() -> int:
    """Return the exit code: 0 when every source has its bytecode."""
    parser = argparse.ArgumentParser(prog="bytecode", description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("--check", action="store_true", help="only look whether it is right")
    options = parser.parse_args()
    if not options.check:
        warnings.simplefilter("ignore")  # of third-party code
        compile_build(options.build)
    found = list(faults(options.build))
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
