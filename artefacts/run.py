"""Starts built functions, sends them their samples, and checks the answers against what is expected."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from artefacts.budgets import breaches
from artefacts.bytecode import compiled_anew
from artefacts.emulator import Artefact, Emulator, NotAnswered, Sandbox
from artefacts.expectations import SAMPLES, Sample
from artefacts.shop import Ids, Shop
from local import sample_events
from local.documented import check_documented
from local.intrinsics import read_yaml
from local.model import Function

EMPTY: Final = "an empty handler"
"""The baseline for cold starts: Powertools' resolver with one route, on the same layers."""
STACK: Final = "the packages alone"
"""The same with validation, and with the packages that an API function cannot do without."""
_EMPTY_APP: Final = """
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

app = APIGatewayHttpResolver()


@app.get("/v1/health")
def health():
    return {"status": "ok"}


def handler(event, context):
    return app.resolve(event, context)
"""
_STACK_APP: Final = (
    "import pg8000.dbapi, pydantic, sqlalchemy, urllib3\n"
    "from aws_lambda_powertools.event_handler.openapi import params\n"
    + _EMPTY_APP.replace("Resolver()", "Resolver(enable_validation=True)")
)
_MISSING: Final = object()


@dataclass(slots=True)
class Outcome:
    """The results of one function."""

    function: str
    size_bytes: int
    answered: int = 0
    cold_ms: float = 0.0
    init_ms: float = 0.0
    peak_bytes: int = 0
    modules: int = 0
    problems: list[str] = field(default_factory=list)

    def measure(self, sandbox: Sandbox) -> None:
        """Record what the emulator and the kernel report about it."""
        self.cold_ms, self.init_ms = sandbox.cold_ms or 0.0, sandbox.init_ms
        self.peak_bytes, self.modules = sandbox.peak_bytes, len(sandbox.imported)


