"""What is pinned in one place is pinned the same everywhere: tests run on what is deployed."""

import re
from pathlib import Path

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
