"""Who listens to a run: each event after it is in the journal, and nothing that decides."""
