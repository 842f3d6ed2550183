"""The policy scan (.ci/judge) lets no unexplained finding pass, and accepts no explanation of what is not found."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.template import ROOT

REASON = "it cannot be reached by anybody, whatever its policy says"
FINDING = {"check_id": "CKV_1", "resource": "AWS::SQS::Queue.Bell", "check_name": "Queues must ring"}
EXCEPTION = {"check": "CKV_1", "resources": ["AWS::SQS::Queue.*"], "reason": REASON}


def judge(tmp_path: Path, findings: list[dict[str, str]], exceptions: list[dict[str, Any]], **summary: int) -> str:
    """Return what is wrong, or '' if nothing is."""
    template, report, allowed = (tmp_path / name for name in ("template.json", "findings.json", "exceptions.toml"))
    template.write_text(json.dumps({"Resources": {"Bell": {}, "Other": {}}}))
    counted = {"passed": 9, "skipped": 0, "parsing_errors": 0, "resource_count": 2} | summary
    report.write_text(json.dumps({"summary": counted, "results": {"failed_checks": findings}}))
    allowed.write_text(
        "".join(
            "[[exception]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in each.items())
            for each in exceptions
        )
        or "exception = []\n"
    )
    ended = subprocess.run(
        [sys.executable, ".ci/judge", str(template), str(report), str(allowed)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == (1 if ended.stderr else 0), ended.stderr
    return ended.stderr


def test_what_is_explained_passes_and_is_counted(tmp_path: Path) -> None:
    assert judge(tmp_path, [FINDING], [EXCEPTION]) == ""
    assert judge(tmp_path, [], []) == ""


@pytest.mark.parametrize(
    ("findings", "exceptions", "summary", "said"),
    [
        ([FINDING], [], {}, "CKV_1 on AWS::SQS::Queue.Bell: Queues must ring"),
        ([FINDING | {"check_id": "CKV_2"}], [EXCEPTION], {}, "CKV_2 on AWS::SQS::Queue.Bell"),
        ([FINDING | {"resource": "AWS::SNS::Topic.Bell"}], [EXCEPTION], {}, "CKV_1 on AWS::SNS::Topic.Bell"),
        ([], [EXCEPTION], {}, "CKV_1 is not found on AWS::SQS::Queue.* any more"),
        ([FINDING], [EXCEPTION | {"resources": ["*.Bell", "*.Gone"]}], {}, "CKV_1 is not found on *.Gone any more"),
        ([FINDING], [EXCEPTION | {"reason": "because"}], {}, "CKV_1: say why it does not apply"),
        ([], [], {"skipped": 1}, "a finding is skipped in the template"),
        ([], [], {"resource_count": 1}, "the scanner read 1 of 2 resources"),
        ([], [], {"parsing_errors": 1}, "the scanner read 2 of 2 resources"),
    ],
)
def test_what_nobody_explained_or_found_fails(
    tmp_path: Path, findings: list[dict[str, str]], exceptions: list[dict[str, Any]], summary: dict[str, int], said: str
) -> None:
    assert said in judge(tmp_path, findings, exceptions, **summary)
