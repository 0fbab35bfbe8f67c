"""An engine that speaks as vLLM does, on two machines of which one can be switched off."""

import http.server
import json
import threading

ANSWER = {
    "object": "chat.completion", "model": "qwen3-30b",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "Hello."}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        is_list = self.path == "/v1/models"
        self.answer({"object": "list", "data": [{"id": "qwen3-30b"}]} if is_list else {})

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(ANSWER)

    def log_message(self, *_):
        pass


class Engine:
    """One of them. It comes back where it was."""

    def __init__(self):
        self.port = 0
        self.server = None
        self.start()

    def start(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
