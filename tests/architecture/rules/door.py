"""The door: which routes are public, how much traffic comes through at once, and what is logged about it."""

from collections.abc import Iterator
from typing import Any, Final

from tests.architecture.rules.rule import rule
from tests.architecture.template import ROOT, Template, as_list, everything, folder, route

PUBLIC_ROUTES: Final = {
    "GET /v1/address-reviews/{token}",
    "GET /v1/health",
    "GET /v1/openapi.json",
    "POST /v1/address-reviews/{token}",
    "POST /v1/guest-sessions",
    "POST /v1/webhooks/{gateway}",
    "POST /v1/webhooks/{gateway}/{endpoint_key}",
}
BEYOND_LITE: Final = {
    "ALLOW_USER_AUTH",
    "AdvancedSecurityMode",
    "EMAIL_OTP",
    "PasswordHistorySize",
    "PreTokenGenerationConfig",
    "SignInPolicy",
}
"""What of a pool or its clients Cognito's cheapest plan does not have."""
MAKES_USERS: Final = "POST /v1/guest-sessions"
COGNITO_CALLS_A_SECOND: Final = {
    "cognito-idp:AdminCreateUser": 50,
    "cognito-idp:AdminInitiateAuth": 120,
    "cognito-idp:AdminSetUserPassword": 30,
}
"""Default quotas of all user pools of an account in a region, by what the function that makes guests calls."""
API_GATEWAY_TIMEOUT_SECONDS: Final = 30


def _api(template: Template) -> Any:
    return template.of_type("AWS::Serverless::HttpApi")["HttpApi"]


def _pool(template: Template) -> Any:
    return template.of_type("AWS::Cognito::UserPool")["UserPool"]


def _event(template: Template, function: str, event: str) -> Any:
    return template.functions[function]["Events"][event]["Properties"]


@rule(
    lambda template: _api(template)["Auth"].pop("DefaultAuthorizer"),
    lambda template: _event(template, "CheckoutFunction", "PlaceOrder").update(Auth={"Authorizer": "NONE"}),
    lambda template: _event(template, "PaymentWebhooksFunction", "ReceiveWebhook").pop("Auth"),
)
def public_routes_are_exactly_the_listed_ones(template: Template) -> Iterator[str]:
    auth = _api(template)["Auth"]
    if auth.get("DefaultAuthorizer") not in auth["Authorizers"]:
        yield "A route that says nothing must need a token: DefaultAuthorizer."
    public = {route(properties) for _, _, properties in template.events("HttpApi") if "Auth" in properties}
    if public != PUBLIC_ROUTES:
        yield f"A route without a token is a decision, to be listed here: {sorted(public ^ PUBLIC_ROUTES)}."


@rule(
    lambda template: _pool(template).pop("UserPoolTier"),
    lambda template: _pool(template).update(UserPoolTier="ESSENTIALS"),
    lambda template: _pool(template)["EnabledMfas"].append("EMAIL_OTP"),
    lambda template: template.of_type("AWS::Cognito::UserPoolClient")["UserPoolClient"]["ExplicitAuthFlows"].append(
        "ALLOW_USER_AUTH"
    ),
    lambda template: template.resources.update(Domain={"Type": "AWS::Cognito::UserPoolDomain"}),
)
def a_guest_is_a_user_of_the_cheapest_plan_and_reached_through_the_endpoint(template: Template) -> Iterator[str]:
    if _pool(template).get("UserPoolTier") != "LITE":
        yield "UserPool: `UserPoolTier: LITE`; every guest is paid for, and ESSENTIALS is the default."
    flows = [client["ExplicitAuthFlows"] for client in template.of_type("AWS::Cognito::UserPoolClient").values()]
    used = everything([_pool(template), flows])
    for name in sorted(name for name in BEYOND_LITE if f'"{name}"' in used):
        yield f"UserPool: {name} needs ESSENTIALS, for every guest as well."
    for name in template.of_type("AWS::Cognito::UserPoolDomain"):
        yield f"{name}: Cognito refuses what comes through CognitoEndpoint to a pool that has a domain."


@rule(lambda template: _event(template, "CheckoutFunction", "QuoteOrder").update(Path="/v1/checkout"))
def no_route_is_served_twice(template: Template) -> Iterator[str]:
    routes = [route(properties) for _, _, properties in template.events("HttpApi")]
    for name in sorted({name for name in routes if routes.count(name) > 1}):
        yield f"Two functions claim {name}."


@rule(
    lambda template: _api(template)["CorsConfiguration"]["AllowMethods"].remove("DELETE"),
    lambda template: _api(template)["CorsConfiguration"]["AllowMethods"].append("PATCH"),
)
def a_page_may_use_every_route(template: Template) -> Iterator[str]:
    methods = {properties["Method"].upper() for _, _, properties in template.events("HttpApi")} | {"OPTIONS"}
    if sorted(methods) != sorted(_api(template)["CorsConfiguration"]["AllowMethods"]):
        yield f"HttpApi: browsers ask before they send; AllowMethods: [{', '.join(sorted(methods))}]."


