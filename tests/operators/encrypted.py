# A collector behind TLS; it keeps the paths that were posted to.
import http.server
import ssl
import threading

collected = []


class Collect(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        collected.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def collect(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collect)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
