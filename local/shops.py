"""Opens shops of the local system from their files, by the same call that a deployment makes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from holdfast.flows.shops.open_shop import open_shop
from holdfast.values.errors import Rejected
from holdfast.web.shop_models import shop_file_from
from local.runtimes import runtime_of
from local.system import LocalSystem


def open_from(system: LocalSystem, path: Path) -> list[str]:
    """Open or update a shop and return a report.

    Raises ``OSError``, ``ValueError`` if the file is no JSON, and ``Rejected`` for invalid content.
    """
    file = shop_file_from(json.loads(path.read_text(encoding="utf-8")))
    with runtime_of(system, "holdfast_owner") as runtime:
        told = open_shop(runtime, file, datetime.now(UTC))
    rows = [
        f"{kind}: " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items())
        for kind, counts in told["rows"].items()
    ]
    webhooks = [
        f"webhook: {system.api_url}/v1/webhooks/{row['gateway']}/{row['endpoint_key']}" for row in file.gateways
    ]
    return [f"organization {told['organization_id']}, key {told['publishable_key']}", *rows, *webhooks]


def explain(problem: Exception) -> list[str]:
    """Return why the file was refused, one line for each field."""
    errors = problem.facts.get("errors", []) if isinstance(problem, Rejected) else []
    return [str(problem), *(f"{error['field']}: {error['message']}" for error in errors)]
