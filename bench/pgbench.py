"""Runs pgbench scripts: the limit that a benchmark compares with."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.cluster import APP_ROLE, ROLE_PASSWORD, Cluster
from local.postgres import Address

BEST_PLANS: Final = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
"""What makes the scripts fastest: they are planned once and find every row by its index."""


@dataclass(frozen=True, slots=True)
class Result:
    """What pgbench reports."""

    transactions: int
    per_second: float
    latency_ms: float


def run(
    cluster: Cluster,
    database: Address,
    script: str,
    *,
    clients: int = 1,
    seconds: float | None = None,
    transactions: int | None = None,
    role: str = APP_ROLE,
    variables: Mapping[str, object] | None = None,
    session: Mapping[str, str] | None = None,
) -> Result:
    """Run a script with prepared statements, as a role of the application, for a time or a number of transactions.

    ``session`` holds parameters of every connection. Raises RuntimeError with pgbench's own message when one failed.
    """
    bound = ["-T", str(max(1, round(seconds)))] if seconds is not None else ["-t", str(transactions)]
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        program = [
            *(str(cluster.binaries / "pgbench"), "-n", "-M", "prepared", "-f", file.name),
            *("-c", str(clients), "-j", str(min(clients, os.cpu_count() or 1)), *bound),
            *(f"-D{name}={value}" for name, value in (variables or {}).items()),
            *("-h", database.host, "-p", str(database.port), "-U", role, database.database),
        ]
        options = " ".join(f"-c {name}={value}" for name, value in (BEST_PLANS | dict(session or {})).items())
        environment = os.environ | {"PGPASSWORD": ROLE_PASSWORD, "PGOPTIONS": options}
        answer = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise RuntimeError(f"pgbench failed:\n{answer.stdout}{answer.stderr}")
    return Result(
        transactions=int(_figure(answer.stdout, r"actually processed: (\d+)")),
        per_second=float(_figure(answer.stdout, r"tps = ([\d.]+)")),
        latency_ms=float(_figure(answer.stdout, r"latency average = ([\d.]+) ms")),
    )


def _figure(output: str, pattern: str) -> str:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"pgbench says nothing like {pattern}:\n{output}")
    return found[1]


def read_script(name: str) -> str:
    """Return a script from the folder ``sql``."""
    return (Path(__file__).with_name("sql") / name).read_text()
