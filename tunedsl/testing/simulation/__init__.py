"""A simulated cluster with seeded faults under the real driver."""
