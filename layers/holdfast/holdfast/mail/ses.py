"""Amazon Simple Email Service, API version 2: ``SendEmail`` with the whole mail as raw content.

Raw content leaves all headers and both forms of the text to us. The tags identify the mail and its organization; the
service returns them with every bounce and complaint.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

import re
from functools import cached_property
from typing import Any, Final

from holdfast.mail.mime import AddressUnusable, compose, mailbox, wire_address
from holdfast.mail.port import Mail, NotAllowed, Rejected, Sent, TryAgain

CONNECT_TIMEOUT_SECONDS: Final = 2
READ_TIMEOUT_SECONDS: Final = 8
ORGANIZATION_TAG: Final = "holdfast_organization"
MESSAGE_TAG: Final = "holdfast_message"

# Error codes that do not mean that the mail is wrong. Every other refusal (4xx) is about the mail.
_THROTTLED: Final = frozenset({"TooManyRequestsException", "LimitExceededException", "ThrottlingException"})
_NOT_ALLOWED: Final = frozenset(
    {
        "AccessDeniedException",
        "AccountSuspendedException",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "MailFromDomainNotVerifiedException",
        "NotFoundException",
        "SendingPausedException",
        "UnrecognizedClientException",
    }
)
# The words of a MessageRejected that is about an identity:
# https://repost.aws/knowledge-center/ses-554-400-message-rejected-error.
_NOT_VERIFIED: Final = re.compile(r"\bnot verified\b", re.IGNORECASE)


class SimpleEmailService:
    """Sends mails with Amazon SES."""

    def __init__(self, sender_address: str, configuration_set: str) -> None:
        self._sender_address = sender_address
        self._configuration_set = configuration_set

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- only who sends mail pays for it
        from botocore.config import Config  # noqa: PLC0415

        return boto3.client(
            "sesv2",
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                read_timeout=READ_TIMEOUT_SECONDS,
                retries={"total_max_attempts": 1},
            ),
        )

    def send(self, mail: Mail) -> Sent | Rejected | TryAgain | NotAllowed:
        """See ``MailService.send``."""
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError  # noqa: PLC0415

        try:
            request = self.request_for(mail)
        except AddressUnusable as error:
            return Rejected(str(error))
        try:
            answer = self._client.send_email(**request)
        except ClientError as error:
            return outcome_of(error.response)
        except ParamValidationError:
            return Rejected("the request does not fit the service's own description of it")
        except BotoCoreError as error:
            return TryAgain(f"Amazon SES: {type(error).__name__}")
        provider_id = answer.get("MessageId")
        return Sent(str(provider_id)) if provider_id else TryAgain("Amazon SES answered without a MessageId")

    def request_for(self, mail: Mail) -> dict[str, Any]:
        """Return the request for botocore. Raises ``AddressUnusable``."""
        request: dict[str, Any] = {
            "FromEmailAddress": mailbox(mail.sender_name, self._sender_address),
            "Destination": {"ToAddresses": [wire_address(mail.recipient)]},
            "Content": {"Raw": {"Data": compose(mail, self._sender_address)}},
            "EmailTags": [
                {"Name": ORGANIZATION_TAG, "Value": str(mail.organization_id)},
                {"Name": MESSAGE_TAG, "Value": str(mail.message_id)},
            ],
        }
        if self._configuration_set:
            request["ConfigurationSetName"] = self._configuration_set
        return request


def outcome_of(response: Any) -> Rejected | TryAgain | NotAllowed:
    """Return what a refusal means. The service's own message is left out, as it may repeat the address.

    If a message is rejected because an identity is not verified, the message itself was not judged: the sender's
    identity has lapsed, or the account is still in the sandbox.
    """
    error = response.get("Error", {})
    code, words = str(error.get("Code", "")), str(error.get("Message", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"Amazon SES answered {status} {code}"
    if code in _THROTTLED or status == 429 or status >= 500:
        return TryAgain(said)
    if code in _NOT_ALLOWED or status in (401, 403):
        return NotAllowed(said)
    if code == "MessageRejected" and _NOT_VERIFIED.search(words):
        return NotAllowed(f"{said}: an identity is not verified")
    return Rejected(said)
