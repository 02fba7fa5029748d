"""What blemishes look like: several forms of each kind, as marks placed on one face.

Lengths are shares of the face's width, colours are changes of log R, G and B at degree 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..landmarks import BROWS, CHIN, EYES, LIPS, NOSE
from .place import Place, arc, clusters, scattered, spots, stroke
from .stamps import Marks, join

_RED = (0.02, -0.34, -0.28)  # blood: green and blue are absorbed
_BROWN = (-0.16, -0.30, -0.38)  # pigment
_DARK = (-0.55, -0.72, -0.80)
_FOLD = (-0.26, -0.34, -0.36)

Form = Callable[[Place, float], Marks]


# acne ---------------------------------------------------------------------------------------------


def papules(place: Place, degree: float) -> Marks:
    """Small red bumps."""
    at = clusters(place, place.count(3, 18, degree))
    radius = place.uniform(0.011, 0.028, len(at))
    return spots(place, at, radius, _RED, softness=0.6, relief=place.uniform(0.05, 0.2))


def pustules(place: Place, degree: float) -> Marks:
    """Red halos with a pale yellow head."""
    at = clusters(place, place.count(2, 10, degree))
    radius = place.uniform(0.016, 0.032, len(at))
    return spots(
        place,
        at,
        radius,
        _RED,
        core_colour=(0.14, 0.46, 0.30),
        core=0.4,
        softness=0.45,
        relief=0.12,
    )


def comedones(place: Place, degree: float) -> Marks:
    """Groups of blackheads, mostly around nose and chin."""
    centre = place.points[[NOSE[6], CHIN, NOSE[9], BROWS[0][4]][int(place.rng.integers(4))]]
    at = place.around(centre + 0.03 * place.unit * place.up(), 0.07, place.count(8, 30, degree))
    radius = place.uniform(0.004, 0.008, len(at))
    return spots(place, at, radius, (-0.42, -0.46, -0.46), softness=0.6)


def nodules(place: Place, degree: float) -> Marks:
    """A few large, deep, inflamed swellings."""
    look = {"softness": 0.8, "relief": 0.22, "wobble": 0.12}
    return scattered(place, degree, (1, 4), (0.035, 0.06), (0.0, -0.30, -0.24), **look)


# redness ------------------------------------------------------------------------------------------


def flush(place: Place, degree: float) -> Marks:
    """Red cheeks and nose with a ragged edge, as in rosacea."""
    sides = [place.cheek(0), place.cheek(1), place.points[NOSE[5]]]
    at = np.stack(sides) + place.rng.normal(0, 0.02 * place.unit, (3, 2))
    radius = place.uniform(0.05, 0.09, 3)
    return spots(place, at, radius, (0.03, -0.26, -0.22), softness=0.5, wobble=0.15, blotch=0.8)


def patches(place: Place, degree: float) -> Marks:
    """Irritated patches anywhere on the skin."""
    look = {"softness": 0.5, "wobble": 0.2, "blotch": 0.7, "stretch": 0.4}
    return scattered(place, degree, (1, 4), (0.03, 0.065), (0.02, -0.28, -0.24), **look)


def vessels(place: Place, degree: float) -> Marks:
    """Fine red threads on nose and cheeks."""
    marks = []
    for _ in range(place.count(4, 12, degree)):
        centre = (place.cheek(0), place.cheek(1), place.points[NOSE[4]])[int(place.rng.integers(3))]
        start = place.around(centre, 0.06, 1)[0]
        angle, length = place.uniform(0, 2 * np.pi), place.uniform(0.03, 0.09) * place.unit
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        path = arc(start, end, place.uniform(-0.4, 0.4))
        marks.append(stroke(place, path, 0.004, (0.0, -0.38, -0.30), flank=0.0))
    return join(marks)


def rash(place: Place, degree: float) -> Marks:
    """Many faint red dots close together."""
    at = place.around(place.anywhere(1)[0], 0.09, place.count(25, 70, degree))
    radius = place.uniform(0.006, 0.014, len(at))
    return spots(place, at, radius, (0.02, -0.24, -0.20), softness=0.7)


# scars --------------------------------------------------------------------------------------------


def pits(place: Place, degree: float) -> Marks:
    """Ice-pick and boxcar scars: shaded hollows with a lit lower rim."""
    at = clusters(place, place.count(5, 18, degree), 0.06)
    radius = place.uniform(0.008, 0.02, len(at))
    return spots(place, at, radius, (-0.16, -0.20, -0.20), relief=-0.35, softness=0.4, wobble=0.12)


def cuts(place: Place, degree: float) -> Marks:
    """Healed cuts: pale lines with a pink border."""
    marks = []
    for start in place.anywhere(place.count(1, 3, degree)):
        angle, length = place.uniform(0, np.pi), place.uniform(0.10, 0.28) * place.unit
        path = arc(start, start + length * np.array([np.cos(angle), np.sin(angle)]), 0.08)
        width = place.uniform(0.007, 0.014)
        marks.append(stroke(place, path, 2.2 * width, (0.0, -0.18, -0.16), flank=0.0))
        marks.append(stroke(place, path, width, (0.16, 0.26, 0.26), flank=-0.5))
    return join(marks)


def keloids(place: Place, degree: float) -> Marks:
    """Raised pink scars."""
    look = {"relief": 0.3, "softness": 0.35, "wobble": 0.1, "stretch": 0.6}
    return scattered(place, degree, (1, 3), (0.02, 0.035), (0.04, -0.24, -0.18), **look)


def old_marks(place: Place, degree: float) -> Marks:
    """Flat red-brown marks that acne leaves behind."""
    at = clusters(place, place.count(5, 20, degree), 0.09)
    radius = place.uniform(0.009, 0.022, len(at))
    return spots(place, at, radius, (-0.08, -0.28, -0.26), softness=0.5, wobble=0.15)


# spots --------------------------------------------------------------------------------------------


def freckles(place: Place, degree: float) -> Marks:
    """Many small light brown dots over nose and cheeks."""
    count = place.count(40, 160, degree)
    centres = np.stack([place.cheek(0), place.cheek(1), place.points[NOSE[3]]])
    at = centres[place.rng.integers(0, 3, count)]
    at = at + place.rng.normal(0, 0.09 * place.unit, (count, 2))
    apart = place.rng.random(count) < 0.25
    at[apart] = place.anywhere(count)[apart]
    radius = place.uniform(0.004, 0.011, count)
    return spots(place, at, radius, _BROWN, softness=0.6, wobble=0.15, stretch=0.25)


def sun_spots(place: Place, degree: float) -> Marks:
    """Age spots: larger flat brown marks with a clear, irregular edge."""
    at = place.anywhere(place.count(2, 9, degree))
    radius = place.uniform(0.016, 0.042, len(at))
    return spots(
        place,
        at,
        radius,
        (-0.13, -0.25, -0.32),
        softness=0.3,
        wobble=0.18,
        blotch=0.35,
        stretch=0.3,
    )


def melasma(place: Place, degree: float) -> Marks:
    """Broad uneven brown patches on cheeks, forehead and upper lip."""
    centres = [place.cheek(0), place.cheek(1), place.forehead(), place.points[NOSE[8]]]
    rows = place.rng.permutation(4)[: int(place.rng.integers(1, 4))]
    at = np.stack(centres)[rows] + place.rng.normal(0, 0.03 * place.unit, (len(rows), 2))
    radius = place.uniform(0.045, 0.08, len(at))
    colour = (-0.13, -0.24, -0.29)
    return spots(place, at, radius, colour, softness=0.4, wobble=0.2, blotch=0.85, stretch=0.4)


# pores --------------------------------------------------------------------------------------------


def open_pores(place: Place, degree: float) -> Marks:
    """Dark dots, dense on nose and cheeks."""
    centres = np.stack([place.cheek(0), place.cheek(1), place.points[NOSE[5]]])
    count = place.count(80, 220, degree)
    at = centres[place.rng.integers(0, 3, count)] + place.rng.normal(
        0, 0.07 * place.unit, (count, 2)
    )
    radius = place.uniform(0.003, 0.006, count)
    return spots(place, at, radius, (-0.20, -0.26, -0.26), softness=0.8, relief=-0.1)


def orange_peel(place: Place, degree: float) -> Marks:
    """A fine bumpy grain over cheeks, forehead or chin."""
    centres = [place.cheek(0), place.cheek(1), place.forehead(), place.points[CHIN]]
    at = np.stack(centres)[place.rng.permutation(4)[: int(place.rng.integers(2, 5))]]
    radius = place.uniform(0.06, 0.10, len(at))
    return spots(place, at, radius, (-0.09, -0.10, -0.10), softness=0.6, grain=1.0, wobble=0.1)


def nose_pores(place: Place, degree: float) -> Marks:
    """Strawberry nose: clogged pores on the nose alone."""
    at = place.around(place.points[NOSE[5]], 0.04, place.count(25, 60, degree))
    radius = place.uniform(0.004, 0.007, len(at))
    return spots(place, at, radius, (-0.30, -0.34, -0.34), softness=0.7)


# wrinkles -----------------------------------------------------------------------------------------


def forehead_lines(place: Place, degree: float) -> Marks:
    """Lines across the forehead."""
    middle, up = place.forehead(), place.up()
    across = np.array([-up[1], up[0]])
    lines = place.count(2, 4, degree)
    marks = []
    for i in range(lines):
        centre = middle + up * place.unit * (0.055 * (i - (lines - 1) / 2))
        half = across * place.unit * place.uniform(0.14, 0.26)
        path = arc(centre - half, centre + half, place.uniform(-0.06, 0.06))
        marks.append(stroke(place, path, place.uniform(0.006, 0.012), _FOLD))
    return join(marks)


def crows_feet(place: Place, degree: float) -> Marks:
    """Lines that fan out from the outer corners of the eyes."""
    up, marks = place.up(), []
    for corner, inner in ((33, 133), (263, 362)):
        outward = place.points[corner] - place.points[inner]
        outward = outward / np.linalg.norm(outward)
        lines = place.count(2, 5, degree)
        for slope in np.linspace(-0.55, 0.5, lines):
            way = outward + slope * up
            start = place.points[corner] + 0.045 * place.unit * way
            end = start + place.uniform(0.06, 0.11) * place.unit * way
            path = arc(start, end, place.uniform(-0.1, 0.1))
            marks.append(stroke(place, path, place.uniform(0.005, 0.009), _FOLD))
    return join(marks)


def smile_lines(place: Place, degree: float) -> Marks:
    """Nasolabial folds, from the nose's wings past the corners of the mouth."""
    marks = []
    for wing, mouth, sign in ((98, LIPS[0], -1), (327, LIPS[10], 1)):
        outward = 0.05 * place.unit * sign * np.array([-place.up()[1], place.up()[0]])
        start, end = place.points[wing] + 0.4 * outward, place.points[mouth] + outward
        path = arc(start, end - 0.02 * place.unit * place.up(), 0.12 * -sign)
        marks.append(stroke(place, path, place.uniform(0.009, 0.018), _FOLD, flank=0.5))
    return join(marks)


