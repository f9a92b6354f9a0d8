"""Which column is which in a table of one light curve or one spectrum."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# Names in lower case, as surveys and people write them.
_ROLES = {
    "wavelength": r"log_?lam(bda)?|lam(bda)?|wl|wave(length)?(_(vac|air|obs|aa|nm|um|angstrom))?",
    "time": r"t|time(_\w+)?|(obs|date|h)?_?mjd(_obs)?|(h|b|tai_)?jd|btjd|bkjd",
    "flux": r"f|flux(_(?!err|unc)\w+)?|(psf|sap|pdcsap|ap)_?flux|f_?(lambda|nu)|flam|fnu|intensity",
    "magnitude": r"mag(nitude)?(_(?!err|unc)\w+)?|(psf|ap)_?mag",
    "error": r"(flux|mag(nitude)?|f)?_?(err(or)?|unc(ertainty)?|sigma|std)|(e|d|err)_?(flux|mag|f)",
}
_PATTERNS = {role: re.compile(pattern) for role, pattern in _ROLES.items()}


def find(names: Iterable[str]) -> dict[str, str]:
    """Return the first column that has each role, by role."""
    found: dict[str, str] = {}
    for name in names:
        for role, pattern in _PATTERNS.items():
            if role not in found and pattern.fullmatch(name.strip().lower()):
                found[role] = name
                break
    return found


def kind(names: Iterable[str]) -> str:
    """Return ``spectra``, ``light_curves``, or an empty string for other tables."""
    found = find(names)
    if "flux" not in found and "magnitude" not in found:
        return ""
    if "wavelength" in found and "time" not in found:
        return "spectra"
    return "light_curves" if "time" in found and "wavelength" not in found else ""


def logarithmic(name: str) -> bool:
    """Whether a column of wavelengths holds their logarithms, in the way of SDSS: of angstroms."""
    return name.strip().lower().startswith("log")


def standard(found: Mapping[str, str]) -> dict[str, str]:
    """Return the names that the columns get in FITS, by their own, in order."""
    value = "flux" if "flux" in found else "magnitude"
    named = {"time": "TIME", "wavelength": "WAVELENGTH", "flux": "FLUX", "magnitude": "MAG"}
    names = {found[r]: named[r] for r in ("time", "wavelength", value) if r in found}
    if "error" in found:
        names[found["error"]] = f"{named[value]}_ERR"
    return names
