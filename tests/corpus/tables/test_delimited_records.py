from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentimm.corpus.tables.delimited_records import RecordSplitter

AWKWARD = st.text(st.sampled_from(list('a",\n\r')), max_size=14).map(str.encode)


def split_all(data: bytes, size: int, skip_blank: bool, literal_quotes: bool) -> tuple[bytes, list[bytes]]:
    """Split `data` that comes in pieces of `size` bytes: the good records, and the damaged lines."""
    splitter = RecordSplitter(",", skip_blank, literal_quotes)
    buffer, records = b"", []
    for first in range(0, len(data), size):
        buffer += data[first : first + size]
        records.append(splitter.split(buffer, final=False))
        buffer = buffer[records[-1].size :]
    records.append(splitter.split(buffer, final=True))
    return b"".join(each.good for each in records), [line for each in records for _, line in each.damaged]


@pytest.mark.slow
@pytest.mark.parametrize("skip_blank", [True, False])
@pytest.mark.parametrize("literal_quotes", [True, False])
@settings(deadline=None, max_examples=500)
@given(data=AWKWARD, size=st.integers(1, 6))
def test_records_do_not_depend_on_the_pieces_they_come_in(
    skip_blank: bool, literal_quotes: bool, data: bytes, size: int
) -> None:
    whole = split_all(data, 100, skip_blank, literal_quotes)
    assert split_all(data, size, skip_blank, literal_quotes) == whole


def test_a_record_after_a_quoted_newline_does_not_depend_on_where_the_file_was_cut() -> None:
    # Python 3.11.2 matched these records wrongly, with possessive groups in the pattern, and a row was lost.
    for data in (b'a","\n"\n1,e,', b'aa","\n"\n1,e,', b'a"a,"\n"\n1,e,', b'a",,"\n"\n1,e,'):
        for size in range(1, len(data)):
            assert split_all(data, size, skip_blank=True, literal_quotes=False) == (data, [])


@settings(deadline=None, max_examples=300)
@given(data=AWKWARD)
def test_nothing_is_lost(data: bytes) -> None:
    good, damaged = split_all(data, 100, skip_blank=False, literal_quotes=False)
    assert sorted((good + b"".join(damaged)).replace(b"\n", b"").replace(b"\r", b"")) == sorted(
        data.replace(b"\n", b"").replace(b"\r", b"")
    )


def test_damaged_lines_have_their_place_among_all_records() -> None:
    records = RecordSplitter(",", skip_blank=True, literal_quotes=False).split(
        b'a,b\n\n"x" y\n"c\nd",e\n"open\nf,g\n', final=True
    )
    assert records.good == b'a,b\n\n"c\nd",e\nf,g\n'
    assert records.damaged == ((1, b'"x" y'), (3, b'"open'))
