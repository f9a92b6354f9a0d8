"""The story, composed: query → samples → run → explanation → report.

The notebook, the sidebar, the shell and the tests all call these functions; this is the only place
that knows their order.
"""

from .asking import (
    archive,
    archives,
    cite,
    find,
    locate,
    login,
    logout,
    read,
    receive,
    send,
    to_votable,
)
from .explaining import WINDOW, describe, events, explain, trust
from .fetching import check, fetch, manifest, samples
from .reporting import evaluate, least_sure, report
from .running import (
    ENGINES,
    cluster,
    engine,
    engines,
    estimate,
    import_model,
    model,
    models,
    open_run,
    predict,
    replay,
    replay_model,
    resume,
    runs,
    stop,
    watch,
)

__all__ = [
    "ENGINES",
    "WINDOW",
    "archive",
    "archives",
    "check",
    "cite",
    "cluster",
    "describe",
    "engine",
    "engines",
    "estimate",
    "evaluate",
    "events",
    "explain",
    "fetch",
    "find",
    "import_model",
    "least_sure",
    "locate",
    "login",
    "logout",
    "manifest",
    "model",
    "models",
    "open_run",
    "predict",
    "read",
    "receive",
    "replay",
    "replay_model",
    "report",
    "resume",
    "runs",
    "samples",
    "send",
    "stop",
    "to_votable",
    "trust",
    "watch",
]
