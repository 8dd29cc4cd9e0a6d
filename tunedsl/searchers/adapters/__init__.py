"""Searchers of other libraries, one library per file; `libraries` has their common base.

Each library is an extra: it is imported when its searcher is first used, and a missing one is a diagnostic. The public
names are in `tunedsl.searchers`.
"""
