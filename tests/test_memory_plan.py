"""What a network needs is reckoned before it is loaded; what does not fit is refused in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from model import ModelError
from model.machine import free_host, machine, room_in_group
from model.masked.network import Network, Shape
from model.published.catalog import known, row_of
from model.published.memory import check, parameters_of, plan_for

DREAM = Shape(
    vocab=152064, dim=3584, layers=28, heads=28, kv_heads=4, ff=18944, qkv_bias=True, tied=False
)
CODER = Shape(vocab=151936, dim=896, layers=24, heads=14, kv_heads=2, ff=4864, qkv_bias=True)
LLADA = Shape(vocab=126464, dim=4096, layers=32, heads=32, kv_heads=32, ff=12288, tied=False)
PUBLISHED = {"DreamOn-v0-7B": DREAM, "open-dcoder-0.5B": CODER, "LLaDA-8B-Base": LLADA}
GB = 1_000_000_000


@pytest.mark.parametrize(
    "shape",
    [
        Shape(vocab=50, dim=16, layers=2, heads=4, kv_heads=2, ff=24),
        Shape(vocab=50, dim=16, layers=3, heads=4, kv_heads=4, ff=24, qkv_bias=True, tied=False),
        Shape(vocab=50, dim=16, layers=1, heads=4, kv_heads=1, ff=24, head_dim=8, qk_norm=True),
    ],
)
def test_parameters_by_arithmetic_are_those_that_a_network_has(shape: Shape) -> None:
    held = sum(parameter.numel() for parameter in Network(shape).parameters())
    assert parameters_of(shape) == held


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_arithmetic_agrees_with_the_bytes_of_the_catalog(name: str) -> None:
    row = row_of(name)
    assert row
    assert parameters_of(PUBLISHED[name]) * 2 == row.bytes


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_estimate_without_a_shape_is_near_the_plan_with_one(name: str) -> None:
    row = row_of(name)
    assert row
    exact = plan_for(row, PUBLISHED[name], "cuda:0", torch.bfloat16, free=0)
    estimate = plan_for(row, None, "cuda:0", "bfloat16", free=0)
    assert abs(estimate.needed - exact.needed) < 0.06 * exact.needed


def test_a_network_that_does_not_fit_is_refused_with_what_would() -> None:
    row = row_of("DreamOn-v0-7B")
    assert row
    plan = plan_for(row, DREAM, torch.device("cuda:0"), torch.bfloat16, free=int(11.2 * GB))
    with pytest.raises(ModelError) as refused:
        check(plan)
    said = str(refused.value)
    assert said.startswith("DreamOn-v0-7B needs 15.9 GB on cuda:0 in bf16, 11.2 GB are free: close")
    assert "choose one of: open-dcoder-0.5B (3.2 GB), " in said
    assert said.endswith(", bundled")
    assert "Dream-v0" not in said  # which would not fit either


def test_what_has_room_for_one_board_only_is_let_through_and_does_not_count_as_fitting() -> None:
    row = row_of("DreamOn-v0-7B")
    assert row
    plan = plan_for(row, DREAM, "cuda:0", "bfloat16", free=17 * GB)
    assert (plan.fits, plan.runs) == (False, True)
    check(plan)


def test_where_nothing_fits_the_bundled_model_still_does() -> None:
    row = row_of("open-dcoder-0.5B")
    assert row
    with pytest.raises(
        ModelError, match=r"close what else uses memory, or choose one of: bundled$"
    ):
        check(plan_for(row, CODER, "cpu", "float32", free=GB))


@pytest.mark.parametrize("row", known(), ids=lambda row: row.id)
def test_every_known_network_fits_an_empty_80_gb_gpu(row: object) -> None:
    check(plan_for(row, None, "cuda:0", "bfloat16", free=80 * GB))  # type: ignore[arg-type]


def test_what_is_not_known_to_be_too_large_is_let_through() -> None:
    row = row_of("open-dcoder-0.5B")
    assert row
    check(plan_for(row, CODER, "cpu", "float32"))  # of this machine itself
    plan = plan_for(row, CODER, "cpu", "float32", free=GB)
    check(replace(plan, free=None))


def test_frozen_surroundings_are_counted_where_they_are_kept_and_where_they_are_used() -> None:
    row = row_of("DreamOn-v0-7B")
    assert row
    plain = plan_for(row, DREAM, "cuda:0", "bfloat16", free=0, boards=1)
    frozen = plan_for(replace(row, frozen=4), DREAM, "cuda:0", "bfloat16", free=0, boards=1)
    keys_and_values = 28 * 2 * 4 * 128 * 2 * row.context
    assert frozen.working - plain.working == 2 * keys_and_values


def test_fewer_boards_and_shorter_ones_need_less() -> None:
    row = row_of("DreamOn-v0-7B")
    assert row
    whole = plan_for(row, DREAM, "cuda:0", "bfloat16", free=0)
    one = plan_for(row, DREAM, "cuda:0", "bfloat16", free=0, boards=1)
    short = plan_for(row, DREAM, "cuda:0", "bfloat16", free=0, boards=1, tokens=512)
    assert whole.weights == one.weights == short.weights == row.bytes
    assert whole.working > one.working > short.working > 0


def test_free_memory_is_what_the_kernel_calls_available(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  100 kB\nMemFree:  10 kB\nMemAvailable:   40 kB\n")
    assert free_host(meminfo) == 40 * 1024
    assert (free_host(tmp_path / "none") or 0) > 2**20  # as on macOS: what is built in


@pytest.mark.parametrize(
    ("most", "left"), [("1000\n", 400), ("500\n", 0), ("max\n", float("inf")), (None, float("inf"))]
)
def test_a_container_has_what_its_limit_leaves(
    tmp_path: Path, most: str | None, left: float
) -> None:
    (tmp_path / "memory.current").write_text("600\n")
    if most:
        (tmp_path / "memory.max").write_text(most)
    assert room_in_group(tmp_path) == left


def test_this_machine_is_told_the_same_way_from_both_sides() -> None:
    aside, here = machine(), machine(aside=False)
    assert (aside.device, aside.name) == (here.device, here.name)
    assert (aside.device == "cuda:0") == torch.cuda.is_available()
    assert (aside.free or 0) > 0
