"""The foundation of all packages: errors, diagnostics, the codec, keys and shared types.

It has no behaviour of one feature. A module belongs here only if at least two packages need it.
"""
