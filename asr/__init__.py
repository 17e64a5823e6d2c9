"""The recognizer and its parts."""

__version__ = "0.1.0"
