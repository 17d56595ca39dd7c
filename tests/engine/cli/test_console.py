"""Law: what cannot be printed costs no work, and ends in no traceback."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import cli
from engine.cli import console
from engine.cli.exit_codes import NOBODY_READS, NOTHING_DONE
from engine.cli.messages import say
from tests.conftest import PROJECT

STRANGE = "é\udcff\U0001f600"


class Unwritable(io.RawIOBase):
    """A stream that refuses what is written to it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def writable(self) -> bool:
        return True

    def write(self, _: object) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["models"], ["models", "--json"]])
@pytest.mark.parametrize(
    ("number", "code"), [(errno.EPIPE, NOBODY_READS), (errno.ENOSPC, NOTHING_DONE)]
)
@pytest.mark.parametrize("buffered", [True, False])
def test_output_that_cannot_be_written_ends_without_a_traceback(
    arguments: list[str],
    number: int,
    code: int,
    buffered: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raw = Unwritable(number)
    out = io.TextIOWrapper(io.BufferedWriter(raw) if buffered else raw, "utf-8")  # type: ignore[type-var]
    if not buffered:
        out.reconfigure(write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["nca-seg", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    told = capsys.readouterr().err
    assert told == "" if number == errno.EPIPE else "No space left" in told
    assert len(told.splitlines()) <= 1
    monkeypatch.setattr(raw, "write", len)


def test_notes_that_nobody_reads_do_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = Unwritable(errno.EPIPE)
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(raw), "utf-8"))  # type: ignore[type-var]
    say("half done")
    say("done")
    assert console.end_output() is None
    monkeypatch.setattr(raw, "write", len)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "cp437"])
def test_what_the_encoding_lacks_is_printed_as_its_number(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, stream in raw.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding, errors="strict"))
    console.prepare_streams()
    print(STRANGE)
    say(STRANGE)
    assert console.end_output() is None
    assert b"\\udcff" in raw["stdout"].getvalue()
    # A sentence for a person marks what is no text.
    assert b"?" in raw["stderr"].getvalue()


@pytest.mark.parametrize("gone", ["missing", "closed"])
def test_a_program_without_streams_can_print(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        stream = io.StringIO()
        stream.close()
        monkeypatch.setattr(sys, name, None if gone == "missing" else stream)
    console.prepare_streams()
    print("nowhere")
    say("nowhere")
    assert not sys.stderr.isatty()
    assert console.end_output() is None


@pytest.mark.skipif(os.name == "nt", reason="descriptors are a shell's there")
def test_no_file_of_the_program_becomes_its_standard_error(tmp_path: Path) -> None:
    program = (
        "import os, sys; from engine.cli.console import prepare_streams; prepare_streams()\n"
        f"file = open({str(tmp_path / 'mask')!r}, 'wb')\n"
        "os.write(2, b'a warning of a library'); os.write(1, b'another')\n"
        "print('shown'); file.write(b'mask'); file.close()"
    )
    done = subprocess.run(
        ["bash", "-c", 'exec "$0" -c "$1" >&- 2>&-', sys.executable, program],
        cwd=PROJECT,
        check=False,
    )
    assert done.returncode == 0
    assert (tmp_path / "mask").read_bytes() == b"mask"
