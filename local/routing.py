"""Finds the function for a request: the most specific route wins, as in an HTTP API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from local.model import Function, Route

DEFAULT = "$default"


@dataclass(frozen=True, slots=True)
class Match:
    """A route that matches a request, with the parameters in its path."""

    function: Function
    route: Route
    path_parameters: Mapping[str, str]

    @property
    def route_key(self) -> str:
        """`METHOD /path` as the template writes it."""
        return DEFAULT if self.route.path == DEFAULT else f"{self.route.method} {self.route.path}"


class Router:
    """Routes in the order in which API Gateway prefers them."""

    def __init__(self, functions: Iterable[Function]) -> None:
        pairs = [(function, route) for function in functions for route in function.routes]
        pairs.sort(key=lambda pair: _specificity(pair[1]))
        self._fixed: dict[tuple[str, str], Match] = {}
        self._patterns: list[tuple[Function, Route, tuple[str, ...]]] = []
        for function, route in pairs:
            if "{" in route.path or route.path == DEFAULT or route.method == "ANY":
                self._patterns.append((function, route, tuple(route.path.strip("/").split("/"))))
            else:
                self._fixed[route.method, route.path] = Match(function, route, {})

    def match(self, method: str, path: str) -> Match | None:
        """Return the route of a request, or None for a 404."""
        if found := self._fixed.get((method, path)):
            return found
        segments = tuple(path.strip("/").split("/"))
        for function, route, pattern in self._patterns:
            if route.method not in (method, "ANY"):
                continue
            if route.path == DEFAULT:
                return Match(function, route, {})
            parameters = _parameters(pattern, segments)
            if parameters is not None:
                return Match(function, route, parameters)
        return None


def _specificity(route: Route) -> tuple[int, int, int, int]:
    """Sorts exact paths before greedy ones, fixed segments before parameters, and a method before ANY."""
    if route.path == DEFAULT:
        return (2, 0, 0, 0)
    segments = route.path.strip("/").split("/")
    greedy = int("+}" in route.path)
    return (greedy, -len(segments) if greedy else 0, route.path.count("{"), int(route.method == "ANY"))


def _parameters(pattern: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for index, expected in enumerate(pattern):
        if expected.endswith("+}"):
            rest = "/".join(segments[index:])
            return parameters | {expected[1:-2]: rest} if rest else None
        if index >= len(segments) or not segments[index]:
            return None
        if expected.startswith("{"):
            parameters[expected[1:-1]] = segments[index]
        elif expected != segments[index]:
            return None
    return parameters if len(pattern) == len(segments) else None
