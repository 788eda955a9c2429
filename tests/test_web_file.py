"""Pieces of files on servers that behave, break off, change, refuse, or know no ranges."""

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from lexigraft import network, web
from lexigraft.cache import cache_folder
from lexigraft.web import Absent
from lexigraft.web_file import FIRST_BYTES, WebFile
from tests.fixtures.hub_server import isolate_hub
from tests.fixtures.web_server import Reply, Server, serving

CONTENT = random.Random(0).randbytes(3_000_000)
Fault = Callable[[Reply], object]


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty caches, and no pauses between attempts."""
    isolate_hub(str(tmp_path), monkeypatch)
    monkeypatch.setattr(web, "FIRST_PAUSE", 0.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"/f": CONTENT}) as found:
        yield found


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that are made, without making them."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


def file(server: Server, **more: Any) -> WebFile:
    return WebFile(f"{server.address}/f", **more)


def change(**values: Any) -> Fault:
    """A fault that sets these of a reply's fields."""

    def fault(reply: Reply) -> None:
        vars(reply).update(values)

    return fault


def with_header(**headers: str) -> Fault:
    return lambda reply: reply.headers.update({k.replace("_", "-"): v for k, v in headers.items()})


def test_a_piece_is_fetched_alone_and_once(server: Server) -> None:
    piece = file(server).piece(1_000_000, 1_200_000)
    assert piece.read_bytes() == CONTENT[1_000_000:1_200_000]
    assert server.total == 200_000 + FIRST_BYTES
    server.forget()
    assert file(server).piece(1_000_000, 1_200_000) == piece
    assert [headers.get("if-none-match") is not None for _, headers in server.requests] == [True]
    assert server.total == 0
    assert file(server).whole().read_bytes() == CONTENT


def test_without_the_server_what_is_kept_serves(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    piece = file(server).piece(5, 500_000)
    server.forget()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert file(server).piece(5, 500_000) == piece
    with pytest.raises(FileNotFoundError, match="bytes 6-9 of .*/f are not in the cache, and HF_HUB_OFFLINE forbids"):
        file(server).piece(6, 9)
    with pytest.raises(FileNotFoundError, match=r"/other is not in the cache \(.*\), and HF_HUB_OFFLINE forbids"):
        WebFile(f"{server.address}/other").version  # noqa: B018 - it asks
    assert server.requests == []


def test_an_unreachable_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "PROBE_SECONDS", 0.5)
    with pytest.raises(FileNotFoundError, match=r"is not in the cache .*, and http://127.0.0.1:9 cannot be reached"):
        WebFile("http://127.0.0.1:9/f").whole()


def test_damaged_bytes_are_fetched_again(server: Server) -> None:
    piece = file(server).piece(0, 100_000)
    piece.write_bytes(b"x" * 100_000)
    assert file(server).piece(0, 100_000).read_bytes() == CONTENT[:100_000]
    for broken in (cache_folder() / "addresses").glob("*.json"):
        broken.write_text("{")
    assert file(server).piece(0, 100_000).read_bytes() == CONTENT[:100_000]


def test_a_line_that_breaks_is_taken_up_where_it_broke(server: Server) -> None:
    server.faults = [("/f", change(cut=10_000)), ("/f", lambda _: None), *[("/f", change(cut=600_000))] * 2]
    assert file(server).piece(0, 2_500_000).read_bytes() == CONTENT[:2_500_000]
    assert server.total <= 1.1 * 2_500_000
    assert server.requests[-1][1]["range"] == "bytes=1200000-2499999"


def test_a_run_that_gave_up_is_continued_by_the_next(server: Server) -> None:
    part_of_it = [("/f", change(cut=200_000))] * web.ATTEMPTS
    server.faults = [("/f", lambda _: None), *part_of_it]
    with pytest.raises(
        FileNotFoundError, match=f"downloading .*/f failed {web.ATTEMPTS} times .*: run again, what has"
    ):
        file(server).piece(0, 2_900_000)
    assert file(server).piece(0, 2_900_000).read_bytes() == CONTENT[:2_900_000]
    assert server.total <= 1.1 * 2_900_000


def test_attempts_that_bring_much_are_not_counted(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "ATTEMPTS", 2)
    monkeypatch.setattr(web, "_MUCH", 50_000)
    server.faults = [("/f", lambda _: None), *[("/f", change(cut=300_000))] * 8]
    assert file(server).piece(0, 2_900_000).read_bytes() == CONTENT[:2_900_000]


def test_bytes_of_two_versions_are_never_mixed(server: Server) -> None:
    new = CONTENT[::-1]
    server.faults = [("/f", lambda _: None), ("/f", change(cut=900_000)), ("/f", change(status=404))]
    with pytest.raises(Absent):
        file(server).piece(0, 2_000_000)
    server.files["/f"] = new
    assert file(server).piece(0, 2_000_000).read_bytes() == new[:2_000_000]
    seen = file(server)
    assert seen.version.size == len(CONTENT)
    server.files["/f"] = CONTENT
    with pytest.raises(ValueError, match="/f has changed on its server while it was read: run again"):
        seen.piece(7, 70)
    assert file(server).piece(7, 70).read_bytes() == CONTENT[7:70]
    assert len(list((cache_folder() / "content").iterdir())) == 1, "pieces of versions that are gone are deleted"


