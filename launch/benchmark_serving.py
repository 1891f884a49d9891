"""Measures the service on this machine, its load generator included: lists, durable events, a soak.

    onebp benchmark serving --workdir=runs/own
    onebp benchmark serving --workdir=runs/own --clients=1,64 --seconds=10 --soak=120 --out=serving.json

It starts `onebp serve` on a free port with a new SQLite log in a temporary folder. Each client asks, waits for the answer, and
asks again. Milliseconds are what clients see. Nothing else should run beside it.
Exit status: 0 done, 1 the service failed, 2 bad flags or folder.
"""

import asyncio
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from absl import flags

from onebp_jax.benchmarks import peers, serving
from onebp_jax.cli import program
from onebp_jax.errors import RunFailed, UserError
from onebp_jax.experiments import report
from onebp_jax.training import run_folder
from onebp_jax.training.versions import versions

_WORKDIR = program.define_path("workdir", "The folder of a finished run.")
_CLIENTS = flags.DEFINE_list("clients", ["1", "8", "64"], "How many clients at once.")
_SECONDS = flags.DEFINE_float("seconds", 5.0, "Seconds of each row.", lower_bound=0.1)
_SOAK = flags.DEFINE_float("soak", 0.0, "Seconds of lists and events together; 0: none.", lower_bound=0.0)
_PEER = flags.DEFINE_bool("peer", False, "Also lists of implicit, from the same vectors, in process (extra bench).")
_OUT = program.define_path("out", "Also write the rows to this JSON file.")


def main() -> None:
    workdir = program.need("workdir", _WORKDIR.value, "runs/own")
    program.check_out(_OUT.value)
    run = run_folder.read_run(workdir)
    users, items = run.user_ids.tolist(), run.item_ids.tolist()
    with tempfile.TemporaryDirectory() as folder:
        process, port = _start(workdir, folder)
        try:
            rows = _measure(process, port, users, items)
        finally:
            process.terminate()
            process.wait()
    if _PEER.value:
        rows.append(_peer(workdir, run))
    shape = f"{len(users)} users, {len(items)} items, vectors of {run.item.shape[1]} numbers"
    print(f"{run.result['dataset']}: {shape}; {_SECONDS.value:g} s each\n")
    columns = ("p50_ms", "p95_ms", "p99_ms", "per_second", "failed", "memory_mb")
    print(report.table([(row["what"], [{name: row[name] for name in columns}]) for row in rows], columns, digits=1))
    if _OUT.value:
        value = {
            "workdir": Path(workdir).name,
            "shape": shape,
            "rows": rows,
            "versions": versions(),
            "machine": peers.machine(),
        }
        run_folder.write_json(Path(_OUT.value), value)


def _measure(process: subprocess.Popen, port: int, users: list, items: list) -> list[dict]:
    rows = []

    def add(what: str, clients: int, requests, events: int = 1, seconds: float = _SECONDS.value) -> None:
        made = asyncio.run(serving.load(port, clients, seconds, requests))
        rows.append({"what": what, **made.row(events), "memory_mb": serving.resident_mb(process.pid)})

    asyncio.run(serving.load(port, 8, 1.0, serving.lists(users, 0)))  # warm
    for clients in map(int, _CLIENTS.value):
        add(f"lists, {clients} clients", clients, serving.lists(users, clients))
    for batch in (1, 100):
        for clients in map(int, _CLIENTS.value):
            seed = 1000 * batch + clients
            what = f"events, {batch} a request, {clients} clients"
            add(what, clients, serving.events(users, items, seed, batch), batch)
    if _SOAK.value:
        both = serving.mixed(serving.lists(users, 5), serving.events(users, items, 6, 1), 4)
        made = asyncio.run(serving.load(port, 16, _SOAK.value, both))
        ended, times = np.array(made.ended), np.array(made.milliseconds)
        for name, part in (("first", ended < made.seconds / 4), ("last", ended > made.seconds * 3 / 4)):
            quarter = serving.Load(times[part].tolist(), [], made.failed, made.seconds / 4)
            memory = serving.resident_mb(process.pid)
            rows.append({"what": f"soak, 16 clients, {name} quarter", **quarter.row(), "memory_mb": memory})
    return rows


def _peer(workdir: str, run: run_folder.Trained) -> dict:
    dataset = run_folder.read_dataset(workdir, run)
    if dataset is None:
        raise UserError(f"peer=True: the run in {workdir} holds no interactions")
    times = peers.implicit_single_lists(run.user, run.item, dataset.train, 10, 500)
    row = serving.Load(times.tolist(), seconds=times.sum() / 1000).row()
    return {"what": "implicit in process, 1 caller", **row, "memory_mb": float("nan")}


def _start(workdir: str, folder: str) -> tuple[subprocess.Popen, int]:
    command = [sys.executable, "-m", "onebp_jax.cli.main", "serve", f"--workdir={workdir}", "--port=0"]
    command += [f"--events=sqlite:///{folder}/events.db", f"--snapshot={folder}/live_users.npz"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"http://\S+:(\d+)", line):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, int(found[1])
    raise RunFailed(f"the service has not started: {''.join(lines)[-300:]}")


if __name__ == "__main__":
    program.run(main, __doc__)
