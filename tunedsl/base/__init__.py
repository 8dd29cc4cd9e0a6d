"""What every room speaks: errors, diagnostics, canonical data, keys and the vocabulary.

Nothing here knows a feature. A module belongs here only when at least two rooms need it.
"""
