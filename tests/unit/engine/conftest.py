"""Property tests have no deadline: a busy machine is no bug."""

from hypothesis import settings

settings.register_profile("podling", deadline=None, max_examples=100)
settings.load_profile("podling")