class Build:
    """What `sam build` produced, as its own template says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        template = read_yaml(self._folder / "template.yaml")
        self._resources: Mapping[str, Any] = template["Resources"]
        self._layers_of_all: list[str] = template["Globals"]["Function"].get("Layers", [])

    def artefact(self, function: Function) -> Artefact:
        """Return a function with its layers."""
        properties = self._resources[function.logical_id]["Properties"]
        names = [self._name(layer) for layer in (*self._layers_of_all, *properties.get("Layers", []))]
        return Artefact(
            name=function.name,
            folder=self._folder / properties["CodeUri"],
            layers=tuple(self._folder / name / "python" for name in names),
            handler=function.handler,
            timeout_seconds=function.timeout_seconds,
            memory_mb=function.memory_mb,
        )

    def bare(self, name: str, like: Artefact, folder: Path) -> Artefact:
        """Return EMPTY or STACK: a function that does nothing, with the layers of another."""
        folder.mkdir(exist_ok=True)
        (folder / "app.py").write_text(_EMPTY_APP if name == EMPTY else _STACK_APP)
        return Artefact(name, folder, like.layers, "app.handler", like.timeout_seconds, like.memory_mb)

    @staticmethod
    def _name(layer: Any) -> str:
        return str(layer["Ref"] if isinstance(layer, Mapping) else layer).removeprefix("!Ref ")


class Run:
    """One run over a build. `functions` are those of the template, `prepared` the ids of their samples."""

    def __init__(self, shop: Shop, build: Build, emulator: Emulator) -> None:
        self._shop = shop
        self._build = build
        self._emulator = emulator
        plan = shop.system.plan
        self._functions = {function.name: function for function in (plan.functions if plan else ())}
        self._prepared: dict[str, list[Ids]] = {}

    @property
    def functions(self) -> list[str]:
        """Every function, in the template's order."""
        return list(self._functions)

    def prepare(self, functions: list[str]) -> None:
        """Create what the samples of these functions are based on."""
        for name in functions:
            standing: Ids = {}
            self._prepared[name] = []
            for sample in SAMPLES[name]:
                standing |= sample.ids(self._shop) if sample.ids else {}
                self._prepared[name].append(dict(standing))

    def answers(self, name: str) -> Outcome:
        """Start a function cold and send it all its samples."""
        artefact, environment = self._artefact(name)
        outcome = Outcome(name, artefact.size_bytes)
        kept: Ids = {}
        try:
            with self._emulator.running(artefact, environment) as sandbox:
                for sample, ids in zip(SAMPLES[name], self._prepared[name], strict=True):
                    problem = self._problem(sandbox, sample, ids, kept)
                    outcome.answered += not problem
                    outcome.problems += [f"{name}/{sample.case}: {problem}"] if problem else []
                outcome.measure(sandbox)
                outcome.problems += breaches(name, artefact.size_bytes, sandbox.imported_at_init, sandbox.imported)
                anew = compiled_anew((artefact.folder, *artefact.layers), sandbox.imported)
                outcome.problems += [f"{name} compiles at every start: {what}" for what in anew]
        except NotAnswered as problem:
            outcome.problems.append(str(problem))
        return outcome

    def _artefact(self, name: str) -> tuple[Artefact, dict[str, str]]:
        function = self._functions[name]
        environment = dict(function.environment)
        if name == "migrate":  # the one that logs in as the cluster's master does, with the cluster's own secret
            environment["DATABASE_MASTER_SECRET_ARN"] = self._shop.master_secret()
        return self._build.artefact(function), environment

    def _problem(self, sandbox: Sandbox, sample: Sample, ids: Ids, kept: Ids) -> str:
        name = f"{sandbox.artefact.name}/{sample.case}"
        event = self._shop.render(name, ids | kept)
        try:
            answer = sandbox.invoke(event)
            body = answer
            if sample.status is not None:
                body = _http(event["routeKey"], answer, sample.status)
        except Exception as problem:  # noqa: BLE001 (whatever is wrong with an answer is that sample's own failure)
            return f"{type(problem).__name__}: {problem}"
        if "routeKey" in event and sample.status is None:
            return "an HTTP sample has no status to expect"
        wrong = {path: found for path, said in sample.says.items() if (found := _at(body, path)) != said}
        kept |= {stands: str(_at(body, path)) for stands, path in sample.keeps.items()}
        return f"it says {_shown(wrong)}, not {dict(sample.says)}: {body}" if wrong else ""

    def bare(self, name: str, folder: Path) -> Outcome:
        """Measure a cold start of a function that does nothing."""
        artefact = self._build.bare(name, self._artefact("api_docs")[0], folder)
        return self._cold(artefact, {}, sample_events.render("api_docs/health", now=self._shop.now()))

    def cold(self, name: str) -> Outcome:
        """Measure a cold start of a function with its first sample only."""
        event = self._shop.render(f"{name}/{SAMPLES[name][0].case}", self._prepared[name][0])
        return self._cold(*self._artefact(name), event)

    def _cold(self, artefact: Artefact, environment: Mapping[str, str], event: Any) -> Outcome:
        outcome = Outcome(artefact.name, artefact.size_bytes)
        with self._emulator.running(artefact, environment) as sandbox:
            answer = sandbox.invoke(event)
            outcome.measure(sandbox)
        if isinstance(answer, dict) and answer.get("statusCode", 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NotAnswered(f"{artefact.name} answered {answer['statusCode']}: {answer['body']}")
        return outcome

    def blindfold(self) -> Iterator[str]:
        """Check that a function fails without one of its layers.

        If it does not, the run sees more than what was built.
        """
        whole, environment = self._artefact("api_docs")
        for layer in whole.layers:
            kept = tuple(each for each in whole.layers if each != layer)
            part = Artefact(
                f"without-{layer.parent.name}",
                whole.folder,
                kept,
                whole.handler,
                whole.timeout_seconds,
                whole.memory_mb,
            )
            try:
                with self._emulator.running(part, environment) as sandbox:
                    sandbox.invoke(self._shop.render("api_docs/health", {}))
            except NotAnswered as problem:
                if "ImportModuleError" not in str(problem):
                    yield f"without {layer.parent.name} it fails by something else: {problem}"
            else:
                yield f"api_docs answers without {layer.parent.name}: it sees more than what was built"


def _http(route: str, answer: Any, status: int) -> Any:
    """Return the body of an answer that has the expected status and a documented form.

    Raises AssertionError for any other.
    """
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    if answer["statusCode"] != status:
        raise AssertionError(f"{answer['statusCode']} instead of {status}: {answer['body']}")
    check_documented(route, status, headers["content-type"], answer["body"])
    return json.loads(answer["body"])


def _at(body: Any, path: str) -> Any:
    """Return the member at a dotted path. Numbers are positions in a list."""
    for step in path.split("."):
        try:
            body = body[int(step)] if isinstance(body, list) else body[step]
        except (KeyError, IndexError, TypeError, ValueError):
            return _MISSING
    return body


def _shown(wrong: Mapping[str, Any]) -> dict[str, Any]:
    return {path: "nothing" if found is _MISSING else found for path, found in wrong.items()}
