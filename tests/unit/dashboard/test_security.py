"""Who may ask what: hosts, origins, tokens, sessions, sizes and paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pictured import HOSTILE, experiment
from tests.served import ADDRESS, Client, client, stored
from tunedsl.base.errors import TunedslError
from tunedsl.dashboard.security import MAX_BODY, MAX_FAILURES, Access

TOKEN = "a-token-of-more-than-16-characters"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    stored(store, "small", experiment(20))
    (store.parent / "secret.jsonl").write_text("secret")
    return store


@pytest.fixture
def page(store: Path) -> Client:
    return client(store)


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("127.0.0.1:8265", True),
        ("localhost", True),
        ("[::1]:8265", True),
        ("LOCALHOST:99", True),  # a tunnel
        ("evil.example", False),
        ("127.0.0.1.evil.example:8265", False),
        ("127.0.0.1@evil.example", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_a_name_that_was_rebound_to_this_machine_is_refused(page: Client, host: str, is_allowed: bool) -> None:
    answer = page.get("/api/session", headers={"host": host})
    assert (answer.status_code == 200) is is_allowed
    assert is_allowed or "csrf" not in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"x-tunedsl-csrf": "0" * 64}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_page_of_another_site_changes_nothing(
    page: Client, store: Path, headers: dict[str, str], status: int
) -> None:
    wrong = "x-tunedsl-csrf" in headers or not headers
    secret = {} if wrong else {"x-tunedsl-csrf": page.get("/api/session").json()["csrf"]}
    content = json.dumps({"note": {"text": "written"}})
    sent = {"content-type": "application/json", **secret, **headers}
    answer = page.post("/api/runs/small/note", content=content, headers=sent)
    assert answer.status_code == status and answer.json()["error"]
    assert not (store / "small" / "notes.json").exists()


def test_a_page_of_another_site_reads_nothing(page: Client) -> None:
    assert page.get("/api/session", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert page.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200  # a link to the page
    assert "access-control-allow-origin" not in page.get("/api/session").headers
    assert page.options("/api/runs", headers={"origin": "http://evil.example"}).status_code in (403, 405, 415)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_refused_before_anything_else(page: Client, method: str) -> None:
    answer = page.request(method, "/api/runs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize("path", ["/", "/login", "/api/session", "/api/runs/none", "/static/app.js", "/nothing"])
def test_each_answer_limits_what_a_page_may_do(page: Client, path: str) -> None:
    headers = page.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_a_token_is_exchanged_for_a_session(store: Path) -> None:
    page = client(store, token=TOKEN)
    assert page.get("/api/runs").status_code == 401
    assert page.get("/", follow_redirects=False).headers["location"] == "/login"
    assert page.get(f"/api/runs?token={TOKEN}").status_code == 401  # a token in an address would be kept
    assert page.post("/api/login", json={"token": "wrong"}).status_code == 401
    answer = page.post("/api/login", json={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 200 and TOKEN not in cookie
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and cookie.startswith("tunedsl-8265=")
    assert page.get("/api/runs").status_code == 200
    assert client(store, token=TOKEN).get("/api/runs", headers={"cookie": cookie}).status_code == 401  # ends with it


def test_a_program_shows_the_token_in_a_header(store: Path) -> None:
    page = client(store, token=TOKEN)
    assert page.get("/api/runs", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert page.get("/api/runs", headers={"authorization": f"Basic {TOKEN}"}).status_code == 401
    assert page.get("/api/runs", headers={"authorization": "Bearer \xe9".encode("latin-1")}).status_code == 401


def test_tokens_cannot_be_guessed_one_after_the_other(store: Path) -> None:
    page = client(store, token=TOKEN)
    answers = [page.post("/api/login", json={"token": str(place)}).status_code for place in range(MAX_FAILURES + 1)]
    assert answers == [401] * MAX_FAILURES + [429]
    assert page.post("/api/login", json={"token": TOKEN}).status_code == 429


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "tuning.example", "::"])
def test_another_host_needs_a_token(host: str) -> None:
    with pytest.raises(TunedslError, match="needs a token"):
        Access(host)
    with pytest.raises(TunedslError, match="fewer than 16"):
        Access(host, token="short")
    assert TOKEN not in repr(Access(host, token=TOKEN))


def test_a_host_that_others_reach_has_its_own_names(store: Path) -> None:
    page = client(store, host="0.0.0.0", token=TOKEN, hosts={"tuning.example"})
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for host, status in [("192.0.2.7:8265", 200), ("tuning.example", 200), ("evil.example", 421)]:
        assert page.get("/api/runs", headers={**bearer, "host": host}).status_code == status


def test_a_read_only_dashboard_changes_nothing(store: Path) -> None:
    page = client(store, read_only=True)
    for path, content in [
        ("steer", {"action": "stop"}),
        ("note", {"note": {"text": "x"}}),
        ("clean", {"whole": True, "confirm": "small"}),
    ]:
        answer = page.change(f"/api/runs/small/{path}", content)
        assert answer.status_code == 403 and "read-only" in answer.json()["error"]
    assert set(page.get("/api/runs/small/steering").json()["why_not"].values()) == {"The dashboard is read-only."}
    assert page.get("/api/runs/small/what-if?set=stop.training_iteration=2").status_code == 200


@pytest.mark.parametrize(
    "run", ["..", "%2e%2e", "..%2fsecret", "%2fetc", "small%2f..", "small%00", "none", "%5c..", "x" * 300, HOSTILE]
)
def test_paths_never_leave_the_store(page: Client, run: str) -> None:
    for path in (f"/api/runs/{run}", f"/api/runs/{run}/table", f"/api/runs/{run}/trials/0/log"):
        answer = page.get(path)
        assert answer.status_code in (404, 405) and "secret" not in answer.text.replace(run, "")
    if run != "..":  # which a client leaves out
        assert page.get(f"/static/{run}").status_code in (404, 405)
    assert page.get("/static/..%2f..%2f__init__.py").status_code == 404


def test_large_requests_are_refused(page: Client) -> None:
    csrf = page.get("/api/session").json()["csrf"]
    headers = {"x-tunedsl-csrf": csrf, "content-type": "application/json"}
    large = b'{"note": {"text": "' + b"x" * MAX_BODY + b'"}}'
    assert page.post("/api/runs/small/note", content=large, headers=headers).status_code == 413

    def parts() -> Any:
        yield large

    assert page.post("/api/runs/small/note", content=parts(), headers=headers).status_code == 411
    assert page.get(f"/api/runs?{'x' * 9_000}").status_code == 414
    nested = b'{"note": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert page.post("/api/runs/small/note", content=nested, headers=headers).status_code == 400


def test_the_address_that_is_told_has_no_token() -> None:
    from tunedsl.dashboard.serving import address_of

    assert address_of(Access()) == f"{ADDRESS}/"
    assert TOKEN not in address_of(Access("0.0.0.0", token=TOKEN)) and "::" not in address_of(Access("::", token=TOKEN))
