"""An experiment on one HTML page that needs nothing else: numbers, trials, failures, pictures, plan and provenance.

Whatever somebody wrote goes through the template's escaping, or into a block of JSON that no text can leave.
"""

from tunedsl.results.report.page import page, write

__all__ = ["page", "write"]
