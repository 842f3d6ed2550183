"""The words of mails in each language. English is complete; what another language lacks is said in English.

A language needs a file beside ``words/en.json``, and its months and separators in ``formats``.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

FALLBACK: Final = "en"


@cache
def languages() -> frozenset[str]:
    """Return the languages that have words."""
    return frozenset(
        entry.name.removesuffix(".json")
        for entry in (files(__package__) / "words").iterdir()
        if entry.name.endswith(".json")
    )


def language_of(wishes: Iterable[str | None]) -> str:
    """Return the first wish (BCP 47, such as ``de-AT``) for which there are words, or English."""
    for wish in wishes:
        language = str(wish or "").partition("-")[0].casefold()
        if language in languages():
            return language
    return FALLBACK


@cache
def words_of(language: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the words by section, in English where the language lacks them."""
    english = _read(FALLBACK)
    spoken = english if language == FALLBACK or language not in languages() else _read(language)
    return {section: {**english[section], **spoken.get(section, {})} for section in english}


def _read(language: str) -> Mapping[str, Mapping[str, Any]]:
    text = (files(__package__) / "words" / f"{language}.json").read_text(encoding="utf-8")
    document: Mapping[str, Mapping[str, Any]] = json.loads(text)
    return document
