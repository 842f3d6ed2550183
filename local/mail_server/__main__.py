"""``python -m local.mail_server --port 12113 --folder mails [--aws URL --feedback SET=TOPIC_ARN]``"""

import argparse
from pathlib import Path

from local.mail_server.server import make_server

parser = argparse.ArgumentParser(prog="local.mail_server", description="A mail service on this machine.")
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--folder", type=Path, required=True, help="where mails are kept")
parser.add_argument("--aws", default="", help="where the SNS is that bounces and complaints are published to")
parser.add_argument("--feedback", action="append", default=[], help="a configuration set and its topic")
options = parser.parse_args()
topics = dict(each.split("=", 1) for each in options.feedback)
server, _ = make_server(options.port, options.folder, aws_url=options.aws, topics=topics)
server.serve_forever()
