"""C99 output: template files in templates/ and the filters that they use."""

from tinyops.emit.c.layout import layouts
from tinyops.emit.c.library import emit_binding, emit_factory, emit_library, library_sources, next_command

__all__ = ["emit_binding", "emit_factory", "emit_library", "layouts", "library_sources", "next_command"]
