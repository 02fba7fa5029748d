"""The page over HTTP: Gradio's own client, strangers, and a Space's files."""

import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from app_pictures import data_url, picture_in
from PIL import Image

SPACE = Path(__file__).resolve().parents[2] / "spaces"


@pytest.fixture(scope="module")
def client(address):
    import gradio_client

    return gradio_client.Client(address, verbose=False)


@pytest.fixture(scope="module")
def photo(examples) -> Image.Image:
    return examples["restore"]["retouched"].resize((256, 256))


def status(url: str, data: bytes | None = None, **headers: str) -> int:
    """Of a request's answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, named), timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_client_restores_by_names(client, photo, worker):
    shown, bars = client.predict(
        photo=data_url(photo), strength=1.0, face_slimming="undo", face_slimming_degree=0.4,
        whitening="leave", smoothing="leave", eye_enlarging="leave", api_name="/restore",
    )  # fmt: skip
    expected = worker.mofrr(photo, operations={"face_slimming"}, degrees={"face_slimming": 0.4})
    assert picture_in(shown["result"]).tobytes() == expected.images[0].tobytes()
    assert [bar["undone"] for bar in bars] == [
        name == "face_slimming" for name in worker.operations
    ]


def test_a_client_retouches(client, examples):
    shown, findings = client.predict(
        photo=data_url(examples["retouch"]["blemishes"]), api_name="/retouch"
    )
    assert "pixels changed" in shown["says"]
    assert findings


def test_no_picture_is_told_in_words(client):
    with pytest.raises(Exception, match="cannot be read as a picture"):
        client.predict(photo="data:image/png;base64,aGVsbG8=", api_name="/restore")


def test_only_this_machine_is_listened_to(address):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
    assert status(address) == 200
    assert status(address, Host="evil.example") == 403


def test_a_stranger_is_refused(address):
    call = f"{address}/gradio_api/call/restore"
    assert status(call, b'{"data": []}', Origin="https://evil.example") == 403
    assert status(f"{address}/config", Origin="https://evil.example") == 403
    assert status(f"{address}/config", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors") == 403


def test_a_huge_request_and_an_upload_are_refused(address):
    from frr.app.serve import LIMIT

    # The server answers before it has read all of it; what is sent then may find nobody.
    try:
        code = status(f"{address}/gradio_api/queue/join", bytes(LIMIT + 1))
    except (urllib.error.URLError, ConnectionError):
        code = 413
    assert code == 413
    assert status(address) == 200
    form = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nhi\r\n--x--\r\n'
    )
    kind = "multipart/form-data; boundary=x"
    assert status(f"{address}/gradio_api/upload", form, Content_Type=kind) == 404


def test_nothing_is_kept(client, photo, temporary):
    client.predict(photo=data_url(photo), api_name="/restore")
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


def test_the_space_serves_the_same_page():
    from huggingface_hub import metadata_load

    front = metadata_load(SPACE / "README.md")
    assert front["sdk"] == "gradio"
    assert (SPACE / front["app_file"]).is_file()
    assert front["models"] == ["frr/mofrr", "frr/bpfre"]
    code = (SPACE / front["app_file"]).read_text(encoding="utf-8")
    assert "from frr.cli import main" in code
    assert re.search(r"^frr\[app\]", (SPACE / "requirements.txt").read_text(), re.MULTILINE)
