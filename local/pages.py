"""Pages of the local system beside the API: a landing page, interactive documentation, the token issuer.

None of them exists in the cloud. They answer only requests for this machine's own names, so that a page of another site
cannot make a browser fetch tokens from here.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from local.http_events import Headers
from local.issuer import Issuer
from local.people import ROLES
from local.system import LocalSystem

Page = tuple[int, Headers, bytes]

_CHECK_ADDRESS = Path(__file__).with_name("check_address.html")
"""The page that the link of an address review leads to: a minimal version of what a storefront would offer."""
_HOSTS = ("127.0.0.1", "localhost", "host.docker.internal")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color: #1d2733 }
h1 { margin-bottom: 0 } code, pre { background: #f1f4f7; border-radius: 4px; padding: .1rem .3rem }
td { padding: .2rem 1.5rem .2rem 0 } .note { color: #5b6875 }
"""


class Pages:
    """Answers the paths that belong to the local system and not to the API."""

    def __init__(self, state: Path, issuer: Issuer) -> None:
        self._state = state
        self._issuer = issuer
        self._fixed: dict[str, Callable[[], Page]] = {
            "/": lambda: _html(self._landing()),
            "/docs": lambda: _html(_docs()),
            "/check-address": lambda: _html(_CHECK_ADDRESS.read_text(encoding="utf-8")),
            "/docs/swagger-ui-bundle.js": lambda: _asset("swagger-ui-bundle.min.js", b"text/javascript"),
            "/docs/swagger-ui.css": lambda: _asset("swagger-ui.min.css", b"text/css"),
            "/issuer/.well-known/openid-configuration": lambda: _json(issuer.discovery()),
            "/issuer/jwks.json": lambda: _json(issuer.jwks()),
        }

    def answer(self, method: str, path: str, host: str, body: bytes) -> Page | None:
        """Return the page, or None where there is none."""
        if host.rpartition(":")[0] not in _HOSTS and host not in _HOSTS:
            return None
        if method == "POST" and path == "/issuer/token":
            status, content = self._issuer.answer(body, now=datetime.now(UTC))
            return _json(content, status)
        if method == "GET" and path.startswith("/docs/tokens/"):
            return self._token(path.removeprefix("/docs/tokens/"))
        page = self._fixed.get(path) if method == "GET" else None
        return page() if page is not None else None

    def _landing(self) -> str:
        system = LocalSystem.load(self._state)
        rows = {
            "API": system.api_url,
            "API documentation": system.docs_url,
            "OpenAPI document": f"{system.api_url}/v1/openapi.json",
            "Token issuer": f"{system.issuer_url}/.well-known/openid-configuration",
            **{f"{name.capitalize()} stand-in": url for name, url in system.gateway_urls.items()},
            "Mailbox of the shoppers": system.mail_url,
            "AWS stand-in": system.aws_url,
        }
        links = "".join(
            f'<tr><td>{html.escape(name)}<td><a href="{html.escape(url)}">{html.escape(url)}</a>'
            for name, url in rows.items()
        )
        return (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>Holdfast on this machine</title>"
            f"<style>{_STYLE}</style><h1>Holdfast</h1><p class=note>The order backend, whole, on this machine. "
            f"This page is not part of the API.</p><table>{links}</table>"
            f"<p>Logs are in <code>{html.escape(str(system.logs))}</code>. "
            f"A token for a person of the demo shop: <code>make token ROLE=customer</code>.</p></html>"
        )

    def _token(self, role: str) -> Page:
        try:
            return _json({"token": LocalSystem.load(self._state).token(role)})
        except (ValueError, LookupError) as problem:
            return _json({"message": str(problem)}, 404)


def _docs() -> str:
    buttons = " ".join(f'<button data-role="{role}">{role}</button>' for role in ROLES)
    return f"""<!doctype html><html lang=en><head><meta charset=utf-8><title>Holdfast API</title>
<link rel=stylesheet href=/docs/swagger-ui.css>
<style>#bar {{ font: 14px system-ui, sans-serif; padding: .6rem 1.2rem; background: #f1f4f7 }}
#token {{ width: 30rem; max-width: 60vw }}</style></head><body>
<div id=bar>Token of every request below: <input id=token placeholder="paste one, or take a demo person's">
{buttons}</div><div id=ui></div>
<script src=/docs/swagger-ui-bundle.js></script><script>
const field = document.getElementById("token");
for (const button of document.querySelectorAll("button[data-role]")) {{
  button.onclick = async () => {{
    const answer = await (await fetch("/docs/tokens/" + button.dataset.role)).json();
    field.value = answer.token ?? answer.message;
  }};
}}
SwaggerUIBundle({{
  url: "/v1/openapi.json", dom_id: "#ui", deepLinking: true, tryItOutEnabled: true, displayRequestDuration: true,
  requestInterceptor: (request) => {{
    if (field.value && !request.headers.Authorization) request.headers.Authorization = "Bearer " + field.value.trim();
    return request;
  }},
}});
</script></body></html>"""


def _asset(name: str, kind: bytes) -> Page:
    package = find_spec("aws_lambda_powertools")
    if package is None or package.origin is None:
        return _json({"message": "Powertools is not installed"}, 404)
    path = Path(package.origin).parent / "event_handler" / "openapi" / "swagger_ui" / name
    return 200, [(b"content-type", kind), (b"cache-control", b"max-age=86400")], path.read_bytes()


def _html(text: str) -> Page:
    return 200, [(b"content-type", b"text/html; charset=utf-8")], text.encode()


def _json(content: object, status: int = 200) -> Page:
    return status, [(b"content-type", b"application/json")], json.dumps(content).encode()
