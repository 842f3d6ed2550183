"""What Amazon SES v2 does with a call of `SendEmail`: the call is checked against botocore's own description of the
service and against what the guide says about raw messages, and then accepted.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
https://docs.aws.amazon.com/ses/latest/dg/header-fields.html (it puts its own Message-ID and Date over the sender's)
"""

from __future__ import annotations

import base64
import binascii
import email
import email.parser
import email.policy
import email.utils
import re
import secrets
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import botocore.session
from botocore.validate import ParamValidator

from local.mail_server.mailbox import StoredMail

RECIPIENTS_MAX: Final = 50
LINE_MAX_CHARACTERS: Final = 998
TAG: Final = re.compile(r"[A-Za-z0-9_.@-]{1,256}")
ONLY_ONCE: Final = (
    "Auto-Submitted", "Content-Language", "Content-Type", "Date", "From", "Message-ID", "MIME-Version", "Reply-To",
    "Subject", "To",
)  # fmt: skip
_AS_IT_IS: Final = email.policy.compat32.clone(linesep="\r\n", max_line_length=None)
"""A policy by which headers are neither parsed nor folded anew."""
SIMULATOR: Final = "simulator.amazonses.com"
_FATES: Final = {
    "bounce": "bounced",
    "complaint": "complained",
    "suppressionlist": "suppressed",
    "ooto": "delivered",
    "success": "delivered",
}


class Refusal(Exception):
    """The call is refused, with the service's name for the reason."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status


@cache
def _send_email() -> Any:
    model = botocore.session.get_session().get_service_model("sesv2")
    return model.operation_model("SendEmail")


def take(request: Mapping[str, Any], configuration_sets: frozenset[str] | None, now: datetime) -> StoredMail:
    """Return the mail of a call. `configuration_sets` are those that exist (None: not checked). Raises Refusal."""
    raw = _raw_of(request)
    parameters = {**request, "Content": {"Raw": {"Data": raw}}}
    report = ParamValidator().validate(parameters, _send_email().input_shape)
    if report.has_errors():
        raise Refusal("BadRequestException", report.generate_report())
    recipients = [
        address for field in ("ToAddresses", "CcAddresses", "BccAddresses")
        for address in request.get("Destination", {}).get(field, ())
    ]  # fmt: skip
    if not 1 <= len(recipients) <= RECIPIENTS_MAX:
        raise Refusal("BadRequestException", f"{len(recipients)} recipients; 1 to {RECIPIENTS_MAX} are possible")
    for address in [*recipients, request.get("FromEmailAddress") or ""]:
        if not re.fullmatch(r"[\x21-\x7e]+@[A-Za-z0-9.-]+", email.utils.parseaddr(address)[1]):
            raise Refusal("BadRequestException", "Local address contains control or whitespace, or is missing")
    tags = {tag["Name"]: tag["Value"] for tag in request.get("EmailTags", ())}
    if not all(TAG.fullmatch(text) for pair in tags.items() for text in pair):
        raise Refusal("BadRequestException", "Invalid tag: letters, digits, _, -, . and @ alone")
    configuration_set = request.get("ConfigurationSetName")
    if configuration_set and configuration_sets is not None and configuration_set not in configuration_sets:
        raise Refusal("NotFoundException", f"Configuration set <{configuration_set}> does not exist.", 404)
    identifier = f"{int(now.timestamp() * 1000):016x}-{secrets.token_hex(8)}-000000"
    return StoredMail(
        id=identifier,
        taken_at=now.isoformat(),
        sender=str(request["FromEmailAddress"]),
        recipients=recipients,
        configuration_set=configuration_set,
        tags=tags,
        raw=_as_sent(raw, identifier, now),
        fate=_fate_of(recipients[0]),
    )


def _raw_of(request: Mapping[str, Any]) -> bytes:
    content = request.get("Content")
    if not isinstance(content, dict) or set(content) != {"Raw"}:
        raise Refusal("BadRequestException", "This server takes raw content alone")
    try:
        return base64.b64decode(content["Raw"]["Data"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise Refusal("SerializationException", "Content.Raw.Data is not base64") from error


def _as_sent(raw: bytes, identifier: str, now: datetime) -> str:
    """Return the message as it leaves, with the service's own Message-ID and Date.

    Raises Refusal for a message that the service does not accept.
    """
    # Only the headers are parsed: what the parts contain is up to the sender.
    message = email.parser.BytesHeaderParser(policy=_AS_IT_IS).parsebytes(raw)
    headers = Counter(name.casefold() for name in message)
    if not headers["from"] or not headers["to"]:
        raise Refusal("BadRequestException", "Missing required header 'From' or 'To'.")
    for name in ONLY_ONCE:
        if headers[name.casefold()] > 1:
            raise Refusal("BadRequestException", f"Duplicate header '{name}'.")
    if any(len(line) > LINE_MAX_CHARACTERS for line in raw.splitlines()):
        raise Refusal("BadRequestException", "A line of the message is longer than 998 characters.")
    if not raw.isascii():
        raise Refusal("BadRequestException", "Non-ASCII characters must be encoded.")
    for name, value in (("Message-ID", f"<{identifier}@email.amazonses.com>"), ("Date", _date(now))):
        del message[name]
        message[name] = value
    return message.as_bytes().decode("ascii")


def _date(now: datetime) -> str:
    return email.utils.format_datetime(now.astimezone(UTC))


def _fate_of(recipient: str) -> str:
    """Return the fate of a mail: addresses of the mailbox simulator name their fate."""
    local, _, domain = email.utils.parseaddr(recipient)[1].rpartition("@")
    return _FATES.get(local.partition("+")[0], "delivered") if domain.casefold() == SIMULATOR else "delivered"
