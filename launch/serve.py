"""Serves a finished run over HTTP: events in, recommendations out; the next list sees each event.

    onebp serve --workdir=runs/own --events=sqlite:///events.db

An event is on disk when it is answered. A page at http://127.0.0.1:8000/ shows users as they change, /docs the API. SIGTERM stops
it after the requests that are under way; SIGHUP reads the run folder again.
Exit status: 2 bad flags, run folder or log; 128 + n stopped by signal n.
"""

import os
import re
import sys

# It must be set before NumPy is loaded: small products take longer on several threads, and requests share the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pathlib import Path  # noqa: E402

from absl import flags  # noqa: E402

from onebp_jax.cli import program  # noqa: E402
from onebp_jax.errors import UserError  # noqa: E402

_WORKDIR = program.define_path("workdir", "The folder of a finished run.")
_EVENTS = flags.DEFINE_string(
    "events", None, "The event log: sqlite:///PATH, or postgresql://USER@HOST/NAME, which several services may share."
)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "The address; others than this machine's own need a token.")
_PORT = flags.DEFINE_integer("port", 8000, "The port; 0: any free one.", lower_bound=0, upper_bound=65535)
_TOKEN = flags.DEFINE_string("token", None, "What clients must show; else $ONEBP_TOKEN; else nothing.")
_ITEMS = program.define_path("items", "A file with a column of item ids, title, and genres: shown beside the ids.")
_SNAPSHOT = program.define_path("snapshot", "The file of users as they are; in the run folder by default.")
_INDEX = flags.DEFINE_enum(
    "index", "exact", ("exact", "usearch"), "How items are found: all are compared, or by a graph (extra index)."
)
_RATE = flags.DEFINE_float("rate", 0.0, "Requests a second that one client may make; 0: any number.", lower_bound=0.0)
_MAX_BODY = flags.DEFINE_integer("max_body", 2**20, "The largest body of a request, in bytes.", lower_bound=1024)
_LOG_REQUESTS = flags.DEFINE_bool("log_requests", False, "Write a line of JSON for each request to standard error.")
program.define_data_dir()


def main() -> None:
    workdir = program.need("workdir", _WORKDIR.value, "runs/quickstart")
    events = program.need("events", _EVENTS.value, "sqlite:///events.db")
    try:
        from onebp_jax.service import guards, server
        from onebp_jax.service.model import Model
    except ImportError as error:
        raise UserError(f"the service needs the extra serving ({error}): pip install 'onebp-jax[serving]'") from error
    token = os.environ.get("ONEBP_TOKEN") if _TOKEN.value is None else _TOKEN.value
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise UserError(f"token={'' if not token else '..'}: expected letters, digits and signs, without blanks")
    if _RATE.value != _RATE.value:
        raise UserError("rate=nan: expected a number of requests a second, 0 for no limit")
    limits = guards.Limits(token, max_body=_MAX_BODY.value, rate=_RATE.value)
    snapshot = Path(_SNAPSHOT.value or Path(workdir) / "live_users.npz")
    index = _INDEX.value == "usearch"
    load = lambda: Model(workdir, _ITEMS.value, flags.FLAGS.data_dir, index)
    if _SNAPSHOT.value and (not snapshot.parent.is_dir() or not os.access(snapshot.parent, os.W_OK)):
        raise UserError(f"snapshot={snapshot}: {snapshot.parent} is not a folder that can be written to")
    number = server.serve(load, events, _HOST.value, _PORT.value, limits, snapshot, _LOG_REQUESTS.value)
    sys.exit(128 + number if number else 0)


if __name__ == "__main__":
    program.run(main, __doc__)
