"""What an administrator decides: models, workers, limits, and who gets a larger share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from jupyter_astroml.core.errors import SettingsError

MIB = 1 << 20
_Positive = Annotated[float, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Strict):
    """What one user may ask for.

    Attributes
    ----------
    chunk_bytes : int
        Of one request.
    queued_bytes : int
        That wait or are worked on.
    requests : int
        That are answered at the same time.
    running_jobs : int
        Jobs with chunks that are not done.
    kept_bytes : int
        Of all that is on disk: chunks that wait, and results that were not fetched or deleted.
    kept_hours : float
        After which a job and its results are forgotten, counted from the last chunk that came, was
        answered or was fetched.
    crashes : int
        Of workers by this user's inputs in ten minutes, before the user has to wait.
    """

    chunk_bytes: int = Field(default=64 * MIB, gt=0)
    queued_bytes: int = Field(default=256 * MIB, gt=0)
    requests: int = Field(default=128, gt=0)
    running_jobs: int = Field(default=2, gt=0)
    kept_bytes: int = Field(default=2048 * MIB, gt=0)
    kept_hours: _Positive = 24.0
    crashes: int = Field(default=8, gt=0)


class Group(_Strict):
    """A group of users, as the hub or the identity provider names it, with a share of its own.

    Attributes
    ----------
    share : float
        Worker time relative to other users, who have 1.
    begins, ends : datetime, optional
        When the share counts: the hours of a lesson.
    limits : Limits, optional
        Instead of those of everybody.
    """

    share: Annotated[float, Field(gt=0, le=100)] = 1.0
    begins: AwareDatetime | None = None
    ends: AwareDatetime | None = None
    limits: Limits | None = None

    def counts(self, now: datetime) -> bool:
        """Tell whether the group's share holds at this time."""
        return not (self.begins and now < self.begins) and not (self.ends and now >= self.ends)


class Workers(_Strict):
    """Where the models run.

    Attributes
    ----------
    kind : str
        ``local``: processes of this machine; ``cuda``: one for each GPU of this machine
        (needs dask-cuda); ``scheduler``: a Dask cluster that nobody but the pool can reach.
    count : int
        Processes of ``local``; 0 takes one a core.
    memory : str
        Limit of one process.
    address, ca, cert, key : str
        Of the scheduler, with the files of its TLS.
    """

    kind: Literal["local", "cuda", "scheduler"] = "local"
    count: int = Field(default=0, ge=0)
    memory: str = "2GiB"
    address: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""


class Oidc(_Strict):
    """A provider of OpenID Connect tokens, for platforms that are no JupyterHub.

    Attributes
    ----------
    issuer, audience : str
        That a token must name.
    keys : str
        Address of the provider's JSON Web Key Set (RFC 7517).
    user, groups : str
        Claims that hold the name and the groups.
    """

    issuer: str
    audience: str
    keys: str
    user: str = "preferred_username"
    groups: str = "groups"


class Policy(_Strict):
    """Everything that an administrator decides.

    Attributes
    ----------
    models : mapping of str to str
        Digest of each model that is offered, by its name; empty offers every installed model as it
        is when the pool starts.
    workers : Workers
    unit_seconds : float
        Work is cut into units of so many seconds: nobody waits longer for a turn than a few units.
    depth : int
        Units at each worker: one that is computed, the others on their way.
    merge : int
        Most objects of several users in one batch.
    deadline : float
        Seconds after which a unit is given up, and its worker replaced; a unit that is expected to
        take long gets twenty times its expectation.
    limits : Limits
        Of everybody without a group that has its own.
    groups : mapping of str to Group
    admins : tuple of str
        Who may read the page of the whole pool and its metrics.
    oidc : Oidc, optional
    spool : Path
        Where chunks and results wait.
    spool_bytes : int
        Of all users together.
    """

    models: dict[str, str] = {}
    workers: Workers = Workers()
    unit_seconds: _Positive = 0.1
    depth: int = Field(default=2, ge=1, le=4)
    merge: int = Field(default=256, ge=1)
    deadline: _Positive = 30.0
    limits: Limits = Limits()
    groups: dict[str, Group] = {}
    admins: tuple[str, ...] = ()
    oidc: Oidc | None = None
    spool: Path = Path("pool-spool")
    spool_bytes: int = Field(default=32768 * MIB, gt=0)

    def share(self, groups: tuple[str, ...], *, now: datetime | None = None) -> float:
        """Return the largest share that a user's groups give at this time."""
        held = (group.share for group in self._held(groups, now))
        return max(held, default=1.0)

    def limits_of(self, groups: tuple[str, ...], *, now: datetime | None = None) -> Limits:
        """Return the limits of a user: those of the first group that has some, or everybody's."""
        return next((g.limits for g in self._held(groups, now) if g.limits), self.limits)

    @property
    def longest_kept_hours(self) -> float:
        """Of anybody's jobs."""
        all_limits = [self.limits, *(group.limits for group in self.groups.values())]
        return max(limits.kept_hours for limits in all_limits if limits)

    def _held(self, groups: tuple[str, ...], now: datetime | None) -> list[Group]:
        now = now or datetime.now(UTC)
        held = [self.groups[name] for name in groups if name in self.groups]
        return [group for group in held if group.counts(now)]


def read_policy(path: Path | str | None, **given: Any) -> Policy:
    """Read a policy from a YAML file; what is given by name wins.

    Raises
    ------
    SettingsError
        If the file cannot be read or holds something that makes no sense; names the place.
    """
    values: Any = {}
    if path is not None:
        try:
            values = yaml.safe_load(Path(path).read_text()) or {}
        except (OSError, yaml.YAMLError) as err:
            raise SettingsError(f"{path} cannot be read", cause=str(err)) from err
        if not isinstance(values, dict):
            raise SettingsError(f"{path} holds no mapping", remedy="write 'models: {}' in it")
    try:
        return Policy.model_validate({**values, **given})
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"The pool's policy is wrong at '{where}'",
            cause=first["msg"],
            remedy=f"correct it in {path or 'the call'}; docs/pool.md lists what can stand there",
        ) from err
