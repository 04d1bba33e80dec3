"""Writers: a Program becomes source text. One folder per language."""
