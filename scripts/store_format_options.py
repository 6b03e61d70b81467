"""Stores what options Trapline's own readers and writers have, so that a command's help need not import them.

usage: python scripts/store_format_options.py
"""

from trapline.cli._format_options import STORED, dump

if __name__ == "__main__":
    STORED.write_text(dump(), encoding="utf-8")
