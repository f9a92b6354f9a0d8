import inspect
import pickle

import pytest

from jupyter_astroml.core import errors
from jupyter_astroml.core.errors import AstroMLError, ModelError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, AstroMLError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_the_one_shape(kind):
    assert set(kind("a", cause="b", remedy="c").to_json()) == {"code", "what", "cause", "remedy"}


def test_an_error_keeps_its_cause_on_the_way_from_a_worker():
    back = pickle.loads(pickle.dumps(ModelError("no weights", cause="disk full", remedy="mend")))
    assert (type(back), back.what, back.cause, back.remedy) == (
        ModelError,
        "no weights",
        "disk full",
        "mend",
    )


def test_the_text_says_what_why_and_what_to_do():
    assert str(AstroMLError("A", cause="B", remedy="C")) == "A: because B. To do: C"


def test_a_chained_cause_is_told_when_no_other_was_given():
    error = ModelError("no weights")
    error.__cause__ = OSError("disk full")
    assert error.to_json()["cause"] == "disk full"
