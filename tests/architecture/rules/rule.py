"""A rule of template.yaml: what it complains of, and how to break the template so that it must complain."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.architecture.template import TEMPLATE, Template

Complaints = Callable[[Template], Iterator[str]]
Breakage = Callable[[Template], object]


@dataclass(frozen=True, slots=True)
class Rule:
    """`complaints` says of a template what to write instead; each breakage must make it say something."""

    name: str
    complaints: Complaints
    breakages: tuple[Breakage, ...]


RULES: Final[list[Rule]] = []


def rule(*broken_by: Breakage) -> Callable[[Complaints], Complaints]:
    """Make a function a rule. A rule that nothing can break is none, so at least one breakage is asked for."""
    assert broken_by, "say how the template can break the rule"

    def register(complaints: Complaints) -> Complaints:
        RULES.append(Rule(complaints.__name__, complaints, broken_by))
        return complaints

    return register


def broken(breakage: Breakage) -> Template:
    """A copy of the template, broken."""
    template = Template(copy.deepcopy(TEMPLATE.raw))
    breakage(template)
    return Template(template.raw)
