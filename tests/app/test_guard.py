"""What the server lets in, without a web framework: the middleware is called as servers call it."""

import asyncio

import pytest

from frr.app.guard import Guard

HOST = "127.0.0.1:7860"


def ask(method="GET", path="/", body=(b"",), given=None, **headers):
    """Status, headers and whether the application was asked; `given`: the guard's arguments."""
    asked = []

    async def application(scope, receive, send):
        received = b""
        if scope["method"] == "POST":
            received = (await receive())["body"]
        asked.append(received)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"well"})

    parts = list(body)

    async def receive():
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    sent = []

    async def send(message):
        sent.append(message)

    named = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http", "method": method, "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }  # fmt: skip
    asyncio.run(Guard(application, **(given or {}))(scope, receive, send))
    answered = dict(sent[0]["headers"])
    return sent[0]["status"], answered, asked


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "localhost"])
def test_this_machine_is_let_in(host):
    assert ask(host=host, origin=f"http://{host}")[0] == 200


@pytest.mark.parametrize("host", ["evil.example:7860", "127.0.0.1.evil.example", "10.0.0.1", ""])
def test_another_name_of_this_machine_is_refused(host):
    assert ask(host=host)[::2] == (403, [])


@pytest.mark.parametrize("host", ["evil.example:7860", "10.0.0.1"])
def test_a_public_server_has_other_names(host):
    assert ask(host=host, given={"local": False})[0] == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost:9999", "http://127.0.0.1", "file://"],
)
def test_another_origin_is_refused(origin):
    assert ask("POST", "/gradio_api/queue/join", origin=origin)[::2] == (403, [])
    assert ask(origin=origin)[::2] == (403, [])


def test_names_that_were_given_may_call():
    given = {"local": False, "names": ["me-frr.hf.space"]}
    own = "https://me-frr.hf.space"
    assert ask("POST", "/gradio_api/queue/join", given=given, origin=own)[0] == 200
    assert ask("POST", "/gradio_api/queue/join", given=given, origin=own + ".evil")[0] == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_open_the_page_and_nothing_else(site):
    assert ask(sec_fetch_site=site, sec_fetch_mode="navigate")[0] == 200
    assert ask(sec_fetch_site=site, sec_fetch_mode="no-cors")[0] == 403
    assert ask(sec_fetch_site=site, sec_fetch_mode="cors")[0] == 403


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/login", "/", "/gradio_api/run/restore"])
def test_nothing_but_calls_can_be_posted(path):
    assert ask("POST", path)[::2] == (404, [])


@pytest.mark.parametrize(
    "path", ["/gradio_api/file=/etc/passwd", "/gradio_api/proxy=http://x", "/monitoring"]
)
def test_routes_that_the_page_does_without_are_closed(path):
    assert ask(path=path)[::2] == (404, [])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(method):
    assert ask(method)[::2] == (405, [])


def test_a_request_of_the_limit_passes_whole_and_a_larger_one_does_not():
    path, given = "/gradio_api/queue/join", {"limit": 10}
    assert ask("POST", path, [b"01234", b"56789"], given)[::2] == (200, [b"0123456789"])
    assert ask("POST", path, [b"01234", b"567890"], given)[::2] == (413, [])
    assert ask("POST", path, [b""], given, content_length="11")[::2] == (413, [])
    assert ask("POST", path, [b""], given, content_length="-1")[::2] == (413, [])


def test_answers_say_what_the_page_may_do():
    _, headers, _ = ask(path="/gradio_api/queue/data")
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-content-type-options"] == b"nosniff"
