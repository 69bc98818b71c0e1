"""What runs in the job of `hfexecutor doctor --paid`: it does as it is told through its port.

It travels as text, so it imports the standard library alone.
"""

from __future__ import annotations

import json
import os
import signal
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONG_LINE = 40_000  # characters
MANY_LINES = 3_000
PATIENCE = 60.0  # seconds for which it goes on after SIGTERM, if it is let


class Handler(BaseHTTPRequestHandler):
    """Answer one request: its body says what is to be done."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits for an acknowledgement of the head

    def do_POST(self) -> None:
        """Do it, then say which headers have arrived."""
        wish = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        if wish.startswith("say "):
            say(wish)
        elif wish == "long":
            say("x" * LONG_LINE + ".")
        elif wish == "many":
            for number in range(MANY_LINES):
                say(f"many {number}")
        names = sorted({name.lower() for name in self.headers})
        reply = json.dumps({"headers": names}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        """Print nothing but what is asked for."""


def say(text: str) -> None:
    """Print a line, at once."""
    os.write(1, f"{text}\n".encode())


def linger(*_: object) -> None:
    """Go on after SIGTERM, and tell for how long."""
    begun = time.monotonic()
    while (seconds := time.monotonic() - begun) < PATIENCE:
        say(f"terminated {seconds:.1f}")
        time.sleep(0.1)
    os._exit(0)


def main() -> None:
    """Serve, or only tell how much of the environment has arrived."""
    if "PROBE_PORT" not in os.environ:
        size = sum(len(value) for name, value in os.environ.items() if name.startswith("BULK_"))
        say(f"bulk {size}")
        return
    signal.signal(signal.SIGTERM, linger)
    host = os.environ["PROBE_HOST"]
    server = ThreadingHTTPServer((host, int(os.environ["PROBE_PORT"])), Handler)
    say("ready")
    server.serve_forever()


if __name__ == "__main__":
    main()
