"""The grammar file: found, small to build, and without conflicts that would hide a form."""

from __future__ import annotations

import re

from emdsl.syntax.build import TreeBuilder
from emdsl.syntax.grammar import grammar_text, lalr
from tests.work import python_calls


def test_every_rule_has_its_reduction() -> None:
    rules = {rule.alias or rule.origin.name for rule in lalr().rules}
    named = {str(name) for name in rules if not str(name).startswith("_")}
    inlined = set(re.findall(r"^\?(\w+):", grammar_text(), re.MULTILINE))
    assert {name for name in named - inlined if not hasattr(TreeBuilder, name)} == set()


def test_the_grammar_is_built_in_a_moment() -> None:
    lalr()
    lalr.cache_clear()
    assert python_calls(lalr) < 2_000_000
