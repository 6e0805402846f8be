"""Makes `tests/` importable, so that folders of tests share `tiny`."""
