"""Code as text: where the hole is, what the model gets to see, what of its answer is worth showing.

Knows documents, syntax and settings; does not know what an editor speaks (no LSP types, no UTF-16)
nor how a model is made (no tokens, no torch). An offset is a code point from the start of the text.
"""
