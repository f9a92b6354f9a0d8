"""``aml.cluster_form()``: choose the options of a Dask Gateway cluster, and start it."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets

from jupyter_astroml import session
from jupyter_astroml.compute.clusters import GATEWAY, gateway, planned
from jupyter_astroml.core.errors import AstroMLError


class ClusterForm(ipywidgets.VBox):
    """The options that the administrators of the gateway offer, a number of workers, a button.

    Attributes
    ----------
    options : dask_gateway.options.Options
        What is chosen; it can be changed by code too.
    cluster : GatewayCluster or None
        What was started, for ``aml.predict(…, cluster=form.cluster)``.
    """

    def __init__(self, options: Any, *, workers: int) -> None:
        self.options = options
        self.cluster: Any = None
        self.workers = ipywidgets.BoundedIntText(
            value=max(1, workers), min=1, max=10_000, description="Workers"
        )
        self.start = ipywidgets.Button(description="Start the cluster", button_style="primary")
        self.stop = ipywidgets.Button(description="Stop it", disabled=True)
        self.told = ipywidgets.HTML()
        self.start.on_click(lambda _: self._start())
        self.stop.on_click(lambda _: self.give_back())
        # dask-gateway makes the fields itself, with the limits that the administrators set.
        fields = [made] if (made := options._widget()) is not None else []
        buttons = ipywidgets.HBox([self.start, self.stop])
        super().__init__([*fields, self.workers, buttons, self.told])

    def give_back(self) -> None:
        """Stop the cluster that was started here."""
        if self.cluster is not None:
            self.cluster.close()
        self.cluster = None
        self._show("The cluster was given back.")

    def _start(self) -> None:
        self.start.disabled = True
        self._tell("Waiting for the gateway …")
        try:
            self.cluster = session.cluster(GATEWAY, workers=self.workers.value, **self.options)
        except AstroMLError as err:
            self._show(str(err))
        else:
            self._show(f"{self.cluster.name} is there: give cluster=form.cluster")

    def _show(self, text: str) -> None:
        self.start.disabled = self.cluster is not None
        self.stop.disabled = self.cluster is None
        self._tell(text)

    def _tell(self, text: str) -> None:
        self.told.value = escape(text)


def cluster_form() -> ClusterForm:
    """Show the cluster options of the Dask Gateway as a form.

    In code the same is ``aml.cluster("gateway", workers=4, worker_memory=8)``, with the names of
    the options that this gateway has: ``dict(aml.cluster_form().options)``.

    Returns
    -------
    ClusterForm
        A widget; after its button, ``form.cluster`` is the cluster.

    Raises
    ------
    SettingsError
        If there is no gateway, or its client is not installed.
    RunError
        If it does not answer.
    """
    plan = planned(GATEWAY)
    with gateway() as door:
        options = door.cluster_options()
    options.update(plan.options)
    return ClusterForm(options, workers=plan.workers)
