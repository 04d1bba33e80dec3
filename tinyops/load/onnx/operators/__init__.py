"""Importer functions, one for each ONNX operator or family of operators."""
