"""What API Gateway does in front of the functions, tested on the running local system over HTTP."""

import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from local.system import LocalSystem
from tests.local.conftest import Call, sign


def test_the_event_has_the_form_of_payload_version_2(call: Call, token: str) -> None:
    headers = [("X-Two", "1"), ("Cookie", "a=1; b=2"), ("Content-Type", "application/json")]
    event = call("POST", "/echo?x=1&x=2&y=%20", body=b'{"k": 1}', token=token, headers=headers).json
    assert event["version"] == "2.0"
    assert event["routeKey"] == event["requestContext"]["routeKey"] == "POST /echo"
    assert event["rawPath"] == "/echo"
    assert event["rawQueryString"] == "x=1&x=2&y=%20"
    assert event["queryStringParameters"] == {"x": "1,2", "y": " "}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-two"] == "1"
    assert "cookie" not in event["headers"]
    assert event["body"] == '{"k": 1}'
    assert event["isBase64Encoded"] is False
    assert event["requestContext"]["stage"] == "$default"
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"


def test_claims_arrive_as_text(call: Call, token: str) -> None:
    claims = call("POST", "/echo", token=token).json["requestContext"]["authorizer"]["jwt"]["claims"]
    assert (claims["sub"], claims["groups"], claims["age"], claims["vip"]) == ("ada", "[a b]", "36", "true")
    assert claims["exp"].isdecimal()


def test_a_public_route_has_no_claims_even_with_a_token(call: Call, token: str) -> None:
    assert "authorizer" not in call("GET", "/public/echo", token=token).json["requestContext"]


def test_a_body_that_is_no_text_arrives_as_base64(call: Call, token: str) -> None:
    for kind, body in (("image/png", b"\x00\xff"), ("application/json", b"\xff"), ("text/plain; x=y", "ä".encode())):
        event = call("POST", "/echo", body=body, token=token, headers={"Content-Type": kind}).json
        assert event["isBase64Encoded"] is (not kind.startswith("text"))
        raw = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
        assert raw == body


def test_a_request_without_a_body_has_none(call: Call, token: str) -> None:
    event = call("GET", "/things/5", token=token).json
    assert "body" not in event
    assert event["pathParameters"] == {"thing_id": "5"}


