"""A manager who works on dead letters at the API."""

from collections.abc import Mapping
from typing import Any, Final

from tests.handlers.door import PROBLEM, Door, Reply

LIST: Final = "GET /v1/ops/dead-letters"
ONE: Final = "GET /v1/ops/dead-letters/{dead_letter_id}"
STEP: Final = "POST /v1/ops/dead-letters/{dead_letter_id}/"
GROUPS: Final = "GET /v1/ops/dead-letter-groups"
REPLAY_GROUP: Final = "POST /v1/ops/dead-letter-groups/{fingerprint}/replay"
GROUP_REPLAY: Final = "GET /v1/ops/group-replays/{group_replay_id}"
CANCEL: Final = "POST /v1/ops/group-replays/{group_replay_id}/cancel"


class Desk:
    """A manager at the API."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.house = door.house
        self.who = door.staff("manager")

    def ask(self, route: str, body: Any = None, **more: Any) -> Reply:
        more.setdefault("who", self.who)
        return self.door.ask(route, body, key=None, **more)

    def step(self, name: str, letter_id: Any, version: int = 1, **body: Any) -> Reply:
        return self.ask(STEP + name, {"version": version, **body}, dead_letter_id=str(letter_id))

    def seen(self, letter_id: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(ONE, dead_letter_id=str(letter_id)).body["dead_letter"]
        return found

    def steps(self, letter_id: Any) -> list[tuple[str, str | None, str, str | None]]:
        return [(s["action"], s["from"], s["to"], s["notes"]) for s in self.seen(letter_id)["history"] or []]

    @property
    def name(self) -> str:
        return str(self.who["sub"])


def refused(reply: Reply, status: int, code: str) -> Mapping[str, Any]:
    assert (reply.status, reply.content_type) == (status, PROBLEM), reply.raw
    assert reply.body["code"] == code, reply.raw
    return reply.body


def ids(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.raw
    return [row["id"] for row in reply.body["dead_letters"]]
