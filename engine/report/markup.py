"""Builds HTML pages from elements, and escapes all text, so that a page is well-formed XML."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage


class Html(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def html(content: object) -> Html:
    """`content` as HTML: `Html` unchanged, anything else as escaped text."""
    return content if isinstance(content, Html) else Html(escape(str(content)))


def element(name: str, /, *content: object, **attributes: object) -> Html:
    """An HTML or SVG element.

    Parameters
    ----------
    name : its tag.
    content : what stands in it, in order; an element without content is void.
    attributes : its attributes; `class_` stands for class, `stroke_width` for stroke-width.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
    )
    if not content:
        return Html(f"<{name}{written} />")
    return Html(f"<{name}{written}>{''.join(map(html, content))}</{name}>")


def joined(pieces: Iterable[object]) -> Html:
    """The pieces one after the other, each on a line of its own."""
    return Html("\n".join(map(html, pieces)))


def line(cells: Sequence[object], words: int = 1, class_: str = "", cell: str = "td") -> Html:
    """A row of a table.

    Parameters
    ----------
    cells : the content of the cells.
    words : how many of the first cells hold words; all others hold numbers.
    class_ : the class of the row, or "".
    cell : the tag of a cell.
    """
    whole = joined(
        element(cell, content, class_="word" if place < words else "number")
        for place, content in enumerate(cells)
    )
    return element("tr", whole, class_=class_) if class_ else element("tr", whole)


def table(
    head: Sequence[object],
    rows: Iterable[Sequence[object] | Html],
    caption: object,
    words: int = 1,
) -> Html:
    """A table with a caption.

    Parameters
    ----------
    head : the content of the cells of the head.
    rows : the content of the cells of each row, or the row itself as `line` makes it.
    caption : what stands below the table.
    words : as for `line`.
    """
    body = (row if isinstance(row, Html) else line(row, words) for row in rows)
    whole = element(
        "table",
        element("caption", caption),
        element("thead", line(head, words, cell="th")),
        element("tbody", joined(body)),
    )
    return element("div", whole, class_="wide")


def figure(picture: Html, title: str, caption: object) -> Html:
    """A picture with a caption that begins with the title in bold."""
    return element(
        "figure",
        element("div", picture, role="img", aria_label=title),
        element("figcaption", element("strong", f"{title}. "), caption),
    )


def photograph(pixels_hwc: NDArray[np.uint8]) -> str:
    """A picture, uint8 (rows, columns, 3), as a data URL that holds it as JPEG."""
    return _inside(pixels_hwc, "jpeg", quality=85)


def bitmap(mask_hw: NDArray[np.bool_]) -> str:
    """A mask, bool (rows, columns), as a data URL that holds it as PNG."""
    return _inside(mask_hw.astype(np.uint8) * np.uint8(255), "png")


def _inside(pixels: NDArray[np.uint8], kind: str, **options: int) -> str:
    stream = io.BytesIO()
    PillowImage.fromarray(pixels).save(stream, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def page(title: str, body: Html) -> str:
    """A whole page with the given `title` and `body`.

    Its content security policy forbids scripts and loading from elsewhere.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}" />'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    whole = element("html", head, element("body", element("main", body)), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


STYLE = """
:root { color-scheme: light; --ink: #1d2730; --quiet: #5b6873; --line: #d9dfe4; --wash: #f4f6f8;
  --accent: #00629b; --amber: #b26a00; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.55 system-ui, -apple-system,
  "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
small { display: block; color: var(--quiet); font-size: .85em; max-width: 22rem; }
sub { line-height: 0; }
details p { margin: .5rem 0; font-size: .9rem; max-width: none; }
summary { cursor: pointer; color: var(--accent); }
p { max-width: 46rem; }
a { color: var(--accent); }
.use { color: var(--amber); font-weight: 600; margin: 0 0 1.5rem; }
.notice { background: #fff6e5; border-left: 4px solid #e0a030; padding: .6rem 1rem; }
.missing { color: var(--quiet); font-style: italic; }
.answer { background: var(--wash); border-left: 4px solid var(--accent); padding: .6rem 1rem; }
nav ol { columns: 2; padding-left: 1.25rem; margin: 1.5rem 0 0; max-width: 40rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: 1.25rem 0; }
table { border-collapse: collapse; font-size: .92rem; min-width: 60%; }
caption { caption-side: bottom; text-align: left; color: var(--quiet); font-size: .88rem;
  padding-top: .5rem; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; border-bottom: 2px solid var(--ink); }
.word { text-align: left; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.how { padding-bottom: .8rem; }
tr.first td { border-bottom: none; }
tr.best td { background: #eaf4fb; }
code { font: .85em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  background: var(--wash); padding: .1em .3em; overflow-wrap: anywhere; }
figure { margin: 1.75rem 0; }
figure svg { display: block; max-width: 100%; height: auto; }
figure svg text { font-family: inherit !important; }
figcaption { color: var(--quiet); font-size: .88rem; max-width: 46rem; margin-top: .4rem; }
figcaption strong { color: var(--ink); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.5rem; }
.cards figure { margin: 0; }
.gallery table { table-layout: fixed; min-width: 0; max-width: 100%; }
.gallery td, .gallery th { text-align: center; font-size: .74rem; line-height: 1.3; border: none;
  padding: 0 .5rem .6rem 0; overflow-wrap: break-word; }
.gallery th { font-weight: 400; vertical-align: bottom; }
.gallery th span:first-child { font-weight: 600; }
.gallery img { width: 100%; height: auto; display: block; border: 1px solid var(--line); }
.gallery td span { display: block; padding-top: .15rem; font-variant-numeric: tabular-nums; }
.gallery th span { display: block; }
.cards svg { width: 100%; border-radius: 4px; }
@media print { main { max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure, table { break-inside: avoid; } }
"""
