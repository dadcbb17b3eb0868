"""As much of the Hugging Face Hub's HTTP interface as pushing and loading a model takes, in this process."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    private: bool
    branches: dict[str, str] = field(default_factory=dict)
    """Branch to commit."""
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Commit to its files."""

    def commit_of(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.branches.get(revision)


@dataclass
class StandIn:
    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each."""
    tokens: set[str] = field(default_factory=set)
    """Authorization headers that were sent."""


@contextmanager
def hub_stand_in() -> Iterator[StandIn]:
    """Serve until the context ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.state = StandIn(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.state  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> StandIn:
        return self.server.state  # type: ignore[attr-defined,no-any-return]

    def do_POST(self) -> None:
        path, body = self._begin()
        if path == "/api/repos/create":
            content = json.loads(body)
            name = "/".join(filter(None, (content.get("organization"), content["name"])))
            there = name in self.hub.repositories
            private = content.get("visibility") == "private" or bool(content.get("private"))
            if not there:
                self.hub.repositories[name] = Repository(private, {"main": "0" * 40}, {"0" * 40: {}})
            self._send({"url": f"{self.hub.url}/{name}", "name": name, "id": name}, 409 if there else 200)
        elif path == "/api/validate-yaml":
            self._send({"errors": [], "warnings": []})
        elif match := re.fullmatch(r"/api/models/(.+/.+)/(preupload|commit|branch)/(.+)", path):
            repository, revision = self.hub.repositories[match[1]], unquote(match[3])
            if match[2] == "preupload":
                wanted = [file["path"] for file in json.loads(body)["files"]]
                regular = {"uploadMode": "regular", "shouldIgnore": False}
                self._send({"files": [{"path": name, **regular} for name in wanted]})
            elif match[2] == "branch":
                repository.branches.setdefault(revision, repository.branches["main"])
                self._send({})
            else:
                self._send(self._commit(match[1], repository, revision, body))
        else:
            self._send({"error": path}, 404)

    def _commit(self, name: str, repository: Repository, revision: str, body: bytes) -> dict[str, Any]:
        files = dict(repository.commits[repository.branches[revision]])
        for line in filter(None, body.splitlines()):
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "deletedFile":
                del files[entry["value"]["path"]]
        commit = hashlib.sha1(body).hexdigest()
        repository.commits[commit] = files
        repository.branches[revision] = commit
        return {"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit, "success": True}

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, _ = self._begin()
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+).*)?", path):
            repository = self.hub.repositories.get(match[1])
            commit = None if repository is None else repository.commit_of(unquote(match[3] or "main"))
            if repository is None or commit is None:
                self._missing("RepoNotFound" if repository is None else "RevisionNotFound")
                return
            files = repository.commits[commit]
            if match[2] == "tree":
                self._send([{"type": "file", "path": name, "oid": "", "size": len(files[name])} for name in files])
            else:
                siblings = [{"rfilename": name} for name in files]
                self._send({"id": match[1], "sha": commit, "private": repository.private, "siblings": siblings})
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repository = self.hub.repositories.get(match[1])
            commit = None if repository is None else repository.commit_of(unquote(match[2]))
            if repository is None or commit is None:
                self._missing("RepoNotFound" if repository is None else "RevisionNotFound")
            elif match[3] not in repository.commits[commit]:
                self._missing("EntryNotFound", {"X-Repo-Commit": commit})
            else:
                content = repository.commits[commit][match[3]]
                etag = f'"{hashlib.sha1(content).hexdigest()}"'
                self._send_bytes(content, 200, {"ETag": etag, "X-Repo-Commit": commit})
        else:
            self._missing("RepoNotFound")

    def _begin(self) -> tuple[str, bytes]:
        path = urlsplit(self.path).path
        self.hub.requests.append((self.command, path))
        if self.headers.get("Authorization"):
            self.hub.tokens.add(self.headers["Authorization"])
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return path, b"".join(parts)
        return path, self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _missing(self, code: str, headers: dict[str, str] | None = None) -> None:
        self._send_bytes(b"{}", 404, {"X-Error-Code": code, **(headers or {})})

    def _send(self, content: Any, status: int = 200) -> None:
        self._send_bytes(json.dumps(content).encode(), status, {"Content-Type": "application/json"})

    def _send_bytes(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing on the console."""
