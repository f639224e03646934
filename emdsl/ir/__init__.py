"""The plain data that flow between the stages: no SymPy, no Lark, nothing that computes.

`expressions` and `model` are what the graph stage makes of a text; `derivation` is what the derive stage adds.
Every type is a frozen dataclass of strings, numbers, tuples and other such types, so that `codec` can write it as
JSON, and a warm fit reads it back without importing a compiler module.
"""
