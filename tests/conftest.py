"""Settings of all tests."""

from hypothesis import settings

# Machines that run tests are slow at times, and no law here is about speed.
settings.register_profile("tunedsl", deadline=None)
settings.load_profile("tunedsl")
