"""``python -m local.adyen_server (--port 12113 | --fd N) [--host 127.0.0.1] [--state FILE]``"""

from local.adyen_server.server import create_app
from local.gateway_server.hosting import main

if __name__ == "__main__":
    main("adyen_server", create_app)
