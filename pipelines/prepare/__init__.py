"""Corpora as they were published, made into manifests: one module a corpus, one way for all."""

from pipelines.prepare.corpora import CORPORA, find_corpus
from pipelines.prepare.preparation import Prepared, PrepareOptions, prepare
from pipelines.prepare.program import add_arguments, run

__all__ = [
    "CORPORA",
    "PrepareOptions",
    "Prepared",
    "add_arguments",
    "find_corpus",
    "prepare",
    "run",
]
