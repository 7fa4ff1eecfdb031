"""Change small valid inputs into ones that nobody expects, as a string of bytes decides.

Hypothesis and atheris both give bytes; `Choices` makes every decision from them, so hypothesis can
vary a decision and atheris can learn which ones reach new code.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any


class Choices(random.Random):
    """A random generator that is fed from bytes, and goes on by itself where they end.

    Attributes:
        words: texts to use as values, from wherever the bytes came from.
    """

    words: Sequence[str] = ()
    _data = b""
    _at = 0

    @classmethod
    def of(cls, data: bytes, words: Sequence[str] = ()) -> Choices:
        """Return choices that `data` decides."""
        choices = cls(zlib.crc32(data))
        choices._data, choices.words = data, words
        return choices

    def getrandbits(self, k: int) -> int:
        """Return k bits."""
        size = (k + 7) // 8
        taken = self._data[self._at : self._at + size]
        self._at += size
        if len(taken) < size:
            return super().getrandbits(k)
        return int.from_bytes(taken, "little") >> (size * 8 - k)

    def random(self) -> float:
        """Return a number in [0, 1), by two bytes of the data."""
        return self.getrandbits(16) / 2**16

    def often(self, share: float) -> bool:
        """Return True in this share of the cases."""
        return self.random() < share


class Raw:
    """Text that stands in a JSON document as it is, valid or not."""

    def __init__(self, text: str) -> None:
        self.text = text


_DEEP = 3_000
WORDS = (
    *(
        "",
        " ",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "null",
        "true",
        "1",
        "0",
        "-1",
        "1.0",
        "1e308",
        "1e400",
    ),
    *("١٢", "１２", "½", "1_000", "0x10", "1,5", "+1", " 1 ", "\u2212" + "1", "é", "µm", "㎛"),
    *("\ud800", "\udfff\ud800", "\x00", "\x1b[31m", "\u202egnp", "\u2028", "\ufeff", "\r\n", "\n"),
    *("..", "../../etc/passwd", "/etc/passwd", "C:\\temp\\a.png", "a\\b.png", "con", "~", "."),
    *("[/lab]", "[red]", "{0}", "%s", "=1+1", "'", '"', ",", ";", "\t", "#", "a" * 5_000, "#2"),
    *("unknown", "atypical", "AMF", "normal", "Point", "Feature", "FeatureCollection", "lora"),
    *("members/0.safetensors", "lite", "2026-01-01", "00000000-0000-0000-0000-000000000000"),
)
NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 7, 100, 0.5, -0.0, 1e-308, 5e-324, 1e308, -1e308, 1e16, 2**31, 2**53 + 1),
    *(2**63, -(2**63) - 1, 2**64, 10**30, 10**400, -(10**400), float("nan"), float("inf")),
    -float("inf"),
)
_RAW = (
    *("1e400", "-1e999", "01", "1.", ".5", "+1", "0x1f", "1_0", "NaN", "-Infinity", "Infinity"),
    *("nul", "undefined", "'a'", "", "9" * 5_000, "0." + "1" * 5_000, '"\\ud800"', '"\\u00"'),
    *('"\t"', "/* a */ 1", "[" * _DEEP + "]" * _DEEP, '{"a":' * _DEEP + "1" + "}" * _DEEP, "[1,]"),
)


def word(choices: Choices) -> str:
    """Return a text that is none of the usual ones."""
    if choices.words and choices.often(0.3):
        return choices.choice(choices.words)
    return choices.choice(WORDS)


def value(choices: Choices) -> Any:
    """Return a JSON value that is none of the usual ones."""
    kind = choices.randrange(8)
    if kind < 2:
        return choices.choice(NUMBERS)
    if kind < 4:
        return word(choices)
    if kind == 4:
        return choices.choice((None, True, False))
    if kind == 5:
        return choices.choice(([], {}, [[]], [{}], {"": None}, [None], [1, 2], [1, 2, 3], ["a"]))
    if kind == 6:
        return Raw(choices.choice(_RAW))
    return [choices.choice(NUMBERS) for _ in range(choices.randrange(1, 6))]


def tree(choices: Choices, seed: Any) -> Any:
    """Return a JSON document like `seed` with a few of its parts changed."""
    document = [copy.deepcopy(seed)]
    for _ in range(choices.choice((1, 1, 1, 2, 2, 3, 6))):
        _change(choices, document)
    return document[0] if document else None


def _change(choices: Choices, document: list[Any]) -> None:
    """Change one part of a document, whose root is the only item of a list."""
    places = list(_places(document))
    if not places:
        return
    holder, key = choices.choice(places)
    there = holder[key]
    kind = choices.randrange(12)
    if kind < 4:
        holder[key] = value(choices)
    elif kind == 4 and holder is not document:
        del holder[key]
    elif kind == 5:
        other, at = choices.choice(places)
        # Copied: a value must not come to hold itself.
        holder[key] = copy.deepcopy(other[at])
    elif kind == 6:
        holder[key] = _as_another_type(choices, there)
    elif kind == 7:
        holder[key] = choices.choice(([there], {"a": there}, [there, copy.deepcopy(there)]))
    elif kind == 8 and isinstance(there, dict):
        there[choices.choice((*there, *WORDS))] = value(choices)
    elif kind == 9 and isinstance(there, dict):
        # "\0" is taken out of the text: the name stands twice.
        there[choices.choice((*there, "type")) + "\0"] = value(choices)
    elif kind == 10 and isinstance(there, list) and there:
        holder[key] = [
            copy.deepcopy(one) for one in there for _ in range(choices.choice((2, 3, 30)))
        ][:100]
    elif isinstance(holder, dict):
        name = choices.choice((str(key).upper(), f" {key}", f"{key}s", "", word(choices)))
        holder[name] = holder.pop(key)
    else:
        holder[key] = value(choices)


def _as_another_type(choices: Choices, there: Any) -> Any:
    if isinstance(there, bool) or there is None:
        return choices.choice((0, 1, "true", "no", ""))
    if isinstance(there, int | float):
        return choices.choice((str(there), bool(there), [there], there * -1, str(there) + " "))
    if isinstance(there, str):
        return choices.choice((list(there)[:50], {"name": there}, len(there), there.upper(), None))
    if isinstance(there, list):
        numbered = {str(number): str(inner) for number, inner in enumerate(there)}
        return choices.choice((numbered, str(there)[:50], len(there)))
    return choices.choice((list(there), "{}", [there])) if isinstance(there, dict) else None


def _places(holder: Any) -> Any:
    items = holder.items() if isinstance(holder, dict) else enumerate(holder)
    for key, inner in list(items):
        yield holder, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def json_text(choices: Choices, document: Any) -> bytes:
    """Write a document as JSON, and seldom as something that is none."""
    raws: list[str] = []

    def plain(of: Any) -> Any:
        if isinstance(of, Raw):
            raws.append(of.text)
            return f"\x01{len(raws) - 1}\x01"
        if isinstance(of, dict):
            return {key: plain(inner) for key, inner in of.items()}
        return [plain(inner) for inner in of] if isinstance(of, list) else of

    indent = choices.choice((None, None, 1))
    # Escaped, or a lone surrogate would end the writing here.
    text = json.dumps(plain(document), indent=indent).replace('\\u0000":', '":')
    for number, raw in enumerate(raws):
        text = text.replace(f'"\\u0001{number}\\u0001"', raw)
    return encoded(choices, text)


def encoded(choices: Choices, text: str) -> bytes:
    """Encode a text, mostly as UTF-8, and seldom damage it."""
    kind = choices.randrange(16)
    if kind == 0:
        text = text.replace("\n", "\r\n")
    elif kind == 1:
        text = text.replace("\n", "\r")
    elif kind == 2:
        text = "\ufeff" + text
    codec = {3: "cp1252", 4: "utf-16", 5: "latin-1"}.get(kind, "utf-8")
    data = text.encode(codec, errors="surrogatepass" if codec.startswith("utf") else "replace")
    return damaged(choices, data) if kind > 12 else data


def damaged(choices: Choices, data: bytes, reach: int | None = None) -> bytes:
    """Change, take out, double or add some bytes, among the first `reach` if that is given."""
    for _ in range(choices.choice((1, 1, 2, 4))):
        at = choices.randrange(min(reach or len(data), len(data)) + 1)
        size = choices.choice((1, 1, 2, 4, 8, 64))
        kind = choices.randrange(6)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data = data[:at] + data[at + size :]
        elif kind == 2:
            data = data[:at] + data[at : at + size] * 2 + data[at + size :]
        elif kind == 3:
            fill = choices.choice((b"\0", b"\xff", b"\x7f", b" ", b"\n", b'"', b"[", b"\x80"))
            data = data[:at] + fill * size + data[at + size :]
        elif kind == 4:
            data = data[:at] + bytes([choices.randrange(256)]) + data[at + 1 :]
        else:
            data += data[:at]
    return data


TOML_VALUES = (
    *("nan", "inf", "-inf", "1e400", "0", "-1", "1", "2", "0.5", "1e308", "99999999999999999999"),
    *("true", "false", '"a"', '""', "'lora'", "[]", "[1, 2]", "{}", "{a = 1}", "1979-05-27"),
    *("07:32:00", "1979-05-27T07:32:00Z", '"""\n"""', '"\\u0000"', '"\\ud800"', "0x10", "1_000"),
    *('"full"', '"linear"', '"1"', "1.0", "[[[]]]", "", "=", "lora", "９", "0.1", '"[red]"', "8"),
    *("[" * 400 + "]" * 400, "9" * 5_000, '"' + "a" * 5_000 + '"', '"\\u202e"', '"#"', '"\\n"'),
    *("[" * _DEEP + "]" * _DEEP, "9" * 400, '"""a"""', "{a.b.c = 1}", "[{}]", "[nan]"),
)


def toml_text(choices: Choices, seed: str) -> bytes:
    """Return a TOML text like `seed` with a few of its lines changed."""
    lines = seed.splitlines()
    for _ in range(choices.choice((1, 1, 1, 2, 3, 6))):
        at = choices.randrange(len(lines))
        key, equals, _ = lines[at].partition("=")
        kind = choices.randrange(10)
        if kind < 5 and equals:
            lines[at] = f"{key}= {toml_value(choices)}"
        elif kind == 5:
            del lines[at]
            lines = lines or [""]
        elif kind == 6:
            lines.insert(choices.randrange(len(lines)), lines[at])
        elif kind == 7:
            name = choices.choice((key.strip(), "a", '"a.b"', '""', "é", "seed", "backbone", "key"))
            lines[at] = choices.choice(
                (
                    *(f"[{name}]", f"[[{name}]]", f"{name}.a.b = 1", f"{name} = {{}}"),
                    *(f"{name.upper()} = 1", f"{name}", f"[a.{name}]", f'"{name}" = 1', "[]"),
                )
            )
        elif kind == 8:
            lines.append(f"{toml_key(choices, seed)} = {toml_value(choices)}")
        elif equals:
            lines[at] = f"{key.strip()}{choices.choice('s_X')} = {toml_value(choices)}"
    return encoded(choices, "\n".join(lines) + "\n")


def toml_value(choices: Choices) -> str:
    """Return a TOML value that is none of the usual ones."""
    if choices.often(0.15):
        return json.dumps(word(choices))
    return choices.choice(TOML_VALUES)


def toml_key(choices: Choices, seed: str) -> str:
    """Return a key of a TOML text, or one that is in none."""
    keys = [line.partition("=")[0].strip() for line in seed.splitlines() if "=" in line]
    return choices.choice((*keys, "a", "a.b", '"a.b"', "name.a", "seed.a.b", "backbone", "card"))


Rows = list[list[Any]]


def rows(choices: Choices, seed: Rows) -> Rows:
    """Return a table like `seed`, whose first row is the header, with a few cells changed."""
    table = [list(row) for row in seed]
    for _ in range(choices.choice((1, 1, 1, 2, 3, 6))):
        if not table:
            break
        at = choices.randrange(len(table))
        (_change_row if choices.often(0.7) else _change_column)(choices, table, at)
    return table


def _change_row(choices: Choices, table: Rows, at: int) -> None:
    row = table[at]
    column = choices.randrange(len(row)) if row else 0
    kind = choices.randrange(9)
    if kind < 5 and row:
        row[column] = cell(choices)
    elif kind == 5:
        del table[at]
    elif kind == 6:
        table.insert(at, list(row))
    elif kind == 7 and row:
        del row[column]
    else:
        row.append(cell(choices))


def _change_column(choices: Choices, table: Rows, at: int) -> None:
    row = table[at]
    column = choices.randrange(len(row)) if row else 0
    kind = choices.randrange(5)
    if kind == 0:
        table += [[""] * len(row) for _ in range(choices.choice((1, 3)))]
        return
    name, filled = choices.choice((*table[0], word(choices))), cell(choices)
    for number, other in enumerate(table):
        if kind == 1:
            other[:] = other[:column] + other[column + 1 :]
        elif kind == 2:
            other.append(cell(choices) if number else name)
        elif kind == 3:
            other.extend([""] * (1 + column % 3))
        elif number and column < len(other):
            other[column] = filled


def cell(choices: Choices) -> Any:
    """Return what a cell seldom holds."""
    return choices.choice(NUMBERS) if choices.often(0.4) else word(choices)


def csv_text(choices: Choices, table: Rows) -> bytes:
    """Write a table as CSV, and seldom as Excel, a hurried hand or nobody would."""
    kind = choices.randrange(12)
    if kind == 0:
        text = "\n".join(",".join(map(str, row)) for row in table)
    else:
        file = io.StringIO()
        separator = {1: ";", 2: "\t", 3: "|"}.get(kind, ",")
        quoting = csv.QUOTE_ALL if kind == 4 else csv.QUOTE_MINIMAL
        writer = csv.writer(
            file, delimiter=separator, quoting=quoting, escapechar="\\", lineterminator="\n"
        )
        for row in table:
            writer.writerow([_written(one) for one in row])
        text = file.getvalue()
    if kind == 5:
        text = text.replace(".", ",")
    elif kind == 6:
        text = "sep=,\n" + text
    elif kind == 7:
        text += '"'
    return encoded(choices, text)


def _written(value: Any) -> str:
    return str(value)[:4_000]


def tiff_entries(data: bytes) -> list[int]:
    """Return where the entries of the directories of a classic little-endian TIFF start."""
    found: list[int] = []
    (at,) = struct.unpack_from("<I", data, 4)
    seen = set()
    while 8 <= at < len(data) - 2 and at not in seen:
        seen.add(at)
        (count,) = struct.unpack_from("<H", data, at)
        found += [at + 2 + 12 * number for number in range(count)]
        end = at + 2 + 12 * count
        at = struct.unpack_from("<I", data, end)[0] if end + 4 <= len(data) else 0
    return [one for one in found if one + 12 <= len(data)]


def tiff(choices: Choices, seed: bytes) -> bytes:
    """Return a TIFF like `seed` with some entries of its directories changed."""
    data = bytearray(seed)
    entries = tiff_entries(seed)
    for _ in range(choices.choice((1, 1, 1, 2, 3))):
        at = choices.choice(entries)
        kind = choices.randrange(8)
        if kind < 4:
            number = choices.choice(
                (*range(10), 16, 255, 256, 4096, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
            )
            struct.pack_into("<I", data, at + 8, number)
        elif kind == 4:
            struct.pack_into("<H", data, at + 2, choices.choice((0, *range(1, 20), 65535)))
        elif kind == 5:
            struct.pack_into("<I", data, at + 4, choices.choice((0, 1, 2, 3, 4, 1000, 2**32 - 1)))
        elif kind == 6:
            tag = choices.choice((254, 256, 257, 258, 259, 262, 270, 273, 274, 277, 279, 282, 284))
            struct.pack_into("<H", data, at, tag)
        else:
            tag = choices.choice((296, 317, 320, 322, 324, 325, 330, 338, 339, 347, 530, 34665))
            struct.pack_into("<H", data, at, tag)
    if choices.often(0.2):
        return damaged(choices, bytes(data))
    return bytes(data)


def png(choices: Choices, seed: bytes) -> bytes:
    """Return a PNG like `seed` with some chunks changed and their checksums right."""
    chunks, at = [], 8
    while at + 12 <= len(seed):
        (size,) = struct.unpack_from(">I", seed, at)
        chunks.append((seed[at + 4 : at + 8], seed[at + 8 : at + 8 + size]))
        at += 12 + size
    for _ in range(choices.choice((1, 1, 2))):
        number = choices.randrange(len(chunks))
        name, content = chunks[number]
        kind = choices.randrange(6)
        if name == b"IHDR" and kind < 4:
            header = bytearray(content)
            if choices.often(0.5):
                side = choices.choice((0, 1, 15, 16, 4096, 4097, 65535, 2**31 - 1, 2**32 - 1))
                struct.pack_into(">I", header, choices.choice((0, 4)), side)
            else:
                header[choices.randrange(8, 13)] = choices.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
            chunks[number] = (name, bytes(header))
        elif kind < 3:
            chunks[number] = (name, damaged(choices, content))
        elif kind == 3:
            new = choices.choice((b"iCCP", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"fcTL"))
            text = b"a\0\0" + zlib.compress(b"\0" * choices.choice((1, 100, 10**6)))
            chunks.insert(number, (new, text))
        elif kind == 4:
            chunks.append(chunks[number])
        else:
            del chunks[number]
            if not chunks:
                break
    return seed[:8] + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def safetensors(choices: Choices, seed: bytes) -> bytes:
    """Return a file of tensors like `seed` with something changed in its header."""
    (size,) = struct.unpack_from("<Q", seed)
    header = json.loads(seed[8 : 8 + size])
    text = json_text(choices, tree(choices, header))
    length = len(text) if choices.often(0.9) else choices.choice((0, 1, 2**31, 2**63, 2**64 - 1))
    return struct.pack("<Q", length) + text + seed[8 + size :]
