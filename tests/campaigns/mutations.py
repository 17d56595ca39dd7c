"""Ways in which a file is damaged, or is not a file at all; each is drawn by chance."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Change = Callable[[bytes, random.Random], bytes]


def flip_one(content: bytes, rng: random.Random) -> bytes:
    """One bit is another."""
    return _flip(content, rng, 1)


def flip_few(content: bytes, rng: random.Random) -> bytes:
    """Some bits are others."""
    return _flip(content, rng, rng.randint(2, 16))


def flip_many(content: bytes, rng: random.Random) -> bytes:
    """One bit in a hundred is another."""
    return _flip(content, rng, max(20, len(content) // 12))


def cut(content: bytes, rng: random.Random) -> bytes:
    """The end is missing."""
    return content[: rng.randrange(max(1, len(content)))]


def zero_block(content: bytes, rng: random.Random) -> bytes:
    """A stretch is zero, as after a power cut."""
    first, last = _stretch(content, rng)
    return content[:first] + bytes(last - first) + content[last:]


def double_block(content: bytes, rng: random.Random) -> bytes:
    """A stretch is there twice."""
    first, last = _stretch(content, rng)
    return content[:last] + content[first:]


def drop_block(content: bytes, rng: random.Random) -> bytes:
    """A stretch is missing."""
    first, last = _stretch(content, rng)
    return content[:first] + content[last:]


def empty(content: bytes, rng: random.Random) -> bytes:
    """Nothing is in the file."""
    return b""


def noise(content: bytes, rng: random.Random) -> bytes:
    """Nothing but noise, or noise behind the first bytes."""
    kept = rng.choice((0, 8, 64))
    return content[:kept] + rng.randbytes(rng.randint(1, 5000))


def not_utf8(content: bytes, rng: random.Random) -> bytes:
    """Bytes that are no UTF-8, UTF-16 in its stead, or control characters."""
    if rng.random() < 0.3:
        return content.decode("latin-1").encode("utf-16")
    place = rng.randrange(len(content) + 1)
    odd = rng.choice((b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\x00", b"\x1b[31m", b"\r"))
    return content[:place] + odd + content[place:]


#: What may happen to any file.
ANY: Mapping[str, Change] = {
    change.__name__: change
    for change in (
        flip_one, flip_few, flip_many, cut, zero_block, double_block, drop_block, empty, noise,
    )
}  # fmt: skip


def json_value(content: bytes, rng: random.Random) -> bytes:
    """A value somewhere in JSON is of another kind, huge, deep, or no number."""
    try:
        whole = json.loads(content)
    except ValueError:
        return not_utf8(content, rng)
    return _spoil(whole, rng).encode("utf-8", "surrogatepass")


def json_key(content: bytes, rng: random.Random) -> bytes:
    """A key in JSON is missing, is called otherwise, or has company."""
    whole = json.loads(content)
    inside = whole
    while isinstance(inside, dict) and rng.random() < 0.5:
        deeper = [value for value in inside.values() if isinstance(value, dict) and value]
        if not deeper:
            break
        inside = rng.choice(deeper)
    if isinstance(inside, dict) and inside:
        key = rng.choice(list(inside))
        value = inside.pop(key)
        if rng.random() < 0.5:
            inside[rng.choice(("", key.upper(), "é" * 300, "__class__", key + "\u0000"))] = value
    return json.dumps(whole).encode()


def csv_cell(content: bytes, rng: random.Random) -> bytes:
    """A table with another separator, an odd cell, empty rows, an open quote, or a row too many."""
    lines = content.decode().splitlines()
    place = rng.randrange(len(lines))
    cells = lines[place].split(",")
    odd = ("", '"', "\x00", "nan", "1e999", "=cmd|' /C calc'!A0", "x" * 200_000, "\x1b]0;x\x07",
           "-1", "é", "../../etc", "9" * 400)  # fmt: skip
    match rng.randrange(6):
        case 0:
            return "\n".join(lines).replace(",", rng.choice(";\t|")).encode()
        case 1:
            lines.insert(place, rng.choice(("", " , ", ",,,,,,,")))
        case 2:
            lines.insert(place, lines[place])
        case 3:
            lines[place] = lines[place] + ",more" * rng.randint(1, 50)
        case _:
            cells[rng.randrange(len(cells))] = rng.choice(odd)
            lines[place] = ",".join(cells)
    return ("\n".join(lines) + "\n").encode()


def tensor_header(content: bytes, rng: random.Random) -> bytes:
    """A value in the header of a safetensors file, or in our description in it, is another."""
    (length,) = struct.unpack("<Q", content[:8])
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    told = header.get("__metadata__", {})
    if told and rng.random() < 0.7:
        key = rng.choice(list(told))
        told[key] = _spoil(json.loads(told[key]), rng)
        text = json.dumps(header)
    else:
        text = _spoil(header, rng)
    if rng.random() < 0.1:
        length = rng.choice((0, 2**31, 2**63 - 1, 100_000_000))
        return struct.pack("<Q", length) + content[8:]
    encoded = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(encoded)) + encoded + rest


def more_rows(content: bytes, rng: random.Random) -> bytes:
    """The header of a PNG or JPEG says more rows than there are; all its checksums are right."""
    # A JPEG has up to fifteen rows more than its header says.
    more = rng.choice((16, 40, 200))
    if content.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", content[16:24])
        chunk = b"IHDR" + struct.pack(">II", width, height + more) + content[24:29]
        return content[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        if (place := content.find(marker)) > 0:
            (height,) = struct.unpack(">H", content[place + 5 : place + 7])
            return content[: place + 5] + struct.pack(">H", height + more) + content[place + 7 :]
    return cut(content, rng)


def _flip(content: bytes, rng: random.Random, count: int) -> bytes:
    changed = bytearray(content)
    for _ in range(count if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _stretch(content: bytes, rng: random.Random) -> tuple[int, int]:
    first = rng.randrange(len(content) + 1)
    return first, min(len(content), first + rng.choice((1, 16, 512, 4096)))


def _odd_value(rng: random.Random) -> Any:
    return rng.choice(
        (
            None, True, -1, 0, 1.5, 2**31, 2**63, 10**30, -(10**9), float("nan"), float("inf"), "",
            [], {}, [[[]]], "x" * 100_000, "\u001b[31mred\u0000\n\nnext", "\ud800", "0", "../..",
            "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00", "<b>bold</b>", 4096, 10**6,
        )
    )  # fmt: skip


def _spoil(whole: Any, rng: random.Random) -> str:
    """A JSON text with one value, somewhere, in place of another."""
    sort = rng.random()
    if sort < 0.06:
        depth = rng.choice((200, 3_000, 200_000))
        return "[" * depth + "]" * depth
    if sort < 0.1:
        return json.dumps(_odd_value(rng))
    where: list[tuple[Any, Any]] = []
    waiting = [whole]
    while waiting:
        inside = waiting.pop()
        keys = inside.keys() if isinstance(inside, dict) else range(len(inside))
        where += [(inside, key) for key in keys]
        waiting += [inside[key] for key in keys if isinstance(inside[key], dict | list)]
    if not where:
        return json.dumps(_odd_value(rng))
    inside, key = rng.choice(where)
    inside[key] = _odd_value(rng)
    text = json.dumps(whole)
    if sort < 0.2:
        # Digits without end: Python itself refuses to read so long a number.
        text = text.replace("true", "9" * 5000, 1).replace(": 0", ": 1e99999", 1)
    return text


# What stands in the place of a file

Place = Callable[[Path, random.Random], None]


def fifo(path: Path, rng: random.Random) -> None:
    """A pipe that nobody writes to."""
    os.mkfifo(path)


def folder(path: Path, rng: random.Random) -> None:
    """A folder, empty or not."""
    path.mkdir()
    if rng.random() < 0.5:
        (path / "inside").write_bytes(b"x")


def loop(path: Path, rng: random.Random) -> None:
    """A link to itself."""
    path.symlink_to(path.name)


def dangling(path: Path, rng: random.Random) -> None:
    """A link that leads nowhere."""
    path.symlink_to(path.with_name("nowhere"))


def device(path: Path, rng: random.Random) -> None:
    """A link to a device without end."""
    path.symlink_to(rng.choice(("/dev/zero", "/dev/random")))


def door(path: Path, rng: random.Random) -> None:
    """A socket."""
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        # A socket's path may have 107 bytes.
        os.chdir(path.parent)
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


PLACES: Mapping[str, Place] = {
    place.__name__: place for place in (fifo, folder, loop, dangling, device, door)
}


def put(path: Path, name: str, rng: random.Random) -> None:
    """Put one of `PLACES` where a file was."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    PLACES[name](path, rng)


def sparse_tail(path: Path) -> None:
    """Give a file three gigabytes of zeros that take no room."""
    os.truncate(path, path.stat().st_size + 3 * 2**30)
