"""What the scripts of bench/ use of the product is there: nothing else imports them."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.benches import BENCH, bench_named

pytestmark = pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed")


@pytest.mark.parametrize("name", sorted(it.stem for it in BENCH.glob("*.py")))
def test_a_benchmark_finds_all_that_it_imports_and_says_what_it_is(name: str) -> None:
    assert bench_named(name).__doc__
