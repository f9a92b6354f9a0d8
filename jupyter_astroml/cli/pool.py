"""``jupyter astroml pool``: for whoever runs the service that shares workers between users."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

_URL = click.option("--url", default="", help="Address of the pool; by default the setting 'pool'.")


@click.group()
def pool() -> None:
    """Share a few workers between many users (for administrators)."""


@pool.command()
@click.option(
    "--policy",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file with models, limits and shares; see docs/pool.md.",
)
@click.option("--host", default="", help="Address to listen at; a hub says it by itself.")
@click.option("--port", default=0, help="Port to listen at; a hub says it by itself.")
@click.option("--spool", type=click.Path(file_okay=False, path_type=Path), default=None)
@click.option("--workers", default=None, type=int, help="Processes; 0: one a core.")
def serve(path: Path | None, host: str, port: int, spool: Path | None, workers: int | None) -> None:
    """Run the pool until it is told to stop."""
    from jupyter_astroml.pool.policy import read_policy
    from jupyter_astroml.pool.serve import place
    from jupyter_astroml.pool.serve import serve as run

    policy = read_policy(path)
    if spool is not None:
        policy = policy.model_copy(update={"spool": spool})
    if workers is not None:
        changed = policy.workers.model_copy(update={"count": workers})
        policy = policy.model_copy(update={"workers": changed})
    run(policy, place(host, port), tell=click.echo)


@pool.command()
@_URL
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
def status(url: str, *, as_json: bool) -> None:
    """Say what the pool does now: its workers, who waits, what happened."""
    found = _client(url).get("status")
    if as_json:
        click.echo(json.dumps(found))
        return
    for worker in found["workers"]:
        state = "computing" if worker["computing"] else "idle"
        click.echo(
            f"{worker['address']}  {worker['device']}  {state}  "
            f"{worker['objects']} objects in {worker['busy_s']:.0f} s"
        )
    for user, seconds in sorted(found["waiting_s"].items()):
        click.echo(f"{user} waits for {seconds:.1f} s of work")
    happened = {name: n for name, n in found["events"].items() if n}
    click.echo(", ".join(f"{name} {n}" for name, n in happened.items()) or "nothing happened yet")


@pool.command()
@_URL
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")
def doctor(url: str, *, as_json: bool) -> None:
    """Look from a user's side for what keeps the pool from working, and say how to mend it."""
    from jupyter_astroml.compute.pool_doctor import examine

    findings = examine(_address(url))
    if as_json:
        click.echo(json.dumps([finding.to_json() for finding in findings]))
    else:
        for finding in findings:
            click.secho(f"{'ok ' if finding.good else 'BAD'} {finding.what}", bold=not finding.good)
            if finding.remedy:
                click.echo(f"    {finding.remedy}")
    raise SystemExit(0 if all(finding.good for finding in findings) else 1)


def _address(url: str) -> str:
    from jupyter_astroml.core.errors import SettingsError
    from jupyter_astroml.core.settings import settings

    found = url or settings().pool
    if not found:
        raise SettingsError("No pool is named", remedy="give --url, or set ASTROML_POOL")
    return found


def _client(url: str) -> Any:
    from jupyter_astroml.compute.pool_client import PoolClient

    return PoolClient(_address(url), patience=10)