def eye_bags(place: Place, degree: float) -> Marks:
    """Folds below the lower lids."""
    marks, up = [], place.up()
    for eye in EYES:
        lid = place.points[list(eye[:9])]
        lid = lid[np.argsort(lid[:, 0])]
        for i in range(place.count(1, 3, degree)):
            path = lid - up * place.unit * (0.04 + 0.022 * i)
            marks.append(stroke(place, path, place.uniform(0.006, 0.012), _FOLD, flank=0.3))
    return join(marks)


def fine_lines(place: Place, degree: float) -> Marks:
    """Many short fine lines in one area."""
    centre, marks = place.anywhere(1)[0], []
    way = place.uniform(0, np.pi)
    for at in place.around(centre, 0.06, place.count(8, 20, degree)):
        angle = way + place.rng.normal(0, 0.25)
        half = (
            0.5 * place.uniform(0.04, 0.10) * place.unit * np.array([np.cos(angle), np.sin(angle)])
        )
        marks.append(stroke(place, arc(at - half, at + half, 0.05), 0.005, _FOLD, flank=0.3))
    return join(marks)


# moles, which stay --------------------------------------------------------------------------------


def flat_moles(place: Place, degree: float) -> Marks:
    """Round, evenly brown, sharply bounded."""
    look = {"softness": 0.25, "wobble": 0.04}
    return scattered(place, degree, (1, 3), (0.010, 0.02), _DARK, **look)


def raised_moles(place: Place, degree: float) -> Marks:
    """Domes that are lit on one side."""
    look = {"softness": 0.25, "relief": 0.4, "wobble": 0.04}
    return scattered(place, degree, (1, 2), (0.014, 0.026), (-0.42, -0.60, -0.68), **look)


def beauty_marks(place: Place, degree: float) -> Marks:
    """Single small, very dark dots."""
    look = {"softness": 0.25, "wobble": 0.03, "stretch": 0.05}
    return scattered(place, degree, (1, 4), (0.008, 0.013), (-0.95, -1.1, -1.15), **look)


FORMS: dict[str, tuple[Form, ...]] = {
    "acne": (papules, pustules, comedones, nodules),
    "redness": (flush, patches, vessels, rash),
    "scars": (pits, cuts, keloids, old_marks),
    "spots": (freckles, sun_spots, melasma),
    "pores": (open_pores, orange_peel, nose_pores),
    "wrinkles": (forehead_lines, crows_feet, smile_lines, eye_bags, fine_lines),
    "moles": (flat_moles, raised_moles, beauty_marks),
}
