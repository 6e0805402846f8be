"""Train classifiers whose members look like non-members, and audit them with strong attacks."""

__version__ = "0.1.0"
