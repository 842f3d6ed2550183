"""The OpenAPI document of the whole API, and a health check."""

from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import Response

from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.http import json_response, make_resolver, serve

app = make_resolver()
handler = serve(app)

_DOCUMENT = Path(__file__).with_name("openapi.json")


@app.get("/v1/openapi.json", summary="This document", tags=["Service"], security=[])
def openapi() -> Response[Any]:
    """The merged OpenAPI document; it changes only with a release."""
    return Response(
        status_code=200,
        content_type="application/json",
        body=_DOCUMENT.read_text(),
        headers={"Cache-Control": "public, max-age=300"},
    )


@app.get("/v1/health", summary="Is the service able to work?", tags=["Service"], security=[])
def health() -> Response[Any]:
    """200 when the database answers; 503 when it does not."""
    with runtime().database.transaction(None, now=utc_now(), actor="health") as transaction:
        transaction.value("SELECT 1")
    return json_response({"status": "ok"})
