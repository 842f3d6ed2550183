"""A letter as HTML and as plain text.

In HTML every value is escaped, because names of goods and people come from others.

Jinja is imported when the first mail is rendered. The one function that sends mails carries it (its own
requirements.txt); the layer does not.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from holdfast.notifications.letters import Letter

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, slots=True)
class Rendered:
    """Both forms of a mail's body."""

    html: str
    text: str


def render(letter: Letter) -> Rendered:
    """Return both forms of a mail's body."""
    return Rendered(
        html=_environment(is_html=True).get_template("letter.html").render(letter=letter),
        text=_environment(is_html=False).get_template("letter.txt").render(letter=letter),
    )


@cache
def _environment(*, is_html: bool) -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415 -- lazily, see above

    return Environment(
        loader=FunctionLoader(lambda name: (files(__package__) / "templates" / name).read_text(encoding="utf-8")),
        autoescape=is_html,  # noqa: S701 -- plain text has nothing to escape
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
