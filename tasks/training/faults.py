"""What is wrong with people's data, item by item: all of it is told at once, before training starts."""

import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from multimodal_attn.errors import DataError

LOG = logging.getLogger(__name__)
N_LISTED = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """An item that cannot be used: its kind in one word (missing, empty, doubled, damaged, unclear), its file and row,
    what is wrong and what can be done."""

    kind: str
    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


def settle(faults: Collection[Fault], skip: bool) -> None:
    """Raises DataError that counts the faults and lists the first ten; with `skip` says so, as those are left out."""
    if not faults:
        return
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(fault.kind for fault in faults).most_common())
    listed = [str(fault) for fault in faults][:N_LISTED]
    more = [f"and {len(faults) - N_LISTED} more"] if len(faults) > N_LISTED else []
    if skip:
        LOG.warning("left out %d bad items (%s):\n  %s", len(faults), kinds, "\n  ".join(listed + more))
    elif len(faults) == 1:
        raise DataError(f"{listed[0]}, or leave it out with --data.skip_bad true")
    else:
        what = f"{len(faults)} items cannot be used ({kinds})"
        how = "mend or remove them, or leave them out with --data.skip_bad true"
        raise DataError("\n  ".join([f"{what}; {how}:", *listed, *more]))
