"""Several reports as one file, one tab each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .look import escaped

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
html, body {{ height: 100%; margin: 0; }}
body {{ display: flex; flex-direction: column; font: 15px/1.5 system-ui, sans-serif; }}
input {{ position: absolute; opacity: 0; }}
nav {{ padding: 10px 28px 0; border-bottom: 1px solid #d0d7de; }}
label {{ display: inline-block; padding: 6px 16px; cursor: pointer; color: #57606a; }}
iframe {{ display: none; flex: 1; width: 100%; border: 0; }}
{rules}
</style></head><body>{inputs}<nav aria-label="Reports">{labels}</nav>{frames}</body></html>
"""


def book(path: Path, pages: Mapping[str, str], *, title: str) -> Path:
    """Write pages into one file that needs no network.

    Parameters
    ----------
    path : Path
        File to write.
    pages : mapping of str to str
        HTML of each page by the name of its tab.
    title : str
        Of the whole.

    Returns
    -------
    Path
        The file.
    """
    rules, inputs, labels, frames = [], [], [], []
    for i, (name, page) in enumerate(pages.items()):
        on = f"#tab{i}:checked ~"
        rules.append(f"{on} #page{i} {{ display: block; }}")
        rules.append(f"{on} nav label[for=tab{i}] {{ color: #0072B2; box-shadow: 0 2px #0072B2; }}")
        rules.append(f"#tab{i}:focus-visible ~ nav label[for=tab{i}] {{ outline: 2px solid; }}")
        checked = "" if i else " checked"
        inputs.append(f'<input type="radio" name="tab" id="tab{i}"{checked}>')
        labels.append(f'<label for="tab{i}">{escaped(name)}</label>')
        # A frame of its own keeps the scripts and names of the pages apart.
        frames.append(
            f'<iframe id="page{i}" title="{escaped(name)}" srcdoc="{escaped(page)}"></iframe>'
        )
    path.write_text(
        _PAGE.format(
            title=escaped(title),
            rules="\n".join(rules),
            inputs="".join(inputs),
            labels="".join(labels),
            frames="".join(frames),
        ),
        encoding="utf-8",
    )
    return path
