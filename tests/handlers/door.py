"""The door of the API in tests: the functions themselves, invoked with events as API Gateway, SQS and schedules send.

Every HTTP answer that passes through is checked against the committed OpenAPI document, so no test ever sees an
undocumented answer.
"""

import importlib.util
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from holdfast.runtime import Runtime, use
from holdfast.values.ids import uuid7
from local import sample_events
from local.documented import check_documented
from local.sandbox import LambdaContext
from tests.architecture.template import TEMPLATE, folder, route
from tests.house import House

HANDLERS: Final = Path(__file__).parents[2] / "functions"
PROBLEM: Final = "application/problem+json"
ADDRESS: Final = {
    "name": "Ada Lovelace",
    "line1": "12 Analytical Way",
    "city": "Denver",
    "region": "CO",
    "postal_code": "80202",
    "country": "US",
}
SAMPLE_ORGANIZATION: Final = "01930000-0000-7000-8000-000000000001"
SAMPLE_ORDER: Final = "01930000-0000-7000-8000-0000000000d1"
FUNCTION_OF_ROUTE: Final = {
    route(properties): folder(function) for function, _, properties in TEMPLATE.events("HttpApi")
}
SYSTEM_FUNCTIONS: Final = frozenset(
    folder(name)
    for name, properties in TEMPLATE.functions.items()
    if properties.get("Environment", {}).get("Variables", {}).get("DATABASE_USER") == "holdfast_system"
)

Handler = Callable[[Any, Any], Any]


