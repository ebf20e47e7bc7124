"""One model serves many: real server processes, over a real socket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil
import pytest

from model import ModelError
from model.machine import free_host, keep_within
from model.serving import ceiling
from model.serving.listening import at_path
from tests.raw_client import ROOT
from tests.servers import until
from tests.serving import CANVAS, WHOLE, Served, refused, scripted, serving

LONG = scripted(text="x", seconds_a_step=0.02, steps_a_fill=100_000)


def asked(**claim: object) -> dict[str, object]:
    return {"canvas": CANVAS, "claim": claim}


@pytest.fixture(scope="module")
def bundled() -> Iterator[Served]:
    """The bundled model in place of one that cannot be loaded, below a ceiling that is kept."""
    with serving("no-such-model", "--memory", "4") as served:
        yield served


@pytest.fixture(scope="module")
def endless() -> Iterator[Served]:
    """Fills that would take half an hour."""
    with serving(LONG, "--queue", "2") as served:
        yield served


def test_a_fill_is_a_line_for_each_draft_and_one_that_says_how_it_ended(bundled: Served):
    *drafts, last = bundled.fill(asked(trace="abc123"))
    steps = [line["draft"]["step"] for line in drafts]
    assert steps == sorted(set(steps))
    assert drafts[-1]["draft"]["final"]
    end = last["end"]
    assert (end["reason"], end["trace"]) == ("final", "abc123")
    assert 0 <= end["queue_ms"] <= end["ms"]
    assert end["steps"] >= len(drafts)


def test_the_card_says_which_model_it_is(bundled: Served):
    card = bundled.get("/v1/card")
    assert card["name"].startswith("infill-python")
    assert bundled.get("/healthz")["pid"] == bundled.process.pid
    assert bundled.state["card"] == card


def test_no_step_is_made_for_a_client_that_has_left(bundled: Served):
    hole = {"start": 1, "end": 1, "multiline": True, "limit": 96}
    many = {"texts": ["def f(a):\n    ", *["\n    "] * 15, "\n"], "holes": [hole] * 16}
    with bundled.asking({"canvas": many}) as lines:
        assert "draft" in next(lines)
    until(lambda: bundled.state["running"] == 0, "the fill's end")
    steps = bundled.state["steps"]
    time.sleep(0.5)
    assert bundled.state["steps"] == steps
    assert bundled.metric("infill_fills_total") > 0


def test_a_client_that_leaves_is_out_of_the_queue_at_once(endless: Served):
    before = endless.metric("infill_drafts_total")
    with endless.asking() as lines:
        next(lines)
        assert endless.state["running"] == 1
    until(lambda: endless.state["running"] == 0, "the fill's end", 2)
    drafts = endless.metric("infill_drafts_total")
    assert drafts > before
    time.sleep(0.2)
    assert endless.metric("infill_drafts_total") == drafts


def test_more_fills_than_the_queue_holds_are_told_to_come_again(endless: Served):
    with endless.asking() as one:
        next(one)
        greedy = endless.post("/v1/fill", WHOLE)
        with endless.asking(asked(asker="other")) as two:
            next(two)
            full = endless.post("/v1/fill", asked(asker="third"))
    for answer, why in ((greedy, "1 fills of yours are in work"), (full, "2 fills are in work")):
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert why in answer.json()["error"]["message"]
    until(lambda: endless.state["running"] == 0, "the fills' end")
    with endless.asking() as again:
        assert "draft" in next(again)
    assert 'infill_refused_total{status="429"}' in endless.metrics


def test_a_newer_canvas_of_a_document_ends_the_older(endless: Served):
    with endless.asking(asked(asker="a", document="d")) as older:
        next(older)
        with endless.asking(asked(asker="a", document="d")) as newer:
            assert list(older)[-1]["end"]["reason"] == "superseded"
            assert "draft" in next(newer)


def test_canvases_of_other_askers_or_documents_stay(endless: Served):
    with (
        endless.asking(asked(asker="a", document="d")) as one,
        endless.asking(asked(asker="b", document="d")) as two,
    ):
        next(one), next(two)
        time.sleep(0.3)
        assert endless.state["running"] == 2


def test_at_the_deadline_the_last_draft_is_the_best_so_far(endless: Served):
    *drafts, last = endless.fill(asked(deadline_ms=300))
    assert last["end"]["reason"] == "deadline"
    assert 250 < last["end"]["ms"] < 2000
    assert drafts
    assert not drafts[-1]["draft"]["final"]


def test_only_the_newest_draft_waits_for_who_reads_slowly():
    """The drafts of this fill are 10 MB, and no client reads them while they are made."""
    model = scripted(text="x" * 1000, steps_a_fill=200)
    with serving(model) as served, socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(served.socket))
        body = json.dumps(WHOLE).encode()
        slow.sendall(b"POST /v1/fill HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(body), body))  # fmt: skip
        until(lambda: served.metric("infill_drafts_total") == 200, "all drafts")
        assert served.state["rss"] < 400e6
        assert served.fill()[-1]["end"]["reason"] == "final"  # others are not held up
        answer = bytearray()
        while not answer.endswith(b"0\r\n\r\n"):
            answer += slow.recv(1 << 20)
    assert answer.count(b'{"draft"') < 100
    assert answer.count(b'"final":true') == 1
    assert b'"steps":200' in answer


def test_no_step_is_made_for_one_who_does_not_read_once_it_is_over():
    model = scripted(text="x" * 1000, seconds_a_step=0.005, steps_a_fill=100_000)
    with serving(model) as served, socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(str(served.socket))
        body = json.dumps(asked(asker="a", document="d")).encode()
        deaf.sendall(b"POST /v1/fill HTTP/1.1\r\nHost: s\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(body), body))  # fmt: skip
        until(lambda: served.metric("infill_drafts_total") > 50, "more than is on the way")
        newer = served.fill(asked(asker="a", document="d", deadline_ms=200))
        assert newer[-1]["end"]["reason"] == "deadline"
        drafts = served.metric("infill_drafts_total")
        time.sleep(0.3)
        assert served.metric("infill_drafts_total") == drafts


def test_what_a_model_cannot_answer_is_a_line_that_says_so():
    with serving(scripted(error="out of ink")) as served:
        assert served.fill() == [{"error": {"message": "out of ink"}}]
        assert served.metric("infill_fills_total") == 1


def test_a_watcher_sees_the_load_and_how_the_memory_of_idle_weights_goes_back():
    with (
        serving("bundled", "--unload-after", "2", ready=False) as served,
        served.watching("w1", "Neovim") as lines,
    ):
        seen = [next(lines)]
        while seen[-1]["state"] == "loading":
            seen.append(next(lines))
        assert seen[0]["state"] == "loading"
        assert seen[-1]["state"] == "ready"
        assert seen[-1]["card"] == served.get("/v1/card")
        shares = [line["share"] for line in seen[:-1]]
        assert shares == sorted(shares)
        served.fill(asked(asker="w1"))
        window = {"name": "Neovim", "pid": os.getpid(), "fills": 1, "queue": 0}
        assert served.state["clients"] == [window]
        process = psutil.Process(served.process.pid)
        loaded = process.memory_info().rss
        while (told := next(lines))["state"] != "unloaded":
            pass
        assert told["card"] == served.get("/v1/card")  # which loads nothing
        until(lambda: process.memory_info().rss < loaded - 60e6, "memory to go back")
        assert served.state["state"] == "unloaded"
        assert served.fill()[-1]["end"]["reason"] == "final"
        assert {next(lines)["state"] for _ in range(3)} >= {"loading", "ready"}
        assert served.metric("infill_loads_total") == 2


def test_a_server_that_nobody_needs_ends():
    with serving("scripted:x", "--exit-after", "1") as served:
        with served.watching() as lines:
            next(lines)
            time.sleep(1.7)
            assert served.process.poll() is None
        with served.watching() as lines:  # who comes back in time is served
            assert next(lines)["state"] == "ready"
        assert served.state["state"] == "ready"  # to look is no reason to stay
        assert served.ended(5) == 0
        assert not served.socket.exists()


@pytest.mark.parametrize("signals", [signal.SIGTERM, signal.SIGINT])
def test_who_is_being_answered_hears_that_the_server_ends(signals: int):
    with serving(LONG) as served, served.watching() as watch, served.asking() as lines:
        next(lines), next(watch)
        began = time.monotonic()
        served.process.send_signal(signals)
        assert "ending" in list(lines)[-1]["error"]["message"]
        assert list(watch)[-1:] == []
        assert served.ended(5) == 0
        assert time.monotonic() - began < 3
        assert not served.socket.exists()


def test_a_server_that_is_loading_ends_at_once_when_told():
    with serving("bundled", ready=False) as served:
        assert served.get("/healthz")["state"] == "loading"
        served.told_to_end()
        assert served.ended(3) == 0


def test_what_a_dead_server_left_is_replaced_and_a_living_one_is_not():
    with serving() as first:
        path = str(first.socket)
        told = refused("--socket", path)
        assert f"a server for this model already runs (pid {first.process.pid})" in told
        assert first.fill()
        first.process.kill()
        first.ended()
        assert first.socket.exists()
        with serving(folder=first.folder) as second:
            assert second.fill()[-1]["end"]["reason"] == "final"


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path):
    path = tmp_path / "mine"
    path.write_text("precious")
    with pytest.raises(ModelError, match="no socket"):
        at_path(path)
    assert path.read_text() == "precious"


def test_a_server_whose_socket_was_removed_ends_once_its_fills_have():
    with serving(LONG) as served, served.asking(asked(deadline_ms=800)) as lines:
        next(lines)
        served.socket.unlink()
        assert list(lines)[-1]["end"]["reason"] == "deadline"
        assert served.ended(5) == 0


def test_no_code_reaches_the_log(bundled: Served):
    secret, served = "s3cret_name", bundled
    canvas = {"texts": [f"{secret} = ", f"\n{secret}"], "holes": [{"start": 1, "end": 1}]}
    served.fill({"canvas": canvas | {"wide": [secret, secret], "others": [secret]}})
    served.post("/v1/fill", {"canvas": canvas | {secret: 1}})
    served.post("/v1/fill", {"canvas": {"texts": ["\ud800" + secret, ""], "holes": [
        {"start": 0, "end": 0}]}})  # fmt: skip
    served.post(f"/v1/{secret}", {})
    assert served.log
    assert secret not in served.log + (served.folder / "out").read_text()


def test_the_bundled_model_fills_for_one_that_cannot_be_loaded(bundled: Served):
    with bundled.watching() as lines:  # for which the other one may be tried once more
        told = next(line for line in lines if line["state"] == "ready")
    assert "no-such-model" in told["failure"]
    assert "bundled model fills" in told["failure"]
    assert bundled.get("/healthz")["model"] == "no-such-model"


def test_a_full_disk_for_the_log_hurts_nobody():
    """Where there is no /dev/full, the log is merely not written."""
    with serving(log="/dev/full") as served:
        assert served.fill()[-1]["end"]["reason"] == "final"
        assert served.out.count("\n") == 1  # where it listens, and no complaint


def test_above_its_ceiling_a_server_gives_back_its_weights_and_refuses():
    with serving("bundled", "--memory", "0.2", ready=False) as served:
        until(lambda: served.state["state"] == "failed", "weights to be given back")
        answer = served.post("/v1/fill", WHOLE)
        assert answer.status_code == 503
        assert answer.json()["error"]["message"]
        assert served.state["ceiling"] == 200_000_000
        assert "above its ceiling" in served.state["failure"]
        assert served.get("/healthz")["state"] == "failed"


def test_fills_that_hold_more_than_the_ceiling_are_ended_and_their_memory_goes_back():
    most = 120_000_000
    large = asked(deadline_ms=60_000) | {"canvas": CANVAS | {"wide": ["x" * 4_000_000, ""]}}
    with serving(LONG, "--memory", str(most / 1e9)) as served, ThreadPoolExecutor(40) as clients:
        process = psutil.Process(served.process.pid)
        assert process.memory_info().rss < most
        fills: list[Future[httpx.Response]] = []
        while not fills or not all(fill.done() for fill in fills):
            if not served.state["over"]:
                fills.append(clients.submit(served.post, "/v1/fill", large))
            time.sleep(0.1)
        lasts = [fill.result().text.splitlines()[-1] for fill in fills]
        assert sum("above its ceiling" in last for last in lasts) > 5
        assert all("ceiling" in last for last in lasts)
        until(lambda: process.memory_info().rss < most, "memory to go back")
        until(lambda: not served.state["over"], "its notice")


def test_no_more_memory_is_said_to_be_free_than_the_ceiling_leaves():
    rss = psutil.Process().memory_info().rss
    try:
        keep_within(rss + 50_000_000)
        assert 0 < (free_host() or 0) < 60_000_000
        keep_within(rss - 50_000_000)
        assert free_host() == 0
    finally:
        keep_within(None)


@pytest.mark.parametrize(("most", "share"), [(20 * 10**9, 0.25), (200 * 10**9, 1.0)])
def test_of_a_gpu_torch_is_given_no_more_than_the_ceiling(
    monkeypatch: pytest.MonkeyPatch, most: int, share: float
):
    """A GPU of 80 GB that is only said to be there, and only as far as torch is told."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    told: list[tuple[float, int]] = []
    gpu = SimpleNamespace(total_memory=80 * 10**9)
    monkeypatch.setattr(ceiling, "has_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", [gpu].__getitem__)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *it: told.append(it))
    try:
        ceiling.hold(most)
    finally:
        keep_within(None)
    assert told == [(share, 0)]


