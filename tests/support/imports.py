"""Who imports whom: the rooms of the package, their floors, and circles of modules.

    python tests/support/imports.py [FOLDER OF A CHECKOUT]

A room is a folder of `onebp_jax/`, or a module that lies loose in it. The floor of a room is the longest way down from it.
"""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def module_name(path: Path, root: Path) -> str:
    name = ".".join(path.relative_to(root).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imported_names(path: Path) -> set[str]:
    """Every dotted name that a module imports, inside of functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def modules(root: Path = ROOT) -> dict[str, set[str]]:
    """module -> the modules of ours that it imports, for the package and the programs."""
    paths = {module_name(path, root): path for top in ("onebp_jax", "launch") for path in (root / top).rglob("*.py")}
    graph = {}
    for name, path in paths.items():
        wanted = set()
        for dotted in imported_names(path):
            while dotted and dotted not in paths:
                dotted = dotted.rpartition(".")[0]
            wanted.add(dotted)
        graph[name] = wanted - {"", name}
    return graph


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2]) if module.startswith("onebp_jax") else "launch"


def rooms(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """room -> the rooms that it imports. The front door, `onebp_jax` itself, is no room."""
    found: dict[str, set[str]] = {}
    for module, wanted in graph.items():
        if module != "onebp_jax":
            own = found.setdefault(room_of(module), set())
            own |= {room_of(other) for other in wanted} - {room_of(module), "onebp_jax"}
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that import each other, in one or more steps."""

    @functools.cache
    def reach(start: str) -> frozenset[str]:
        seen, stack = set(), [start]
        while stack:
            for other in graph.get(stack.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    stack.append(other)
        return frozenset(seen)

    found = {frozenset(b for b in reach(a) if a in reach(b)) for a in graph}
    return sorted(sorted(group) for group in found if len(group) > 1)


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """node -> the length of the longest way down from it; a circle counts as one node."""
    group = {node: node for node in graph}
    for circle in circles(graph):
        group |= dict.fromkeys(circle, circle[0])

    @functools.cache
    def floor(node: str) -> int:
        members = [other for other in graph if group[other] == node]
        below = {group[other] for member in members for other in graph[member] if other in group} - {node}
        return 1 + max(map(floor, below), default=-1)

    return {node: floor(group[node]) for node in graph}


def main() -> None:
    root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    graph = modules(root)
    of_rooms = rooms(graph)
    height = floors(of_rooms)
    for floor in range(max(height.values()), -1, -1):
        print(
            f"{floor}  "
            + "  ".join(sorted(name.removeprefix("onebp_jax.") for name in height if height[name] == floor))
        )
    loose = [path.name for path in sorted((root / "onebp_jax").glob("*.py"))]
    print(
        f"{len(of_rooms)} rooms, {max(height.values()) + 1} floors of rooms, {max(floors(graph).values()) + 1} of modules"
    )
    print(f"loose at the top: {len(loose)}")
    print(f"circles of rooms: {circles(of_rooms) or 'none'}")
    print(f"circles of modules: {circles(graph) or 'none'}")


if __name__ == "__main__":
    main()
