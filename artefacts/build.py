"""`python -m artefacts.build OPTIONS`: build what is deployed. Runs `sam build` with these options, then adds bytecode.

Run it with the interpreter beside the SAM CLI; nothing beyond the standard library is needed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

BYTECODE: Final = Path(__file__).with_name("bytecode.py")
_TELL: Final = "import sys; v = sys.version_info; print(f'python{v[0]}.{v[1]}', sys.implementation.name, v[3])"


def main(options: Sequence[str] | None = None) -> int:
    """Return 0 when everything was built, or the exit code of `sam build` when that failed."""
    given = sys.argv[1:] if options is None else list(options)
    built = subprocess.run([str(Path(sys.executable).with_name("sam")), "build", *given], check=False)
    if built.returncode:
        return built.returncode
    folder = Path(given[given.index("--build-dir") + 1]) if "--build-dir" in given else Path(".aws-sam/build")
    try:
        runtime = runtime_of(folder)
        return subprocess.run([interpreter_of(runtime), "-I", str(BYTECODE), str(folder)], check=False).returncode
    except LookupError as problem:
        print(f"artefacts.build: {problem}", file=sys.stderr)
        return 1


def runtime_of(build: Path) -> str:
    """Return the runtime that `sam build` built for, as it noted beside the build.

    Raises LookupError for none or several.
    """
    notes = tomllib.loads((build.parent / "build.toml").read_text())
    functions = notes.get("function_build_definitions", {}).values()
    layers = notes.get("layer_build_definitions", {}).values()
    runtimes = {each["runtime"] for each in functions} | {each["build_method"] for each in layers}
    if len(runtimes) != 1:
        raise LookupError(f"{build} must be for one runtime, and is for {sorted(runtimes)}")
    return str(runtimes.pop())


def interpreter_of(runtime: str) -> str:
    """Return an interpreter on the PATH whose bytecode the runtime loads. Raises LookupError when there is none."""
    for name in (runtime, "python3", "python"):
        found = shutil.which(name)
        if found:
            told = subprocess.run([found, "-I", "-c", _TELL], capture_output=True, text=True, check=False)
            if told.stdout.split() == [runtime, "cpython", "final"]:
                return found
    raise LookupError(
        f"no {runtime} on the PATH: bytecode of another Python is worthless to the runtime, and what is built now has"
        " none. It works, and takes three times as long to start cold. Install that Python, or pass its folder in PATH."
    )


if __name__ == "__main__":
    sys.exit(main())
