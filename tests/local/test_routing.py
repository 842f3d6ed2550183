import pytest

from local.model import Function, Route
from local.routing import Router


def function(name: str, *routes: tuple[str, str]) -> Function:
    return Function(
        name=name,
        logical_id=name,
        folder=".",
        handler="app.handler",
        timeout_seconds=1,
        memory_mb=128,
        max_concurrency=None,
        max_retries=0,
        failure_queue_url=None,
        environment={},
        routes=tuple(Route(method, path, is_public=True) for method, path in routes),
    )


ROUTER = Router(
    [
        function("greedy", ("ANY", "/v1/{rest+}"), ("GET", "/v1/files/{name+}")),
        function("orders", ("GET", "/v1/orders/{reference}"), ("POST", "/v1/orders/{order_id}/cancel")),
        function("fixed", ("GET", "/v1/orders/latest"), ("ANY", "/v1/orders")),
        function("default", ("ANY", "$default")),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "name", "parameters"),
    [
        ("GET", "/v1/orders/latest", "fixed", {}),
        ("GET", "/v1/orders/7", "orders", {"reference": "7"}),
        ("POST", "/v1/orders/7/cancel", "orders", {"order_id": "7"}),
        ("POST", "/v1/orders/7", "greedy", {"rest": "orders/7"}),
        ("DELETE", "/v1/orders", "fixed", {}),
        ("GET", "/v1/files/a/b", "greedy", {"name": "a/b"}),
        ("GET", "/elsewhere", "default", {}),
        ("GET", "/v1/orders//cancel", "greedy", {"rest": "orders//cancel"}),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, name: str, parameters: dict[str, str]) -> None:
    match = ROUTER.match(method, path)
    assert match is not None
    assert (match.function.name, match.path_parameters) == (name, parameters)


def test_without_a_default_route_an_unknown_path_or_method_has_no_match() -> None:
    router = Router([function("orders", ("GET", "/v1/orders/{reference}"))])
    assert router.match("GET", "/v1/orders") is None
    assert router.match("GET", "/v1/orders/") is None
    assert router.match("POST", "/v1/orders/7") is None
    assert router.match("GET", "/v1/orders/7/8") is None
