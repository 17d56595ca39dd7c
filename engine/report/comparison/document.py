"""Puts the tables of a comparison between the markers of a page, and into a page of their own."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence

from engine.report.comparison.results import Result
from engine.report.comparison.runs import Regime
from engine.report.comparison.tables import REGIMES, Table
from engine.report.markup import Html, element, joined, page


def with_section(text: str, regime: Regime, written: str) -> str:
    """A page with what is written about a regime between its markers, which are added if absent.

    Raises ValueError where the page has one marker without the other.
    """
    begin, end = (f"<!-- {word} of {REGIMES[regime]} -->" for word in ("begin", "end"))
    before, found, rest = text.partition(begin)
    if not found:
        return f"{text.rstrip()}\n\n{begin}\n{written}{end}\n".lstrip()
    _, ended, after = rest.partition(end)
    if not ended:
        raise ValueError(f"the page has {begin!r} without {end!r}")
    return f"{before}{begin}\n{written}{end}{after}"


def section(tables: Iterable[Table], command: str, results: Sequence[Result]) -> str:
    """What stands between the markers: the tables, and the commands that made every cell."""
    trained = "\n".join(
        f"{one['training']['trained_by']}    # {one['method']}, seed {one['seed']}"
        for one in results
        if one["training"]["trained_by"]
    )
    body = "\n".join(each.markdown() for each in tables)
    return (
        f"\n{body}\nWritten by the first of these commands; the trainings were, as their files "
        f"record them:\n\n```\n{command}\n{trained}\n```\n\n"
    )


def as_page(tables: Mapping[Regime, Sequence[Table]], picture: bytes | None) -> str:
    """A page of HTML with all tables and the picture, which needs nothing beside it."""
    pieces: list[Html] = [
        element("h1", "Methods on the same work"),
        element("p", "Research use only, not a medical device.", class_="use"),
    ]
    for regime, found in tables.items():
        pieces.append(element("h2", REGIMES[regime].capitalize()))
        pieces += [each.html() for each in found]
    if picture is not None:
        source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        words = "Outlines on the same images: the expert's green, the method's red"
        pieces += [
            element("h2", "The same images"),
            element("figure", element("img", src=source, alt=words, style="max-width: 100%")),
            element("p", f"{words}."),
        ]
    return page("Methods on the same work", joined(pieces))
