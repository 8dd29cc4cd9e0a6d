"""The loop that carries a plan out: events in order into the journal and the kernel, commands out. No Ray."""
