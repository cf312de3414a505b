"""A corpus: the tables of posts and the folder of their images, as a stream of chunks."""

from __future__ import annotations

from sentimm.corpus.chunks import Chunk, chunk_frame
from sentimm.corpus.columns.choice import ColumnChoice
from sentimm.corpus.images.image_lookup import MISSING, ImageFile, ImageSource, Missing, PostImages, is_url, open_images
from sentimm.corpus.images.post_images import is_found, list_images, split_names
from sentimm.corpus.inputs.find import expand_inputs
from sentimm.corpus.inputs.stdin import find_stdin_format, spool_stdin
from sentimm.corpus.reader import CorpusReader, join_chunks
from sentimm.corpus.staging import holds_rows, read_chunk, write_chunk
from sentimm.corpus.survey.survey import Source, Survey, leave_out_absent, survey_corpus
from sentimm.corpus.tables.base import Problem
from sentimm.corpus.wording import require_utf8

__all__ = [
    "MISSING",
    "Chunk",
    "ColumnChoice",
    "CorpusReader",
    "ImageFile",
    "ImageSource",
    "Missing",
    "PostImages",
    "Problem",
    "Source",
    "Survey",
    "chunk_frame",
    "expand_inputs",
    "find_stdin_format",
    "holds_rows",
    "is_found",
    "is_url",
    "join_chunks",
    "leave_out_absent",
    "list_images",
    "open_images",
    "read_chunk",
    "require_utf8",
    "split_names",
    "spool_stdin",
    "survey_corpus",
    "write_chunk",
]
