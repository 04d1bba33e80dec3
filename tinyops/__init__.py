"""tinyops: TinyML firmware build and MLOps toolkit for microcontrollers."""

__version__ = "0.1.0"
