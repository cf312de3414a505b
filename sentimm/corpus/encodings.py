"""Which encoding a text file has that is not UTF-8: named by the user, or a guess from its bytes."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping

UTF8 = "utf-8"
_SAMPLE_BYTES = 1 << 16  # of lines that are not ASCII: enough to tell languages apart, a tenth of a second of work
_MOST_BYTES = 256 << 20  # looked at after the first byte that is no UTF-8
_HEAD_BYTES = 4096
# What exports really have. The first is taken where the bytes fit it as well as any other.
_CANDIDATES = (
    *("cp1252", "cp1251", "cp932", "gb18030", "big5", "euc_kr", "euc_jp"),
    *("koi8_r", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256"),
)
_TEXT_NOTES = {
    "guess": "{} not UTF-8, and read as cp1252, a guess. Where that is wrong, name the encoding with --encoding.",
    "damage": "{} read with U+FFFD for bytes that are not valid. If the encoding is another, name it with --encoding.",
}
_NAMES = {"euc_kr": "euc-kr", "euc_jp": "euc-jp", "koi8_r": "koi8-r"}


def is_utf8_name(name: str) -> bool:
    """Check whether `name` is one of UTF-8's."""
    return codecs.lookup(name).name in ("utf-8", "utf-8-sig")


def find_utf16(head: bytes) -> str | None:
    """Return which UTF-16 bytes are that begin without a byte order mark; None: they are not.

    ASCII characters, of which headers and quotes are, have a zero byte each, on one side.
    """
    head = head[:_HEAD_BYTES]
    pairs = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if pairs >= 4 and odd > pairs * 0.3 and even == 0:
        return "utf-16-le"
    if pairs >= 4 and even > pairs * 0.3 and odd == 0:
        return "utf-16-be"
    return None


def decode_text(data: bytes, encoding: str | None) -> tuple[str, str]:
    """Return a short text of a file of its own, and what was wrong with it: "", `guess` or `damage`.

    One that is not UTF-8 at all is taken for Windows-1252: a text is too short to tell other encodings.

    Args:
        data: the file's bytes.
        encoding: the one that was named; None: UTF-8, or UTF-16 with a byte order mark.
    """
    if encoding is None and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        return data.decode(encoding or "utf-8-sig").removeprefix("\ufeff"), ""
    except UnicodeError:
        text = data.decode(encoding or "utf-8-sig", errors="replace")
    is_foreign = encoding is None and text.replace("\N{REPLACEMENT CHARACTER}", "").isascii()
    return (data.decode("cp1252", errors="replace"), "guess") if is_foreign else (text, "damage")


def note_texts(path: object, counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return notes about the texts of `path`, by how many `decode_text` says something of."""
    return tuple(
        _TEXT_NOTES[kind].format(f"1 text in {path} is" if count == 1 else f"{count:,} texts in {path} are")
        for kind, count in sorted(counts.items())
        if kind
    )


def guess_encoding(blocks: Iterable[bytes]) -> str | None:
    """Guess the encoding of a file that is not UTF-8 throughout; None: UTF-8 with some broken bytes, or none fits.

    Args:
        blocks: the file's bytes, from its start.
    """
    sample = bytearray()
    whole = broken = looked_at = 0
    decoder = codecs.getincrementaldecoder(UTF8)("replace")
    for block in blocks:
        text = decoder.decode(block)
        if text.isascii():
            continue
        wrong = text.count("\N{REPLACEMENT CHARACTER}") - block.count(b"\xef\xbf\xbd")
        whole += len(text) - len(text.encode("ascii", "ignore")) - wrong
        broken += wrong
        if not broken:
            return None  # what was read so far was read as UTF-8, and is more than ASCII
        for line in block.splitlines(keepends=True) if len(sample) < _SAMPLE_BYTES else ():
            if not line.isascii() and len(sample) < _SAMPLE_BYTES:
                sample += line[:_SAMPLE_BYTES]
        looked_at += len(block)
        if looked_at > _MOST_BYTES:
            break
    return None if whole >= broken else _judge(bytes(sample))


def _judge(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes  # only where a file needs it

    found: dict[str, tuple[float, float]] = {}
    for match in from_bytes(sample, cp_isolation=list(_CANDIDATES), threshold=0.5):
        for name in match.could_be_from_charset:  # those that give the same text
            found.setdefault(name, (match.chaos, match.coherence))
    if not found:
        return None
    best, (chaos, coherence) = next(iter(found.items()))
    first = found.get(_CANDIDATES[0])
    if first is not None and first[0] <= chaos + 0.01 and first[1] >= coherence - 0.05:
        best = _CANDIDATES[0]
    return _NAMES.get(best, best)
