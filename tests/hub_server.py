"""A Hugging Face Hub on the loopback, as far as huggingface_hub's client needs one for models.

Repositories live in memory: each push makes a commit, and a commit is a mapping from path to bytes.
Writing needs the token; every request is recorded.
"""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_loopback"
REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"


class Hub:
    """What the server holds: commits by sha, branches by repository, and the requests it got."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.commits: dict[str, dict[str, bytes]] = {}
        self.heads: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []

    def commit(self, repo: str, files: dict[str, bytes]) -> str:
        """Makes a commit the head of a repository and returns its sha."""
        digest = hashlib.sha1(f"{repo}{len(self.commits)}".encode())
        sha = digest.hexdigest()
        self.commits[sha] = dict(files)
        self.heads[repo] = sha
        return sha

    def files(self, repo: str) -> dict[str, bytes]:
        """The files of a repository's head."""
        return self.commits[self.heads[repo]]

    def fetched(self, repo: str) -> set[str]:
        """Paths of the files whose content was asked for."""
        starts = [f"/{repo}/resolve/{sha}/" for sha in (*self.commits, "main")]
        return {
            path.removeprefix(start)
            for method, path in self.requests
            for start in starts
            if method == "GET" and path.startswith(start)
        }


class Handler(BaseHTTPRequestHandler):
    """The routes; a pattern's groups are the method's arguments."""

    protocol_version = "HTTP/1.1"
    hub: Hub
    ROUTES = (
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("POST", rf"/api/models/{REPO}/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", rf"/api/models/{REPO}/commit/(?P<revision>[^/]+)", "commit"),
        ("GET", rf"/api/models/{REPO}/tree/(?P<revision>[^/]+)", "tree"),
        ("GET", rf"/api/models/{REPO}/revision/(?P<revision>[^/]+)", "info"),
        ("GET", rf"/api/models/{REPO}", "info"),
        ("GET", rf"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
    )

    def log_message(self, *given) -> None:
        """Silent."""

    def do_GET(self) -> None:
        self.dispatch("GET")

    def do_HEAD(self) -> None:
        self.dispatch("GET")

    def do_POST(self) -> None:
        self.dispatch("POST")

    def dispatch(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else self.chunks()
        if method == "POST" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"error": "Invalid username or password."})
            return
        for verb, pattern, name in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                getattr(self, name)(**match.groupdict())
                return
        self.missing("EntryNotFound")

    def chunks(self) -> bytes:
        """The body of a request with Transfer-Encoding: chunked."""
        body = b""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return body

    def answer(self, status: int, content, **headers: str) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def missing(self, code: str) -> None:
        self.answer(404, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    def sha(self, repo: str, revision: str) -> str | None:
        """The commit of a revision; None, and an answer, where there is none."""
        if repo not in self.hub.heads:
            self.missing("RepoNotFound")
            return None
        sha = self.hub.heads[repo] if revision == "main" else revision
        if sha not in self.hub.commits:
            self.missing("RevisionNotFound")
            return None
        return sha

    def create(self) -> None:
        wish = json.loads(self.body)
        repo = "/".join((wish.get("organization") or "me", wish["name"]))
        known = repo in self.hub.heads
        if not known:
            self.hub.commit(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
        self.answer(409 if known else 200, {"url": f"{self.hub.url}/{repo}", "name": repo})

    def validate(self) -> None:
        self.answer(200, {"warnings": [], "errors": []})

    def preupload(self, repo: str, revision: str) -> None:
        if self.sha(repo, revision):
            paths = [file["path"] for file in json.loads(self.body)["files"]]
            plain = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            self.answer(200, {"files": [{"path": path, **plain} for path in paths]})

    def commit(self, repo: str, revision: str) -> None:
        sha = self.sha(repo, revision)
        if sha is None:
            return
        files = dict(self.hub.commits[sha])
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        sha = self.hub.commit(repo, files)
        url = f"{self.hub.url}/{repo}/commit/{sha}"
        self.answer(200, {"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})

    def info(self, repo: str, revision: str = "main") -> None:
        if sha := self.sha(repo, revision):
            siblings = [{"rfilename": path} for path in self.hub.commits[sha]]
            facts = {"id": repo, "modelId": repo, "sha": sha, "siblings": siblings}
            self.answer(200, {**facts, "private": False, "tags": [], "downloads": 0, "likes": 0})

    def tree(self, repo: str, revision: str) -> None:
        if sha := self.sha(repo, revision):
            files = self.hub.commits[sha].items()
            rows = [(path, len(raw), hashlib.sha1(raw).hexdigest()) for path, raw in files]
            self.answer(
                200,
                [{"type": "file", "path": path, "size": n, "oid": oid} for path, n, oid in rows],
            )

    def resolve(self, repo: str, revision: str, path: str) -> None:
        if sha := self.sha(repo, revision):
            raw = self.hub.commits[sha].get(path)
            if raw is None:
                self.missing("EntryNotFound")
                return
            tag = f'"{hashlib.sha1(raw).hexdigest()}"'
            self.answer(200, raw, ETag=tag, X_Repo_Commit=sha)


@contextmanager
def running_hub():
    """A Hub that runs while the context lasts."""
    handler = type("BoundHandler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield handler.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
