"""BLAS on one thread while blocks are small: its threads would wait for each other longer than they work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: Numbers in the largest table from which a fit is long enough to be worth the look at which BLAS is loaded.
WORTH_LIMITING = 200_000


@contextmanager
def one_blas_thread(numbers: int) -> Iterator[None]:
    """Inside the block BLAS runs on one thread, if `numbers` (rows times cells) make it worth asking."""
    if numbers < WORTH_LIMITING:
        yield
        return
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # a stand-alone module needs NumPy alone; OPENBLAS_NUM_THREADS=1 does the same from outside
        yield
        return
    with threadpool_limits(limits=1, user_api="blas"):
        yield
