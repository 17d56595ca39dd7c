"""Law: a sentence about anything is one bounded line of visible text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.cli.messages import sentence
from engine.errors import DatasetProblem, UnknownArchitecture, UnreadableImage
from engine.plaintext import NAME, PATH, SENTENCE, one_line, shown_file, shown_name, shown_reason

NASTY = "a\u202eb\x1b[31mc\nd\re\x00f\udcffg\u2066h\u200bi\ufeffj\u2028k\x7fl\x85m"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("lesion 1.png", "lesion 1.png"),
        ("<b>&amp;</b> 'x' \"y\"", "<b>&amp;</b> 'x' \"y\""),
        ("ä 病変 נגע Ω é", "ä 病変 נגע Ω é"),
        ("\U0001f468\u200d\U0001f469 می\u200cخواهم", "\U0001f468\u200d\U0001f469 می\u200cخواهم"),
        ("two  spaces\u00a0kept", "two  spaces\u00a0kept"),
        (NASTY, "a?b?[31mc d e?f?g?h?i?j k?l m"),
    ],
)
def test_what_can_be_seen_stays_and_what_cannot_is_marked(text: str, shown: str) -> None:
    assert one_line(text) == shown


@pytest.mark.parametrize("length", [SENTENCE - 1, SENTENCE, SENTENCE + 1, 10_000])
def test_a_long_text_is_elided_in_its_middle(length: int) -> None:
    text = "begin" + "-" * (length - 8) + "end"
    shown = one_line(text)
    assert len(shown) == min(length, SENTENCE)
    assert shown.startswith("begin")
    assert shown.endswith("end")
    assert ("…" in shown) == (length > SENTENCE)


def test_the_suffix_of_a_long_name_is_seen() -> None:
    assert shown_name(Path("/images") / ("x" * 250 + ".png")).endswith(".png")
    assert len(shown_name("x" * 250)) == NAME
    assert shown_name(Path("/")) == "/"


def test_a_reason_is_never_empty_and_ends_without_a_full_stop() -> None:
    assert shown_reason("Truncated file. ") == "Truncated file"
    assert shown_reason("\n") == "no reason given"


@pytest.mark.parametrize(
    ("file", "shown"),
    [("/a/b.png", "/a/b.png"), (b"/a/\xffb.png", "/a/?b.png"), (3, "A file"), (None, "A file")],
)
def test_the_file_of_an_error_is_named_however_it_was_given(file: object, shown: str) -> None:
    error = OSError(5, "Input/output error")
    error.filename = file
    assert shown_file(error) == shown


@pytest.mark.parametrize(
    "error",
    [
        UnreadableImage(f"/{NASTY}/{'x' * 5000}.png", NASTY + "y" * 5000),
        DatasetProblem(f"/{'x' * 5000}", "has no masks"),
        UnknownArchitecture(NASTY * 99, [NASTY * 99, "lesion"]),
        OSError(2, "No such\nfile", os.fsdecode(b"/\xff\x1b" + b"x" * 5000)),
        ValueError(NASTY * 99),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_sentence_of_the_command_line_is_a_bounded_line(error: Exception) -> None:
    told = sentence(error)
    assert len(told) <= SENTENCE
    assert told.isprintable()


def test_a_long_path_leaves_room_for_what_to_do() -> None:
    told = sentence(DatasetProblem("/" + "x" * 5000, "has two rows for one image"))
    assert told.endswith(": has two rows for one image.")
    assert len(told) <= PATH + 40
