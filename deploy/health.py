"""Exit 0 if the server in this container says that it is ready: for the container file's health check."""

import os
import sys
import urllib.request

port = os.environ.get("STREAMLIT_SERVER_PORT", "8501")
base = os.environ.get("STREAMLIT_SERVER_BASE_URL_PATH", "").strip("/")
try:
    urllib.request.urlopen("/".join(filter(None, (f"http://127.0.0.1:{port}", base, "health"))), timeout=5)
except OSError as error:  # also every status but 200
    sys.exit(f"not ready: {error}")
