"""Files as streams of bytes and of text, however packed and encoded, which their first bytes say."""

import codecs
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from expectations.errors import UserError

CHUNK_BYTES = 1 << 20
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PACKED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4"))
_XZ = b"\xfd7zXZ\x00"


def opened(path: Path, entry: str = "") -> IO[bytes] | Any:
    """The unpacked bytes of a file, or of an entry of a zip archive.

    Raises:
        UserError: the entry is encrypted, or packed in a way that is not known here, such as Deflate64.
    """
    if entry:
        try:
            return zipfile.ZipFile(path).open(entry)
        except RuntimeError as error:
            raise UserError(f"{path} ({entry}): {error}; unpack the archive, and give what was in it") from error
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(_XZ):
        import lzma

        return lzma.open(path)
    for magic, name in _PACKED:
        if head.startswith(magic):
            return pa.CompressedInputStream(pa.OSFile(str(path)), name)
    return pa.OSFile(str(path))


def raw_chunks(path: Path, entry: str = "") -> Iterator[bytes]:
    """The unpacked bytes, a piece at a time."""
    with opened(path, entry) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def head_of(path: Path, entry: str = "", size: int = CHUNK_BYTES) -> bytes:
    """The first unpacked bytes."""
    with opened(path, entry) as stream:
        return bytes(stream.read(size))


def encoding_of(head: bytes, configured: str, key: str) -> tuple[str, int]:
    """The codec of a text, and how many bytes its mark has.

    Args:
        configured: what it is taken for where it has no mark, and does not alternate with zeros as UTF-16 does.
        key: the setting that says so, for messages.

    Raises:
        UserError: there is no such encoding.
    """
    try:
        name = codecs.lookup(configured).name
    except LookupError:
        raise UserError(f"{key}: {configured!r} is none; utf-8, latin-1 and cp1252 are some") from None
    for mark, codec in MARKS:
        if head.startswith(mark):
            return codec, len(mark)
    zeros = [head[start:4096:2].count(0) for start in (0, 1)]
    if max(zeros) > len(head[:4096]) // 8 and min(zeros) * 8 < max(zeros):
        return ("utf-16-be", 0) if zeros[0] > zeros[1] else ("utf-16-le", 0)
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name), 0


def controls(text: str) -> int:
    """Characters that are in no text: control characters, but for what cuts it into lines and fields."""
    return sum(ord(c) < 32 and c not in "\t\n\r\x01\x1f" for c in text)


def is_binary(text: str) -> bool:
    """Whether the beginning of a file, decoded, is something else than text."""
    return controls(text) * 20 > len(text)


def text_chunks(path: Path, entry: str, encoding: str, mark: int) -> Iterator[bytes]:
    """A text as UTF-8 without a mark.

    Raises:
        UnicodeDecodeError: it is not in that encoding; UTF-8 is looked at by who reads it.
    """
    decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)()
    for chunk in raw_chunks(path, entry):
        rest, mark = chunk[mark:], max(0, mark - len(chunk))
        yield decoder.decode(rest).encode() if decoder else rest
    if decoder:
        yield decoder.decode(b"", final=True).encode()


def replaced(chunks: Iterator[bytes], old: bytes, new: bytes) -> Iterator[bytes]:
    """A text with one thing in place of another, which has no line break in it."""
    rest = b""
    for chunk in chunks:
        whole, _, tail = chunk.rpartition(b"\n")
        if whole:
            yield (rest + whole + b"\n").replace(old, new)
            rest = tail
        else:
            rest += chunk
    yield rest.replace(old, new)


class Pieces(io.RawIOBase):
    """Chunks of bytes as a file that is read from the beginning to the end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
