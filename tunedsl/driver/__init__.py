"""The driver's loop: writes events to the journal, passes them to the kernel, and sends its commands to the engine.

It starts no worker and knows nothing of Ray.
"""
