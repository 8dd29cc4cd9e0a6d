"""The dashboard: a web application that shows the runs of a store, and steers them through their inboxes.

It reads journals as they grow, never a driver's state, and decides nothing.
"""

from tunedsl.dashboard.serving import serve

__all__ = ["serve"]
