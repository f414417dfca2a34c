"""What is known before an incident: runbooks, postmortems, and the playbooks one may approve."""

from knowledge_base.catalogue import playbooks
from knowledge_base.documents import (
    MOST_TRUST,
    TRUST_ORDER,
    Document,
    DocumentError,
    Kind,
    Origin,
    Section,
    Trust,
    documents,
    parse_document,
    read_document,
    read_folder,
    read_text,
)

__all__ = [
    "MOST_TRUST",
    "TRUST_ORDER",
    "Document",
    "DocumentError",
    "Kind",
    "Origin",
    "Section",
    "Trust",
    "documents",
    "parse_document",
    "playbooks",
    "read_document",
    "read_folder",
    "read_text",
]
