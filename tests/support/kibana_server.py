"""An HTTP server that answers as Kibana's documentation says: its status, its spaces, its two imports."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Kibana:
    """One that runs. `objects` and `rules`: what was imported, by space and identity."""

    def __init__(self, version="8.9.0", spaces=("default",), key=None, login=None, certificate=None, answers=None):
        """`key`, `login`: who is let in. `answers`: what it says to a path instead, as status and body."""
        self.version, self.spaces, self.answers = version, spaces, answers or {}
        self.objects = {space: {} for space in spaces}
        self.rules = {space: {} for space in spaces}
        self.asked = []
        self.refused = {}  # by id of an object or rule: the error
        self._let_in = [f"ApiKey {key}"] if key else []
        self._let_in += ["Basic " + base64.b64encode(login.encode()).decode()] if login else []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method, path, headers, body):
        """Status and body of the answer to a request."""
        path, _, query = path.partition("?")
        self.asked.append((method, path, query))
        if path in self.answers:
            return self.answers[path]
        if self._let_in and headers.get("authorization") not in self._let_in:
            return 401, _wrong(401, "Unauthorized", "unable to authenticate user")
        if method == "GET":
            return self._get(path, query)
        if "kbn-xsrf" not in headers:
            return 400, _wrong(400, "Bad Request", "Request must contain a kbn-xsrf header.")
        space = path.split("/")[2] if path.startswith("/s/") else "default"
        name, lines = _file(headers, body)
        if not name.endswith(".ndjson"):
            return 400, _wrong(400, "Bad Request", f"Invalid file extension .{name.rpartition('.')[2]}")
        if query != "overwrite=true":
            return 400, _wrong(400, "Bad Request", "conflicts are not part of these tests")
        return 200, self._rules(space, lines) if "detection_engine" in path else self._import(space, lines)

    def _get(self, path, query):
        if path.endswith("/api/detection_engine/rules/_find"):
            assert "filter=alert.attributes.tags:tapscan" in query
            space = path.split("/")[2] if path.startswith("/s/") else "default"
            found = [rule for rule in self.rules[space].values() if "tapscan" in rule["tags"]]
            return 200, {"page": 1, "perPage": 1000, "total": len(found), "data": found}
        if path == "/api/status":
            return 200, {"name": "kibana", "version": {"number": self.version}, "status": {"overall": {}}}
        if path.rpartition("/")[2] in self.spaces:
            return 200, {"id": path.rpartition("/")[2]}
        return 404, _wrong(404, "Not Found", "Not Found")

    def _import(self, space, lines):
        """Everything that no one refuses and whose references are there or in the file."""
        there, errors, done = self.objects[space], [], []
        ids = {(one["type"], one["id"]) for one in lines} | there.keys()
        for one in lines:
            assert not self._is_elsewhere(one, space), f"{one['id']} is another space's"
            lacking = [r for r in one["references"] if (r["type"], r["id"]) not in ids]
            if error := self.refused.get(one["id"]) or (lacking and _missing(lacking)):
                errors.append({"id": one["id"], "type": one["type"], "title": "", "meta": {}, "error": error})
            else:
                there[one["type"], one["id"]] = one
                done.append({"type": one["type"], "id": one["id"], "meta": {}, "overwrite": True})
        found = {"success": not errors, "successCount": len(done), "warnings": [], "successResults": done}
        return found | ({"errors": errors} if errors else {})

    def _is_elsewhere(self, one, space):
        """An id is for one space alone."""
        return any((one["type"], one["id"]) in objects for name, objects in self.objects.items() if name != space)

    def _rules(self, space, lines):
        errors = [
            {"rule_id": one["rule_id"], "error": self.refused[one["rule_id"]]}
            for one in lines
            if one["rule_id"] in self.refused
        ]
        done = [one for one in lines if one["rule_id"] not in self.refused]
        self.rules[space] |= {one["rule_id"]: one for one in done}
        return {"success": not errors, "success_count": len(done), "rules_count": len(lines), "errors": errors}


def _missing(references):
    return {"type": "missing_references", "references": [{"type": r["type"], "id": r["id"]} for r in references]}


def _wrong(status, error, message):
    return {"statusCode": status, "error": error, "message": message}


def _file(headers, body):
    """Name and lines of the file in a form."""
    text = f"content-type: {headers['content-type']}\r\n\r\n".encode() + body
    (part,) = email.message_from_bytes(text, policy=email.policy.HTTP).iter_parts()
    assert part.get_param("name", header="content-disposition") == "file"
    return part.get_filename(), [json.loads(line) for line in part.get_payload(decode=True).splitlines()]


def _handler(kibana):
    class Handler(BaseHTTPRequestHandler):
        def _do(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, found = kibana.answer(self.command, self.path, self.headers, body)
            headers, found = found if isinstance(found, tuple) else ({}, found)
            data = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _do

        def log_message(self, *_):
            pass

    return Handler