@pytest.mark.parametrize("name", ["nothing", "Last-Modified"])
def test_servers_without_etag(server: Server, name: str) -> None:
    server.etags = False
    date = {} if name == "nothing" else {name: "Wed, 21 Oct 2015 07:28:00 GMT"}
    server.faults = [("/f", with_header(**date))] * 20
    assert file(server).piece(0, 2_000_000).read_bytes() == CONTENT[:2_000_000]
    server.forget()
    server.files["/f"] = new = CONTENT[::-1] if not date else CONTENT
    assert file(server).piece(0, 2_000_000).read_bytes() == new[:2_000_000]
    assert (server.total > 2_000_000) == (not date), "only what can be told from other versions is kept"
    server.forget()

    def cut(reply: Reply) -> None:
        reply.headers.update(date)
        reply.cut = 500_000

    server.faults = [("/f", with_header(**date)), ("/f", cut), *[("/f", with_header(**date))] * 9]
    assert file(server).piece(0, 2_100_000).read_bytes() == new[:2_100_000]
    assert (server.total > 2_500_000) == (not date), "nor is a piece continued of which that cannot be told"


def test_a_weak_etag_tells_nothing_of_bytes(server: Server) -> None:
    server.faults = [("/f", with_header(ETag='W/"1"'))] * 4
    assert file(server).version.tag is None


@pytest.mark.parametrize("length", ["told", "not told"])
def test_a_server_without_ranges_sends_the_whole_file(server: Server, length: str) -> None:
    server.ranges = False
    if length == "not told":
        server.faults = [("/f", with_header(Content_Length=""))]
    seen = file(server)
    assert not seen.version.ranges
    assert seen.piece(10, 20).read_bytes() == CONTENT
    assert seen.piece(30, 40) == seen.whole()
    assert server.total == len(CONTENT), "streamed from the first answer, and not asked for again"
    server.forget()
    assert file(server).whole().read_bytes() == CONTENT
    assert server.total == 0
    seen.whole().write_bytes(CONTENT[1:])
    server.faults = [("/f", change(cut=1_000_000)), ("/f", change(cut=1_000_000))]
    assert file(server).whole().read_bytes() == CONTENT


def test_a_proxy_that_drops_the_conditions(server: Server) -> None:
    assert file(server, first=None).whole().read_bytes() == CONTENT
    server.forget()
    server.faults = [("/f", change(status=200, body=CONTENT, headers={"ETag": ""})) for _ in range(2)]
    assert file(server, first=None).whole().read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server: Server, pauses: list[float], status: int) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    for retry_after in ("", "7", soon, "soon"):
        server.faults.append(("/f", change(status=status, body=b"", headers={"Retry-After": retry_after})))
    assert file(server).piece(0, 10).read_bytes() == CONTENT[:10]
    assert pauses[:2] == [0.0, 7.0]
    assert 10 < pauses[2] <= 20
    assert pauses[3] == 0.0


def test_pauses_double_and_end(server: Server, pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "FIRST_PAUSE", 0.5)
    server.faults = [("/f", change(status=502, body=b""))] * 20
    with pytest.raises(FileNotFoundError, match=r"downloading .*/f failed 6 times \(status 502\): run again"):
        file(server).whole()
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0]
    server.faults = [("/f", change(status=429, body=b"", headers={"Retry-After": "3600"}))]
    with pytest.raises(FileNotFoundError, match="is busy and asks to wait 3600 s: run again then"):
        file(server).whole()


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (change(status=404), Absent, r"there is no http://.*/f \(status 404\): check the address"),
        (change(status=401), Absent, r"may not be read \(status 401\): set HF_TOKEN"),
        (change(status=418), FileNotFoundError, "the server answers with status 418"),
        (change(status=416), ValueError, "is empty or shorter than it was"),
        (with_header(Content_Encoding="gzip"), ValueError, "comes compressed"),
        (with_header(Content_Range=""), ValueError, "answers a request for a range with Content-Range ''"),
        (with_header(Content_Range="bytes 0-9/*"), ValueError, "'bytes FIRST-LAST/SIZE' is expected"),
        (with_header(Content_Range="bytes 5-9/3000000"), ValueError, "is answered with other bytes than were asked"),
    ],
)
def test_what_a_server_may_not_answer(server: Server, fault: Fault, error: type[Exception], message: str) -> None:
    server.faults = [("/f", fault)]
    with pytest.raises(error, match=message) as caught:
        file(server).whole()
    assert "\n" not in str(caught.value)
    assert file(server).version.size == len(CONTENT)
    server.faults = [("/f", lambda _: None), ("/f", fault)]
    with pytest.raises((error, ValueError)):
        file(server).piece(3, 50_000)


def test_more_bytes_than_were_asked_for_are_not_taken(server: Server) -> None:
    server.faults = [("/f", change(headers={"Content-Range": "bytes 0-9/3000000", "ETag": '"x"'}, body=CONTENT))]
    assert file(server, first=10).version.size == len(CONTENT)
    kept = (cache_folder() / "content").rglob("0-10")
    assert [p.read_bytes() for p in kept] == [CONTENT[:10]]


def test_an_empty_file(server: Server) -> None:
    server.files["/f"] = b""
    with pytest.raises(ValueError, match="/f is empty or shorter than it was"):
        file(server).whole()
    assert file(server, first=None).whole().read_bytes() == b""


def test_the_cache_is_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server) -> None:
    monkeypatch.setenv("LEXIGRAFT_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "own"
    (tmp_path / "own").write_text("a file")
    with pytest.raises(ValueError, match=r"the cache cannot be written .*: set LEXIGRAFT_CACHE to another folder"):
        file(server).whole()
    monkeypatch.delenv("LEXIGRAFT_CACHE")
    assert cache_folder() == tmp_path / "hf/lexigraft"
    monkeypatch.delenv("HF_HOME")
    assert cache_folder() == tmp_path / "xdg/lexigraft"


def test_a_long_download_shows_itself_on_a_terminal(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file(server).piece(0, 1_500_000)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(web, "_SHOWN", 1_000_000)
    file(server).piece(0, 2_000_000)
    assert "127.0.0.1" in capsys.readouterr().err