def test_header_names_repeat_with_commas(system: LocalSystem) -> None:
    port = int(system.api_url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /public/x HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["headers"]["x-a"] == "1,2"


def test_an_unknown_path_or_method_is_a_404_of_the_gateway(call: Call, token: str) -> None:
    for method, path in (("GET", "/nowhere"), ("GET", "/echo"), ("OPTIONS", "/echo")):
        answer = call(method, path, token=token)
        assert (answer.status, answer.json) == (404, {"message": "Not Found"})


def test_only_a_good_token_passes(call: Call, system: LocalSystem, token: str) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    header, payload, signature = token.split(".")
    bad = {
        "none": None,
        "garbage": "garbage",
        "expired": sign(system, {"sub": "ada"}, now=long_ago),
        "tampered": f"{header}.{payload[:-4]}AAAA.{signature}",
        "symmetric": jwt.encode({"sub": "ada", "aud": "holdfast"}, "k" * 32, algorithm="HS256"),
        "unsigned": jwt.encode({"sub": "ada", "aud": "holdfast", "iss": system.issuer_url}, "", algorithm="none"),
    }
    for name, value in bad.items():
        answer = call("POST", "/echo", token=value)
        assert (answer.status, answer.json) == (401, {"message": "Unauthorized"}), name
        assert answer.headers["www-authenticate"] == "Bearer"
    assert call("POST", "/echo", token=token).status == 200


def test_answers_are_converted(call: Call) -> None:
    nothing = call("GET", "/public/nothing")
    assert (nothing.status, nothing.body) == (204, b"")
    plain = call("GET", "/public/plain")
    assert (plain.status, plain.json, plain.headers["content-type"]) == (200, {"greeting": "hello"}, "application/json")
    binary = call("GET", "/public/binary")
    assert (binary.body, binary.headers["content-type"]) == (b"\x00\xff", "image/x")
    assert "apigw-requestid" in binary.headers


def test_cookies_become_set_cookie_headers(system: LocalSystem) -> None:
    port = int(system.api_url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /public/cookies HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [line for line in answer.split(b"\r\n") if line.startswith(b"set-cookie")] == [
        b"set-cookie: a=1",
        b"set-cookie: b=2",
    ]


@pytest.mark.parametrize(
    "path", ["/public/crash", "/public/raise", "/public/malformed", "/public/unserializable", "/broken"]
)
def test_a_function_that_fails_is_a_500_that_tells_nothing_and_the_next_request_works(call: Call, path: str) -> None:
    answer = call("GET", path)
    assert (answer.status, answer.json) == (500, {"message": "Internal Server Error"})
    assert call("GET", "/public/plain").status == 200


def test_a_function_past_its_timeout_is_ended_and_its_place_taken_by_another(call: Call) -> None:
    answer = call("GET", "/public/sleep")
    assert (answer.status, answer.json) == (500, {"message": "Internal Server Error"})
    with ThreadPoolExecutor(8) as pool:
        statuses = {answer.status for answer in pool.map(lambda _: call("GET", "/public/plain"), range(40))}
    assert statuses == {200}


def test_a_body_of_more_than_10_megabytes_is_refused(call: Call, token: str) -> None:
    too_large_as_answer = call("POST", "/echo", body=b"x" * (5 * 1024 * 1024), token=token)
    assert too_large_as_answer.status == 500
    answer = call("POST", "/echo", token=token, headers={"Content-Length": str(10 * 1024 * 1024 + 1)}, body=b"x")
    assert answer.status == 413


def test_the_context_is_lambdas(call: Call) -> None:
    answer = call("GET", "/public/context")
    assert answer.json["name"] == "EchoFunction"
    assert 1000 < answer.json["remaining"] <= 2000
    assert answer.json["request_id"] == answer.headers["apigw-requestid"]


def test_a_sandbox_handles_one_event_at_a_time_and_light_traffic_stays_on_one(call: Call) -> None:
    assert len({call("GET", "/public/context").json["pid"] for _ in range(10)}) <= 2  # one per worker


def test_the_issuer_publishes_what_verifies_its_tokens(call: Call, system: LocalSystem) -> None:
    discovery = call("GET", "/issuer/.well-known/openid-configuration").json
    assert discovery["issuer"] == system.issuer_url
    keys = jwt.PyJWKSet.from_dict(call("GET", "/issuer/jwks.json").json)
    body = json.dumps({"claims": {"sub": "guest:1", "custom:kind": "guest"}, "expires_in_seconds": 60}).encode()
    token = call("POST", "/issuer/token", body=body).json["token"]
    claims = jwt.decode(token, keys.keys[0], algorithms=["RS256"], audience="holdfast", issuer=discovery["issuer"])
    assert (claims["sub"], claims["custom:kind"]) == ("guest:1", "guest")
    assert claims["exp"] - claims["iat"] == 60


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"claims": 1}', b'{"claims": {"sub": "x"}, "expires_in_seconds": 0}']
)
def test_the_issuer_refuses_a_wish_that_makes_no_sense(call: Call, body: bytes) -> None:
    answer = call("POST", "/issuer/token", body=body)
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


def test_tokens_are_only_for_callers_who_mean_this_machine(call: Call) -> None:
    for path in ("/docs/tokens/customer", "/issuer/jwks.json", "/"):
        assert call("GET", path, headers={"Host": "127.0.0.1:1"}).status == 200
        assert call("GET", path, headers={"Host": "evil.example"}).status == 404


def test_the_docs_are_served_from_this_machine(call: Call, token: str) -> None:
    page = call("GET", "/docs").body.decode()
    assert "/v1/openapi.json" in page
    assert "http://" not in page.replace("http://127", "")
    assert len(call("GET", "/docs/swagger-ui-bundle.js").body) > 100_000
    demo = call("GET", "/docs/tokens/customer").json["token"]
    assert call("POST", "/echo", token=demo).status == 200
    assert call("GET", "/docs/tokens/nobody").status == 404
