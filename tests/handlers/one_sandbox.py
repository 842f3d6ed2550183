"""A process like Lambda's sandbox, for tests that read everything it writes.

``python one_sandbox.py STEPS`` runs the steps of a JSON file, each {function, event}, with the settings of the
environment. Every logger writes through a root logger at DEBUG, as in Lambda, and nothing is filtered. The answers go
to ``STEPS.answers``. {ORDER} in an event stands for the id of the first order in an answer.
"""

import importlib.util
import json
import logging
import sys
from pathlib import Path
from typing import Any

FUNCTIONS = Path(__file__).parents[2] / "functions"


class Context:
    """The part of Lambda's context that handlers read."""

    aws_request_id = "7d0f2a52-aaaa-bbbb-cccc-000000000000"
    function_name = "sandbox"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:sandbox"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def load(function: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"function_{function}", FUNCTIONS / function / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


def main(steps: Path) -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    handlers: dict[str, Any] = {}
    answers: list[Any] = []
    order_id = ""
    for step in json.loads(steps.read_text()):
        handler = handlers.setdefault(step["function"], None) or load(step["function"])
        handlers[step["function"]] = handler
        event = json.loads(json.dumps(step["event"]).replace("{ORDER}", order_id))
        try:
            answer = handler(event, Context())
        except Exception as error:
            # Lambda's runtime logs an unhandled exception in this way.
            logging.getLogger().exception("[ERROR] %s", type(error).__name__)
            answer = {"error": type(error).__name__}
        answers.append(answer)
        body = json.loads(answer["body"]) if isinstance(answer, dict) and "body" in answer else {}
        order_id = order_id or body.get("order", {}).get("id", "")
    steps.with_suffix(".answers").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
