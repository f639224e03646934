"""What fits: arrays that a machine cannot hold are refused with their numbers, before anything is allocated."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from emdsl.diagnostics.errors import EmmError

#: The largest table, in numbers for each unit, that elimination may build.
LARGEST_TABLE = 10_000_000
#: The share of the machine's memory that one array may take: a fit holds a few of them at once.
SHARE = 0.25
#: What is assumed where the system does not say how much memory there is.
USUAL_MEMORY = 8 << 30


def memory() -> int:
    """The machine's memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return USUAL_MEMORY


def check_array(what: str, shape: Sequence[int], help: str, *, size: int = 8) -> None:
    """Raises `too-large` where an array of that shape, `size` bytes a number, takes more than its share of memory."""
    numbers = product(shape)
    if numbers * size <= SHARE * memory():
        return
    raise EmmError(
        "too-large",
        f"{what} takes {shown(numbers)} numbers ({gigabytes(numbers * size)}), more than one array may take of the "
        f"{gigabytes(memory())} of memory here",
        help=help,
    )


def check_table(
    what: str, axes: Mapping[str, int],
    help: str = "give the hidden variables fewer values, or make fewer of them depend on each other",
) -> None:  # fmt: skip
    """Raises `too-large` where a table over these hidden variables has more than LARGEST_TABLE cells for each unit."""
    cells = product(tuple(axes.values()))
    if cells > LARGEST_TABLE:
        sizes = " x ".join(str(size) for size in axes.values()) if len(axes) <= 6 else f"{len(axes)} hidden variables"
        raise EmmError(
            "too-large",
            f"{what} takes a table of {shown(cells)} cells ({sizes}) for each unit; at most {LARGEST_TABLE:,} are "
            "allowed",
            help=help,
        )


def product(shape: Sequence[int]) -> int:
    """The number of elements of an array, exact."""
    total = 1
    for size in shape:
        total *= int(size)
    return total


def shown(number: int) -> str:
    """A count to read: `1,000,000`, and beyond 15 digits its power of ten."""
    return f"{number:,}" if number < 10**15 else f"{float(number):.0e}"


def gigabytes(number: int) -> str:
    """Bytes to read, in GB."""
    return f"{number / 2**30:,.1f} GB" if number < 2**60 else f"{number / 2**30:.0e} GB"
