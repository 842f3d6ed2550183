"""Renders docs/third-party.md: every deployed package, with its pinned version and the license from its own metadata.

python -m generate.licenses    write it anew, after `make lock`
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "third-party.md"
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_NAMES: Final = (
    # As packages write them, and as SPDX does.
    ("Apache", "Apache-2.0"),
    ("BSD-3", "BSD-3-Clause"),
    ("BSD 3", "BSD-3-Clause"),
    ("BSD", "BSD"),
    ("MIT-0", "MIT-0"),
    ("MIT", "MIT"),
    ("MPL", "MPL-2.0"),
    ("Mozilla", "MPL-2.0"),
    ("PSF", "PSF-2.0"),
    ("Python Software Foundation", "PSF-2.0"),
)

_INTRODUCTION: Final = """\
# Third-party packages

What is deployed, pinned and hashed in the `requirements.txt` beside it, with the license that each package states
(`make licenses`). boto3 and botocore come with the Lambda runtime (Apache-2.0). Data that ships with the code is named
in [NOTICE](../NOTICE). What only development needs is in `requirements-*.txt`.

| package | version | license | in |
|---|---|---|---|"""


def pinned() -> dict[tuple[str, str], set[str]]:
    """Return (name, version) of every deployed package, with the layers and functions that carry it."""
    found: dict[tuple[str, str], set[str]] = {}
    for lock in sorted([*ROOT.glob("layers/*/requirements.txt"), *ROOT.glob("functions/*/requirements.txt")]):
        for name, version in _PIN.findall(lock.read_text(encoding="utf-8")):
            found.setdefault((name, version), set()).add(str(lock.parent.relative_to(ROOT)))
    return found


def license_of(name: str) -> str:
    """Return the license that the installed package declares, as a short name.

    ``unknown`` when it is not installed or declares none.
    """
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return "unknown"
    for said in _said(about.get_all("License-Expression"), about.get_all("Classifier"), about.get_all("License")):
        if " AND " in said or " OR " in said:
            return said
        for written, short in _NAMES:
            if written in said:
                return short
    return "unknown"


def _said(expression: list[str] | None, classifiers: list[str] | None, text: list[str] | None) -> Iterator[str]:
    yield from expression or ()
    yield from (line for line in classifiers or () if line.startswith("License ::"))
    yield from (line.split("\n", 1)[0] for line in text or ())


def page() -> str:
    """Return the page as it is committed."""
    rows = [
        f"| {name} | {version} | {license_of(name)} | {', '.join(f'`{place}`' for place in sorted(places))} |"
        for (name, version), places in sorted(pinned().items())
    ]
    return "\n".join([_INTRODUCTION, *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
