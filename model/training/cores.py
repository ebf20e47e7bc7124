"""One function over many values, on all cores. Knows nothing of what is computed."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def spread(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, few: int = 2, chunk: int = 32
) -> Iterator[Result]:
    """The results in the order of the jobs. Fewer than `few` are not worth any processes.

    The processes start at once, so call this before a thread does, a progress bar's for instance: a
    forked process has no other threads, but may have the locks that they held. Only Linux forks
    soundly; a fresh process, on the other hand, would look for `model` all along `sys.path`, and
    might find a stranger's. So elsewhere all is done in this one.
    """
    if len(jobs) < few or (os.cpu_count() or 1) < 2 or sys.platform != "linux":
        return map(work, jobs)
    pool = ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork"))
    return drained(pool, pool.map(work, jobs, chunksize=chunk))


def drained(pool: ProcessPoolExecutor, results: Iterator[Result]) -> Iterator[Result]:
    try:
        yield from results
    finally:
        pool.shutdown(cancel_futures=True)
