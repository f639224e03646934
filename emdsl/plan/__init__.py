"""Derivation and sizes to a program; program to NumPy source. No SymPy, no Lark."""
