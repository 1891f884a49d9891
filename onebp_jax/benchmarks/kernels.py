"""How many kernels a compiled step launches. On a GPU a small step takes as long as launching them."""

from __future__ import annotations

import re

# What costs nothing when a program runs.
_FREE = {"parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "opt-barrier"}
_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_OPERATION = re.compile(r" ([a-z][a-z0-9-]*)\(")
_CALLED = re.compile(
    r"(?:body|condition|to_apply|branch_computations|true_computation|false_computation)=\{?([^,}]+(?:, %[^,}]+)*)"
)


def count_kernels(text: str) -> int:
    """The operations that one turn of a program's largest loop runs, each at least one kernel; loops inside of it turn once.

    Args:
      text: an optimised program, `compiled.as_text()`, such as that of `onebp_jax.training.runner.make_scan`. That of a CPU has
        about as many fused operations as that of a GPU.
    """
    parts, entry = _computations(text)
    loops = [called for operation, called in parts[entry] if operation == "while"]
    if not loops:
        return _count(parts, entry)
    return max(sum(_count(parts, name) for name in called) for called in loops)


def _computations(text: str) -> tuple[dict[str, list[tuple[str, list[str]]]], str]:
    """For each computation its operations, with what they call, and the name of the first one."""
    parts, entry, inside = {}, "", None
    for line in text.splitlines():
        if head := _HEAD.match(line):
            inside = parts.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif inside is not None and " = " in line and (found := _OPERATION.search(line.split(" = ", 1)[1])):
            called = [name.strip(" %") for names in _CALLED.findall(line) for name in names.split(",")]
            inside.append((found[1], called))
    return parts, entry


def _count(parts: dict[str, list[tuple[str, list[str]]]], name: str) -> int:
    total = 0
    for operation, called in parts[name]:
        if operation in ("while", "call", "conditional"):
            total += sum(_count(parts, other) for other in called)
        elif operation not in _FREE:
            total += 1
    return total
