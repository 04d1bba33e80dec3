"""Pages for people: one HTML file with inline CSS and SVG, no script, nothing loaded from elsewhere."""

from tinyops.emit.html.page import bench_page, model_page
from tinyops.emit.html.quantization import quantization_page

__all__ = ["bench_page", "model_page", "quantization_page"]
