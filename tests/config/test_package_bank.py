"""The package's bank of sentences keeps the rules that it names."""

from __future__ import annotations

import re

import yaml

from lavad_core.config.sentence_bank import package_bank, parse_bank

TEXT = package_bank()
BANK = parse_bank(TEXT, "the package's bank")
AVOIDED = dict(re.findall(r"(?m)^([\w -]+):\n  # Avoided on the normal side: (.*)\.$", TEXT))


def test_sides_are_as_long_as_each_other() -> None:
    assert len(BANK.categories) == 10
    assert {(len(category.anomalous), len(category.normal)) for category in BANK.categories} == {(10, 10)}
    assert [*yaml.safe_load(TEXT)] == [category.name for category in BANK.categories]


def test_normal_sentences_avoid_what_would_confuse_the_sides() -> None:
    assert set(AVOIDED) == {category.name for category in BANK.categories}
    for category in BANK.categories:
        words = [word for verb in AVOIDED[category.name].split(", ") for word in verb.split()[:1]]
        assert len(words) >= 5
        for sentence in category.normal:
            assert not re.search(rf"(?i)\b({'|'.join(words)})(s|es|ing)?\b", sentence), sentence


def test_each_normal_side_ends_calmly() -> None:
    assert len({category.normal[-4:] for category in BANK.categories}) == 1
