"""``python -m local.paypal_server (--port 12112 | --fd N) [--host 127.0.0.1] [--state FILE]``"""

from local.gateway_server.hosting import main
from local.paypal_server.server import create_app

if __name__ == "__main__":
    main("paypal_server", create_app)
