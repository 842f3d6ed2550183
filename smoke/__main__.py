"""`python -m smoke URL`: ask a deployed system (or the local one) whether it does what it promises.

Places one order, and cancels it. Exit code 0: nothing failed; 1: something did; 2: nobody answers at the address.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence

import urllib3

from smoke.account import ask_account, parameters_of, resources_of
from smoke.checks import ask_everything
from smoke.report import NotAsked, Report, Result, written
from smoke.system import PAYMENT_TOKEN, SKU, Options, System


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks. Print a line for each, then how many ended in each result."""
    options = _options(arguments)
    system = System(options)
    try:
        system.ask("GET", "/v1/health")
    except (urllib3.exceptions.HTTPError, ValueError) as problem:
        print(f"nobody answers at {options.url}: {problem}", file=sys.stderr)
        return 2
    report = Report(lambda line: print(written(line), flush=True))
    ask_everything(system, report)
    _ask_account(options, report)
    print(", ".join(f"{report.counted(result)} {result}" for result in Result))
    return 1 if report.counted(Result.FAILED) else 0


def _ask_account(options: Options, report: Report) -> None:
    if not options.stack:
        with report.check("what the AWS account knows"):
            raise NotAsked("needs STACK=<the stack's name> and AWS credentials")
        return
    import boto3  # noqa: PLC0415 (only where an account is asked)

    # Without a region, boto3 takes AWS_DEFAULT_REGION or the profile's. The AWS CLI and SAM know AWS_REGION as well.
    region = region_of(options.url) or os.environ.get("AWS_REGION")
    resources, parameters, clients = [], {}, {}
    with report.check(f"the stack {options.stack}") as seen:
        session = boto3.Session(region_name=region)
        clients = {
            "cloudformation": session.client("cloudformation"),
            "cloudwatch": session.client("cloudwatch"),
            "scheduler": session.client("scheduler"),
            "sqs": session.client("sqs"),
        }
        parameters = parameters_of(options.stack, clients)
        resources = resources_of(options.stack, clients)
        seen.append(f"{len(resources)} resources in {session.region_name}")
    if resources:
        ask_account(resources, parameters, clients, report)


def region_of(url: str) -> str | None:
    """Return the region that an address of API Gateway names. Another address (a domain of one's own) names none."""
    named = re.fullmatch(r"https://[a-z0-9]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/?", url)
    return named[1] if named else None


def _options(arguments: Sequence[str] | None) -> Options:
    """Read the options. Tokens come from the environment, so that no process list shows them."""
    parser = argparse.ArgumentParser(prog="python -m smoke", description=__doc__)
    parser.add_argument("url", help="https://... of the API")
    parser.add_argument("--gateway", choices=("stripe", "paypal", "square", "adyen"), default="stripe")
    parser.add_argument("--endpoint-key", default="", help="of the shop's account at the gateway")
    parser.add_argument("--payment-token", default=PAYMENT_TOKEN, help="what the gateway's test mode accepts")
    parser.add_argument("--sku", default=SKU, help="something that is in stock")
    parser.add_argument("--within-seconds", type=float, default=30.0, help="how long news may take")
    parser.add_argument("--stack", default="", help="name of the CloudFormation stack; asks AWS as well")
    given = parser.parse_args(arguments)
    return Options(
        url=given.url,
        token=os.environ.get("TOKEN", ""),
        publishable_key=os.environ.get("KEY", ""),
        other_token=os.environ.get("OTHER_TOKEN", ""),
        staff_token=os.environ.get("STAFF_TOKEN", ""),
        gateway=given.gateway,
        endpoint_key=given.endpoint_key,
        payment_token=given.payment_token,
        sku=given.sku,
        within_seconds=given.within_seconds,
        stack=given.stack,
    )


if __name__ == "__main__":
    sys.exit(main())
