"""Live views of a run: terminal, notebook, plain lines."""
