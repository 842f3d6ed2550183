"""The documents agree with what they describe: alarms, files, links."""

import json
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from generate import api_page, bill, licenses
from local.documented import DOCUMENT
from local.permissions import CALLS
from tests.architecture.template import TEMPLATE

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
MAY_BE_DEPLOYED: Final = re.compile(
    r"(Apache-2\.0|BSD|BSD-3-Clause|MIT|MIT-0|PSF-2\.0)( (AND|OR) (Apache-2\.0|BSD-3-Clause))?"
)
PRICED: Final = {
    "cognito-idp": "Cognito",
    "events": "EventBridge",
    "lambda": "Lambda",
    "secretsmanager": "Secrets Manager",
    "sesv2": "SES",
    "sqs": "SQS",
}
UNPRICED: Final = {
    "geo-places": "asked only for addresses that the reference data does not have; docs/cost.md says so",
    "s3": "cold storage is a fraction of what the database keeps",
    "sns": "only alarms and alerts",
}
LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """Return the link targets of a page: its headings, as GitHub names them, and its own anchors."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    named = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return named | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in (first or second for first, second in LINK.findall(text)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}: there is no such file"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}: there is no such heading"


def test_decisions_are_counted_once_and_called_by_their_number() -> None:
    numbers = [page.name[:4] for page in PAGES if page.parent.name == "decisions"]
    assert len(set(numbers)) == len(numbers) > 0
    for page in PAGES:
        if page.parent.name == "decisions":
            title = page.read_text(encoding="utf-8").splitlines()[0]
            assert title.startswith(f"# {int(page.name[:4])}. "), f"{page.name} is titled {title!r}"


def test_every_alarm_has_its_place_in_the_runbook() -> None:
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    alarms = {
        name.lower() for name in re.findall(r"^  (\w+):\n    Type: AWS::CloudWatch::Alarm$", template, re.MULTILINE)
    }
    assert alarms
    missing = sorted(alarms - anchors(ROOT / "docs" / "operations.md"))
    assert missing == [], "add `#### <Alarm>`, or a row with its anchor, under `## Alarms` of docs/operations.md"


def test_every_parameter_of_the_template_is_explained() -> None:
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("deploy.md", "operations.md")]
    named = set(re.findall(r"\b[A-Z]\w+", " ".join(re.findall(r"`[^`\n]+`", "\n".join(pages)))))
    assert sorted(set(TEMPLATE.raw["Parameters"]) - named) == [], "add a row to `## Choices` of docs/deploy.md"


def test_the_page_of_the_api_is_current() -> None:
    document = json.loads(DOCUMENT.read_text())
    current = api_page.page(document, api_page.INTRODUCTION.read_text())
    assert api_page.PAGE.read_text() == current, "run `make api-docs` and commit docs/api.md"
    routes = sum(len(operations) for operations in document["paths"].values())
    assert len(re.findall(r"^### (GET|POST|PUT|DELETE) /", current, re.MULTILINE)) == routes


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_cost_counts_every_alarm(environment: str) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    chosen = config[environment]["global"]["parameters"]["parameter_overrides"]
    exists = {
        None: True,
        "WithSchedules": "Schedules=DISABLED" not in chosen,
        "WithProxy": "DatabaseAccess=proxy" in chosen,
    }
    alarms = [body for body in TEMPLATE.resources.values() if body["Type"] == "AWS::CloudWatch::Alarm"]
    [billed] = [item.units for item in bill.at_rest(prod=environment == "prod") if item.what == "alarms"]
    assert billed == sum(exists[alarm.get("Condition")] for alarm in alarms)


def test_the_tables_of_the_cost_are_current() -> None:
    assert bill.PAGE.read_text() == bill.page(), "run `make cost` and commit docs/cost.md"


def part(page: str, begin: str, end: str) -> str:
    """Return what stands between two marks of a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return text.partition(begin)[2].partition(end)[0]


def test_what_can_be_chosen_is_called_as_in_the_template() -> None:
    rows = re.findall(r"^\| (`.+?) \|", part("deploy.md", "\n## Choices\n", "\n#"), re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(rows))
    assert named
    assert sorted(set(named) - set(TEMPLATE.raw["Parameters"])) == []


def test_the_clock_starts_when_the_schema_is_there() -> None:
    first = part("deploy.md", "\n**3. Deploy.**", "\n**4. ")
    second = part("deploy.md", "\n**4. ", "\n**5. ")
    assert "`Schedules=DISABLED`" in first
    steps = [second.index(step) for step in ("invoke MigrateFunctionName", "`Schedules=DISABLED`", "sam deploy")]
    assert steps == sorted(steps)


def test_the_bill_has_a_price_for_every_service_that_the_code_calls() -> None:
    called = {service for service, _ in CALLS} - set(UNPRICED)
    assert sorted(called - set(PRICED)) == [], "add its price and its line to bench/bill.py, or say why there is none"
    lines = bill.guests(1) + bill.by_the_million() + bill.at_rest(prod=True)
    for service in called:
        assert any(PRICED[service] in item.price for item in lines), f"no line of the bill is about {service}"


def test_each_further_guest_costs_less() -> None:
    assert [item.units for item in bill.guests(12_500_000)] == [100_000, 900_000, 9_000_000, 2_500_000]
    assert bill.total(bill.guests(950_000)) == pytest.approx(100_000 * 0.0055 + 850_000 * 0.0046)
    assert bill.guests(0) == []


def test_every_deployed_package_is_listed_with_a_license_that_may_be_deployed() -> None:
    listed = re.findall(r"^\| (\S+) \| (\S+) \| (.+?) \|", licenses.PAGE.read_text(), re.MULTILINE)
    assert {(name, version) for name, version, _ in listed[1:]} == set(licenses.pinned()), "run `make licenses`"
    foreign = [row for row in listed[1:] if not MAY_BE_DEPLOYED.fullmatch(row[2])]
    assert foreign == [], "copyleft and unknown licenses are a decision, not an accident"
