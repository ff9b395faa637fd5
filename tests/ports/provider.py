"""A mail provider's HTTP API, whose answers a test chooses."""

import http.server
import json
import threading
import time

answers = []  # (status, headers), the first one first; then well
requests = []


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key, token = self.headers["Idempotency-Key"], self.headers["Authorization"]
        requests.append({"body": body, "key": key, "token": token, "at": time.monotonic()})
        status, headers = answers.pop(0) if answers else (200, {})
        answer = json.dumps({"id": f"m-{body['to']}"}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=provider.serve_forever, daemon=True).start()
