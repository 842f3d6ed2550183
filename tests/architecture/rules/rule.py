"""A rule for template.yaml: what it complains about, and how to break the template so that it must complain."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.architecture.template import TEMPLATE, Template

Complaints = Callable[[Template], Iterator[str]]
Breakage = Callable[[Template], object]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: `complaints` yields what to write instead, and each breakage must make it yield something."""

    name: str
    complaints: Complaints
    breakages: tuple[Breakage, ...]


RULES: Final[list[Rule]] = []


def rule(*broken_by: Breakage) -> Callable[[Complaints], Complaints]:
    """Make a function a rule. A rule that cannot be broken checks nothing, so at least one breakage is required."""
    assert broken_by, "say how the template can break the rule"

    def register(complaints: Complaints) -> Complaints:
        RULES.append(Rule(complaints.__name__, complaints, broken_by))
        return complaints

    return register


def broken(breakage: Breakage) -> Template:
    """Return a broken copy of the template."""
    template = Template(copy.deepcopy(TEMPLATE.raw))
    breakage(template)
    return Template(template.raw)