def test_what_became_of_fills_is_counted_for_who_looks(endless: Served):
    told = {"shown": 2, "accepted": 1, "reason": "empty", "silences": {"too-long": 3}}
    assert endless.post("/v1/told", told).status_code == 204
    for wrong in ({"shown": -1}, {"reason": "x = 1"}, {"silences": {"empty": 1.5}}):
        assert endless.post("/v1/told", wrong).status_code == 422
    state = endless.state
    assert (state["told"]["shown"], state["told"]["accepted"]) == (2, 1)
    assert state["silences"] == {"empty": 1, "too-long": 3}


def test_metrics_are_what_prometheus_reads(bundled: Served):
    bundled.fill()
    text = bundled.metrics
    for name in ("infill_fills_total", "infill_step_seconds_bucket", "infill_drafts_total",
                 "infill_queue", "infill_running", "infill_boards_stepped_total",
                 "infill_tokens_total", "infill_resident_bytes", "infill_loads_total"):  # fmt: skip
        assert f"\n{name}" in text
    assert bundled.metric("infill_steps_total") == bundled.state["steps"] > 0
    assert bundled.metric("infill_tokens_total") > 0
    assert bundled.metric("infill_loads_total") >= 1


@pytest.mark.parametrize("start", ["model", "lsp.handlers", "model.serving.wire"])
def test_what_only_asks_loads_no_server(start: str):
    heavy = ("starlette", "uvicorn", "prometheus_client", "torch")
    program = f"import sys, {start}; print(set(sys.modules) & set({heavy}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")
