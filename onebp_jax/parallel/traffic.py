"""What a compiled program sends between devices, read from its text.

    program.lower(...).compile() --text--> instructions --> bytes that a device sends, per kind of collective

The text is the optimised program of one device, after every transformation. So what is counted is what runs, whether the step
or the compiler asked for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import NamedTuple

KINDS = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")

_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_COLLECTIVE = re.compile(rf"^\s*(?:ROOT )?%?[\w.\-]+ = (\(.*?\)|\S+) ({'|'.join(KINDS)})(-start)?\(")
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)[a-z0-9]*)\[([\d,]*)\]")
_CALLED = re.compile(r"\b(?:body|condition|calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


class _Computation(NamedTuple):
    """One block of the text: what it sends itself, the blocks it calls as `(name, times)`, and groups of which one runs."""

    sent: defaultdict[str, float]
    calls: list[tuple[str, int]]
    branches: list[list[str]]


def exchanged(compiled, steps: int = 1) -> dict[str, float]:
    """Bytes that a device sends in a step, per kind of collective. Kinds that do not occur are left out.

    With `n` devices in a group, and rings as they are usually built:

        all-gather of a result of S bytes        S (n - 1) / n
        all-reduce of S bytes                  2 S (n - 1) / n      (a reduce-scatter and an all-gather)
        reduce-scatter of an input of S bytes    S (n - 1) / n
        all-to-all of S bytes                    S (n - 1) / n
        collective-permute of S bytes            S                  (for a device that sends)

    A device receives as many bytes. What a machine really does (trees, several rings) may differ.

    The body of a loop counts as often as the compiler knows that it runs (`known_trip_count`, which a `scan` has), else once.
    Of the branches of a condition the one that sends most counts. The total is divided by `steps`, so that what stands outside
    of the loop is spread over its steps. For a step that was compiled alone leave `steps` at 1.

    Args:
      compiled: `jit(...).lower(...).compile()`, or anything with such an `as_text()`.
      steps: the length of the scan in it.
    """
    text = compiled.as_text()
    blocks, entry = _parse(text)
    total = _total(entry, blocks, {})
    return {kind: total[kind] / steps for kind in KINDS if total.get(kind)}


def _parse(text: str) -> tuple[dict[str, _Computation], str]:
    """The computations of a program, by name, and the name of its entry."""
    blocks, entry, current = {}, "", None
    everyone = int(found[1]) if (found := re.search(r"\bnum_partitions=(\d+)", text)) else 1
    replicas = int(found[1]) if (found := re.search(r"\breplica_count=(\d+)", text)) else 1
    for line in text.splitlines():
        if head := _HEAD.match(line):
            current = blocks[head[2]] = _Computation(defaultdict(float), [], [])
            entry = head[2] if head[1] else entry
        elif current is not None:
            if sends := _COLLECTIVE.match(line):
                current.sent[sends[2]] += _sent(sends[2], sends[1], bool(sends[3]), _group(line, everyone * replicas))
            trips = int(found[1]) if (found := _TRIPS.search(line)) else 1
            current.calls.extend((name, trips) for name in _CALLED.findall(line))
            current.branches.extend(re.findall(r"[\w.\-]+", names) for names in _BRANCHES.findall(line))
    return blocks, entry


def _total(name: str, blocks: dict[str, _Computation], known: dict[str, dict[str, float]]) -> dict[str, float]:
    """What one run of a computation sends, including all that it calls."""
    if name not in known:
        block = blocks[name]
        total = defaultdict(float, block.sent)
        parts = [(_total(called, blocks, known), times) for called, times in block.calls]
        for names in block.branches:
            parts.append((max((_total(one, blocks, known) for one in names), key=lambda sent: sum(sent.values())), 1))
        for sent, times in parts:
            for kind, size in sent.items():
                total[kind] += times * size
        known[name] = total
    return known[name]


def _sizes(shape: str) -> list[int]:
    """Bytes of every array in a shape, tuples flattened."""
    found = []
    for name, bits, dimensions in _ARRAY.findall(shape):
        size = 1 if name == "pred" else int(bits) / 8
        for length in filter(None, dimensions.split(",")):
            size *= int(length)
        found.append(size)
    return found


def _sent(kind: str, shape: str, started: bool, count: int) -> float:
    """Bytes that a device sends for one collective with that result among `count` devices."""
    if count < 2:
        return 0.0
    if started and kind == "collective-permute":
        shape = re.sub(r"\bu32\[\]", "", shape)  # handles of what is under way
    sizes = _sizes(shape)
    if started and kind != "all-reduce":
        # (operands, results)
        sizes = sizes[len(sizes) // 2 :]
    size = sum(sizes)
    factor = {"all-reduce": 2 * (count - 1) / count, "reduce-scatter": count - 1, "collective-permute": 1}
    return size * factor.get(kind, (count - 1) / count)


def _group(line: str, everyone: int) -> int:
    """How many devices take part in one group of a collective."""
    if "source_target_pairs=" in line:
        return 2
    if found := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return len(found[1].split(","))
    if found := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(found[1])
    if found := re.search(r"replica_groups=mesh\[([^\]]*)\] ?\{([^}]*)\}", line):
        length = dict(re.findall(r"'(\w+)'=(\d+)", found[1]))
        count = 1
        for axis in re.findall(r"'(\w+)'", found[2]):
            count *= int(length[axis])
        return count
    return everyone
