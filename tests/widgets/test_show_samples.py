import numpy as np
import pytest
from bokeh.models import Plot

import jupyter_astroml as aml
from jupyter_astroml.core.errors import DataError


def spectra(n):
    wave = np.tile(np.linspace(4000.0, 5000.0, 10), (n, 1))
    return aml.Spectra([f"s{i}" for i in range(n)], wave, np.ones((n, 10), np.float32))


@pytest.mark.parametrize(
    "found",
    [
        spectra(2),
        aml.LightCurves(["a", "b"], np.tile(np.arange(5.0), (2, 1)), np.ones((2, 5), np.float32)),
        aml.Cutouts(["a", "b"], np.ones((2, 1, 8, 8), np.float32), ("r",)),
    ],
    ids=lambda found: found.kind,
)
def test_what_was_fetched_is_shown_one_object_below_the_other(found):
    live = aml.show(found, bokehjs="inline")
    children = live._model.children
    live.close()
    assert len(children) == 2
    assert all(list(child.select({"type": Plot})) for child in children)


def test_more_objects_than_anybody_looks_at_are_refused():
    with pytest.raises(DataError, match=r"25 objects.*found\[:24\]"):
        aml.show(spectra(25))
