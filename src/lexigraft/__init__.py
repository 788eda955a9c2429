"""Graft the word embeddings of any pretrained model onto any vocabulary and any network."""

__version__ = "0.1.0"
