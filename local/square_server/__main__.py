"""``python -m local.square_server (--port 12112 | --fd N) [--host 127.0.0.1] [--state FILE]``"""

from local.gateway_server.hosting import main
from local.square_server.server import create_app

if __name__ == "__main__":
    main("square_server", create_app)
