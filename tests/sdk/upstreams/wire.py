"""The sockets of a scripted engine, and what a test may ask of it beside them.

GET  /control/last  the last request: {"path", "headers", "body"}
POST /control/step  lets a `stepped` script say its next word
GET  /control/left  answers once a caller has left; 504 if none does
"""

import contextlib
import email
import email.policy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .scripts import Cut

# Long enough for a busy machine; only a failing test waits this long.
PATIENCE_SECONDS = 20


class Upstream(ThreadingHTTPServer):
    """A scripted engine that listens from its making on. `dialect` is its handler of requests."""

    daemon_threads = True
    # Many callers come at once.
    request_queue_size = 128

    def __init__(self, dialect):
        super().__init__(("127.0.0.1", 0), dialect)
        self.last = None
        self.steps = threading.Semaphore(0)
        self.left = threading.Semaphore(0)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A caller that leaves is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    """One connection. A dialect adds `get(path)` and `post(path, body)`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path == "/control/last":
            self.answer(200, self.server.last)
        elif self.path == "/control/left":
            left = self.server.left.acquire(timeout=PATIENCE_SECONDS)
            self.answer(200 if left else 504, {})
        else:
            self.get(self.path)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/control/step":
            self.server.steps.release()
            self.answer(200, {})
            return
        body = self.parse(body)
        self.server.last = {"path": self.path, "headers": dict(self.headers), "body": body}
        try:
            self.post(self.path, body)
        except Cut:
            self.close_connection = True

    def parse(self, body):
        """JSON as it is; a form as its fields, files as Latin-1 so that they fit into JSON again."""
        kind = self.headers["Content-Type"]
        if not kind.startswith("multipart/"):
            return json.loads(body)
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        return {part.get_param("name", header="Content-Disposition"):
                part.get_payload(decode=True).decode("latin-1") for part in form.iter_parts()}

    def answer(self, status, value, headers=()):
        """Answers with JSON, with text or with bytes."""
        kind = {str: "text/plain", bytes: "application/octet-stream"}.get(type(value))
        if kind is None:
            kind, value = "application/json", json.dumps(value)
        body = value if isinstance(value, bytes) else value.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, content in headers:
            self.send_header(name, content)
        self.end_headers()
        self.wfile.write(body)

    @contextlib.contextmanager
    def stream(self, content_type):
        """Sends a head, and yields what sends a frame. A stream that raises has no end."""
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def send(text):
            frame = text.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame))

        yield send
        self.wfile.write(b"0\r\n\r\n")

    def wait_for_a_step(self):
        """Returns when the test asks for the next word."""
        if not self.server.steps.acquire(timeout=PATIENCE_SECONDS):
            raise Cut

    def wait_until_it_left(self):
        """Returns when the caller closed its connection, and tells the test."""
        self.connection.settimeout(PATIENCE_SECONDS)
        try:
            if self.connection.recv(1):
                return
        except TimeoutError:
            return
        except ConnectionError:
            pass
        self.server.left.release()

    def log_message(self, format, *args):
        """The tests say what matters."""
