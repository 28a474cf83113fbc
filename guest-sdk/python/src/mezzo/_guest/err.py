"""`Err`, the exception of the bindings: `componentize-py` up to 0.17 keeps it elsewhere than later versions."""

try:
    from componentize_py_types import Err
except ImportError:
    from wit_world.types import Err  # type: ignore[no-redef, import-not-found, unused-ignore]

__all__ = ["Err"]
