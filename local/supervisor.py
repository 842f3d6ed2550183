"""Brings the whole system up, in parallel where possible, and takes it down again."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket

from local import aws, postgres, template
from local.children import ROOT, Child, Children, listeners
from local.gateway_accounts import ACCOUNTS, PAYPAL_ROOTS_FILE, Connected, DemoAccount, connect
from local.issuer import AUDIENCE, Issuer
from local.model import Function, Plan
from local.people import Shop
from local.pollers import concurrency_of
from local.postgres import free_port
from local.system import LocalSystem

DATABASE = "holdfast"
WEBHOOK_LAG_SECONDS = 0.2
"""The seconds between a gateway's answer and its webhooks, as over a real network. Tests command shorter ones."""


class AlreadyRunning(RuntimeError):
    """Another process runs a system on the same state folder."""


def migrate(system: LocalSystem) -> None:
    """Brings the schema up to date."""
    from holdfast.database.migrations.run import upgrade  # noqa: PLC0415 (other processes start meanwhile)

    upgrade(system.database.url, role_password=system.role_password)


def seed(system: LocalSystem) -> Shop | None:
    """Imports the postal codes that ship with the code, opens the demo shop's accounts at the gateways, then creates
    the shop unless it exists."""
    from local import geocodes  # noqa: PLC0415 (as above)
    from local import seed as demo  # noqa: PLC0415 (as above)

    geocodes.import_shipped(system)
    connected = [_connect(system, account) for account in ACCOUNTS]
    with _environment(aws.ACCESS | {"AWS_ENDPOINT_URL": system.aws_url}):
        return Shop.of(demo.seed(system, connected))


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """This process's environment with `variables` added, for the length of the block."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _no_news(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Options:
    """How to run the system. `sandboxes` bounds the HTTP requests that are handled at once, over all workers."""

    state: Path = ROOT / ".holdfast"
    port: int = 8000
    workers: int = 2
    sandboxes: int = 16
    template: Path = ROOT / "template.yaml"
    durable: bool = True
    """False is for tests: the database then does not wait for the disk."""
    clock: bool = True
    pace: int = 1
    """How many times as fast as in the cloud the schedules that come every minute, hour or day fire."""
    migrate: Callable[[LocalSystem], None] = migrate
    seed: Callable[[LocalSystem], Shop | None] = seed
    progress: Callable[[str], None] = _no_news


@contextmanager
def running(
    options: Options, catch_signals: Callable[[Children], None] = lambda _: None
) -> Iterator[tuple[LocalSystem, Children]]:
    """Run the system from the moment everything is ready until the block ends. Call it from the main thread.

    `catch_signals` is told immediately where to report signals. Raises AlreadyRunning, PostgresUnavailable,
    TemplateError, ChildEnded or Stopped. Whatever happens, nothing stays running.
    """
    with ExitStack() as stack:
        state = options.state.resolve()
        (state / "logs").mkdir(parents=True, exist_ok=True)
        stack.enter_context(only_one(state))
        for log in (state / "logs").glob("*.log"):
            log.unlink()
        children = Children(state / "logs")
        catch_signals(children)
        starter = _Starter(options, state, children, stack)
        # Children that use the database must end before it does.
        server = starter.start_postgres()
        stack.callback(children.stop)
        yield starter.start_rest(server), children


@contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Holds the state folder for the block. Raises AlreadyRunning when another process holds it."""
    with (state / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(f"a local system runs already (process {lock.read().strip() or '?'})") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class _Starter:
    """The steps of a start."""

    def __init__(self, options: Options, state: Path, children: Children, stack: ExitStack) -> None:
        self._options = options
        self._state = state
        self._children = children
        self._stack = stack
        # Unix sockets need short paths, and the state folder may be deeply nested.
        self._sockets = Path(tempfile.mkdtemp(prefix="holdfast-"))
        stack.callback(shutil.rmtree, self._sockets, ignore_errors=True)
        self._plan_file = self._sockets / "plan.json"

    def start_postgres(self) -> postgres.Server:
        self._options.progress("PostgreSQL")
        server = postgres.start(self._state / "postgres", durable=self._options.durable)
        self._stack.callback(server.stop)
        if server.process is not None:
            self._children.adopt("PostgreSQL", server.process, self._state / "postgres" / "postgres.log")
        return server

    def start_rest(self, server: postgres.Server) -> LocalSystem:
        """Starts everything else.

        What takes long is begun early: the emulations boot while the database is prepared.
        """
        options, children = self._options, self._children
        sockets = listeners(options.port, options.workers)
        aws_port, gateway_ports = free_port(), {account.gateway: free_port() for account in ACCOUNTS}
        self._geocoder_port = free_port()
        geocoder = children.start("geocoder", "local.geocoder_server", "--port", str(self._geocoder_port))
        self._mail_port = free_port()
        emulation = children.start(
            "aws", "local.aws", "--port", str(aws_port), "--objects", str(self._state / "objects")
        )
        gateways = [(self._start_gateway_server(name, port), port) for name, port in gateway_ports.items()]
        system = LocalSystem(
            state=self._state,
            database=_database(server),
            role_password=postgres.kept_password(self._state / "role.password"),
            api_url=f"http://127.0.0.1:{sockets[0].getsockname()[1]}",
            aws_url=f"http://127.0.0.1:{aws_port}",
            gateway_urls={name: f"http://127.0.0.1:{port}" for name, port in gateway_ports.items()},
            mail_url=f"http://127.0.0.1:{self._mail_port}",
        )
        system.plan = self._plan(system)
        Issuer(self._state, system.issuer_url)  # creates the key before several workers want it
        mail = self._start_mail_server(system.plan, system.aws_url)
        self._start_hosts(system.plan)
        self._start_http_api(sockets)
        options.progress("schema")
        children.together(
            lambda: options.migrate(system),
            lambda: self._create_resources(system, emulation, aws_port),
            *(
                partial(children.wait_for_port, server, port)
                for server, port in [*gateways, (geocoder, self._geocoder_port), (mail, self._mail_port)]
            ),
        )
        options.progress("demo shop")
        children.together(lambda: self._seed(system))
        system.save()
        self._start_background(system)
        return system

    def _start_gateway_server(self, name: str, port: int) -> Child:
        where = ("--port", str(port), "--state", str(self._state / f"{name}.json"))
        lag = ("--webhook-lag-seconds", str(WEBHOOK_LAG_SECONDS))
        return self._children.start(name, f"local.{name}_server", *where, *lag)

    def _start_mail_server(self, plan: Plan, aws_url: str) -> Child:
        topics = [f"--feedback={name}={topic}" for name, topic in plan.resources.mail_feedback.items()]
        where = ("--port", str(self._mail_port), "--folder", str(self._state / "mails"))
        return self._children.start("mail", "local.mail_server", *where, "--aws", aws_url, *topics)

    def _create_resources(self, system: LocalSystem, emulation: Child, port: int) -> None:
        self._children.wait_for_port(emulation, port)
        if system.plan is not None:
            aws.create(system.plan.resources, system.aws_url, self._state / "objects")

    def _seed(self, system: LocalSystem) -> None:
        system.shop = self._options.seed(system)

    def _plan(self, system: LocalSystem) -> Plan:
        plan = template.read(
            self._options.template,
            aws_url=system.aws_url,
            parameters={
                "Environment": "local",
                "JwtIssuer": system.issuer_url,
                "JwtAudience": AUDIENCE,
                "StripeBaseUrl": system.gateway_urls["stripe"],
                "PayPalBaseUrl": system.gateway_urls["paypal"],
                "PayPalWebhookRootsFile": str(self._state / PAYPAL_ROOTS_FILE),
                "SquareBaseUrl": system.gateway_urls["square"],
                "Geocoder": "amazon_location",
                "MailSenderAddress": "orders@demo-shop.example",
                "AdyenBaseUrl": system.gateway_urls["adyen"],
                "StorefrontReturnUrl": f"{system.docs_url}?order={{order_id}}",
                "AddressReviewPageUrl": f"{system.api_url}/check-address#{{token}}",
            },
            environment={
                "DATABASE_HOST": system.database.host,
                "DATABASE_PORT": str(system.database.port),
                "DATABASE_NAME": system.database.database,
                "DATABASE_AUTHENTICATION": "password",
                "DATABASE_PASSWORD": system.role_password,
                "DATABASE_TLS": "off",
                "GUEST_TOKEN_SOURCE": "development",
                "COLD_STORAGE_FUNCTION": "",
                "DEVELOPMENT_ISSUER_URL": system.issuer_url,
                "AWS_ENDPOINT_URL": system.aws_url,
                "AWS_ENDPOINT_URL_GEO_PLACES": f"http://127.0.0.1:{self._geocoder_port}",
                "AWS_ENDPOINT_URL_SESV2": system.mail_url,
            },
        )
        plan.dump(self._plan_file)
        return plan

    def _start_hosts(self, plan: Plan) -> None:
        for name, functions in plan.groups().items():
            self._children.start(
                f"functions-{name}",
                "local.lambda_host",
                *("--plan", str(self._plan_file), "--group", name),
                *("--socket", str(self._sockets / f"{name}.sock"), "--logs", str(self._state / "logs")),
                *("--sandboxes", str(_sandboxes(functions, self._http_sandboxes() * self._options.workers))),
                environment=functions[0].environment,
            )

    def _http_sandboxes(self) -> int:
        """The number of HTTP sandboxes of each worker."""
        return max(1, self._options.sandboxes // self._options.workers)

    def _start_http_api(self, sockets: Sequence[socket]) -> None:
        for number, listener in enumerate(sockets, 1):
            fd = listener.fileno()
            self._children.start(
                f"http_api-{number}",
                "local.http_api",
                *("--plan", str(self._plan_file), "--sockets", str(self._sockets), "--state", str(self._state)),
                *("--fd", str(fd), "--sandboxes", str(self._http_sandboxes())),
                fd=fd,
            )
        for listener in sockets:
            listener.close()

    def _start_background(self, system: LocalSystem) -> None:
        self._options.progress("queues and clock")
        without = () if self._options.clock else ("--without-clock",)
        self._children.start(
            "background",
            "local.background",
            *("--plan", str(self._plan_file), "--sockets", str(self._sockets), "--aws", system.aws_url, *without),
            *("--pace", str(self._options.pace)),
        )


def _sandboxes(functions: Sequence[Function], http: int) -> int:
    """Return as many as may be busy at once: with HTTP requests, batches of each queue, and the schedules."""
    return concurrency_of(functions) + (http if any(function.routes for function in functions) else 0)


def _database(server: postgres.Server) -> postgres.Address:
    """Return the system's database: that of DATABASE_URL as it is, or an embedded one, created when it is missing."""
    if not server.is_embedded:
        return server.master
    if not server.has_database(DATABASE):
        return server.create_database(DATABASE)
    return server.master_of(DATABASE)


def _connect(system: LocalSystem, account: DemoAccount) -> Connected:
    connected = connect(account, system.gateway_urls[account.gateway], system.api_url, system.state)
    aws.put_secret(system.aws_url, account.secret_reference, json.dumps(dict(connected.secret)))
    return connected