@cache
def handler_of(function: str) -> Handler:
    """Return the handler, imported as Lambda imports it but under a module name of its own."""
    spec = importlib.util.spec_from_file_location(f"function_{function}", HANDLERS / function / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Handler = module.handler
    return handler


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer as API Gateway receives it."""

    status: int
    content_type: str
    raw: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        """Return the JSON document in the body."""
        document: dict[str, Any] = json.loads(self.raw)
        return document


class Door:
    """The functions over one house's database."""

    def __init__(self, house: House) -> None:
        self.house = house

    # --- callers ----------------------------------------------------------------------------------------------------

    def customer(self, subject: str = "ada", organization_id: UUID | None = None) -> dict[str, str]:
        """Return the claims of a registered shopper."""
        return {
            "sub": subject,
            "email": f"{subject}@example.com",
            "custom:organization_id": str(organization_id or self.house.organization_id),
            "custom:kind": "customer",
        }

    def guest(self) -> dict[str, str]:
        """Return the claims of a new guest, as Cognito writes them."""
        return {
            "sub": str(uuid.uuid4()),
            "custom:guest_id": str(uuid7(self.house.clock.now)),
            "custom:organization_id": str(self.house.organization_id),
            "custom:kind": "guest",
        }

    def staff(self, role: str | None, *, organization_id: UUID | None = None) -> dict[str, str]:
        """Return the claims of a new staff member with the role; ``None``: of a user who is not a member."""
        organization_id = organization_id or self.house.organization_id
        user_id, subject = uuid.uuid4(), f"staff-{uuid.uuid4()}"
        self.house.sql(
            "INSERT INTO tenancy.users (id, auth_subject, email, full_name, created_at)"
            " VALUES (:id, :subject, 'grace@shop.example', 'Grace', now())",
            id=user_id,
            subject=subject,
        )
        if role is not None:
            self.house.sql(
                "INSERT INTO tenancy.organization_members (organization_id, user_id, role, created_at)"
                " VALUES (:o, :u, :role, now())",
                o=organization_id,
                u=user_id,
                role=role,
            )
        return {"sub": subject, "custom:organization_id": str(organization_id), "custom:kind": "staff"}

    # --- requests ---------------------------------------------------------------------------------------------------

    def ask(
        self,
        route: str,
        body: Any = None,
        *,
        who: Mapping[str, Any] | None = None,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        base64_encoded: bool = False,
        **path: str,
    ) -> Reply:
        """Send one request with a JSON body (a ``str`` is sent as it is), as the customer unless ``who`` is given.

        ``key`` is the Idempotency-Key of a POST or PUT: a new one by default, ``None`` for none.
        """
        method, template = route.split(" ")
        event = sample_events.render("orders/list", now=self.house.clock())
        sent = {"content-type": "application/json"} if body is not None else {}
        if key is not None and method in {"POST", "PUT"}:
            sent["idempotency-key"] = key or uuid.uuid4().hex
        event["headers"] = {"host": "api.holdfast.example"} | sent | dict(headers or {})
        event["routeKey"], event["rawPath"] = route, template.format(**path)
        event["pathParameters"] = dict(path)
        event.pop("queryStringParameters", None)
        if query:
            event["queryStringParameters"] = dict(query)
        context = event["requestContext"]
        context["http"] |= {"method": method, "path": event["rawPath"]}
        context["routeKey"] = route
        context["requestId"] = uuid.uuid4().hex
        context["authorizer"] = {"jwt": {"claims": dict(self.customer() if who is None else who), "scopes": None}}
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
            event["isBase64Encoded"] = base64_encoded
        return self.send(event)

    def sample(self, name: str, *, order_id: str = SAMPLE_ORDER) -> dict[str, Any]:
        """Return a sample event that is about this house instead of the demo shop."""
        now = datetime.now(UTC)
        text = json.dumps(sample_events.render(name, now=now))
        for old, new in (
            (SAMPLE_ORGANIZATION, str(self.house.organization_id)),
            (SAMPLE_ORDER, order_id),
            ("default-stripe", self.house.endpoint_key),
            ("pk_demo_shop_0123456789", self.house.publishable_key),
        ):
            text = text.replace(old, new)
        event: dict[str, Any] = json.loads(text)
        if "stripe-signature" in event.get("headers", {}):
            event["headers"]["stripe-signature"] = sample_events.stripe_signature(
                event["body"].encode(), secret=self.house.webhook_secret, now=now
            )
        return event

    def send(self, event: Mapping[str, Any]) -> Reply:
        """Send an HTTP event to the function of its route."""
        answer = self.invoke(FUNCTION_OF_ROUTE[event["routeKey"]], event)
        headers = {name.lower(): value for name, value in answer["headers"].items()}
        assert answer["isBase64Encoded"] is False
        reply = Reply(answer["statusCode"], headers["content-type"], answer["body"], headers)
        check_documented(event["routeKey"], reply.status, reply.content_type, reply.raw)
        if reply.content_type == PROBLEM:
            assert reply.body["status"] == reply.status
            assert reply.body["correlation_id"]
        return reply

    def invoke(self, function: str, event: Any, *, seconds: float = 30, runtime: Runtime | None = None) -> Any:
        """Invoke a function with an event, in the database role that the template gives it or with another runtime."""
        use(runtime or (self.house.system if function in SYSTEM_FUNCTIONS else self.house.runtime))
        context = LambdaContext(
            function_name=function,
            memory_limit_in_mb=1024,
            invoked_function_arn=f"arn:aws:lambda:us-east-1:123456789012:function:{function}",
            aws_request_id=str(uuid.uuid4()),
            log_group_name=f"/aws/lambda/{function}",
            log_stream_name="stream",
            deadline=time.monotonic() + seconds,
        )
        return handler_of(function)(event, context)

    # --- results ----------------------------------------------------------------------------------------------------

    def rows_of_all_tables(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        tables = self.house.rows(
            "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        )
        union = " UNION ALL ".join(
            f"SELECT '{row['name']}' AS name, count(*) AS n FROM {row['name']}" for row in tables
        )
        return {row["name"]: row["n"] for row in self.house.rows(union)}


def checkout_body(quantity: int = 1, **more: Any) -> dict[str, Any]:
    """Return a body that ``POST /v1/checkout`` accepts."""
    return {
        "items": [{"sku": "TEE", "quantity": quantity}],
        "shipping_address": ADDRESS,
        "payment": {"gateway": "stripe", "token": "pm_card_visa"},
    } | more
