"""``python -m local.geocoder_server --port 12112``"""

import argparse

from local.geocoder_server.server import make_server

parser = argparse.ArgumentParser(prog="local.geocoder_server", description="A geocoder on this machine.")
parser.add_argument("--port", type=int, required=True)
server, _ = make_server(parser.parse_args().port)
server.serve_forever()
