"""What the page's documentation says of its keys is what the page itself says."""

import re
from pathlib import Path

import trapline.review

KEYS = Path(trapline.review.__file__).with_name("static") / "keys.js"
DOCS = Path(__file__).parents[3] / "docs" / "review.md"


def keys_of_the_page() -> list[tuple[str, str]]:
    """What is pressed and what it does, in the page's order."""
    rows = []
    for line in KEYS.read_text("utf-8").splitlines():
        if entry := re.search(r'keys: \[("[^"]*")?.*\](?:, shown: "([^"]*)")?.*words: "([^"]*)"', line):
            rows.append((entry[2] or entry[1].strip('"'), entry[3]))
    return rows


def test_every_key_is_described_in_the_docs_as_on_the_page() -> None:
    rows = keys_of_the_page()
    assert len(rows) > 20
    section = DOCS.read_text("utf-8").partition("## The page, key by key")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(.+)` \| (.+) \|$", section, re.MULTILINE) == rows


def test_no_key_means_two_things() -> None:
    text = KEYS.read_text("utf-8")
    keys = [key for held in re.findall(r"keys: \[(.*?)\]", text) for key in re.findall(r'"([^"]+)"', held)]
    assert len(keys) == len(set(keys))
