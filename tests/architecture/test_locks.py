"""A version that is pinned in one place is pinned alike everywhere, so tests run on what is deployed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE))


def test_the_layer_and_the_development_lock_pin_the_same_versions() -> None:
    layer = pins(ROOT / "layers" / "dependencies" / "requirements.txt")
    development = pins(ROOT / "requirements-dev.txt")
    assert layer, "the layer pins nothing"
    different = {
        name: (version, development.get(name)) for name, version in layer.items() if development.get(name) != version
    }
    assert different == {}, "run `make lock`: the tests do not run on what the layer carries"


@pytest.mark.parametrize(
    "own", sorted((ROOT / "functions").glob("*/requirements.txt")), ids=lambda path: str(path.parent.name)
)
def test_what_one_function_alone_carries_is_what_is_tested_and_make_keeps_it(own: Path) -> None:
    development, carried = pins(ROOT / "requirements-dev.txt"), pins(own)
    assert carried, "it pins nothing"
    assert {name: development.get(name) for name in carried} == carried
    makefile = (ROOT / "Makefile").read_text()
    audited = re.search(r"for lock in ([^;]*);", makefile)
    locked = re.search(r"for pinned in ([^;]*);", makefile)
    assert audited is not None
    assert f"functions/{own.parent.name}" in audited[1].split()
    assert locked is not None
    assert own.parent.name in [name.partition(":")[0] for name in locked[1].split()]
