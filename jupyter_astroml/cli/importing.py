"""``jupyter astroml models import``: published weights become a model of the catalogue."""

from __future__ import annotations

from pathlib import Path

import click


def _names(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _units(ctx: click.Context, param: click.Parameter, text: str) -> dict[str, str] | None:
    pairs = [part.partition("=") for part in _names(ctx, param, text)]
    return {name.strip(): unit.strip() for name, _, unit in pairs} or None


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "name", required=True, help="Name of the new model.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder of model folders; by default the first of the setting 'model_path'.",
)
@click.option("--bands", callback=_names, default="", help="Names of its bands: science,reference")
@click.option("--classes", callback=_names, default="", help="Names of its classes: bogus,real")
@click.option("--flux-unit", default="relative", help="Unit of the values that it takes.")
@click.option(
    "--normalise",
    type=click.Choice(["none", "l2"]),
    default="none",
    help="l2: each band is divided by the root of the sum of its squares.",
)
@click.option(
    "--wavelength",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the wavelengths of an emulator; that of APOGEE needs none.",
)
@click.option(
    "--labels",
    callback=_units,
    default="",
    help="Names and units of the labels of an emulator: teff=K,logg=dex(cm/s2)",
)
@click.option("--medium", type=click.Choice(["vacuum", "air"]), default="vacuum")
@click.option(
    "--card",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A card of yours that tells the network: for state dicts and other arrays.",
)
@click.option("--title", default="")
@click.option("--licence", default="")
@click.option("--source", default="", help="Where the file comes from.")
@click.option("--citation", default="", help="What to cite.")
def import_(
    file: Path,
    name: str,
    into: Path | None,
    bands: tuple[str, ...],
    classes: tuple[str, ...],
    flux_unit: str,
    normalise: str,
    wavelength: Path | None,
    labels: dict[str, str] | None,
    medium: str,
    card: Path | None,
    **about: str,
) -> None:
    """Make a model of FILE without running any of it.

    FILE comes from Keras, or holds the weights of a spectral emulator; with a card that tells the
    network, any arrays will do: a state dict of torch, NumPy's .npz, safetensors.
    """
    from jupyter_astroml import session

    made = session.import_model(
        file,
        name=name,
        folder=into,
        bands=bands,
        classes=classes,
        flux_unit=flux_unit,
        normalise=normalise,
        wavelength=wavelength,
        labels=labels,
        medium=medium,
        card=card,
        about={key: text for key, text in about.items() if text},
    )
    click.echo(f"{name} is in {made}; read and correct {made / 'card.yaml'}")
    if into is not None:
        click.echo(f"export ASTROML_MODEL_PATH={into.resolve()}", err=True)
