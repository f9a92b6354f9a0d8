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
from .choosing import ENGINES, cluster, engine, engines
from .explaining import WINDOW, describe, events, explain, trust
from .fetching import check, fetch, manifest, samples
from .reporting import evaluate, least_sure, report
from .running import (
    card_schema,
    emulator,
    estimate,
    import_model,
    model,
    model_page,
    models,
    open_run,
    pause,
    predict,
    read_network,
    register,
    replay,
    replay_model,
    resume,
    runs,
    stop,
    watch,
)
from .tuning import finetune

__all__ = [
    "ENGINES",
    "WINDOW",
    "archive",
    "archives",
    "card_schema",
    "check",
    "cite",
    "cluster",
    "describe",
    "emulator",
    "engine",
    "engines",
    "estimate",
    "evaluate",
    "events",
    "explain",
    "fetch",
    "find",
    "finetune",
    "import_model",
    "least_sure",
    "locate",
    "login",
    "logout",
    "manifest",
    "model",
    "model_page",
    "models",
    "open_run",
    "pause",
    "predict",
    "read",
    "read_network",
    "receive",
    "register",
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