@rule(lambda template: template.functions["CheckoutFunction"].update(Timeout=30))
def no_function_works_on_after_its_caller_was_told_that_it_failed(template: Template) -> Iterator[str]:
    for function, _, properties in template.events("HttpApi"):
        if template.functions[function]["Timeout"] >= API_GATEWAY_TIMEOUT_SECONDS:
            yield f"{function}: API Gateway hangs up on {route(properties)} after {API_GATEWAY_TIMEOUT_SECONDS} s."


@rule(
    lambda template: _api(template).pop("DefaultRouteSettings"),
    lambda template: _api(template).pop("RouteSettings"),
    lambda template: _api(template)["CorsConfiguration"].update(AllowOrigins=["*"]),
    lambda template: _api(template).pop("AccessLogSettings"),
    lambda template: _api(template)["AccessLogSettings"].update(Format='{"path":"$context.path"}'),
)
def what_comes_in_is_bounded_and_written_down_without_anybodys_data(template: Template) -> Iterator[str]:
    settings = _api(template).get("DefaultRouteSettings", {})
    if not {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(settings):
        yield "HttpApi: bound requests a second and at once."
    if "ThrottlingRateLimit" not in _api(template).get("RouteSettings", {}).get(MAKES_USERS, {}):
        yield f"HttpApi: RouteSettings with a bound of its own for {MAKES_USERS}, which makes something for anybody."
    if "*" in _api(template)["CorsConfiguration"]["AllowOrigins"]:
        yield "HttpApi: name the pages that may call it."
    logged = _api(template).get("AccessLogSettings", {}).get("Format", "")
    if not logged:
        yield "HttpApi: AccessLogSettings."
    if "$context.path" in logged or "querystring" in logged.lower():
        yield "HttpApi: a path and a query carry tokens and shoppers' data; log the route."


def _guests(template: Template) -> Any:
    return _api(template)["RouteSettings"][MAKES_USERS]


@rule(
    lambda template: _guests(template).update(ThrottlingRateLimit=50),
    lambda template: _guests(template).update(ThrottlingBurstLimit=100),
    lambda template: template.statements("GuestSessionsFunctionRole")[-1]["Action"].append("cognito-idp:ListUsers"),
)
def guests_come_no_faster_than_cognito_makes_them(template: Template) -> Iterator[str]:
    statements = template.statements("GuestSessionsFunctionRole")
    called = {action for each in statements for action in as_list(each["Action"]) if action.startswith("cognito-idp:")}
    for action in sorted(called - set(COGNITO_CALLS_A_SECOND)):
        yield f"{action}: write its quota into COGNITO_CALLS_A_SECOND."
    slowest = min(COGNITO_CALLS_A_SECOND[action] for action in called & set(COGNITO_CALLS_A_SECOND))
    settings = _guests(template)
    if settings["ThrottlingRateLimit"] + settings["ThrottlingBurstLimit"] > slowest:
        yield f"HttpApi: {MAKES_USERS}: rate and burst together at most {slowest}; Cognito refuses the rest."


@rule(
    lambda template: template.raw["Globals"]["Function"].update(Tracing="PassThrough"),
    lambda template: template.raw["Globals"]["Function"].update(Runtime="python3.13"),
    lambda template: template.functions["StockFunction"].update(Runtime="python3.9"),
    lambda template: template.functions["StockFunction"].pop("Timeout"),
)
def every_function_is_traced_and_runs_on_the_chosen_runtime(template: Template) -> Iterator[str]:
    shared = template.raw["Globals"]["Function"]
    if shared.get("Tracing") != "Active":
        yield "Globals: `Tracing: Active`."
    if shared.get("Runtime") != {"Ref": "Runtime"} or shared.get("Architectures") != [{"Ref": "Architecture"}]:
        yield "Globals: runtime and processor are parameters."
    for function, properties in template.functions.items():
        for name in {"Runtime", "Architectures", "Tracing", "Handler"} & set(properties):
            yield f"{function}: {name} is the same for all, in Globals."
        if "Timeout" not in properties:
            yield f"{function}: say its Timeout; the default of 3 s is nobody's decision."


@rule(
    lambda template: template.resources.update(Stray=template.resources["StockFunction"]),
    lambda template: template.functions["StockFunction"].update(CodeUri="functions/orders/"),
    lambda template: template.resources.pop("StockFunction"),
)
def folder_resource_and_sample_events_carry_one_name(template: Template) -> Iterator[str]:
    named = {folder(function) for function in template.functions}
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    samples = {path.parent.name for path in (ROOT / "events").glob("*/*.json")}
    if folders != named:
        yield f"functions/<name>/app.py and template.yaml disagree about {sorted(folders ^ named)}."
    if samples != named:
        yield f"Add events/<name>/<case>.json, or remove it, for {sorted(samples ^ named)}."
    for function, properties in template.functions.items():
        if not function.endswith("Function"):
            yield f"Call it {function}Function."
        if properties["CodeUri"] != f"functions/{folder(function)}/":
            yield f"{function}: its folder carries its name."
