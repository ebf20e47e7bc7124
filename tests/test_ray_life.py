"""How replicas by Ray Serve begin, become more and end: each test has a Ray of its own.

INFILL_TESTS_WITHOUT_RAY=1 leaves it out: on two busy cores it takes a minute and a half.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from model.canvas import Claim
from model.serving.reach import SESSION, TOKEN, Reach
from model.serving.runtime import FOLDER
from model.serving.wire import Ask, ask_to
from tests.raw_client import ROOT
from tests.rays import (
    CANVAS,
    GIVEN,
    PATIENCE,
    WINDOWS,
    Cluster,
    finals,
    folder_of_a_ray,
    load_of,
    needs_ray,
    reached,
    serving,
    started,
    windows,
)
from tests.servers import until
from tests.serving import certified, scripted

# A fill lasts, even on a busy machine, until it is told to end, and less than replicas are given.
LASTING = scripted(text="return 12345", seconds_a_step=0.1, steps_a_fill=60)
BRIEF = scripted(text="return 12345", seconds_a_step=0.05, steps_a_fill=10)


@needs_ray
async def test_a_replica_that_is_added_under_load_serves_in_a_cluster_of_somebody_s() -> None:
    """As the readme says: the application, by Ray's own command, with a configuration."""
    with folder_of_a_ray() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port, token = free.getsockname()[1], "a-token-long-enough"
        free.close()
        told = {"model": BRIEF, "max_replicas": 2, "target_ongoing_requests": 1,
                "upscale_delay_s": 1}  # fmt: skip
        serves = {"name": "infill", "import_path": "infill_lsp:ray_application", "args": told}
        config = {"http_options": {"host": "127.0.0.1", "port": port}, "applications": [serves]}
        (folder / "config.yaml").write_text(json.dumps(config))
        command = [str(Path(sys.executable).with_name("serve")), "run", str(folder / "config.yaml")]
        environment = {TOKEN: token, "PYTHONPATH": str(ROOT)}
        with started(command, folder, signal.SIGINT, **environment) as process:
            reach = Reach(url=f"http://127.0.0.1:{port}", token=token)
            cluster = Cluster(process, folder, reach)
            until(lambda: is_there(cluster), "a replica that answers", PATIENCE)
            former = await cluster.replicas()
            assert len(former) == 1
            async with windows(reach) as asking:
                fills = [0]
                enough = asyncio.Event()
                loads = [asyncio.ensure_future(load_of(one, fills, enough)) for one in asking]
                try:
                    async with asyncio.timeout(PATIENCE):
                        while len(both := await cluster.replicas()) < 2:
                            await asyncio.sleep(0.2)
                    await reached(fills, fills[0] + 40, loads)
                finally:
                    enough.set()
                await asyncio.gather(*loads)
            last = await cluster.replicas()
            assert former.keys() < both.keys() == last.keys()
            for pid in last:
                assert finals(last[pid]) - finals(both[pid]) >= 4


def is_there(cluster: Cluster) -> bool:
    assert cluster.process.poll() is None, (cluster.folder / "out").read_text()
    with suppress(httpx.HTTPError), cluster.reach.client(httpx.Timeout(60)) as client:
        return client.get("/healthz").status_code == 200
    return False


@needs_ray
def test_what_is_in_hand_is_finished_when_it_is_told_to_end() -> None:
    with ExitStack() as windows, ThreadPoolExecutor(WINDOWS) as threads:
        with serving("--replicas", "2", model=LASTING) as cluster:
            client = windows.enter_context(cluster.reach.client(httpx.Timeout(60)))
            watch = windows.enter_context(client.stream("GET", "/v1/watch", params={"asker": "w"}))
            next(watch.iter_lines())  # a window stays until its server goes
            fills = [threads.submit(whole, client, f"{each}") for each in range(WINDOWS)]
            until(lambda: in_hand(cluster) == [True, True], "fills in hand at both", 20)
        assert [fill.result() for fill in fills] == ["final"] * WINDOWS


def in_hand(cluster: Cluster) -> list[bool]:
    """Of each replica, whether it has some. Fails once there are less than were asked for."""
    states = asyncio.run(cluster.replicas()).values()
    return [state["running"] > 0 for state in states]


def whole(client: httpx.Client, session: str) -> str:
    """How a fill ended."""
    asked = ask_to(Ask(CANVAS, Claim(asker=session)))
    answer = client.post("/v1/fill", content=asked, headers={SESSION: session})
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text.splitlines()[-1])["end"]["reason"]


@needs_ray
def test_a_team_asks_replicas_over_tls_and_ctrl_c_waits_for_its_fills(tmp_path: Path) -> None:
    options = ("--listen", "0.0.0.0:0", "--token-env", GIVEN, *certified(tmp_path))
    trusting = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with ExitStack() as team, ThreadPoolExecutor(WINDOWS) as threads:
        with serving(*options, model=LASTING, end=signal.SIGINT) as cluster:
            url, token = cluster.reach.url, cluster.reach.token
            client = team.enter_context(httpx.Client(base_url=url, verify=trusting, timeout=60))
            assert client.get("/v1/card").status_code == 401
            with pytest.raises(httpx.HTTPError):
                httpx.get(url.replace("https:", "http:") + "/healthz")
            client.headers["Authorization"] = f"Bearer {token}"
            fills = [threads.submit(whole, client, f"{each}") for each in range(WINDOWS)]
            until(lambda: client.get("/v1/state").json()["running"] == WINDOWS, "fills in hand")
        assert [fill.result() for fill in fills] == ["final"] * WINDOWS


@needs_ray
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--socket", "/tmp/s"], "--listen HOST:PORT in place of --socket"),
        (["--listen", "0.0.0.0:0"], "can be reached from other machines; it needs --tls-cert"),
        (["--listen", "127.0.0.1:0", "--tls-cert", "/no/cert.pem"], "No such file or directory"),
        ([], "Ray does not start here (validate_socket_filename failed"),
    ],
)
def test_what_ray_cannot_or_must_not_serve_is_refused(options: list[str], why: str) -> None:
    with folder_of_a_ray() as folder:
        long = folder / ("x" * 100)  # more than the path of a socket may have
        done = subprocess.run(
            [sys.executable, str(ROOT / "infill_lsp.py"), "serve", "--ray", *options],
            capture_output=True, text=True, timeout=PATIENCE,
            env=os.environ | {"RAY_TMPDIR": str(folder if options else long), FOLDER: str(folder)},
        )  # fmt: skip
    assert done.returncode == 1
    assert why in done.stderr


@needs_ray
def test_what_a_cluster_is_told_wrongly_is_named() -> None:
    wrong = {
        "modle: not known; what can be told is model, ": {"modle": "bundled"},
        "min_replicas is 3 and max_replicas 1": {"min_replicas": "3"},
        "upscale_delay_s is 0 and must be above 0": {"upscale_delay_s": "0"},
        "seed=none: not understood": {"seed": "none"},
    }
    program = f"""
import infill_lsp
for told in {list(wrong.values())!r}:
    try:
        infill_lsp.ray_application(told)
    except Exception as error:
        print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    said = done.stdout.splitlines()
    assert len(said) == len(wrong), done
    for line, why in zip(said, wrong, strict=True):
        assert line.startswith(f"ModelError {why}")
