"""Queries beyond one forward pass: one file each, found by name; each becomes a signal on disk."""

from nonmember.queries._base import Answer, Query, Samples
from nonmember.registry import Registry

queries: Registry[Query] = Registry("query", "nonmember.queries", Query)

__all__ = ["Answer", "Query", "Samples", "queries"]
