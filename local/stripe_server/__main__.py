"""``python -m local.stripe_server (--port 12111 | --fd N) [--host 127.0.0.1] [--state FILE]``"""

from local.gateway_server.hosting import main
from local.stripe_server.server import create_app

if __name__ == "__main__":
    main("stripe_server", create_app)
