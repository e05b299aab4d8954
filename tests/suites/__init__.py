"""Third-party suites on our programs: run where their runners and sources are given, not part of `make test`."""
